"""Refuse a loader without a batch.

Broken: with ``drop_last`` a dataset smaller than a batch gives no batch.
mmengine (<= 0.10.7) then raises "epoch_length must be a positive integer" in
a schedule, or trains epochs without a step.

Here: ``Runner.build_dataloader`` refuses such a loader.

Can go: when mmengine refuses it.
"""

import functools
from typing import Any

from torch.utils.data import DataLoader


def missing() -> str:
    """Say what is missing."""
    return 'mmengine builds loaders without a batch'


def repair() -> None:
    """Check the length of a loader where it is built."""
    from mmengine.runner import Runner

    stock = Runner.build_dataloader

    @functools.wraps(stock)
    def build_dataloader(*args: Any, **options: Any) -> DataLoader:
        loader = stock(*args, **options)
        _check(loader)
        return loader

    Runner.build_dataloader = staticmethod(build_dataloader)


def _check(loader: DataLoader) -> None:
    dataset: Any = loader.dataset
    try:
        num, num_batches = len(dataset), len(loader)
    except TypeError:
        return  # a stream without an end
    if num_batches:
        return
    kind = type(dataset).__name__
    if not num:
        raise ValueError(f'{kind} has no sample')
    raise ValueError(
        f'{kind} of {num} samples gives no batch of '
        f'{loader.batch_size or "its batch sampler"}: set batch_size to at '
        'most the number of samples of a process, or drop_last=False'
    )
