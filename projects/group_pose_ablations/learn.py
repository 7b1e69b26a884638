"""Train both kinds of self-attention on drawn people, on the same budget.

    gtpt-mm sample-data data/group_pose --layout coco --num-train 1500 \\
        --num-val 150 --difficulty easy --max-people 3 --image-size 192 160
    python projects/group_pose_ablations/learn.py

One run after the other, each through ``mim train mmpose``; a run that is
finished is not repeated. The table is printed at the end, and with
``--table`` alone from the runs that are there.
"""

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
NAME = 'group-pose_res18{}_1xb8-20e_sample-coco-96x144'
VARIANTS = {
    'group': ROOT / 'configs/body_2d_keypoint/group_pose/sample',
    'standard': ROOT / 'projects/group_pose_ablations/configs/sample',
}
EPOCHS = 20
COLUMNS = ('AP', 'AP .5', 'AP .75', 'AR')


def run_name(variant: str) -> str:
    """Return the name of the config of a variant."""
    return NAME.format('' if variant == 'group' else f'_{variant}-attention')


def work_dir(out: Path, variant: str, seed: int) -> Path:
    """Return where a run writes."""
    return out / f'{run_name(variant)}_seed{seed}'


def read_result(folder: Path) -> dict | None:
    """Return the last metrics of a finished run, None if it is not there."""
    rows = []
    for path in sorted(folder.glob('*/vis_data/scalars.json')):
        rows += [json.loads(line) for line in path.read_text().splitlines()]
    last = [r for r in rows if 'coco/AP' in r and r['step'] == EPOCHS]
    return last[-1] if last else None


def train(out: Path, variant: str, seed: int) -> None:
    """Run one training in a process of its own."""
    config = VARIANTS[variant] / f'{run_name(variant)}.py'
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
    print('| self-attention | seed | ' + ' | '.join(COLUMNS) + ' |')
    print('|---|---|' + '---|' * len(COLUMNS))
    for variant in VARIANTS:
        for seed in seeds:
            result = read_result(work_dir(out, variant, seed))
            if result is not None:
                cells = [f'{result[f"coco/{key}"]:.3f}' for key in COLUMNS]
                print(f'| {variant} | {seed} | {" | ".join(cells)} |')


def main() -> None:
    """Train what is missing, then print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        '--out', type=Path, default='work_dirs/group_pose_ablations'
    )
    parser.add_argument('--seeds', type=int, nargs='+', default=[42, 43])
    parser.add_argument(
        '--variants',
        nargs='+',
        default=list(VARIANTS),
        choices=list(VARIANTS),
        help='what to train (default: both)',
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
