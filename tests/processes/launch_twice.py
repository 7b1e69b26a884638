"""One of two processes: mmengine starts them on CPUs, by two launchers.

What ``train.py --launcher pytorch`` does after reading its config; then the
same under the variables that SLURM sets.
"""

import os
import sys
from pathlib import Path

os.environ['CUDA_VISIBLE_DEVICES'] = '-1'

import torch.distributed as dist
from mmengine.config import Config
from mmengine.runner import Runner

import gtpt_mm  # noqa: F401  (compat before anything of mmpose)


def train(path: Path, launcher: str) -> None:
    cfg = Config.fromfile(path)
    cfg.launcher = launcher
    cfg.work_dir = str(path.parent / launcher)
    cfg.experiment_name = cfg.visualizer.name = launcher
    runner = Runner.from_cfg(cfg)
    assert dist.get_backend() == 'gloo'
    assert dist.get_world_size() == 2
    runner.train()
    dist.destroy_process_group()


def main(config: str, port: str) -> None:
    train(Path(config), 'pytorch')
    os.environ |= dict(
        SLURM_PROCID=os.environ['RANK'],
        SLURM_NTASKS=os.environ['WORLD_SIZE'],
        SLURM_NODELIST='localhost',
        MASTER_PORT=port,
    )
    train(Path(config), 'slurm')


if __name__ == '__main__':
    main(*sys.argv[1:])
