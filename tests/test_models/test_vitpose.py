"""What ViTPose promises beside the authors' numbers."""

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmengine.runner import load_checkpoint
from mmpose.registry import MODELS

from gtpt_mm.deploy import fuse
from gtpt_mm.layers.attention import SelfAttention, WindowAttention
from gtpt_mm.layers.pos_embed import resize_pos_embed
from gtpt_mm.models import ViTPose
from gtpt_mm.models.backbones import vitpose

ARCH = dict(embed_dims=32, depth=4, num_heads=2)
ATTENTION = dict(window_size=(4, 3), shift=True, pool=True, global_interval=3)
WINDOWS = dict(patch_stride=8, attention=ATTENTION)
REL_POS = dict(patch_stride=8, attention=dict(ATTENTION, rel_pos=True))
VARIANTS = [
    dict(),
    dict(patch_stride=8),
    dict(patch_stride=4),
    WINDOWS,
    REL_POS,
]


@pytest.fixture
def img():
    return torch.randn(3, 3, 64, 48)


@pytest.mark.parametrize(
    ('arch', 'num_heads'),
    [('small', 12), ('base', 12), ('large', 16), ('huge', 16)],
)
def test_number_of_heads(arch, num_heads):
    """S has twice those of DeiT-S; any number would load its weights."""
    with torch.device('meta'):
        model = ViTPose(arch)
    assert {layer.attn.num_heads for layer in model.layers} == {num_heads}


@pytest.mark.parametrize('options', VARIANTS, ids=str)
def test_any_input_size(options):
    """Other sizes, odd ones too, and the positions move along."""
    model = ViTPose(ARCH, (64, 48), **options).eval()
    for size in ((96, 96), (50, 41), (16, 16)):
        with torch.no_grad():
            [out] = model(torch.randn(1, 3, *size))
        assert out.shape[2:] == model.patch_embed.grid_size(size)
        assert torch.isfinite(out).all()


def test_positions_are_resized_for_another_input():
    """Positions that rise from left to right still do on a wider grid."""
    model = ViTPose(ARCH, (64, 48)).eval()
    ramp = torch.arange(3.0).repeat(4)[None, :, None].expand(1, 12, 32)
    model.pos_embed.data = ramp.contiguous()
    model.layers = torch.nn.ModuleList()
    model.last_norm = torch.nn.Identity()
    model.patch_embed.proj.weight.data.zero_()
    model.patch_embed.proj.bias.data.zero_()
    with torch.no_grad():
        [out] = model(torch.zeros(1, 3, 64, 96))
    row = out[0, 0, 0]
    assert out.shape[2:] == (4, 6)
    assert (row.diff() > 0).all()
    torch.testing.assert_close(row + row.flip(0), torch.full((6,), 2.0))


@pytest.mark.parametrize(
    'options',
    [
        dict(img_size=(96, 72)),
        dict(img_size=(64, 48), patch_stride=8),
        dict(img_size=(128, 128), **WINDOWS),
        dict(img_size=(64, 48), experts=dict(num_experts=2)),
    ],
    ids=str,
)
def test_positions_are_resized_when_loaded(options, tmp_path, monkeypatch):
    """By mmengine, which would log another size and leave them random."""
    lines = []
    monkeypatch.setattr(
        vitpose, 'print_log', lambda text, logger: lines.append(text)
    )
    source = ViTPose(ARCH, (64, 48))
    torch.save(source.state_dict(), tmp_path / 'small.pth')
    model = ViTPose(ARCH, **options)
    load_checkpoint(model, str(tmp_path / 'small.pth'))
    expected = resize_pos_embed(source.pos_embed, (4, 3), model.grid_size)
    assert torch.equal(model.pos_embed, expected)
    resized = model.grid_size != (4, 3)
    assert resized or torch.equal(model.pos_embed, source.pos_embed)
    assert len(lines) == resized
    assert all('(4, 3)' in line for line in lines)


def test_loaded_positions_are_those_at_run_time():
    """Loading at another size is the same as running at that size."""
    source = ViTPose(ARCH, (64, 48)).eval()
    given = source.state_dict()
    model = ViTPose(ARCH, (96, 72)).eval()
    model.load_state_dict(given, strict=True)
    assert given['pos_embed'].shape[1] == 12  # the caller's are untouched
    img = torch.randn(1, 3, 96, 72)
    with torch.no_grad():
        torch.testing.assert_close(model(img), source(img), atol=0, rtol=0)


def test_positions_of_another_width_or_of_no_grid_are_refused():
    given = ViTPose(ARCH, (64, 48)).state_dict()
    model = ViTPose(dict(ARCH, embed_dims=48), (96, 72))
    with pytest.raises(RuntimeError, match=r'size mismatch for pos_embed'):
        model.load_state_dict(given, strict=False)
    given['pos_embed'] = torch.zeros(1, 13, 32)  # of a class token, too
    with pytest.raises(ValueError, match='13 rows.*gtpt-mm convert'):
        ViTPose(ARCH, (96, 72)).load_state_dict(given)


def test_checkpointing_changes_nothing_but_memory(img):
    models = [
        ViTPose(ARCH, (64, 48), drop_path_rate=0.5, with_cp=with_cp)
        for with_cp in (False, True)
    ]
    models[1].load_state_dict(models[0].state_dict())
    grads = []
    for model in models:
        torch.manual_seed(1)  # the same paths are dropped
        model.train()(img)[0].square().sum().backward()
        grads.append([p.grad for p in model.parameters()])
    for a, b in zip(*grads, strict=True):
        torch.testing.assert_close(a, b)


