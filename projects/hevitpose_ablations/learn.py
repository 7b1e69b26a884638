"""Train choices of HEViTPose on drawn people and print what they reached.

    gtpt-mm sample-data data/sample --layout coco mpii --num-train 1500 \\
        --num-val 200 --difficulty easy --max-people 1
    python projects/hevitpose_ablations/learn.py

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
CONFIGS = ROOT / 'projects/hevitpose_ablations/configs/sample'
NAME = 'hevitpose-t{}_1xb16-3e_sample-mpii-128x128'
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


def run_name(variant: str) -> str:
    """Return the name of the config of a variant."""
    return NAME.format('' if variant == 'peow3' else f'_{variant}')


def work_dir(out: Path, variant: str, seed: int) -> Path:
    """Return where a run writes."""
    return out / f'{run_name(variant)}_seed{seed}'


def read_result(folder: Path) -> dict | None:
    """Return the last metrics of a finished run, None if it is not there."""
    if not (folder / 'epoch_3.pth').exists():
        return None
    rows = []
    for path in sorted(folder.glob('*/vis_data/scalars.json')):
        rows += [json.loads(line) for line in path.read_text().splitlines()]
    results = [row for row in rows if 'PCK' in row]
    last = [row for row in results if row['step'] == 3]
    return last[-1] if last else None


def train(out: Path, variant: str, seed: int) -> None:
    """Run one training in a process of its own."""
    config = CONFIGS / f'{run_name(variant)}.py'
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
    print('| choice | seed | ' + ' | '.join(COLUMNS) + ' |')
    print('|---|---|' + '---|' * len(COLUMNS))
    for variant in VARIANTS:
        for seed in seeds:
            result = read_result(work_dir(out, variant, seed))
            if result is not None:
                cells = ' | '.join(f'{result[key]:.2f}' for key in COLUMNS)
                print(f'| {VARIANTS[variant]} | {seed} | {cells} |')


def main() -> None:
    """Train what is missing, then print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        '--out', type=Path, default='work_dirs/hevitpose_ablations'
    )
    parser.add_argument('--seeds', type=int, nargs='+', default=[1, 2])
    parser.add_argument(
        '--variants',
        nargs='+',
        default=list(VARIANTS),
        choices=list(VARIANTS),
        help='what to train (default: all)',
    )
    parser.add_argument(
        '--table', action='store_true', help='only print what is there'
    )
    args = parser.parse_args()
    os.environ.setdefault('OMP_NUM_THREADS', '1')
    if not args.table:
        for seed in args.seeds:
            for variant in args.variants:
                if read_result(work_dir(args.out, variant, seed)) is None:
                    train(args.out, variant, seed)
    print_table(args.out, args.seeds)


if __name__ == '__main__':
    main()
