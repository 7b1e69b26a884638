"""Stock mmpose's ViTPose, with mmpretrain's backbone, beside ours."""

from pathlib import Path

import mmpose
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmpose.registry import MODELS

from gtpt_mm.cli import main
from gtpt_mm.convert import (
    NameTable,
    convert_vitpose,
    export_vitpose,
    split_state_dict,
)
from gtpt_mm.convert.vitpose import mmpose as mmpose_names
from gtpt_mm.convert.vitpose import official
from gtpt_mm.models import ViTPose

pytest.importorskip('mmpretrain')

SIZE = dict(dim=32, depth=2, heads=4, img=(64, 48))


def build_stock(
    config: dict, num_keypoints: int = 17, simple: bool = False
) -> torch.nn.Module:
    """As in td-hm_ViTPose-*_8xb64-210e_coco-256x192.py, but smaller."""
    backbone = dict(
        type='mmpretrain.VisionTransformer',
        arch=dict(
            embed_dims=config['dim'],
            num_layers=config['depth'],
            num_heads=config['heads'],
            feedforward_channels=4 * config['dim'],
        ),
        img_size=config['img'],
        patch_size=16,
        qkv_bias=True,
        with_cls_token=False,
        out_type='featmap',
        patch_cfg=dict(padding=2),
    )
    head = dict(
        type='HeatmapHead',
        in_channels=config['dim'],
        out_channels=num_keypoints,
        deconv_out_channels=config.get('filt', (256, 256)),
        deconv_kernel_sizes=(4, 4),
    )
    neck = None
    if simple:
        neck = dict(
            type='FeatureMapProcessor', scale_factor=4.0, apply_relu=True
        )
        head.update(
            deconv_out_channels=[],
            deconv_kernel_sizes=[],
            final_layer=dict(kernel_size=3, padding=1),
        )
    model = dict(
        type='TopdownPoseEstimator', backbone=backbone, neck=neck, head=head
    )
    return MODELS.build(model).eval()


def shake(model: torch.nn.Module) -> torch.nn.Module:
    for tensor in model.state_dict().values():  # no zeros, no ones
        if tensor.is_floating_point():
            tensor.add_(0.1 * torch.rand_like(tensor))
    return model


@pytest.mark.parametrize('simple', [False, True])
def test_both_directions(simple, build_vitpose, heatmaps):
    img = torch.randn(2, 3, 64, 48)
    stock = shake(build_stock(SIZE, simple=simple))
    ours = build_vitpose(SIZE, simple=simple)
    state, left_out = convert_vitpose(stock.state_dict())
    assert not left_out
    ours.load_state_dict(state, strict=True)
    expected = heatmaps(stock, img)
    assert expected.std() > 0.1
    torch.testing.assert_close(
        heatmaps(ours, img), expected, atol=2e-5, rtol=1e-5
    )

    ours = shake(build_vitpose(SIZE, simple=simple))
    stock = build_stock(SIZE, simple=simple)
    state = export_vitpose(ours.state_dict(), 'mmpose').state_dict
    stock.load_state_dict(state, strict=True)
    torch.testing.assert_close(
        heatmaps(stock, img), heatmaps(ours, img), atol=2e-5, rtol=1e-5
    )


def test_split_plus_loads(read_vitpose_golden, heatmaps):
    """One dataset of the authors' ViTPose++ in stock mmpose."""
    golden = read_vitpose_golden('vit_moe_s12.pt')
    recorded = read_vitpose_golden('model_split_s12.pt')['split']['mpii']
    ours = convert_vitpose(golden['state_dict']).state_dict
    model = build_stock(golden['config'], num_keypoints=16)
    dense = split_state_dict(ours, 'mpii')
    state = export_vitpose(dense, 'mmpose').state_dict
    model.load_state_dict(state, strict=True)
    torch.testing.assert_close(
        heatmaps(model, golden['img']),
        recorded['heatmap_eval'],
        atol=2e-5,
        rtol=1e-5,
    )


def make_mae(names_of: str) -> dict[str, torch.Tensor]:
    """An encoder as it is released: a row and a token for the class."""
    arch = dict(embed_dims=32, depth=2, num_heads=4)
    model = shake(ViTPose(arch, (64, 48)))
    state = {f'backbone.{k}': v for k, v in model.state_dict().items()}
    table = official.BACKBONE if names_of == 'FAIR' else mmpose_names.BACKBONE
    rename = NameTable(table).foreign
    state = {
        rename(key).removeprefix('backbone.'): value
        for key, value in state.items()
    }
    if names_of == 'FAIR':
        for leaf in ('weight', 'bias'):
            state[f'norm.{leaf}'] = state.pop(f'last_norm.{leaf}')
    state['cls_token'] = torch.randn(1, 1, 32)
    state['pos_embed'] = torch.randn(1, 197, 32)
    state['pos_embed'][:, 0] = 0  # as of the fixed table of MAE
    return state


