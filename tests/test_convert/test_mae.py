"""Backbones that start from a masked autoencoder, as the authors' do."""

import pytest
import torch
from mmpose.registry import MODELS

from gtpt_mm.convert import convert_mae, convert_vitpose, find_mae_layout
from gtpt_mm.models import ViTPose

GRID = (4, 3)
NUM_EXPERTS = 6
ARCH = dict(embed_dims=48, depth=3, num_heads=4)


def under_native_names(golden_state: dict) -> dict[str, torch.Tensor]:
    """The authors' backbone after loading, but for what MAE does not set."""
    head = {
        f'keypoint_head.final_layer.{leaf}': torch.zeros(1)
        for leaf in ('weight', 'bias')
    }
    full = {f'backbone.{key}': v for key, v in golden_state.items()} | head
    # Before a split there are heads of six datasets; one will do here.
    converted = convert_vitpose(full).state_dict
    return {
        key: value
        for key, value in converted.items()
        if key.startswith('backbone.') and 'last_norm' not in key
    }


@pytest.mark.parametrize('patch', [14, 16])
@pytest.mark.parametrize('kind', ['vit', 'moe'])
def test_state_is_that_of_the_authors(
    patch, kind, read_vitpose_golden, assert_equal
):
    golden = read_vitpose_golden(f'mae_load_p{patch}_s11.pt')
    own, left_out = convert_mae(golden['mae_model'], GRID, 'pad')
    experts = dict(
        num_experts=NUM_EXPERTS, part_features=golden['config']['pf']
    )
    model = ViTPose(ARCH, (64, 48), experts=experts if kind == 'moe' else None)
    model.load_state_dict(
        {k.removeprefix('backbone.'): v for k, v in own.items()}, strict=False
    )
    loaded = {
        f'backbone.{key}': value
        for key, value in model.state_dict().items()
        if 'last_norm' not in key
    }
    assert_equal(loaded, under_native_names(golden[f'{kind}_pad']))
    assert left_out == [
        'backbone.cls_token',
        'backbone.norm.weight',
        'backbone.norm.bias',
    ]
    # Theirs start the last norm anew, so nothing of it is to be converted.
    assert (golden[f'{kind}_pad']['last_norm.weight'] == 1).all()


@pytest.mark.parametrize('mode', ['bilinear', 'bicubic'])
@pytest.mark.parametrize('kind', ['vit', 'moe'])
def test_stretched_patches_are_those_of_the_authors(
    mode, kind, read_vitpose_golden
):
    golden = read_vitpose_golden('mae_load_p14_s11.pt')
    own = convert_mae(golden['mae_model'], GRID, mode).state_dict
    key = 'patch_embed.proj.weight'
    torch.testing.assert_close(
        own[f'backbone.{key}'],
        golden[f'{kind}_{mode}'][key],
        atol=1e-7,
        rtol=1e-6,
    )


@pytest.fixture
def encoder(read_vitpose_golden):
    return read_vitpose_golden('mae_load_p16_s11.pt')['mae_model']


def mmpretrain_names(encoder: dict, prefix: str) -> dict[str, torch.Tensor]:
    out = {}
    for key, value in encoder.items():
        for old, new in (
            ('blocks.', 'layers.'),
            ('.norm1.', '.ln1.'),
            ('.norm2.', '.ln2.'),
            ('mlp.fc1.', 'ffn.layers.0.0.'),
            ('mlp.fc2.', 'ffn.layers.1.'),
            ('patch_embed.proj.', 'patch_embed.projection.'),
        ):
            key = key.replace(old, new)
        out[prefix + (f'ln1.{key[5:]}' if key[:5] == 'norm.' else key)] = value
    return out


