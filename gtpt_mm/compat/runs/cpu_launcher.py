"""Train in several processes on CPUs: ``--launcher pytorch`` without GPUs.

Broken: mmengine (<= 0.10.7) calls ``torch.cuda.set_device`` at the start of
every process, whatever the backend, and hands ``device_ids`` to DDP, which
refuses them for a model on a CPU. Configs, native and stock ones, name the
backend nccl, which needs GPUs.

Here: if torch finds no GPU, no device is set, gloo replaces nccl, and a model
on a CPU is wrapped without device_ids. The log says so once. SyncBatchNorm,
which torch has for accelerators only, is refused by name. With a GPU nothing
changes.

Can go: when mmengine trains in several processes without GPUs.
"""

import contextlib
import functools
import os
from collections.abc import Callable, Iterator
from typing import Any

import torch
from mmengine.dist import utils as dist_utils
from mmengine.model import MMDistributedDataParallel
from torch import nn

from ..messages import log

LAUNCHERS = ('_init_dist_pytorch', '_init_dist_mpi', '_init_dist_slurm')


def missing() -> str:
    """Say what is missing."""
    return 'mmengine cannot start several processes without GPUs'


def repair() -> None:
    """Let mmengine's launchers and its model wrapper do without GPUs."""
    for name in LAUNCHERS:
        setattr(dist_utils, name, _without_gpu(getattr(dist_utils, name)))
    wrapper: Any = MMDistributedDataParallel
    wrapper.__init__ = _without_device_ids(wrapper.__init__)


def _has_accelerator() -> bool:
    return torch.cuda.is_available() or any(
        getattr(dist_utils, f'is_{kind}_available')()
        for kind in ('mlu', 'npu', 'musa')
    )


def _without_gpu(launch: Callable) -> Callable:
    """Return mmengine's function for a launcher, working without GPUs."""

    @functools.wraps(launch)
    def start(backend: str, *args: Any, **kwargs: Any) -> None:
        if _has_accelerator():
            launch(backend, *args, **kwargs)
            return
        # SLURM's would be the rank modulo the number of GPUs.
        os.environ.setdefault('SLURM_LOCALID', '0')
        with _no_device_to_set():
            backend = 'gloo' if backend == 'nccl' else backend
            launch(backend, *args, **kwargs)

    return start


@contextlib.contextmanager
def _no_device_to_set() -> Iterator[None]:
    """Make ``torch.cuda.set_device`` do nothing."""
    original = torch.cuda.set_device
    torch.cuda.set_device = lambda device: None
    try:
        yield
    finally:
        torch.cuda.set_device = original


def _without_device_ids(init: Callable) -> Callable:
    """Return a constructor of DDP that takes models on CPUs as well."""

    @functools.wraps(init)
    def wrap(
        self: nn.Module, module: nn.Module, *args: Any, **kwargs: Any
    ) -> None:
        if all(p.device.type == 'cpu' for p in module.parameters()):
            _refuse_sync_norms(module)
            kwargs |= dict(device_ids=None, output_device=None)
            log(
                f'{dist_utils.get_world_size()} processes train on CPUs, by '
                f'{dist_utils.get_backend()}.'
            )
        init(self, module, *args, **kwargs)

    return wrap


def _refuse_sync_norms(module: nn.Module) -> None:
    """Raise if a model on a CPU has SyncBatchNorm layers."""
    names = [
        name
        for name, layer in module.named_modules()
        if 'SyncBatchNorm' in type(layer).__name__
    ]
    if names:
        raise ValueError(
            f'{len(names)} layers are SyncBatchNorm, {names[0]!r} the first, '
            'which torch has for GPUs only. To train in several processes on '
            'CPUs leave sync_bn out of the config and write norm_cfg=dict('
            "type='BN'); each process then normalises by its own samples"
        )
