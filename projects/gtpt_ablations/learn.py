"""Train the variants of GTPT on drawn people and print what they reached.

    gtpt-mm sample-data data/ablations --layout coco coco-wholebody \\
        --num-train 2000 --num-val 200 --difficulty easy --max-people 1
    python projects/gtpt_ablations/learn.py

One run after the other, each through ``mim train mmpose``; a run that is
finished is not repeated. The table is written at the end, and with
``--table`` alone from the runs that are there.
"""

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CONFIGS = ROOT / 'projects/gtpt_ablations/configs/sample'
NAME = 'gtpt{}_1xb16-6e_sample-wholebody-96x64'
VARIANTS = {
    'all of it, no curriculum': '',
    'without G2L': '_no-g2l',
    'without groups and masks': '_no-groups',
    'with curriculum': '_curriculum',
}
#: Column of the table: key that the metrics write, factor.
COLUMNS = {
    'PCK@0.05': ('PCK', 100),
    'EPE (px)': ('EPE', 1),
    'body AP': ('coco-wholebody/body_AP', 100),
    'foot AP': ('coco-wholebody/foot_AP', 100),
    'face AP': ('coco-wholebody/face_AP', 100),
    'hand AP': ('coco-wholebody/hand_AP', 100),
    'whole AP': ('coco-wholebody/wholebody_AP', 100),
}


def work_dir(out: Path, variant: str, seed: int) -> Path:
    """Return where a run writes."""
    return out / f'{NAME.format(VARIANTS[variant])}_seed{seed}'


def read_result(folder: Path) -> dict | None:
    """Return the metrics of a finished run, None if it has not finished."""
    for path in sorted(folder.glob('*/vis_data/scalars.json'), reverse=True):
        rows = [json.loads(line) for line in path.read_text().splitlines()]
        results = [row for row in rows if 'PCK' in row]
        if results:
            return results[-1]
    return None


def train(out: Path, variant: str, seed: int) -> None:
    """Run one training in a process of its own."""
    config = CONFIGS / f'{NAME.format(VARIANTS[variant])}.py'
    folder = work_dir(out, variant, seed)
    print(f'{folder.name} ...', flush=True)
    folder.mkdir(parents=True, exist_ok=True)
    command = [
        sys.executable, '-m', 'mim', 'train', 'mmpose', str(config),
        '--work-dir', str(folder), '--cfg-options', f'randomness.seed={seed}',
    ]  # fmt: skip
    with (folder / 'run.log').open('w') as log:
        code = subprocess.run(
            command, cwd=ROOT, stdout=log, stderr=subprocess.STDOUT
        ).returncode
    if code:
        raise SystemExit(f'{folder / "run.log"} ends with exit code {code}')


def print_table(out: Path, seeds: list[int]) -> None:
    """Print every run that has finished."""
    print('| variant | seed | ' + ' | '.join(COLUMNS) + ' |')
    print('|---|---|' + '---|' * len(COLUMNS))
    for variant in VARIANTS:
        for seed in seeds:
            result = read_result(work_dir(out, variant, seed))
            if result is None:
                continue
            cells = [
                f'{result[key] * factor:.2f}'
                for key, factor in COLUMNS.values()
            ]
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
                if read_result(work_dir(args.out, variant, seed)) is None:
                    train(args.out, variant, seed)
    print_table(args.out, args.seeds)


if __name__ == '__main__':
    main()