@pytest.mark.parametrize('prefix', ['', 'backbone.'])
def test_mmpretrain_names(prefix, encoder, assert_equal):
    """The class token's own row is of no use to the patches."""
    source = mmpretrain_names(encoder, prefix)
    decoder = {
        'neck.mask_token': torch.zeros(1),
        'neck.decoder_blocks.0.ln1.weight': torch.zeros(1),
    }
    assert find_mae_layout(source) == 'mmpretrain'
    own, left_out = convert_mae(source | decoder, GRID)
    assert set(left_out) == {
        'backbone.cls_token',
        'backbone.ln1.weight',
        'backbone.ln1.bias',
        'backbone.pos_embed[:, :1]',
        *decoder,
    }
    flat = encoder | {'pos_embed': encoder['pos_embed'].clone()}
    flat['pos_embed'][:, 0] = 0  # where it is zero, both rules agree
    assert_equal(own, convert_mae(flat, GRID).state_dict)


def test_encoder_among_other_things(encoder, assert_equal, tmp_path):
    """As the authors' code: without ``encoder.``, and nothing beside it."""
    others = {
        'encoder_k.blocks.0.norm1.weight': torch.zeros(48),
        'queue': torch.zeros(3, 5),
    }
    source = others | {f'encoder.{key}': v for key, v in encoder.items()}
    plain = convert_mae(encoder, GRID)
    for prefix in ('', 'module.'):
        given = {prefix + key: value for key, value in source.items()}
        assert find_mae_layout(given) == 'timm'
        own, left_out = convert_mae(given, GRID)
        assert_equal(own, plain.state_dict)
        assert left_out == [*plain.left_out, *others]
    backbone = load_mae(source, tmp_path)
    torch.testing.assert_close(
        backbone.layers[2].mlp.fc2.bias, encoder['blocks.2.mlp.fc2.bias']
    )


def test_mirror_of_mmpose(encoder, assert_equal, tmp_path):
    """mae_pretrain_vit_*_20230913.pth: no prefix, no class token."""
    source = mmpretrain_names(encoder, '')
    del source['cls_token']
    source['pos_embed'] = encoder['pos_embed'][:, 1:]
    assert source['pos_embed'].shape[1] == 196
    assert find_mae_layout(source) == 'mmpretrain'
    own, left_out = convert_mae(source, GRID)
    assert left_out == ['backbone.ln1.weight', 'backbone.ln1.bias']
    flat = encoder | {'pos_embed': encoder['pos_embed'].clone()}
    flat['pos_embed'][:, 0] = 0
    assert_equal(own, convert_mae(flat, GRID).state_dict)
    backbone = load_mae(source, tmp_path)
    assert torch.equal(backbone.pos_embed, own['backbone.pos_embed'])


def load_mae(state_dict: dict, folder) -> ViTPose:
    """A backbone that starts from a file of these tensors."""
    path = str(folder / 'mae.pth')
    torch.save(dict(state_dict=state_dict), path)
    init_cfg = dict(type='MAEPretrained', checkpoint=path)
    backbone = ViTPose(ARCH, (64, 48), init_cfg=init_cfg)
    backbone.init_weights()
    return backbone


@pytest.mark.parametrize(
    ('rows', 'first_row'), [(197, 1), (196, 0), (13, 1), (12, 0)]
)
def test_tables_of_several_sizes(rows, first_row, encoder):
    table = torch.randn(1, rows, 48)
    own = convert_mae(encoder | {'pos_embed': table}, GRID).state_dict
    positions = own['backbone.pos_embed']
    assert positions.shape == (1, 12, 48)
    if rows <= 13:  # on the grid already
        extra = table[:, :1] * first_row
        torch.testing.assert_close(positions, table[:, first_row:] + extra)


def test_decoder_and_classifier_are_named(encoder):
    others = {
        'mask_token': torch.zeros(1, 1, 8),
        'decoder_pos_embed': torch.zeros(1, 197, 8),
        'decoder_blocks.0.norm1.weight': torch.zeros(8),
        'decoder_pred.bias': torch.zeros(8),
        'head.weight': torch.zeros(1000, 48),
    }
    left_out = convert_mae(encoder | others, GRID).left_out
    assert set(left_out) >= {f'backbone.{name}' for name in others}


