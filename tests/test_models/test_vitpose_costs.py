"""Parameters and GFLOPs of ViTPose, each with its counter.

The paper mixes counters: its figures of S, L and H are those of mmcv for the
whole model, without the products of attention; that of B is of the backbone
alone, with them. Nothing here computes: the models have shapes, no numbers.
"""

import pytest
import torch
from mmcv.cnn import get_model_complexity_info
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmpose.registry import MODELS
from torch import nn

from gtpt_mm.benchmark.macs import count_operators
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
    """Images to heat maps, for counters that call a module."""

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


@pytest.mark.parametrize(
    ('options', 'gmacs', 'paper'),
    [
        (dict(), 76.55, 76.59),
        (dict(window_size=(8, 8), global_interval=3), 69.91, 69.94),
        (
            dict(window_size=(16, 12), shift_windows=True, pool_windows=True),
            68.457,
            68.46,
        ),
        # The paper's rows of (8, 8) alone follow another count: 66.31, 66.39.
        (dict(window_size=(8, 8)), 66.59, None),
        (dict(window_size=(8, 8), pool_windows=True), 66.76, None),
    ],
    ids=str,
)
def test_gflops_of_windows(options, gmacs, paper):
    """Table 7: ViTPose-B with features of 1/8."""
    with torch.device('meta'):
        model = ViTPose('base', patch_stride=8, **options).eval()
        counted = count_gmacs(model)
    assert counted == pytest.approx(gmacs, abs=6e-3)
    if paper:
        assert counted == pytest.approx(paper, abs=0.05)
