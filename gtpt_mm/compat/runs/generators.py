"""Random generators of this process: seed, swap, save and restore them.

Three libraries draw for training and augmentation: ``random``, numpy (its
global generator) and torch, the latter with a generator for each GPU.
"""

import contextlib
import hashlib
import random
from collections.abc import Hashable, Iterator

import numpy as np
import torch


def seed_of(*key: Hashable) -> int:
    """Return a seed of 63 bits derived from a key of plain values."""
    digest = hashlib.blake2b(repr(key).encode(), digest_size=8).digest()
    return int.from_bytes(digest, 'little') >> 1


def seed_generators(seed: int, with_gpu: bool = True) -> None:
    """Seed all generators; those of GPUs only where a GPU is in use."""
    random.seed(seed)
    np.random.seed(seed & 0xFFFFFFFF)
    torch.default_generator.manual_seed(seed)
    if with_gpu and torch.cuda.is_initialized():
        torch.cuda.manual_seed_all(seed)


@contextlib.contextmanager
def kept() -> Iterator[None]:
    """Restore the generators of the CPU afterwards."""
    states = random.getstate(), np.random.get_state(), torch.get_rng_state()
    try:
        yield
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])
        torch.set_rng_state(states[2])


def read_states() -> dict:
    """Return the states of all generators as tensors and plain numbers."""
    version, keys, gauss = random.getstate()
    name, words, *rest = np.random.get_state(legacy=True)
    cuda = torch.cuda.is_initialized()
    return dict(
        python=[version, torch.tensor(keys), gauss],
        numpy=[name, torch.tensor(np.asarray(words, np.int64)), *rest],
        torch=torch.get_rng_state(),
        cuda=torch.cuda.get_rng_state_all() if cuda else [],
    )


def restore_states(states: dict) -> None:
    """Restore the generators; those of GPUs only if there are as many."""
    version, keys, gauss = states['python']
    random.setstate((version, tuple(keys.tolist()), gauss))
    name, words, *rest = states['numpy']
    words = words.cpu().numpy().astype(np.uint32)
    np.random.set_state((name, words, *rest))
    torch.set_rng_state(states['torch'].cpu())
    cuda = [state.cpu() for state in states['cuda']]
    if cuda and len(cuda) == torch.cuda.device_count():
        torch.cuda.set_rng_state_all(cuda)
