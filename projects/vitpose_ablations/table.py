"""Count parameters and MACs of the variants of ViTPose++ (Table 11).

    python projects/vitpose_ablations/table.py

The paper's parameters are those of the backbone at inference. MACs are those
of all convolutions and matrix products for one COCO image at 256x192, in
backbone and classic decoder. AP is the paper's, on COCO val2017.
"""

from pathlib import Path
from typing import NamedTuple

import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope

import gtpt_mm  # noqa: F401  (compat and registration)
from gtpt_mm.apis import split_config
from gtpt_mm.benchmark.macs import count_operators

ROOT = Path(__file__).resolve().parents[2]
FOLDER = 'projects/vitpose_ablations/configs/multi_dataset'
CONFIG = FOLDER + '/vitpose-plus-b_{}_8xb128-210e_coco-aic-ap10k-256x192.py'


class Row(NamedTuple):
    """One row that the paper prints.

    Attributes:
        label: Name of the row.
        config: Our config for it.
        params: Parameters at inference as printed, in 1e6.
        ap: AP on COCO val2017 as printed.
    """

    label: str
    config: str
    params: int
    ap: str


ROWS = (
    Row('multi-task baseline', CONFIG.format('baseline'), 86, '76.8'),
    Row('I-FFN', CONFIG.format('i-ffn'), 86, '75.8'),
    Row('IS-FFN', CONFIG.format('is-ffn'), 143, '77.0'),
    Row('PS-FFN, 1/6', CONFIG.format('ps-6'), 86, '77.0'),
    Row('PS-FFN, 1/4', CONFIG.format('ps-4'), 86, '77.0'),
    Row('PS-FFN, 1/3', CONFIG.format('ps-3'), 86, '77.0'),
)


class Counts(NamedTuple):
    """Parameters of the backbone, in training and for COCO alone, and MACs.

    Attributes:
        training: With the experts of all datasets.
        merged: Of a plain model for one dataset, with equal outputs.
        macs: MACs of the merged model with its decoder.
        unmerged_macs: MACs of the trained model on one image of one dataset.
    """

    training: int
    merged: int
    macs: int
    unmerged_macs: int


def count(config: str) -> Counts:
    """Count the models of a config without computing them.

    Args:
        config: Path below the root of the repository.
    """
    from mmpose.registry import MODELS

    cfg = Config.fromfile(ROOT / config)
    init_default_scope('mmpose')
    with torch.device('meta'):
        whole = MODELS.build(cfg.model).eval()
        single = MODELS.build(split_config(cfg, 'coco').model).eval()
    return Counts(
        _count_parameters(whole.backbone),
        _count_parameters(single.backbone),
        _count_macs(single),
        _count_macs(whole),
    )


def _count_parameters(module: torch.nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def _count_macs(model: torch.nn.Module) -> int:
    img = torch.empty(1, 3, 256, 192, device='meta')
    with torch.no_grad():
        return count_operators(lambda: model(img, None, mode='tensor'))


def main() -> None:
    """Print all rows as a Markdown table."""
    print(
        '| row | training (M) | one dataset (M) | paper (M) '
        '| GMACs, one dataset | AP, paper |'
    )
    print('|---|---|---|---|---|---|')
    for row in ROWS:
        counts = count(row.config)
        print(
            f'| {row.label} | {counts.training / 1e6:.2f} '
            f'| {counts.merged / 1e6:.2f} | {row.params} '
            f'| {counts.macs / 1e9:.2f} | {row.ap} |'
        )


if __name__ == '__main__':
    main()
