"""Train the variants of GTPT on drawn people and print what they reached.

    gtpt-mm sample-data data/ablations --layout coco coco-wholebody \\
        --num-train 2000 --num-val 200 --difficulty easy --max-people 1
    python projects/gtpt_ablations/learn.py

One run after the other, each through ``mim train mmpose`` and ``mim test
mmpose``; what is finished is not repeated. The table is printed at the end,
and with ``--table`` alone from the runs that are there.
"""

import argparse
import os
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
CONFIGS = ROOT / 'projects/gtpt_ablations/configs/sample'
NAME = 'gtpt{}_1xb16-6e_sample-wholebody-96x64'
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
LAST = 'epoch_6.pth'


def work_dir(out: Path, variant: str, seed: int) -> Path:
    """Return where a run writes."""
    return out / f'{NAME.format(VARIANTS[variant])}_seed{seed}'


def measure(folder: Path) -> dict[str, float]:
    """Return the errors of a tested run.

    Returns:
        For each part the mean distance of prediction and annotation over
        all labelled keypoints, in percent of the root of the box's area; and
        ``PCK``, the percentage of all keypoints off by less than 5 % of the
        longer side of the box.
    """
    with (folder / 'predictions.pkl').open('rb') as file:
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


def run(command: list[str], log: Path) -> None:
    """Run mim in a process of its own."""
    with log.open('w') as file:
        code = subprocess.run(
            [sys.executable, '-m', 'mim', *command],
            cwd=ROOT,
            stdout=file,
            stderr=subprocess.STDOUT,
        ).returncode
    if code:
        raise SystemExit(f'{log} ends with exit code {code}')


def train(out: Path, variant: str, seed: int) -> None:
    """Train and test one variant; what is there is not repeated."""
    config = str(CONFIGS / f'{NAME.format(VARIANTS[variant])}.py')
    folder = work_dir(out, variant, seed).resolve()
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / LAST).exists():
        print(f'{folder.name}: training ...', flush=True)
        run(
            ['train', 'mmpose', config, '--work-dir', str(folder),
             '--cfg-options', f'randomness.seed={seed}'],
            folder / 'train.log',
        )  # fmt: skip
    if not (folder / 'predictions.pkl').exists():
        print(f'{folder.name}: testing ...', flush=True)
        run(
            ['test', 'mmpose', config, '--work-dir', str(folder),
             '--checkpoint', str(folder / LAST),
             '--dump', str(folder / 'predictions.pkl')],
            folder / 'test.log',
        )  # fmt: skip


def print_table(out: Path, seeds: list[int]) -> None:
    """Print every run that has finished."""
    columns = [*PARTS, 'PCK']
    print('| variant | seed | ' + ' | '.join(columns) + ' |')
    print('|---|---|' + '---|' * len(columns))
    for variant in VARIANTS:
        for seed in seeds:
            folder = work_dir(out, variant, seed)
            if (folder / 'predictions.pkl').exists():
                result = measure(folder)
                cells = [f'{result[column]:.2f}' for column in columns]
                print(f'| {variant} | {seed} | ' + ' | '.join(cells) + ' |')


def main() -> None:
    """Train what is missing, then print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--out', type=Path, default='work_dirs/ablations')
    parser.add_argument('--seeds', type=int, nargs='+', default=[1, 2])
    parser.add_argument(
        '--table', action='store_true', help='only print what is there'
    )
    args = parser.parse_args()
    os.environ.setdefault('OMP_NUM_THREADS', '1')
    if not args.table:
        for seed in args.seeds:
            for variant in VARIANTS:
                train(args.out, variant, seed)
    print_table(args.out, args.seeds)


if __name__ == '__main__':
    main()