def test_drop_path_acts_in_training_only(img):
    model = ViTPose(ARCH, (64, 48), drop_path_rate=0.9)
    first, second = (model.train()(img)[0] for _ in range(2))
    assert not torch.equal(first, second)
    first, second = (model.eval()(img)[0] for _ in range(2))
    torch.testing.assert_close(first, second, atol=0, rtol=0)


def test_which_layers_have_windows_and_which_are_shifted():
    arch = dict(ARCH, depth=12)
    model = ViTPose(arch, (64, 48), **WINDOWS)
    kinds = ''.join(
        'g'
        if type(layer.attn) is SelfAttention
        else 's'
        if layer.attn.shift
        else 'w'
        for layer in model.layers
    )
    assert kinds == 'wsgwsgwsgwsg'
    model = ViTPose(arch, (64, 48), attention=dict(window_size=(4, 3)))
    assert all(type(la.attn) is WindowAttention for la in model.layers)


def test_weights_do_not_depend_on_windows():
    """A global model's weights load into one with windows."""
    plain = ViTPose(ARCH, (64, 48), patch_stride=8)
    windowed = ViTPose(ARCH, (64, 48), **WINDOWS)
    windowed.load_state_dict(plain.state_dict(), strict=True)


def test_relative_positions_start_as_none(img):
    """A model without them loads into one with them, equal at first."""
    plain = ViTPose(ARCH, (64, 48), **WINDOWS).eval()
    model = ViTPose(ARCH, (64, 48), **REL_POS).eval()
    missing, unexpected = model.load_state_dict(plain.state_dict(), False)
    assert len(missing) == 2 * 4 and not unexpected
    assert set(missing) < model.no_weight_decay()
    with torch.no_grad():
        torch.testing.assert_close(model(img), plain(img))


def test_initial_weights():
    model = ViTPose(dict(ARCH, embed_dims=256), (64, 48))
    for name, parameter in model.named_parameters():
        if 'norm' in name:
            assert (parameter == name.endswith('weight')).all(), name
        elif parameter.ndim == 1 and 'patch' not in name:
            assert (parameter == 0).all(), name
        elif 'patch' not in name:
            assert 0.015 < parameter.std() < 0.025, name


@pytest.mark.parametrize(
    ('options', 'word'),
    [
        (dict(arch='giant'), 'giant'),
        (dict(arch=dict(depth=2)), 'embed_dims'),
        (dict(arch=dict(ARCH, num_heads=5)), '5'),
        (dict(drop_path_rate=1.0), 'drop_path_rate'),
        (dict(patch_stride=5), '5'),
        (dict(img_size=(8, 256)), '8'),
        (dict(attention=dict(shift=True)), 'window_size'),
        (dict(attention=dict(global_interval=2)), 'window_size'),
        (dict(attention=dict(window_size=(4, 0))), 'window_size'),
        (
            dict(attention=dict(window_size=(4, 4), global_interval=0)),
            'global_interval',
        ),
    ],
    ids=str,
)
def test_bad_options_are_named(options, word):
    with pytest.raises(ValueError, match=word):
        ViTPose(**(dict(arch=ARCH) | options))


@pytest.mark.slow  # the export below is one graph, too
def test_windows_compile_to_one_graph(img):
    """A layer of each kind: plain windows, shifted ones, global."""
    torch.compiler.reset()
    model = ViTPose(dict(ARCH, depth=3), (64, 48), **VARIANTS[-1]).eval()
    compiled = torch.compile(
        model, fullgraph=True, dynamic=False, backend='aot_eager'
    )
    with torch.no_grad():
        torch.testing.assert_close(compiled(img), model(img))
        # On another grid the mask is part of the graph.
        other = torch.randn(1, 3, 80, 64)
        torch.testing.assert_close(compiled(other), model(other))


def test_windows_export_to_onnx_with_any_batch(img, tmp_path):
    onnxruntime = pytest.importorskip('onnxruntime')
    model = ViTPose(dict(ARCH, depth=3), (64, 48), **VARIANTS[-1]).eval()
    program = torch.onnx.export(
        model,
        (img,),
        dynamo=True,
        verbose=False,
        dynamic_shapes=[{0: torch.export.Dim('batch', min=1)}],
    )
    program.save(tmp_path / 'vit.onnx')
    session = onnxruntime.InferenceSession(
        tmp_path / 'vit.onnx', providers=['CPUExecutionProvider']
    )
    name = session.get_inputs()[0].name
    for batch in (1, 3):
        [found] = session.run(None, {name: img[:batch].numpy()})
        with torch.no_grad():
            [expected] = model(img[:batch])
        torch.testing.assert_close(
            torch.from_numpy(found), expected, atol=1e-4, rtol=1e-4
        )


@pytest.mark.parametrize('decoder', ['', '-simple'])
def test_prepared_model_predicts_the_same(decoder, repo_root):
    name = f'td-hm_vitpose-s{decoder}_8xb64-210e_coco-256x192.py'
    folder = repo_root / 'configs/body_2d_keypoint/vitpose/coco'
    cfg = Config.fromfile(folder / name)
    init_default_scope('mmpose')
    cfg.model.backbone.update(arch=ARCH)
    cfg.model.head.in_channels = 32
    model = MODELS.build(cfg.model).eval()
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(module.running_var, 0.5, 1.5)
            torch.nn.init.normal_(module.running_mean, std=0.1)
    prepared = fuse(model)
    img = torch.randn(2, 3, 256, 192)
    with torch.no_grad():
        maps, fast = (m.head(m.extract_feat(img)) for m in (model, prepared))
    torch.testing.assert_close(fast, maps, atol=1e-5, rtol=1e-4)
    assert not any(p.requires_grad for p in prepared.parameters())
    assert all(p.requires_grad for p in model.parameters())
