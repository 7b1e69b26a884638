"""Measure parameters, GMACs and milliseconds of the rows.

    PYTHONPATH=. python projects/photographs/speed.py

Times one picture of the trained size with ONNX Runtime, one thread and
processor time; the weights do not matter. ``gtpt-mm benchmark`` measures and
writes ``speed.json``, which ``table.py`` reads.
"""

import argparse
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from projects.photographs.learn import OUT
from projects.photographs.runs import ROOT, ROWS


def command(out: Path) -> list[str]:
    """Return the arguments behind ``gtpt-mm``."""
    words = ['benchmark']
    for run in ROWS:
        if run.seed == 1:
            words += [str(run.path.relative_to(ROOT)), f'label={run.name}']
    options = (
        '--threads 1 --clock cpu --runtime torch onnxruntime --batch-sizes 1 '
        '--repeats 15 --overwrite --json'
    )
    return [*words, *options.split(), str(out / 'speed.json')]


def main(argv: Sequence[str] | None = None) -> None:
    """Measure all rows."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--out', type=Path, default=OUT)
    out = parser.parse_args(argv).out.resolve()
    out.mkdir(parents=True, exist_ok=True)
    words = command(out)
    print('$ gtpt-mm', *words, flush=True)
    call = [sys.executable, '-m', 'gtpt_mm', *words]
    raise SystemExit(subprocess.run(call, cwd=ROOT).returncode)


if __name__ == '__main__':
    main()
