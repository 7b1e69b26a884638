"""Make the random numbers of samples independent of the workers.

Broken: torch (<= 2.14) seeds each worker once, at its start. So the
augmentation of a sample depends on how many workers there are and what each
has read before; a resumed training repeats the random numbers of its first
epochs, and without ``persistent_workers`` every epoch repeats them. mmengine
<= 0.10.7 also refuses ``num_workers=0`` beside ``persistent_workers=True``,
which a config inherits.

Here: every sample is drawn with generators seeded from the loader's seed, the
epoch and the sample's number in the order of that epoch over all processes.
The order also follows from seed and epoch, so an index has one augmentation
in each epoch, with any number of workers, persistent or not. Batches can be
left out without reading them. Options of workers are dropped if
``num_workers=0``. Workers outlive the SIGTERM and SIGUSR1 that a cluster
sends to all processes of a job, and leave the answer to the training process.

Can go: when torch's DataLoader seeds by sample and can start inside an epoch.
"""

import functools
import os
import signal
import threading
from collections.abc import Callable, Iterator
from typing import Any

import torch
from mmengine.dist import get_dist_info
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

from .generators import kept, seed_generators, seed_of

#: Options of a loader that have no effect, or raise, without workers.
WORKER_OPTIONS = (
    'persistent_workers',
    'prefetch_factor',
    'timeout',
    'multiprocessing_context',
)


class SeededLoader(DataLoader):
    """Seed each sample; start anywhere in an epoch if asked.

    Attributes:
        draws: The indices of an epoch with their seeds.
    """

    draws: 'Draws'

    @classmethod
    def adopt(cls, loader: Any, seed: int | None) -> DataLoader:
        """Make a loader one of this class; None draws a seed.

        Iterable datasets have no indices; their loaders are returned as they
        are.
        """
        if isinstance(loader.dataset, IterableDataset):
            return loader
        if seed is None:
            seed = int(torch.empty((), dtype=torch.int64).random_())
        batched = loader.batch_sampler is not None
        loader.draws = Draws(loader._index_sampler, seed, batched)
        loader.__class__ = cls
        loader.worker_init_fn = WorkerStart(loader.worker_init_fn)
        # An iterator draws a seed for its workers; it must not use the
        # generator of the model.
        loader.generator = torch.Generator().manual_seed(seed)
        return loader

    @property
    def _index_sampler(self) -> 'Draws':
        return self.draws

    def _get_iterator(self) -> Any:
        # torch forbids setting it; the iterator keeps the one it finds.
        dataset = self.dataset
        self.__dict__['dataset'] = SeededDataset(dataset)
        try:
            return super()._get_iterator()
        finally:
            self.__dict__['dataset'] = dataset


