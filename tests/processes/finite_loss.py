"""One of two processes: only the second has a sample that is not finite."""

import os
import sys
from pathlib import Path

os.environ['CUDA_VISIBLE_DEVICES'] = '-1'
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import torch
import torch.distributed as dist

import gtpt_mm  # noqa: F401  (compat before anything of mmpose)

from support.toy import make_runner, make_sample  # isort: skip

#: Batches of the first and the second process alternate, sample by sample.
VALUES = [2, 3, 4, 3, 1, float('nan'), 1, 1, 1, 1, 1, 1]


def build(folder: Path, policy: str):
    """Return a runner wrapped as mmengine wraps by default, but on a CPU."""
    samples = [
        make_sample(i, x, visible=float(i < 8)) for i, x in enumerate(VALUES)
    ]
    return make_runner(
        folder / policy,
        samples,
        hook=dict(policy=policy),
        launcher='pytorch',
        env_cfg=dict(dist_cfg=dict(backend='gloo')),
        cfg=dict(
            model_wrapper_cfg=dict(
                type='MMDistributedDataParallel',
                device_ids=None,
                broadcast_buffers=False,
                find_unused_parameters=False,
            )
        ),
    )


def main(folder: Path) -> None:
    dist.init_process_group('gloo')
    found = {}
    try:
        build(folder, 'stop').train()
    except FloatingPointError as error:
        found['stop'] = str(error)
    model = build(folder, 'skip').train().module
    found['weight'] = float(model.weight)
    torch.save(found, folder / f'{dist.get_rank()}.pt')
    dist.destroy_process_group()


if __name__ == '__main__':
    main(Path(sys.argv[1]))
