"""The figures of a benchmark."""

import statistics
from dataclasses import dataclass, field
from typing import NamedTuple

from .accuracy import Accuracy
from .cases import BenchmarkConfig, Case
from .published import Published


@dataclass
class Timing:
    """One model in one case.

    Attributes:
        model: Label of the model.
        case: The case.
        clock: Which of the two times counts.
        wall_seconds: Wall time of each timed call; on a GPU between events.
        cpu_seconds: Processor time of each timed call; empty on a GPU.
        peak_bytes: Peak of tensor memory above the start of a call; 0 in
            runtimes other than PyTorch, where it is unknown.
        deviation: Largest deviation of an exported file's outputs from those
            of PyTorch, as a part of their range; None if none is exported.
        accuracy: Measured in this case, or None.
        accuracy_error: Why it was not measured, or None.
        error: Why there are no figures, or None.
        note: What is odd about the figures, or None.
    """

    model: str
    case: Case
    clock: str = 'wall'
    wall_seconds: list[float] = field(default_factory=list)
    cpu_seconds: list[float] = field(default_factory=list)
    peak_bytes: int = 0
    deviation: float | None = None
    accuracy: Accuracy | None = None
    accuracy_error: str | None = None
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
        return self.case.batch_size / self.median


class ModelCost(NamedTuple):
    """Parameters and MACs of a network.

    Attributes:
        model: Label of the model.
        config: Its config file.
        input_size: Input (w, h) in pixels.
        parameters: Number of parameters.
        trained: Number of those with a gradient.
        macs_modules: MACs of one image, see :func:`count_modules`. None for a
            file, which PyTorch does not run.
        macs_operators: MACs of one image, see :func:`count_operators`.
        published: AP that its paper states, if it is that very model.
    """

    model: str
    config: str
    input_size: tuple[int, int]
    parameters: int
    trained: int
    macs_modules: int | None
    macs_operators: int | None
    published: Published | None = None


@dataclass
class Benchmark:
    """All figures of a run.

    Attributes:
        machine: See :func:`describe_machine`.
        config: Settings of the run.
        costs: One entry for each model, in order.
        timings: One for each model in each case.
    """

    machine: dict
    config: BenchmarkConfig
    costs: list[ModelCost]
    timings: list[Timing]

    @property
    def complete(self) -> bool:
        """Whether every model ran in ``config.base_case``."""
        return not any(
            timing.error
            for timing in self.timings
            if timing.case == self.config.base_case(timing.case.batch_size)
        )

    def ratio_to_first(self, timing: Timing) -> float | None:
        """Return time / time of the first model in the same case."""
        return self._ratio(timing, timing.case)

    def ratio_to_base(self, timing: Timing) -> float | None:
        """Return time / base-case time of the first model, same batch size.

        This puts precisions, runtimes and training on one scale.
        """
        batch_size = timing.case.batch_size
        return self._ratio(timing, self.config.base_case(batch_size))

    def _ratio(self, timing: Timing, case: Case) -> float | None:
        first = self.costs[0].model
        for other in self.timings:
            if (other.model, other.case) == (first, case):
                failed = timing.error or other.error
                return None if failed else timing.median / other.median
        return None
