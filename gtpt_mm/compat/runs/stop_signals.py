"""Handle the signals by which clusters announce the end of a job."""

import signal
import threading
from types import FrameType
from typing import Any

import torch
import torch.distributed as dist

#: SIGUSR1 does not exist on Windows.
SIGNALS = tuple(
    getattr(signal, name)
    for name in ('SIGTERM', 'SIGUSR1')
    if hasattr(signal, name)
)


class Stopped(BaseException):
    """End a validation; not an Exception, so that no code handles it."""


class StopSignals:
    """Note signals while it is open; tell all processes of a training.

    The processes exchange what they noted without waiting: what one of them
    notes in a step is known to all at the end of the next. Handlers set by
    other code are left alone. Outside the main thread, where Python allows no
    handlers, nothing is done.

    Attributes:
        number: The signal that all processes know of; 0 for none.
    """

    def __init__(self) -> None:
        self.number = 0
        self._noted = 0
        self._replaced: list[int] = []
        self._group: Any = None
        self._exchange: tuple[torch.Tensor, Any] | None = None

    def __enter__(self) -> 'StopSignals':
        if threading.current_thread() is threading.main_thread():
            self._replaced = [
                number
                for number in SIGNALS
                if signal.getsignal(number) is signal.SIG_DFL
            ]
        for number in self._replaced:
            signal.signal(number, self._note)
        if is_distributed():
            backend = 'gloo' if dist.is_gloo_available() else None
            self._group = dist.new_group(backend=backend)
        return self

    def __exit__(self, kind: type | None, *error: object) -> None:
        for number in self._replaced:
            signal.signal(number, signal.SIG_DFL)
        if self._group is not None and kind is None:
            self._receive()
            dist.destroy_process_group(self._group)

    def _note(self, number: int, frame: FrameType | None) -> None:
        self._noted = number

    def check(self) -> int:
        """Return the signal that ends the training, 0 for none.

        All processes must call this the same number of times.
        """
        if self._group is None:
            self.number = self._noted
        elif not self.number:
            self._receive()
            noted = torch.tensor(self._noted)
            work = dist.all_reduce(
                noted, dist.ReduceOp.MAX, self._group, async_op=True
            )
            self._exchange = noted, work
        return self.number

    def _receive(self) -> None:
        if self._exchange is not None:
            noted, work = self._exchange
            work.wait()
            self.number = int(noted)
            self._exchange = None

    def fewest(self, count: int) -> int:
        """Return the smallest count of all processes."""
        if self._group is None:
            return count
        counts = torch.tensor(count)
        dist.all_reduce(counts, dist.ReduceOp.MIN, self._group)
        return int(counts)

    def barrier(self) -> None:
        """Wait for all processes."""
        if self._group is not None:
            dist.barrier(self._group)


def is_distributed() -> bool:
    """Tell whether several processes train together."""
    return (
        dist.is_available()
        and dist.is_initialized()
        and dist.get_world_size() > 1
    )
