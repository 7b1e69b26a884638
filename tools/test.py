"""Test a checkpoint; ``mim test gtpt_mm CONFIG`` runs this script.

It applies the repairs of gtpt_mm, then runs mmpose's own ``tools/test.py``.
"""

import runpy
from pathlib import Path

import gtpt_mm  # noqa: F401  (repairs before anything of mmpose)

import mmpose  # isort: skip

runpy.run_path(
    str(Path(mmpose.__file__).parent / '.mim/tools/test.py'),
    run_name='__main__',
)
