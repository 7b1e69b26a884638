"""Count parameters and GFLOPs of every row of HEViTPose's tables.

    python projects/hevitpose_ablations/table.py

The paper's FLOPs are those of mmcv's ``get_model_complexity_info`` for the
whole network at 3x256x256. They lack the attention: neither its projections
nor its products are modules that mmcv counts. The last column includes them:
MACs of all convolutions and matrix products that run.
"""

from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from mmcv.cnn import get_model_complexity_info
from mmengine.config import Config
from mmengine.registry import init_default_scope

import gtpt_mm  # noqa: F401  (compat and registration)
from gtpt_mm.benchmark.macs import count_operators

ROOT = Path(__file__).resolve().parents[2]
MODEL = (
    'configs/body_2d_keypoint/hevitpose/mpii/'
    'td-hm_hevitpose-{}_1xb32-210e_mpii-256x256.py'
)
ABLATION = 'projects/hevitpose_ablations/configs/{}_1xb32-210e_mpii-256x256.py'


@dataclass(frozen=True)
class Row:
    """One row that the paper prints.

    Attributes:
        tables: Tables of the paper that have it.
        label: Name of the row.
        config: Our config for it.
        params: Parameters as printed, in 1e6.
        flops: FLOPs as printed, in 1e9.
        pckh: Printed PCKh@0.5 on MPII val, '' if there is none.
    """

    tables: str
    label: str
    config: str
    params: str
    flops: str
    pckh: str = ''


ROWS = [
    Row('1', 'HEViTPose-T', MODEL.format('t'), '3.21', '1.75'),
    Row('1', 'HEViTPose-S', MODEL.format('s'), '5.88', '3.64'),
    Row(
        '1, 3, 5, 6c',
        'HEViTPose-B',
        MODEL.format('b'),
        '10.63',
        '5.58',
        '89.4',
    ),
    Row(
        '1, 4, 6a',
        'EfficientViT-M4, conv(3,2) twice',
        ABLATION.format('efficientvit-m4_peow1'),
        '9.87',
        '5.91',
        '87.6',
    ),
    Row(
        '4, 6b',
        'EfficientViT-M4, conv(7,4)',
        ABLATION.format('efficientvit-m4_peow3'),
        '9.82',
        '5.65',
        '88.1',
    ),
    Row(
        '4',
        'EfficientViT-M4, conv(15,8), deconv(4,2)',
        ABLATION.format('efficientvit-m4_peow7'),
        '10.5',
        '6.29',
        '85.0',
    ),
    Row(
        '4',
        'EfficientViT-M4, conv(7,2) twice',
        ABLATION.format('efficientvit-m4_peow3-double'),
        '10.21',
        '7.38',
        '87.5',
    ),
    Row(
        '5',
        'B, g = 2, 2, 2',
        ABLATION.format('hevitpose-b_g2'),
        '13.72',
        '5.80',
        '89.1',
    ),
    Row(
        '5',
        'B, g = 8, 8, 8',
        ABLATION.format('hevitpose-b_g8'),
        '9.86',
        '5.46',
        '89.0',
    ),
    Row(
        '5',
        'B, r = 4, 2, 1',
        ABLATION.format('hevitpose-b_r421'),
        '9.87',
        '5.48',
        '89.3',
    ),
    Row(
        '5',
        'B, r = 16, 8, 4',
        ABLATION.format('hevitpose-b_r16-8-4'),
        '13.94',
        '5.62',
        '89.0',
    ),
    Row(
        '5',
        'B, r = 4, 2, 1, h = 1, 2, 4',
        ABLATION.format('hevitpose-b_r421-h124'),
        '9.87',
        '5.48',
    ),
]


def as_printed(count: int, printed: str) -> str:
    """Round a count to the unit and the digits of a printed number.

    Example:
        >>> as_printed(10_633_744, '10.63'), as_printed(5_575_035_136, '5.58')
        ('10.63', '5.58')
    """
    unit = 1e6 if count < 1e9 else 1e9
    return f'{count / unit:.{len(printed.partition(".")[2])}f}'


def count(config: str, size: tuple[int, int] = (256, 256)) -> dict[str, int]:
    """Count the network of a config.

    Args:
        config: Path below the root of the repository.
        size: Input (h, w).

    Returns:
        ``params``; ``mmcv``: FLOPs by mmcv's rules; ``operators``: MACs of
        all convolutions and matrix products.
    """
    from mmpose.registry import MODELS

    cfg = Config.fromfile(ROOT / config)
    init_default_scope(cfg.default_scope)
    model = MODELS.build(cfg.model).eval()
    # mmcv calls the model with an image only.
    model.forward = partial(model.forward, data_samples=None, mode='tensor')
    flops, params = get_model_complexity_info(
        model, (3, *size), print_per_layer_stat=False, as_strings=False
    )
    with torch.no_grad():
        operators = count_operators(lambda: model(torch.zeros(1, 3, *size)))
    return dict(params=params, mmcv=int(flops), operators=operators)


def main() -> None:
    """Print all rows as a Markdown table."""
    print(
        '| table | row | params (M), paper | ours | GFLOPs, paper '
        '| ours (mmcv) | GMACs with attention | PCKh, paper |'
    )
    print('|---|---|---|---|---|---|---|---|')
    for row in ROWS:
        result = count(row.config)
        print(
            f'| {row.tables} | {row.label} '
            f'| {row.params} | {result["params"] / 1e6:.6f} '
            f'| {row.flops} | {result["mmcv"] / 1e9:.6f} '
            f'| {result["operators"] / 1e9:.3f} | {row.pckh} |'
        )


if __name__ == '__main__':
    main()
