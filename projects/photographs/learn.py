"""Train the runs of this project, one after the other.

    PYTHONPATH=. python projects/photographs/learn.py gtpt-t rtmpose-t
    PYTHONPATH=. python projects/photographs/learn.py --list

Each run is a separate process with one thread; before the first run of a
family, its learning rate is tuned. Finished runs are not repeated, and a
stopped run continues as if it had not been stopped. ``table.py`` writes the
page of results.
"""

import argparse
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from projects.photographs.results import WEIGHTS, read_result
from projects.photographs.runs import DEFAULT_RUNS, ROOT, RUNS, Run, trials

OUT = ROOT / 'work_dirs/photographs'


def format_list(runs: Sequence[Run]) -> str:
    """Return runs with their estimated minutes, as a Markdown table."""
    rows = [
        f'| `{run.name}` | {run.config} | {run.seed} | {run.minutes:g} |'
        for run in runs
    ]
    total = sum(run.minutes for run in runs)
    return '\n'.join(
        [
            '| run | config | seed | minutes |',
            '|---|---|---|---|',
            *rows,
            f'| {len(runs)} runs | | | {total:g} |',
        ]
    )


def plan(run: Run, out: Path, needs_weights: bool = False) -> list[Run]:
    """Return the missing trainings that a run needs, the run itself last.

    Args:
        run: A run.
        out: Folder of the runs.
        needs_weights: Whether another run reads its weights, of which a kept
            result alone has none.
    """
    if read_result(out / run.name) and (
        not needs_weights or (out / run.name / WEIGHTS).exists()
    ):
        return []
    steps = trials(run.family) if run.family else []
    steps = [step for step in steps if not read_result(out / step.name)]
    for name in run.needs:
        steps += plan(RUNS[name], out, needs_weights=True)
    return [*steps, run]


def start(run: Run, out: Path) -> int:
    """Train a run in a process of its own; return its exit code."""
    folder = out / run.name
    folder.mkdir(parents=True, exist_ok=True)
    paths = [str(ROOT), os.environ.get('PYTHONPATH')]
    environment = {
        **os.environ,
        'OMP_NUM_THREADS': '1',
        'OMP_WAIT_POLICY': 'PASSIVE',
        'PYTHONPATH': os.pathsep.join(filter(None, paths)),
    }
    command = [sys.executable, __file__, run.name, '--out', str(out), '--here']
    with (folder / 'run.log').open('a') as log:
        return subprocess.run(
            command, cwd=ROOT, env=environment, stdout=log,
            stderr=subprocess.STDOUT,
        ).returncode  # fmt: skip


def find(name: str) -> Run:
    """Return a run or a trial by its name.

    Raises:
        KeyError: If there is none.
    """
    if name.startswith('tune_'):
        family = name.split('_')[1]
        return {run.name: run for run in trials(family)}[name]
    return RUNS[name]


def main(argv: Sequence[str] | None = None) -> None:
    """Train the missing runs."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('names', nargs='*', help='runs (default: all)')
    parser.add_argument('--out', type=Path, default=OUT)
    parser.add_argument('--list', action='store_true', help='name the runs')
    parser.add_argument('--here', action='store_true', help='in this process')
    args = parser.parse_args(argv)
    runs = [find(name) for name in args.names] or DEFAULT_RUNS
    out = args.out.resolve()
    if args.list:
        print(format_list(runs))
        return
    if args.here:
        from projects.photographs.training import train  # torch

        train(runs[0], out)
        return
    failed = []
    for step in (step for run in runs for step in plan(run, out)):
        print(f'{step.name} ...', flush=True)
        if start(step, out):
            failed.append(f'{step.name} failed, see {out / step.name}/run.log')
            print(failed[-1], flush=True)
    if failed:
        raise SystemExit('\n'.join(failed))


if __name__ == '__main__':
    main()
