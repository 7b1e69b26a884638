"""A hook that ends its process, or its node, once.

The variable ``DIE_AT`` says which rank, after which step, and how.
"""

import os
import signal
import time
from pathlib import Path

from mmengine.dist import get_rank
from mmengine.hooks import Hook
from mmengine.registry import HOOKS

VARIABLE = 'DIE_AT'


@HOOKS.register_module()
class DieAt(Hook):
    """End as ``DIE_AT`` says, unless it has happened in this work folder."""

    priority = 'LOWEST'

    def after_train_iter(self, runner, batch_idx, **_) -> None:
        rank, step, how = os.environ.get(VARIABLE, '-1 -1 -').split()
        mark = Path(runner.work_dir, 'died')
        if get_rank() != int(rank) or runner.iter + 1 != int(step):
            return
        if mark.exists():
            return
        mark.touch()
        if how == 'limit':  # Slurm signals the training itself
            os.kill(os.getpid(), signal.SIGUSR1)
            return
        if how == 'preempted':  # the launcher of this node is told to end
            os.kill(os.getppid(), signal.SIGTERM)
            time.sleep(1)  # until it is passed on
            return
        if how == 'node':
            os.kill(os.getppid(), signal.SIGKILL)
        os.kill(os.getpid(), signal.SIGKILL)
