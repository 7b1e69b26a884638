"""Count parameters and MACs of every ablation of Group Pose.

    PYTHONPATH=. python projects/group_pose_ablations/table.py

MACs are those of all convolutions and matrix products for one image without
padding. AP is the paper's, on COCO val2017; the paper prints no counts.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from torch import nn

import gtpt_mm  # noqa: F401  (compat and registration)
from gtpt_mm.benchmark.macs import count_operators

ROOT = Path(__file__).resolve().parents[2]
PAPER = (
    'configs/body_2d_keypoint/group_pose/coco/'
    'group-pose_{}-60e_coco-800x1333.py'
)
ABLATION = (
    'projects/group_pose_ablations/configs/'
    'group-pose_res50_{}_8xb2-60e_coco-800x1333.py'
)
SIZE = (800, 1333)  # (h, w)


class Row(NamedTuple):
    """One row that the paper prints.

    Attributes:
        table: Tables or sections of the paper that have it.
        label: Name of the row.
        config: Our config for it.
        ap: Printed AP on COCO val2017, R50 at 60 epochs if not stated.
    """

    table: str
    label: str
    config: str
    ap: str


ROWS = (
    Row('1, 4', 'Group Pose, R50', PAPER.format('res50_8xb2'), '72.0'),
    Row('1', 'Group Pose, Swin-T', PAPER.format('swin-t_8xb2'), '73.6'),
    Row('1', 'Group Pose, Swin-L', PAPER.format('swin-l_16xb1'), '74.8'),
    *(
        Row(table, name.replace('-', ' '), ABLATION.format(name), ap)
        for table, name, ap in (
            ('4a, 4b', 'only-keypoint-queries', '71.2'),
            ('4a', 'only-instance-queries', '64.5'),
            ('4b', 'score-from-keypoints', '71.7'),
            ('4c', 'n50', '71.4'),
            ('4c', 'n200', '72.0'),
            ('4d', 'standard-attention', '69.4'),
            ('4d', 'masked-attention', '70.7'),
            ('4e', 'within-only', '66.3'),
            ('4e', 'across-only', '67.4'),
            ('4e', 'no-self-attention', '65.3'),
            ('A.2', 'across-keypoints', '71.4'),
            ('A.2', 'across-instances', '71.0'),
            ('A.3', 'shared-attention', '71.5'),
            ('5', 'human-decoder', '72.2'),
        )
    ),
)


class Counts(NamedTuple):
    """Parameters, trainable parameters, and MACs of one image."""

    params: int
    trainable: int
    macs: int


def build(config: str) -> nn.Module:
    """Return the model of a config on the meta device, if possible.

    Args:
        config: Path below the root of the repository.
    """
    from mmpose.registry import MODELS

    model = Config.fromfile(ROOT / config).model
    init_default_scope('mmpose')
    model.backbone.init_cfg = None
    # Swin reads values back while it is built, so it needs real tensors.
    real = model.backbone.type == 'OfficialSwin'
    with torch.device('cpu' if real else 'meta'):
        return MODELS.build(model).eval().to('meta')


def count(config: str, size: tuple[int, int] = SIZE) -> Counts:
    """Count the model of a config without computing it.

    Args:
        config: Path below the root of the repository.
        size: Input (h, w).
    """
    model = build(config)
    image = torch.zeros(1, 3, *size, device='meta')
    with torch.no_grad():
        macs = count_operators(lambda: model(image, None, mode='tensor'))
    return Counts(*count_parameters(model), macs)


def count_parameters(model: nn.Module) -> tuple[int, int]:
    """Return the numbers of parameters and of trainable parameters."""
    sizes = [(p.numel(), p.requires_grad) for p in model.parameters()]
    total = sum(num for num, _ in sizes)
    return total, sum(num for num, trains in sizes if trains)


def main(rows: Sequence[Row] = ROWS, size: tuple[int, int] = SIZE) -> None:
    """Print rows as a Markdown table.

    Args:
        rows: The rows.
        size: Input (h, w).
    """
    print(
        '| table | row | params (M) | trained (M) '
        f'| GMACs at {size[0]}x{size[1]} | AP, paper |'
    )
    print('|---|---|---|---|---|---|')
    for row in rows:
        counts = count(row.config, size)
        print(
            f'| {row.table} | {row.label} | {counts.params / 1e6:.3f} '
            f'| {counts.trainable / 1e6:.3f} | {counts.macs / 1e9:.1f} '
            f'| {row.ap} |'
        )


if __name__ == '__main__':
    main()
