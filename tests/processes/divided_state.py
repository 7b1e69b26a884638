"""One of two processes: trainings with AdamW, plain and divided by ZeRO.

Writes their checkpoints, and for each training the bytes of optimizer state
that this process held.
"""

import functools
import itertools
import json
import os
import signal
import sys
from pathlib import Path

os.environ['CUDA_VISIBLE_DEVICES'] = '-1'

import torch
import torch.distributed as dist
from mmengine.config import Config
from mmengine.config import config as config_module
from mmengine.hooks import Hook
from mmengine.optim.optimizer import amp_optimizer_wrapper as amp
from mmengine.runner import Runner
from mmengine.runner import amp as amp_module
from mmengine.runner import runner as runner_module

import gtpt_mm  # noqa: F401  (compat before anything of mmpose)

ZERO = dict(type='ZeroRedundancyOptimizer', optimizer_type='AdamW')
numbers = itertools.count()
sizes = {}


class Signal(Hook):
    """Send this process a signal after a step; a watcher looks later."""

    def __init__(self, step: int) -> None:
        self.step = step

    def after_train_iter(self, runner, batch_idx, **_) -> None:
        if runner.iter + 1 == self.step:
            os.kill(os.getpid(), signal.SIGTERM)


def train(config, folder, zero=False, resume=None, step=0, **wrapper):
    """Train from the beginning, a file, or the latest file of the folder."""
    cfg = Config.fromfile(config)
    cfg.work_dir, cfg.launcher = str(folder), 'pytorch'
    cfg.experiment_name = cfg.visualizer.name = f'run_{next(numbers)}'
    cfg.optim_wrapper.update(wrapper)
    if zero:
        cfg.optim_wrapper.optimizer.update(ZERO)
    cfg.resume = resume is not None
    cfg.load_from = resume or None
    runner = Runner.from_cfg(cfg)
    if step and dist.get_rank() == 1:
        runner.register_hook(Signal(step))
    runner.train()
    optimizer = runner.optim_wrapper.optimizer
    sizes[folder.name] = count(optimizer.state)
    if zero:
        assert type(optimizer) is gtpt_zero()
        assert count(optimizer.optim.state) == sizes[folder.name]
        assert optimizer._all_state_dicts == []


def gtpt_zero() -> type:
    from mmengine.optim import ZeroRedundancyOptimizer

    return ZeroRedundancyOptimizer


def count(state) -> int:
    """Return the bytes of moments; steps are numbers."""
    return sum(
        value.nbytes
        for moments in state.values()
        for value in moments.values()
        if value.ndim
    )


def stop_and_resume(config: str, folder: Path) -> None:
    """Be stopped by SIGTERM in the second epoch, then go on."""
    try:
        train(config, folder, zero=True, step=5)
        raise AssertionError('not stopped')
    except SystemExit as end:
        assert end.code == 143
    train(config, folder, zero=True, resume='')


def mixed_precision(config: str, out: Path) -> None:
    """Train with mmengine's wrapper, which asks for a GPU, on a CPU."""
    amp.is_cuda_available = lambda: True
    amp.GradScaler = functools.partial(torch.amp.GradScaler, 'cpu')
    # mmengine's refuses float16 on a CPU.
    amp_module.autocast = functools.partial(torch.autocast, 'cpu')
    options = dict(type='AmpOptimWrapper', loss_scale=dict(init_scale=2.0**9))
    for dtype in ('float16', 'bfloat16'):
        for zero in (False, True):
            name = f'{dtype}-{"zero" if zero else "plain"}'
            train(config, out / name, zero, dtype=dtype, **options)


def main(config: str, out: Path) -> None:
    # Seconds, for the log alone: the machine, and the layout of the config.
    runner_module.collect_env = dict
    config_module.FormatCode = lambda text, **_: (text, True)
    dist.init_process_group('gloo')
    train(config, out / 'plain')
    train(config, out / 'zero', zero=True)
    stop_and_resume(config, out / 'stopped')
    first = {
        name: str(out / name / 'epoch_1.pth') for name in ('plain', 'zero')
    }
    train(config, out / 'to_plain', resume=first['zero'])
    train(config, out / 'to_zero', zero=True, resume=first['plain'])
    mixed_precision(config, out)
    (out / f'{dist.get_rank()}.json').write_text(json.dumps(sizes))
    dist.barrier()


if __name__ == '__main__':
    main(sys.argv[1], Path(sys.argv[2]))
