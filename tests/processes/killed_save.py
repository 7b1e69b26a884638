"""Train until a kill in the middle of the third checkpoint.

Usage: killed_save.py WORK_DIR
"""

import itertools
import os
import sys
from pathlib import Path

from mmengine.fileio import LocalBackend

import gtpt_mm  # noqa: F401

sys.path.insert(0, str(Path(__file__).parents[1]))
from support.line import make_line_runner

writes = itertools.count(1)


def put(self, obj, filepath):
    """Write half of the third file, as SIGKILL leaves it."""
    is_third = next(writes) == 3
    Path(filepath).write_bytes(obj[: len(obj) // 2] if is_third else obj)
    if is_third:
        os._exit(9)


if __name__ == '__main__':
    LocalBackend.put = put
    options = dict(interval=1, max_keep_ckpts=1, save_best=None)
    make_line_runner(sys.argv[1], 4, checkpoint=options).train()
