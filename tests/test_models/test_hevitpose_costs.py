"""Parameters and FLOPs of HEViTPose against the paper's tables.

The paper's FLOPs are mmcv's, which sees no attention; every test names the
counter that it uses.
"""

from functools import cache
from pathlib import Path

import pytest
import torch
from mmengine.analysis import get_model_complexity_info
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmpose.registry import MODELS
from support.projects import load_script
from torch import nn

from projects.hevitpose_ablations.models import HEViTPoseVariant

ROOT = Path(__file__).resolve().parents[2]
COCO = (
    'configs/body_2d_keypoint/hevitpose/coco/'
    'td-hm_hevitpose-{}_2xb32-210e_coco-{}.py'
)


script = load_script('hevitpose_ablations/table.py')
count = cache(script.count)

#: Parameters of each row, in the order of the script.
PARAMS = [
    3_209_520, 5_878_976, 10_633_744,
    9_873_704, 9_816_936, 10_495_720, 10_209_064,
    13_718_480, 9_862_448, 9_874_416, 13_935_120, 9_874_416,
]  # fmt: skip


@pytest.mark.parametrize(
    ('row', 'params'),
    zip(script.ROWS, PARAMS, strict=True),
    ids=[row.label for row in script.ROWS],
)
def test_row_of_the_paper(row, params):
    """Tables 1, 4, 5, 6: 24 printed numbers, counted by mmcv."""
    result = count(row.config)
    assert result['params'] == params
    assert script.as_printed(result['params'], row.params) == row.params
    assert script.as_printed(result['mmcv'], row.flops) == row.flops


@pytest.mark.parametrize(
    ('size', 'flops'),
    [('t', 1_746_248_832), ('s', 3_643_850_624), ('b', 5_575_035_136)],
)
def test_exact_flops_by_mmcv(size, flops):
    assert count(script.MODEL.format(size))['mmcv'] == flops


@pytest.mark.parametrize(
    ('size', 'params', 'flops'),
    [
        ('t', 3_209_617, 1_310_026e3),
        ('s', 5_879_073, 2_733_293e3),
        ('b', 10_633_841, 4_181_739e3),
    ],
)
def test_coco_256x192(size, params, flops):
    """Of 17 keypoints, by mmcv, to 0.0005 GFLOPs."""
    result = count(COCO.format(size, '256x192'), (256, 192))
    assert result['params'] == params
    assert result['mmcv'] == pytest.approx(flops, abs=5e2)


def build(size: str) -> nn.Module:
    cfg = Config.fromfile(ROOT / script.MODEL.format(size))
    init_default_scope('mmpose')
    return MODELS.build(cfg.model).eval()


@pytest.mark.parametrize(
    ('size', 'flops'),
    [('t', 1_787_305_984), ('s', 3_774_605_312), ('b', 5_745_885_184)],
)
def test_exact_flops_by_mmengine(size, flops):
    """What mmpose 1.x's own tool prints: 5.75 G for B, not the paper's."""
    model = build(size)
    model.forward = model._forward
    result = get_model_complexity_info(
        model, (3, 256, 256), show_table=False, show_arch=False
    )
    assert result['flops'] == flops


@pytest.mark.parametrize(
    ('size', 'projections', 'products'),
    [('t', 0.044, 0.086), ('s', 0.136, 0.139), ('b', 0.176, 0.172)],
)
def test_attention_that_mmcv_does_not_see(size, projections, products):
    """In GMACs; the operators lack what mmcv counts of norms and ReLUs."""
    result = count(script.MODEL.format(size))
    model = build(size)
    elementwise = 0

    def add(module, args, output):
        nonlocal elementwise
        is_norm = isinstance(module, nn.BatchNorm2d | nn.LayerNorm)
        elementwise += args[0].numel() * (2 if is_norm else 1)

    def add_bias(module, args, output):
        nonlocal elementwise
        if module.bias is not None:
            elementwise += output.numel()

    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d | nn.LayerNorm | nn.ReLU):
            module.register_forward_hook(add)
        elif isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            module.register_forward_hook(add_bias)
    with torch.no_grad():
        model(torch.zeros(1, 3, 256, 256), None, mode='tensor')
    unseen = result['operators'] + elementwise - result['mmcv']
    assert unseen / 1e9 == pytest.approx(projections + products, abs=1e-3)


