"""The figures of a benchmark."""

import statistics
from dataclasses import dataclass, field
from typing import NamedTuple

from .settings import EAGER, INFERENCE, Setting, Settings


@dataclass
class Row:
    """One model in one setting.

    Attributes:
        model: Label of the model.
        setting: The setting.
        clock: Which of the two times counts.
        wall_seconds: Wall time of each timed call; on a GPU between events.
        cpu_seconds: Processor time of each timed call; empty on a GPU.
        peak_bytes: Peak of tensor memory above the start of a call.
        error: Why there are no figures, or None.
        note: What is odd about the figures, or None.
    """

    model: str
    setting: Setting
    clock: str = 'wall'
    wall_seconds: list[float] = field(default_factory=list)
    cpu_seconds: list[float] = field(default_factory=list)
    peak_bytes: int | None = None
    error: str | None = None
    note: str | None = None

    @property
    def seconds(self) -> list[float]:
        """The times of the calls by the clock that counts."""
        return self.cpu_seconds if self.clock == 'cpu' else self.wall_seconds

    @property
    def median(self) -> float:
        """Median time of a call in seconds."""
        return statistics.median(self.seconds)

    @property
    def quartiles(self) -> tuple[float, float]:
        """First and third quartile of the time of a call in seconds."""
        if len(self.seconds) == 1:
            return self.seconds[0], self.seconds[0]
        low, _, high = statistics.quantiles(
            self.seconds, n=4, method='inclusive'
        )
        return low, high

    @property
    def images_per_second(self) -> float:
        """Throughput at the median."""
        return self.setting.batch_size / self.median


class Size(NamedTuple):
    """How large a network is.

    Attributes:
        model: Label of the model.
        config: Its config file.
        input_size: Input (w, h) in pixels.
        parameters: Number of parameters.
        trained: Number of those with a gradient.
        macs_modules: See :func:`count_modules`; one image.
        macs_operators: See :func:`count_operators`; one image.
    """

    model: str
    config: str
    input_size: tuple[int, int]
    parameters: int
    trained: int
    macs_modules: int
    macs_operators: int


@dataclass
class Benchmark:
    """What a run measured.

    Attributes:
        machine: What it ran on.
        settings: How it was measured.
        sizes: One entry for each model, in order.
        rows: One for each model in each setting.
    """

    machine: dict
    settings: Settings
    sizes: list[Size]
    rows: list[Row]

    @property
    def base_dtype(self) -> str:
        """fp32 if it was asked for, else the first dtype."""
        dtypes = self.settings.dtypes
        return 'fp32' if 'fp32' in dtypes else dtypes[0]

    @property
    def complete(self) -> bool:
        """Whether every model ran plainly: eager inference in base dtype."""
        return not any(
            row.error
            for row in self.rows
            if (row.setting.task, row.setting.mode, row.setting.dtype)
            == (INFERENCE, EAGER, self.base_dtype)
        )