@pytest.mark.parametrize(
    ('names_of', 'entry', 'prefix'),
    [
        ('FAIR', 'model', ''),
        ('FAIR', 'state_dict', ''),
        ('mmpretrain', 'state_dict', ''),
        ('mmpretrain', 'state_dict', 'backbone.'),
    ],
)
def test_only_a_converted_mae_file_starts_stock_mmpose(
    names_of, entry, prefix, tmp_path
):
    """Of the raw file mmpretrain refuses the table of 197 rows.

    FAIR keep the weights under ``model``, where mmengine does not look: then
    nothing at all is loaded, which is an error.
    """
    raw, stock_file = tmp_path / 'raw.pth', tmp_path / 'stock.pth'
    encoder = make_mae(names_of)
    torch.save({entry: {prefix + k: v for k, v in encoder.items()}}, raw)
    from_raw = build_stock(SIZE).backbone
    from_raw.init_cfg = dict(type='Pretrained', checkpoint=str(raw))
    if prefix:
        from_raw.init_cfg['prefix'] = prefix
    error, words = AssertionError, ''
    if entry == 'model':
        error, words = ValueError, '0 of .* tensors loaded'
    with pytest.raises(error, match=words):
        from_raw.init_weights()

    command = ['convert', str(raw), str(stock_file), '--to', 'mmpose']
    assert main([*command, '--img-size', '64', '48']) == 0
    stock = build_stock(SIZE).backbone
    stock.init_cfg = dict(
        type='Pretrained', prefix='backbone.', checkpoint=str(stock_file)
    )
    stock.init_weights()
    arch = dict(embed_dims=32, depth=2, num_heads=4)
    init_cfg = dict(type='MAEPretrained', checkpoint=str(raw))
    ours = ViTPose(arch, (64, 48), init_cfg=init_cfg)
    ours.init_weights()
    img = torch.randn(2, 3, 64, 48)
    models = from_raw, stock, ours
    for model in models:
        model.eval()
    with torch.no_grad():
        [wrong], [expected], [found] = (model(img) for model in models)
    assert expected.std() > 0.1
    torch.testing.assert_close(found, expected, atol=2e-5, rtol=1e-5)
    assert (wrong - expected).abs().mean() > 0.1


def make_small_plus() -> dict[str, torch.Tensor]:
    """ViTPose++-S before its split, zeros: 96 channels are its experts'."""
    shapes = {
        'backbone.pos_embed': (1, 193, 384),
        'backbone.patch_embed.proj.weight': (384, 3, 16, 16),
        'backbone.patch_embed.proj.bias': (384,),
        'backbone.last_norm.weight': (384,),
        'backbone.last_norm.bias': (384,),
    }
    layers = {
        'norm1': (384,),
        'attn.qkv': (1152, 384),
        'attn.proj': (384, 384),
        'norm2': (384,),
        'mlp.fc1': (1536, 384),
        'mlp.fc2': (288, 1536),
    }
    layers |= {f'mlp.experts.{e}': (96, 1536) for e in range(6)}
    for i in range(12):
        for part, shape in layers.items():
            shapes[f'backbone.blocks.{i}.{part}.weight'] = shape
            shapes[f'backbone.blocks.{i}.{part}.bias'] = shape[:1]
    head = 'keypoint_head'
    for i, channels in ((0, 384), (3, 256)):
        shapes[f'{head}.deconv_layers.{i}.weight'] = (channels, 256, 4, 4)
        for leaf in ('weight', 'bias', 'running_mean', 'running_var'):
            shapes[f'{head}.deconv_layers.{i + 1}.{leaf}'] = (256,)
        shapes[f'{head}.deconv_layers.{i + 1}.num_batches_tracked'] = ()
    shapes[f'{head}.final_layer.weight'] = (17, 256, 1, 1)
    shapes[f'{head}.final_layer.bias'] = (17,)
    return {name: torch.zeros(shape) for name, shape in shapes.items()}


def test_configs_of_both_load_a_split_file(repo_root):
    init_default_scope('mmpose')
    ours = convert_vitpose(make_small_plus()).state_dict
    dense = split_state_dict(ours, 'coco')
    own = 'configs/body_2d_keypoint/vitpose/coco/td-hm_vitpose-s'
    stock = (
        '.mim/configs/body_2d_keypoint/topdown_heatmap/coco/td-hm_ViTPose-'
        'small'
    )
    for path, state in (
        (repo_root / own, dense),
        (
            Path(mmpose.__file__).parent / stock,
            export_vitpose(dense, 'mmpose').state_dict,
        ),
    ):
        cfg = Config.fromfile(f'{path}_8xb64-210e_coco-256x192.py')
        model = MODELS.build(cfg.model)
        model.load_state_dict(state, strict=True)
