"""One of two processes: both train configs together, then the first alone.

BatchNorm uses its running statistics throughout: those of a batch depend on
how the batch is divided, everything else must not.
"""

import os
import sys
from pathlib import Path

os.environ['CUDA_VISIBLE_DEVICES'] = '-1'

import torch
import torch.distributed as dist
from mmengine.config import Config
from mmengine.hooks import EMAHook, Hook
from mmengine.runner import Runner
from torch import nn

import gtpt_mm  # noqa: F401  (compat before anything of mmpose)

BATCH = 4


class Recorder(Hook):
    """Keep losses and gradients of each step; hold the statistics."""

    def __init__(self) -> None:
        self.losses, self.gradients = [], []

    def before_train(self, runner) -> None:
        optimizer = runner.optim_wrapper.optimizer
        parameters = dict(runner.model.named_parameters())

        def keep(*_) -> None:
            self.gradients.append(
                {
                    name.removeprefix('module.'): p.grad.clone()
                    for name, p in parameters.items()
                    if p.requires_grad
                }
            )

        optimizer.register_step_pre_hook(keep)

    def before_train_iter(self, runner, batch_idx, data_batch=None) -> None:
        for module in runner.model.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.eval()

    def after_train_iter(
        self, runner, batch_idx, data_batch=None, outputs=None
    ) -> None:
        self.losses.append(outputs['loss'].item())


def train(path: Path, launcher: str, work_dir: Path, target: Path) -> None:
    """Train one config; save what its hook recorded and the weights.

    The weights are those of the average if the config has an EMAHook.
    """
    cfg = Config.fromfile(path)
    cfg.launcher = launcher
    cfg.work_dir = str(work_dir)
    # As mmengine wraps by default, but on CPU.
    cfg.model_wrapper_cfg = dict(
        type='MMDistributedDataParallel',
        device_ids=None,
        broadcast_buffers=False,
        find_unused_parameters=False,
    )
    cfg.train_dataloader.batch_size = BATCH
    if launcher != 'none':
        cfg.train_dataloader.batch_size //= dist.get_world_size()
    runner = Runner.from_cfg(cfg)
    recorder = Recorder()
    runner.register_hook(recorder)
    runner.train()
    averages = [h.ema_model for h in runner.hooks if isinstance(h, EMAHook)]
    [network] = averages or [runner.model]
    torch.save(
        dict(
            losses=recorder.losses,
            gradients=recorder.gradients,
            weights=getattr(network, 'module', network).state_dict(),
        ),
        target,
    )


def main(folder: str, *configs: str) -> None:
    out = Path(folder)
    # mmengine's own initialisation asks for a GPU.
    dist.init_process_group('gloo')
    rank = dist.get_rank()
    for name in configs:
        train(
            out / f'{name}.py',
            'pytorch',
            out / f'{name}-together',
            out / f'{name}-{rank}.pt',
        )
    dist.destroy_process_group()
    if rank == 0:
        for name in configs:
            train(
                out / f'{name}.py',
                'none',
                out / f'{name}-alone',
                out / f'{name}-alone.pt',
            )


if __name__ == '__main__':
    main(*sys.argv[1:])
