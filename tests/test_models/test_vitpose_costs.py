"""Parameters and GFLOPs of ViTPose, each with its counter.

The paper mixes counters: its figures of S, L and H are those of mmcv for the
whole model, without the products of attention; that of B is of the backbone
alone, with them. Nothing here computes: the models have shapes, no numbers.
"""

import pytest
import torch
from mmcv.cnn import get_model_complexity_info
from mmengine import analysis
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmpose.registry import MODELS
from torch import nn

from gtpt_mm.benchmark.macs import count_modules, count_operators
from gtpt_mm.models import ViTPose

#: Size: millions of parameters of the backbone, with the classic and with the
#: simple decoder; GMACs by ``count_operators`` of the backbone and with the
#: classic decoder; the latter by mmcv; the paper's GFLOPs.
COSTS = {
    's': (21.66, 24.29, 21.72, 4.473, 5.594, 5.261, 5.3),
    'b': (85.80, 90.00, 85.91, 17.100, 18.523, 17.854, 17.1),
    'l': (303.30, 308.55, 303.45, 59.945, 61.569, 59.780, 59.8),
    'h': (630.91, 637.21, 631.11, 124.005, 125.830, 122.845, 122.9),
}


class Network(nn.Module):
    """Images to heatmaps, for counters that call a module."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, img):
        return self.model.head(self.model.extract_feat(img))


@pytest.fixture
def build(repo_root):
    def read(size: str) -> nn.Module:
        name = f'td-hm_vitpose-{size}_8xb64-210e_coco-256x192.py'
        folder = repo_root / 'configs/body_2d_keypoint/vitpose/coco'
        cfg = Config.fromfile(folder / name)
        init_default_scope('mmpose')
        with torch.device('meta'):
            return MODELS.build(cfg.model).eval()

    return read


def count_parameters(model: nn.Module) -> float:
    return sum(p.numel() for p in model.parameters()) / 1e6


def count_gmacs(model: nn.Module) -> float:
    img = torch.empty(1, 3, 256, 192, device='meta')
    with torch.no_grad():
        return count_operators(lambda: model(img)) / 1e9


@pytest.mark.parametrize('size', COSTS)
def test_parameters(size, build):
    backbone, classic, simple, *_ = COSTS[size]
    # The authors' table has one row of positions more.
    row = build(size).backbone.embed_dims / 1e6
    model = build(size)
    assert count_parameters(model.backbone) + row == pytest.approx(
        backbone, abs=6e-3
    )
    assert count_parameters(model) + row == pytest.approx(classic, abs=6e-3)
    model = build(f'{size}-simple')
    assert count_parameters(model) + row == pytest.approx(simple, abs=6e-3)


@pytest.mark.parametrize('size', COSTS)
def test_gflops(size, build):
    *_, backbone, classic, by_mmcv, paper = COSTS[size]
    model = build(size)
    assert count_gmacs(model.backbone) == pytest.approx(backbone, abs=6e-4)
    network = Network(model)
    assert count_gmacs(network) == pytest.approx(classic, abs=6e-4)
    macs, _ = get_model_complexity_info(
        network, (3, 256, 192), print_per_layer_stat=False, as_strings=False
    )
    assert macs / 1e9 == pytest.approx(by_mmcv, abs=6e-4)
    printed = backbone if size == 'b' else by_mmcv
    assert printed == pytest.approx(paper, abs=0.06)


#: GFLOPs as mmengine's counter (fvcore's rules) has them, of the backbone and
#: with the classic decoder.
BY_MMENGINE = {
    's': (4.482, 5.605),
    'b': (17.119, 18.543),
    'l': (59.993, 61.619),
    'h': (124.084, 125.912),
}


def count_norms(network: nn.Module) -> int:
    """Count what mmengine adds for norms: 5 a token channel, 2 a pixel's."""
    total = 0

    def add(module, args, output) -> None:
        nonlocal total
        total += output.numel() * (5 if type(module) is nn.LayerNorm else 2)

    hooks = [
        module.register_forward_hook(add)
        for module in network.modules()
        if isinstance(module, nn.LayerNorm | nn.BatchNorm2d)
    ]
    with torch.no_grad():
        network(torch.empty(1, 3, 256, 192, device='meta'))
    for hook in hooks:
        hook.remove()
    return total


@pytest.mark.parametrize('size', BY_MMENGINE)
def test_gflops_of_mmengine_are_ours_and_norms(size, build):
    model = build(size)
    for network, expected in zip(
        (model.backbone, Network(model)), BY_MMENGINE[size], strict=True
    ):
        counted = count_gmacs(network) + count_norms(network) / 1e9
        assert counted == pytest.approx(expected, abs=1.1e-3)


def test_gflops_by_mmengine_itself(monkeypatch):
    """It cannot see fused attention, so that is written out for it."""

    def attend(q, k, v, scale):
        return ((q @ k.transpose(-2, -1)) * scale).softmax(-1) @ v

    monkeypatch.setattr(
        'torch.nn.functional.scaled_dot_product_attention', attend
    )
    model = ViTPose('small').eval()
    result = analysis.get_model_complexity_info(
        model, inputs=(torch.zeros(1, 3, 256, 192),), show_table=False
    )
    assert result['flops'] / 1e9 == pytest.approx(4.482, abs=6e-4)


@pytest.mark.parametrize(
    ('size', 'gmacs', 'params'), [('s', 4.16, 21.60), ('b', 16.45, 85.65)]
)
def test_gflops_of_thop(size, gmacs, params, build):
    """Modules only, and three operations for each number of a softmax."""
    backbone = build(size).backbone
    img = torch.empty(1, 3, 256, 192, device='meta')
    with torch.no_grad():
        counted = count_modules(backbone, lambda: backbone(img))
    num_tokens = backbone.grid_size[0] * backbone.grid_size[1]
    heads = [layer.attn.num_heads for layer in backbone.layers]
    softmax = sum(heads) * num_tokens * (3 * num_tokens - 1)
    assert (counted + softmax) / 1e9 == pytest.approx(gmacs, abs=6e-3)
    # It counts parameters of modules; the positions are none.
    own = count_parameters(backbone) - backbone.pos_embed.numel() / 1e6
    assert own == pytest.approx(params, abs=0.011)


def test_gflops_of_large_at_one_eighth():
    with torch.device('meta'):
        model = ViTPose('large', patch_stride=8).eval()
    assert count_gmacs(model) == pytest.approx(261.5, abs=0.05)


@pytest.mark.parametrize(
    ('options', 'gmacs', 'paper'),
    [
        (dict(), 76.55, 76.59),
        (dict(window_size=(8, 8), global_interval=3), 69.91, 69.94),
        (
            dict(window_size=(16, 12), shift=True, pool=True),
            68.457,
            68.46,
        ),
        # The paper's rows of (8, 8) alone follow another count: 66.31, 66.39.
        (dict(window_size=(8, 8)), 66.59, None),
        (dict(window_size=(8, 8), pool=True), 66.76, None),
    ],
    ids=str,
)
def test_gflops_of_windows(options, gmacs, paper):
    """Table 7: ViTPose-B with features of 1/8."""
    with torch.device('meta'):
        model = ViTPose('base', patch_stride=8, attention=options).eval()
        counted = count_gmacs(model)
    assert counted == pytest.approx(gmacs, abs=6e-3)
    if paper:
        assert counted == pytest.approx(paper, abs=0.05)
