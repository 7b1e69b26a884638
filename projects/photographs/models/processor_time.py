"""Processor time of the epochs of a training."""

import json
import time
from pathlib import Path

from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmpose.registry import HOOKS

FILE = 'epochs.jsonl'


@HOOKS.register_module()
class ProcessorTimeHook(Hook):
    """Append the processor seconds of each whole epoch to ``epochs.jsonl``.

    This is the processor time of the process, summed over its threads: pausing
    a run or sharing its core with other work does not change it. Validations
    are left out, and so are epochs that were resumed in the middle.
    """

    def __init__(self) -> None:
        self._start: float | None = None

    def before_train_epoch(self, runner: Runner) -> None:
        """Start the clock, unless the epoch is resumed in the middle."""
        at_start = runner.iter % len(runner.train_dataloader) == 0
        self._start = time.process_time() if at_start else None

    def after_train_epoch(self, runner: Runner) -> None:
        """Write the seconds of the epoch."""
        if self._start is None:
            return
        seconds = time.process_time() - self._start
        row = dict(epoch=runner.epoch + 1, seconds=round(seconds, 3))
        with Path(runner.work_dir, FILE).open('a') as file:
            file.write(json.dumps(row) + '\n')


def read_seconds(folder: Path) -> list[float]:
    """Return the seconds of the epochs of a run; repeated ones count once."""
    path = folder / FILE
    if not path.exists():
        return []
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    return list({row['epoch']: row['seconds'] for row in rows}.values())
