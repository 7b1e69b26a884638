"""Import, check and fine-tune on your own datasets; print one table.

    python tools/own_sets.py ../shared/data/sets/bee \
        --models vitpose-s gtpt-t --out runs

Each step is a separate command, as in docs/your_own_keypoints.md. A second
call continues with the unfinished steps; the times are then those of the last
call. ``--plot`` draws PCK@0.1 over the epochs.
"""

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from gtpt_mm.visualization.curves import read_scalars


def main() -> None:
    """Run everything and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('sets', nargs='+', type=Path)
    parser.add_argument('--models', nargs='+', default=['vitpose-s', 'gtpt-t'])
    parser.add_argument('--from', dest='weights', default='scratch')
    parser.add_argument('--out', type=Path, default=Path('runs'))
    parser.add_argument('--plot', type=Path)
    args, options = parser.parse_known_args()
    rows = []
    for source in args.sets:
        data = args.out / source.name
        if not data.exists():
            call('data', 'import', source, data, '--link')
            call('data', 'check', data, codes=(0, 1))
        for model in args.models:
            folder = args.out / f'{source.name}_{model}'
            start = time.monotonic()
            call(
                'finetune', model, '--data', data, '--dir', folder,
                '--from', args.weights, *options,
            )  # fmt: skip
            minutes = (time.monotonic() - start) / 60
            found = json.loads((folder / 'report.json').read_text())
            rows.append((source.name, model, found, minutes))
    print('| set | model | AP | PCK@0.1 | minutes |\n|---|---|---|---|---|')
    for name, model, found, minutes in rows:
        print(
            f'| {name} | {model} | {found["AP"]:.3f} | '
            f'{found["PCK@0.1"]:.3f} | {minutes:.1f} |'
        )
    if args.plot:
        plot(args.out, [s.name for s in args.sets], args.models, args.plot)


def plot(out: Path, sets: list[str], models: list[str], file: Path) -> None:
    """Draw PCK@0.1 of the validations of each set, over the epochs."""
    figure = Figure(figsize=(4 * len(sets), 3), layout='constrained')
    FigureCanvasAgg(figure)
    all_axes = figure.subplots(1, len(sets), sharey=True, squeeze=False)[0]
    for axes, name in zip(all_axes, sets, strict=True):
        for model in models:
            rows = read_scalars(out / f'{name}_{model}' / 'work')
            rows = [row for row in rows if 'PCK' in row]
            axes.plot(
                [row['step'] for row in rows],
                [row['PCK'] for row in rows],
                marker='.',
                label=model,
            )
        axes.set(title=name, xlabel='epoch', ylim=(0, 1))
        axes.grid(alpha=0.3)
        axes.legend(loc='lower right')
    all_axes[0].set_ylabel('PCK@0.1 on the val split')
    figure.savefig(file, dpi=110)


def call(*args: object, codes: tuple[int, ...] = (0,)) -> None:
    """Run a command of gtpt-mm; end if its exit code is none of these."""
    words = [sys.executable, '-m', 'gtpt_mm', *map(str, args)]
    print('$ gtpt-mm', *words[3:], flush=True)
    code = subprocess.run(words, check=False).returncode
    if code not in codes:
        sys.exit(code)


if __name__ == '__main__':
    main()
