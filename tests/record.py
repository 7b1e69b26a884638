"""Record small outputs of our own models into tests/data.

Only after a change of numbers that is meant, and agrees with the authors'
goldens. Each file says from which commit of gtpt_mm it comes::

    python tests/record.py [NAME ...]

To record an older commit, check it out elsewhere and put it on PYTHONPATH.
"""

import subprocess
import sys
from pathlib import Path

import numpy as np

import gtpt_mm  # compat before anything of mmpose

from support.recordings import RECORDINGS  # isort: skip

DATA = Path(__file__).parent / 'data'


def find_commit() -> str:
    """Return the commit of the imported gtpt_mm, which must be unchanged."""
    package = Path(gtpt_mm.__file__).parent

    def git(*args: str) -> str:
        done = subprocess.run(
            ['git', '-C', package, *args],
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout.strip()

    if changes := git('status', '--porcelain', '.'):
        raise SystemExit(f'commit these changes first:\n{changes}')
    return git('rev-parse', 'HEAD')


def main(names: list[str]) -> None:
    """Write the named recordings, all without a name."""
    commit = find_commit()
    for name in names or RECORDINGS:
        arrays = RECORDINGS[name]()
        path = DATA / f'{name}_small.npz'
        np.savez_compressed(
            path,
            commit=np.array(commit),
            **{key: np.float32(value) for key, value in arrays.items()},
        )
        print(f'{path.name}: {path.stat().st_size} bytes, {commit[:7]}')


if __name__ == '__main__':
    main(sys.argv[1:])