@pytest.mark.parametrize(
    ('size', 'stem', 'stages', 'head'),
    [
        ('t', 9_536, (98_128, 585_024, 1_629_968), 886_864),
        ('s', 19_072, (387_232, 1_634_624, 2_852_880), 985_168),
        ('b', 19_072, (387_232, 2_304_640, 6_446_112), 1_476_688),
    ],
)
def test_parameters_by_part(size, stem, stages, head):
    def params(module):
        return sum(p.numel() for p in module.parameters())

    model = build(size)
    assert params(model.backbone.patch_embed) == stem
    assert tuple(map(params, model.backbone.stages)) == stages
    assert params(model.head) == head


ALTERNATIVES = {
    'relu-conv': dict(with_bias=True, proj='relu-conv'),
    'kv-norms': dict(
        with_bias=True,
        norm_query='shared',
        norm_output='shared',
        separate_kv_norms=True,
    ),
    'no-query-norm': dict(
        with_bias=True, norm_query='none', proj='relu-conv-bn'
    ),
    'no-output-norm': dict(
        with_bias=True, norm_output='none', proj='relu-conv-bn'
    ),
}
ROWS_OF_HEVITPOSE = [
    (row, {
        'HEViTPose-T': dict(arch='tiny'),
        'HEViTPose-S': dict(arch='small'),
        'HEViTPose-B': {},
        'B, g = 2, 2, 2': dict(num_groups=(2, 2, 2)),
        'B, g = 8, 8, 8': dict(num_groups=(8, 8, 8)),
        'B, r = 4, 2, 1': dict(sr_ratios=(4, 2, 1)),
        'B, r = 16, 8, 4': dict(sr_ratios=(16, 8, 4)),
    }[row.label])
    for row in script.ROWS
    if 'EfficientViT' not in row.label and 'h =' not in row.label
]  # fmt: skip


#: Parameters of the head by its input channels.
HEADS = {192: 886_864, 224: 985_168, 384: 1_476_688}


def total(attention: dict, **kwargs) -> int:
    """Count the parameters of backbone and head."""
    backbone = HEViTPoseVariant(attention=attention, **kwargs)
    params = sum(p.numel() for p in backbone.parameters())
    return params + HEADS[backbone.embed_dims[-1]]


@pytest.mark.parametrize(
    ('row', 'kwargs'), ROWS_OF_HEVITPOSE, ids=lambda x: getattr(x, 'label', '')
)
@pytest.mark.parametrize('name', ALTERNATIVES)
def test_other_choices_reach_the_printed_parameters_too(name, row, kwargs):
    """Which is why they are options: the numbers do not decide."""
    params = total(ALTERNATIVES[name], **kwargs)
    assert script.as_printed(params, row.params) == row.params


def test_simpler_design_misses_one_number():
    """All norms shared, biases, conv and norm as projection: 13.93 M."""
    simple = dict(
        norm_query='shared',
        norm_key_value='shared',
        norm_output='shared',
        with_bias=True,
        proj='conv-bn',
    )
    wrong = {}
    for row, kwargs in ROWS_OF_HEVITPOSE:
        params = total(simple, **kwargs)
        if script.as_printed(params, row.params) != row.params:
            wrong[row.label] = params
    assert wrong == {'B, r = 16, 8, 4': 13_930_640}


def test_counts_of_the_alternatives_are_exact():
    """Recorded with the first alternative: S, g = 2 and g = 8 of B."""
    for kwargs, expected in [
        (dict(arch='small'), 5_879_776),
        (dict(num_groups=(2, 2, 2)), 13_720_272),
        (dict(num_groups=(8, 8, 8)), 9_861_552),
    ]:
        assert total(ALTERNATIVES['relu-conv'], **kwargs) == expected