def test_bad_encoders_are_named(encoder, official_vitpose):
    with pytest.raises(ValueError, match='surprise'):
        convert_mae(encoder | {'surprise': torch.zeros(1)}, GRID)
    with pytest.raises(ValueError, match='not an encoder'):
        convert_mae(official_vitpose(), GRID)
    with pytest.raises(ValueError, match='convert_mae'):
        convert_vitpose(encoder)
    with pytest.raises(ValueError, match="'nearest'"):
        convert_mae(encoder, GRID, 'nearest')
    with pytest.raises(ValueError, match='15 rows'):
        table = encoder['pos_embed'][:, :15]
        convert_mae(encoder | {'pos_embed': table}, GRID)
    with pytest.raises(ValueError, match='32 x 32'):
        weight = torch.zeros(48, 3, 32, 32)
        convert_mae(encoder | {'patch_embed.proj.weight': weight}, GRID)
    del encoder['blocks.2.attn.proj.bias']
    with pytest.raises(ValueError, match='layers.2.attn.proj.bias'):
        convert_mae(encoder, GRID)


@pytest.mark.parametrize('kind', ['vit', 'moe'])
@pytest.mark.parametrize('entry', ['model', 'state_dict', None])
def test_init_cfg_loads_a_file(
    kind, entry, read_vitpose_golden, tmp_path, assert_equal
):
    golden = read_vitpose_golden('mae_load_p14_s11.pt')
    path = tmp_path / 'mae.pth'
    encoder = golden['mae_model']
    torch.save({entry: encoder} if entry else encoder, path)
    init_cfg = dict(type='MAEPretrained', checkpoint=str(path))
    experts = dict(num_experts=NUM_EXPERTS, part_features=12)
    backbone = ViTPose(
        ARCH,
        golden['config']['img'],
        experts=experts if kind == 'moe' else None,
        init_cfg=init_cfg,
    )
    backbone.init_weights()
    own = {f'backbone.{k}': v for k, v in backbone.state_dict().items()}
    for leaf, value in (('weight', 1.0), ('bias', 0.0)):
        assert (own.pop(f'backbone.last_norm.{leaf}') == value).all()
    assert_equal(own, under_native_names(golden[f'{kind}_pad']))


def test_init_cfg_says_what_is_not_loaded(encoder, tmp_path, monkeypatch):
    import gtpt_mm.engine.mae_pretrained as module

    lines = []
    monkeypatch.setattr(
        module, 'print_log', lambda text, logger: lines.append(text)
    )
    torch.save(encoder, tmp_path / 'mae.pth')
    init_cfg = dict(type='MAEPretrained', checkpoint=str(tmp_path / 'mae.pth'))
    backbone = dict(
        type='ViTPose', arch=ARCH, img_size=(64, 48), init_cfg=init_cfg
    )
    head = dict(type='HeatmapHead', in_channels=48, out_channels=17)
    model = MODELS.build(
        dict(type='TopdownPoseEstimator', backbone=backbone, head=head)
    )
    model.init_weights()
    torch.testing.assert_close(
        model.backbone.layers[2].mlp.fc2.bias, encoder['blocks.2.mlp.fc2.bias']
    )
    [line] = lines
    for name in ('backbone.cls_token', 'backbone.norm.weight', 'last_norm'):
        assert name in line


@pytest.mark.parametrize(
    ('arch', 'word'),
    [
        (ARCH | dict(depth=4), 'layers.3.norm1.weight'),
        (ARCH | dict(depth=2), 'layers.2.norm1.weight'),
        (ARCH | dict(embed_dims=32), r'shape torch.Size\(\[1, 12, 48\]\)'),
    ],
    ids=['deeper', 'shallower', 'narrower'],
)
def test_other_sizes_are_refused(arch, word, encoder, tmp_path):
    torch.save(encoder, tmp_path / 'mae.pth')
    init_cfg = dict(type='MAEPretrained', checkpoint=str(tmp_path / 'mae.pth'))
    backbone = ViTPose(arch, (64, 48), init_cfg=init_cfg)
    with pytest.raises(ValueError, match=word) as caught:
        backbone.init_weights()
    if arch['depth'] != 3:  # a layer of twelve tensors, each by its name
        number = min(arch['depth'], 3)
        for part in ('norm1', 'attn.qkv', 'mlp.fc2'):
            for leaf in ('weight', 'bias'):
                name = f'layers.{number}.{part}.{leaf}'
                assert name in str(caught.value)
