"""Train variants of HEViTPose on drawn people and print their results.

    gtpt-mm sample-data data/sample --layout coco mpii --num-train 1500 \\
        --num-val 200 --difficulty easy --max-people 1
    PYTHONPATH=. python projects/hevitpose_ablations/learn.py

One run after the other, each through ``mim train mmpose``; finished runs are
not repeated. The table is written at the end; ``--table`` only writes it, from
the finished runs.
"""

from pathlib import Path

from gtpt_mm.benchmark import Comparison, Training

ROOT = Path(__file__).resolve().parents[2]
CONFIG = (
    'projects/hevitpose_ablations/configs/sample/'
    'hevitpose-t{}_1xb16-3e_sample-mpii-128x128.py'
)
VARIANTS = {
    'peow3': 'conv(7,4), as HEViTPose',
    'peow1': 'conv(3,2) twice',
    'stem-act': 'ReLU after the patch embedding',
    'cascade-raw': 'cascade before the norm',
    'sigma1': 'target of sigma 1, not 1.5',
    'sigma2': 'target of sigma 2, not 1.5',
}
#: PCKh@0.5 of groups of joints, and at 0.1, in percent.
COLUMNS = ('PCK', 'PCK@0.1', 'Elbow PCK', 'Wrist PCK', 'Knee PCK', 'Ankle PCK')


def find_config(variant: str) -> Path:
    """Return the config of a variant; the first is the sample itself."""
    return ROOT / CONFIG.format('' if variant == 'peow3' else f'_{variant}')


def read_result(training: Training) -> dict[str, float] | None:
    """Return the last metrics of a run, None if it has not finished."""
    metrics = training.last_metrics('PCK')
    return metrics if metrics and training.checkpoint.exists() else None


COMPARISON = Comparison(
    title='choice',
    configs={variant: find_config(variant) for variant in VARIANTS},
    columns=COLUMNS,
    read=read_result,
    root=ROOT,
    labels=VARIANTS,
)

if __name__ == '__main__':
    COMPARISON.main(__doc__, 'work_dirs/hevitpose_ablations', seeds=[1, 2])
