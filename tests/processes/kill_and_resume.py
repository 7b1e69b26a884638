"""Train, be killed, resume, until the training is finished.

This process imports everything once and forks a process for each training,
or two that meet by gloo. It computes nothing itself, so that forks are safe.

A moment is (step, place): at that step of the training, or the first time
after it, a process kills itself in that place, see support.kill_moments.
"""

import gc
import json
import os
import signal
import sys
import tempfile
import time
from pathlib import Path

os.environ['CUDA_VISIBLE_DEVICES'] = '-1'

import torch
import torch.distributed as dist
from mmengine.config import Config
from mmengine.config import config as config_module
from mmengine.fileio.backends import LocalBackend
from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmengine.runner import runner as runner_module

import gtpt_mm  # noqa: F401  (compat before anything of mmpose)


class Killer(Hook):
    """Kill this process at a moment."""

    priority = 'LOWEST'

    def __init__(self, moment, number) -> None:
        self.step, self.place = moment
        self.number = number
        self.runner = None

    def at(self, place: str) -> None:
        if place == self.place and self.runner.iter >= self.step:
            os.kill(os.getpid(), self.number)

    def before_train(self, runner) -> None:
        self.runner = runner
        runner.optim_wrapper.optimizer.register_step_pre_hook(
            lambda *_: self.at('step')
        )
        # Without workers this is in the middle of a batch.
        patch(runner.train_dataloader.dataset, 'prepare_data', self, 'load')
        patch(torch, 'save', self, before='save')
        patch(LocalBackend, 'put', self, before='write', half=True)
        patch(os, 'replace', self, before='replace', after='replaced')

    def before_train_iter(self, runner, batch_idx, data_batch=None) -> None:
        self.at('load')

    def after_train_iter(self, runner, batch_idx, **_) -> None:
        self.at('after step')

    def after_train_epoch(self, runner) -> None:
        self.at('epoch')

    def after_val_iter(self, runner, batch_idx, **_) -> None:
        self.at('validation')


def patch(owner, name, killer, before, after=None, half=False) -> None:
    """Let a function kill before, in the middle of, or after its work."""
    original = getattr(owner, name)

    def function(*args, **options):
        if half and killer.place == before:
            backend, content, path = args
            Path(path).write_bytes(content[: len(content) // 2])
        killer.at(before)
        result = original(*args, **options)
        if after:
            killer.at(after)
        return result

    setattr(owner, name, function)


def train(config, work_dir, moment, resume, number) -> None:
    """Train in this process; the last thing it does."""
    # Seconds, for the log alone: the machine, and the layout of the config.
    runner_module.collect_env = dict
    config_module.FormatCode = lambda text, **_: (text, True)
    cfg = Config.fromfile(config)
    cfg.work_dir, cfg.resume = str(work_dir), resume
    if dist.is_initialized():
        cfg.launcher = 'pytorch'
        cfg.model_wrapper_cfg = dict(
            type='MMDistributedDataParallel',
            device_ids=None,
            broadcast_buffers=False,
        )
    runner = Runner.from_cfg(cfg)
    if moment:
        runner.register_hook(Killer(moment, number))
    runner.train()


def fork(world_size, log, *args) -> list[int]:
    """Start a training in processes of its own; return their exit codes."""
    meeting = tempfile.mktemp()
    pids = []
    for rank in range(world_size):
        pid = os.fork()
        if not pid:
            code = 1
            try:
                with log.open('a') as file:
                    os.dup2(file.fileno(), 1)
                    os.dup2(file.fileno(), 2)
                if world_size > 1:
                    os.environ['LOCAL_RANK'] = str(rank)
                    dist.init_process_group(
                        'gloo',
                        f'file://{meeting}',
                        rank=rank,
                        world_size=world_size,
                    )
                train(*args)
                code = 0
            except SystemExit as end:
                code = end.code
            except BaseException:
                import traceback

                traceback.print_exc()
            finally:
                sys.stdout.flush()
                sys.stderr.flush()
                leave(code)
        pids.append(pid)
    return wait(pids)


def leave(code) -> None:
    """End a fork without what its parent registered to be done at exit."""
    import multiprocessing

    for child in multiprocessing.active_children():
        child.terminate()
    os._exit(code)


def wait(pids) -> list[int]:
    """Wait for all; if one is killed, kill the others, as launchers do."""
    codes = dict.fromkeys(pids)
    while None in codes.values():
        pid, status = os.wait()
        if pid in codes:
            codes[pid] = os.waitstatus_to_exitcode(status)
            if codes[pid] < 0:
                for other, code in codes.items():
                    if code is None:
                        os.kill(other, signal.SIGKILL)
    return list(codes.values())


def run(config, work_dir, moments, world_size=1, number=signal.SIGKILL):
    """Train until the end; return the exit codes of each try."""
    log = Path(f'{work_dir}.log')
    tries = []
    moments = list(moments)
    for count in range(len(moments) + 1):
        moment = moments[count] if count < len(moments) else None
        args = config, work_dir, moment, count > 0, number
        tries.append(fork(world_size, log, *args))
        if not any(tries[-1]):
            break
    return tries


if __name__ == '__main__':
    # mmengine collects garbage for each dataset: not in what was imported.
    gc.freeze()
    begin = time.monotonic()
    results = {}
    for name, options in json.loads(Path(sys.argv[1]).read_text()).items():
        results[name] = run(**options)
        print(name, results[name], f'{time.monotonic() - begin:.1f} s')
    Path(sys.argv[2]).write_text(json.dumps(results))
