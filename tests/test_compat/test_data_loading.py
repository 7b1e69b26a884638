"""Samples do not depend on workers; a loader can start in the middle."""

import os
import random
import signal
import subprocess
import time
from threading import Thread

import numpy as np
import pytest
import torch
from mmengine.runner import Runner
from support.toy_training import RandomData, loader
from torch.utils.data import DataLoader, RandomSampler

from gtpt_mm.compat.runs.data_loading import SeededLoader


def build(seed=3, **options) -> SeededLoader:
    return Runner.build_dataloader(loader(**options), seed=seed)


def read(data: SeededLoader, epoch=None, skip=0) -> list[torch.Tensor]:
    if epoch is not None:
        data.sampler.set_epoch(epoch)
        data.draws.start(epoch, skip)
    return [torch.stack(batch['inputs']) for batch in data]


def equal(one, other) -> bool:
    return len(one) == len(other) and all(map(torch.equal, one, other))


@pytest.mark.parametrize('workers', [0, 1, 2])
@pytest.mark.parametrize('persistent', [False, True])
def test_samples_do_not_depend_on_workers(workers, persistent):
    data = build(num_workers=workers, persistent_workers=persistent)
    first, second = read(data, 0), read(data, 1)
    alone = build()
    assert equal(read(alone, 0), first)
    assert equal(read(alone, 1), second)
    # A new process that begins with the second epoch.
    assert equal(read(build(num_workers=workers), 1), second)


@pytest.mark.parametrize('workers', [0, 2])
def test_augmentation_differs_in_each_epoch(workers):
    """Also where nobody announces epochs, and in each pass over a sampler."""
    sampler = dict(type='DefaultSampler', shuffle=False)
    data = build(
        sampler=sampler, num_workers=workers, persistent_workers=False
    )
    first, second, third = read(data), read(data), read(data, 1)
    for one, other in ((first, second), (first, third), (second, third)):
        for a, b in zip(one, other, strict=True):
            assert torch.equal(a[:, 0], b[:, 0])  # the same indices
            assert (a[:, 1:] != b[:, 1:]).all()


def test_all_samples_differ():
    values = torch.cat(read(build()))[:, 1:]
    assert len(values.unique()) == values.numel()


def test_seed_counts():
    assert not equal(read(build(seed=3)), read(build(seed=4)))
    assert not equal(read(build(seed=None)), read(build(seed=None)))


@pytest.mark.parametrize('workers', [0, 1])
def test_reading_leaves_the_generators_alone(workers):
    data = build(num_workers=workers)

    def states():
        numpy_state = np.random.get_state()
        return (
            random.getstate(),
            [*map(str, numpy_state)],
            torch.get_rng_state().tolist(),
        )

    before = states()
    read(data)
    assert states() == before


@pytest.mark.parametrize('skip', [0, 2, 5, 6])
def test_starts_in_the_middle(skip):
    whole = read(build(), 1)
    data = build()
    rest = read(data, 1, skip)
    assert equal(rest, whole[skip:])
    assert len(data.dataset.read) == 12 - 2 * skip  # nothing else was read


def test_middle_of_an_endless_sampler():
    sampler = dict(type='InfiniteSampler', shuffle=True)
    whole, late = iter(build(sampler=sampler)), build(sampler=sampler)
    batches = [next(whole)['inputs'] for _ in range(20)]
    late.draws.start(None, 15)
    rest = [batch['inputs'] for batch, _ in zip(late, range(5), strict=False)]
    for one, other in zip(batches[15:], rest, strict=True):
        assert torch.equal(torch.stack(one), torch.stack(other))
    assert len(torch.stack(sum(batches, [])).unique(dim=0)) == 40


def test_middle_of_torch_s_random_sampler():
    """It draws from the global generator when it starts."""

    def make():
        dataset = RandomData()
        return build(dataset=dataset, sampler=RandomSampler(dataset))

    whole, late = make(), make()
    epochs = [read_epoch(whole, epoch) for epoch in range(2)]
    assert not equal(*epochs)
    torch.rand(5)
    assert equal(read_epoch(late, 1, 3), epochs[1][3:])


def read_epoch(data, epoch, skip=0):
    data.draws.start(epoch, skip)
    return [torch.stack(batch['inputs']) for batch in data]


def test_workers_end_with_their_loader():
    """No cycle of references keeps them, and no signal that they ignore."""
    data = build(num_workers=2)
    read(data)
    workers = data._iterator._workers
    begin = time.monotonic()
    del data
    for worker in workers:
        worker.join(3)
        assert worker.exitcode == 0
    assert time.monotonic() - begin < 3


def signal_a_worker() -> int:
    """Send signals to a worker that reads; return the batches that follow."""
    data = build(num_workers=1, persistent_workers=False, dataset=Slow())
    iterator = iter(data)
    next(iterator)
    [worker] = iterator._workers
    for number in (signal.SIGTERM, signal.SIGUSR1):
        subprocess.run(['kill', f'-{number:d}', str(worker.pid)], check=True)
    return len(list(iterator))


@pytest.mark.skipif(not hasattr(signal, 'sigwaitinfo'), reason='Linux only')
def test_workers_outlive_signals_to_all_processes():
    assert signal_a_worker() == 5
    data = build(num_workers=1, dataset=Slow())
    next(iter(data))
    [worker] = data._iterator._workers
    worker.terminate()  # by its parent
    worker.join(3)
    assert worker.exitcode == 0


@pytest.fixture
def threads_of_others():
    """Start a thread in each fork, as loggers and tracers do."""

    def start():
        if active:
            Thread(target=time.sleep, args=(60,), daemon=True).start()

    active = [True]
    os.register_at_fork(after_in_child=start)  # there is no way back
    yield
    active.clear()


@pytest.mark.skipif(not hasattr(signal, 'sigwaitinfo'), reason='Linux only')
def test_workers_with_threads_outlive_signals(threads_of_others):
    assert signal_a_worker() == 5


class Slow(RandomData):
    def __getitem__(self, index):
        time.sleep(0.05)
        return super().__getitem__(index)


def test_other_loaders_are_left_alone():
    own = DataLoader(RandomData())
    assert Runner.build_dataloader(own) is own
    assert type(own) is DataLoader


def test_dataset_is_the_dataset():
    data = build()
    assert isinstance(data.dataset, RandomData)
    iterator = iter(data)
    next(iterator)
    assert isinstance(data.dataset, RandomData)
    assert len(data) == len(iterator) == 6
