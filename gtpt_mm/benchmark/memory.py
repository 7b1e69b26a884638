"""Peak memory of a call."""

import contextlib
import os
import sys
from collections.abc import Callable, Iterator
from itertools import accumulate
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile


def peak_memory(call: Callable[[], object], device: str = 'cpu') -> int:
    """Return the peak of live tensor memory above the start of a call.

    On a GPU, this is the caching allocator's own figure. On a CPU, it is the
    highest sum of the profiler's allocation events, which does not depend on
    threads or on how the C library keeps freed memory. It does not include
    buffers that libraries such as oneDNN allocate outside PyTorch. Earlier
    memory that the call frees is not subtracted.

    Args:
        call: Function to measure; its result stays alive until the end.
        device: Where its tensors are: ``'cpu'`` or ``'cuda'``, optionally
            with a number.

    Returns:
        Bytes.

    Example:
        >>> peak_memory(lambda: torch.zeros(1000).neg())
        8000
    """
    if torch.device(device).type == 'cuda':
        torch.cuda.synchronize(device)
        start = torch.cuda.memory_allocated(device)
        torch.cuda.reset_peak_memory_stats(device)
        result = call()
        torch.cuda.synchronize(device)
        del result
        return torch.cuda.max_memory_allocated(device) - start
    profiler = profile(activities=[ProfilerActivity.CPU], profile_memory=True)
    with _silent_stderr():
        profiler.start()
    try:
        result = call()
    finally:  # left on, it would slow down later timings
        with _silent_stderr():
            profiler.stop()
    del result
    # The public views join these events to operators and lose the order.
    trace: Any = profiler.profiler
    events = [
        (event.start_ns(), event.nbytes())
        for event in trace.kineto_results.events()
        if event.name() == '[memory]'
    ]
    events.sort(key=lambda event: event[0])  # equal times keep their order
    return max(accumulate((size for _, size in events), initial=0))


@contextlib.contextmanager
def _silent_stderr() -> Iterator[None]:
    """Hide the profiler's C++ messages when it starts and stops."""
    sys.stderr.flush()
    saved = os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)
        os.close(nowhere)
