"""Train the variants of GTPT on drawn people and print their results.

    gtpt-mm sample-data data/ablations --layout coco coco-wholebody \\
        --num-train 2000 --num-val 200 --difficulty easy --max-people 1
    PYTHONPATH=. python projects/gtpt_ablations/learn.py

One run after the other, each through ``mim train mmpose`` and ``mim test
mmpose``; finished runs are not repeated. The table is printed at the end;
``--table`` only prints it, from the finished runs.
"""

import pickle
from pathlib import Path

import numpy as np

from gtpt_mm.benchmark import Comparison, Training

ROOT = Path(__file__).resolve().parents[2]
CONFIG = (
    'projects/gtpt_ablations/configs/sample/'
    'gtpt{}_1xb16-6e_sample-wholebody-96x64.py'
)
VARIANTS = {
    'all of it, no curriculum': '',
    'without G2L': '_no-g2l',
    'without groups and masks': '_no-groups',
    'with curriculum': '_curriculum',
}
PARTS = {
    'body': slice(0, 17),
    'feet': slice(17, 23),
    'face': slice(23, 91),
    'hands': slice(91, 133),
    'all': slice(0, 133),
}
PREDICTIONS = 'predictions.pkl'


def measure(path: Path) -> dict[str, float]:
    """Return the errors of the predictions of a tested run.

    Returns:
        For each part the mean distance of prediction and annotation over
        all labelled keypoints, in percent of the root of the box's area; and
        ``PCK``, the percentage of all keypoints off by less than 5 % of the
        longer side of the box.
    """
    with path.open('rb') as file:
        people = pickle.load(file)  # written by this script
    errors, close = [], []
    for person in people:
        truth = person['gt_instances']
        predicted = person['pred_instances']['keypoints'][0]
        x1, y1, x2, y2 = truth['bboxes'][0]
        distance = np.linalg.norm(predicted - truth['keypoints'][0], axis=1)
        visible = np.reshape(truth['keypoints_visible'][0], -1) > 0
        distance = np.where(visible, distance, np.nan)
        errors.append(100 * distance / np.sqrt((x2 - x1) * (y2 - y1)))
        close.append((distance / max(x2 - x1, y2 - y1))[visible] < 0.05)
    errors = np.stack(errors)
    result = {k: float(np.nanmean(errors[:, p])) for k, p in PARTS.items()}
    return result | {'PCK': 100 * float(np.concatenate(close).mean())}


def read_result(training: Training) -> dict[str, float] | None:
    """Return the errors of a tested run, None if it was not tested."""
    path = training.folder / PREDICTIONS
    return measure(path) if path.exists() else None


def train(training: Training) -> None:
    """Train and test one variant; only test it if its training is complete."""
    if not training.checkpoint.exists():
        training.train(log='train.log')
    training.run_mim(
        'test',
        '--checkpoint', str(training.checkpoint),
        '--dump', str(training.folder / PREDICTIONS),
        log='test.log',
    )  # fmt: skip


COMPARISON = Comparison(
    title='variant',
    configs={
        label: ROOT / CONFIG.format(name) for label, name in VARIANTS.items()
    },
    columns=(*PARTS, 'PCK'),
    read=read_result,
    root=ROOT,
    train=train,
)

if __name__ == '__main__':
    COMPARISON.main(
        __doc__, 'work_dirs/ablations', seeds=[1, 2], with_variants=False
    )