class Draws:
    """The indices of a loader, each as a pair with the seed of its sample.

    The epoch is the one that a training loop announced, else that of the
    sampler. A second pass over the same epoch has other seeds.

    Args:
        sampler: Sampler from which torch reads indices.
        seed: Seed of all samples.
        batched: Whether the sampler yields batches of indices.
    """

    def __init__(self, sampler: Any, seed: int, batched: bool) -> None:
        self.sampler = sampler
        self.order = getattr(sampler, 'sampler', sampler)
        self.seed = seed
        self.batched = batched
        self.epoch: int | None = None
        self.passes = 0
        self._skip = 0
        self._last: int | None = None
        self._times = 0

    def __len__(self) -> int:
        return len(self.sampler)

    def start(self, epoch: int | None = None, skip: int = 0) -> None:
        """Announce the next epoch and the number of batches to skip.

        Args:
            epoch: Its number; None uses that of the sampler.
            skip: Batches that are not read. If the sampler has fewer, the rest
                are skipped in its next passes.
        """
        self.epoch, self._skip, self._last = epoch, skip, None

    def advance(self, epoch: int) -> None:
        """Advance a sampler without an epoch number to an epoch.

        Such a sampler continues where it stopped, so it is read once for each
        previous epoch.
        """
        if not hasattr(self.order, 'epoch'):
            for number in range(epoch):
                self.start(number)
                for _ in self:
                    pass

    def __iter__(self) -> Iterator[Any]:
        # torch creates two iterators where it needs one, so nothing is counted
        # before the first item is read.
        skip, self._skip = self._skip, 0
        while True:
            number = 0
            for number, batch in enumerate(self._pass(), 1):
                if number > skip:
                    yield batch
            if number > skip or not number or self.epoch is not None:
                return
            skip -= number
            self.passes += 1
            if hasattr(self.order, 'set_epoch'):
                self.order.set_epoch(self.passes)

    def _pass(self) -> Iterator[Any]:
        """Yield the indices of one pass of the sampler."""
        key = self._key()
        rank, world_size = get_dist_info()
        batches, done, number = iter(self.sampler), 0, 0
        while True:
            # Some samplers draw from the global generators.
            with kept():
                seed_generators(seed_of(*key, 'batch', number), with_gpu=False)
                batch = next(batches, None)
            if batch is None:
                return
            indices = list(batch) if self.batched else [batch]
            pairs = [
                (index, seed_of(*key, (done + i) * world_size + rank))
                for i, index in enumerate(indices)
            ]
            yield pairs if self.batched else pairs[0]
            done, number = done + len(pairs), number + 1

    def _key(self) -> tuple[int, int, int]:
        """Return the seed, the epoch, and the number of earlier passes."""
        epoch = self.epoch
        if epoch is None:
            epoch = getattr(self.order, 'epoch', 0)
        self._times = self._times + 1 if epoch == self._last else 0
        self._last = epoch
        return self.seed, epoch, self._times


class SeededDataset:
    """Read samples with the seeds that come with their indices."""

    def __init__(self, dataset: Any) -> None:
        self.dataset = dataset

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, pair: tuple[Any, int]) -> Any:
        """Return a sample."""
        return self.__getitems__([pair])[0]

    def __getitems__(self, pairs: list[tuple[Any, int]]) -> list:
        """Return a batch; in the training process, leave no trace."""
        if get_worker_info() is None:
            with kept():
                return [self._read(*pair) for pair in pairs]
        return [self._read(*pair) for pair in pairs]

    def _read(self, index: Any, seed: int) -> Any:
        seed_generators(seed, with_gpu=False)
        return self.dataset[index]


class WorkerStart:
    """Start a worker: set its signals, then call the user's function."""

    def __init__(self, then: Callable[[int], None] | None) -> None:
        self.then = then

    def __call__(self, worker: int) -> None:
        """Prepare the worker with this number."""
        outlive_signals()
        if self.then is not None:
            self.then(worker)


def outlive_signals() -> None:
    """Let a worker end only by its parent's SIGTERM; ignore SIGUSR1.

    Nothing changes where the system cannot tell who sent a signal (macOS,
    Windows).
    """
    if not hasattr(signal, 'sigwaitinfo'):
        return
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    # Threads that others started in the worker, as loggers do after a fork,
    # have a mask of their own; what they receive must not end the process.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    parent = os.getppid()

    def wait() -> None:
        while signal.sigwaitinfo({signal.SIGTERM}).si_pid != parent:
            pass
        os._exit(0)

    threading.Thread(target=wait, daemon=True).start()


def missing() -> str:
    """Say what is missing."""
    return (
        'random augmentation depends on the number of workers and cannot be '
        'continued; num_workers=0 is refused'
    )


def repair() -> None:
    """Let mmengine's runner build loaders with seeds for their samples."""
    from mmengine.runner import Runner

    original = Runner.build_dataloader

    @functools.wraps(original)
    def build_dataloader(
        dataloader: DataLoader | dict,
        seed: int | None = None,
        diff_rank_seed: bool = False,
    ) -> DataLoader:
        if isinstance(dataloader, DataLoader):
            return dataloader
        if not dataloader.get('num_workers', 0):
            dataloader = dataloader.copy()
            for option in WORKER_OPTIONS:
                dataloader.pop(option, None)
        loader = original(dataloader, seed, diff_rank_seed)
        return SeededLoader.adopt(loader, seed)

    Runner.build_dataloader = staticmethod(build_dataloader)
