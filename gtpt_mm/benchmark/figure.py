"""Accuracy over latency, a bubble for each model: figure 1 of the papers."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from .cases import INFERENCE
from .network import Network
from .published import find_network_published
from .report import check_plot_file
from .results import Benchmark, Timing

#: Area of a bubble in square points for a million parameters.
AREA = 12.0
NOTHING_KNOWN = (
    'no accuracy is known for any of the models, so none can be drawn: '
    'give --data and weights=FILE, or models of papers'
)


class Bubble(NamedTuple):
    """A model in a runtime.

    Attributes:
        model: Its label.
        runtime: Runtime and precision.
        milliseconds: Latency.
        accuracy: In percent.
        parameters: Their number.
        is_measured: Whether the accuracy was measured in this run, not taken
            from a paper.
    """

    model: str
    runtime: str
    milliseconds: float
    accuracy: float
    parameters: int
    is_measured: bool


def check_known(networks: Sequence[Network], is_tested: bool) -> None:
    """Raise ValueError if there would be nothing to draw.

    Args:
        networks: Networks that will be timed.
        is_tested: Whether networks with weights will be tested.
    """
    if not is_tested and not any(map(find_network_published, networks)):
        raise ValueError(NOTHING_KNOWN)


def find_bubbles(benchmark: Benchmark) -> dict[str, list[Bubble]]:
    """Return bubbles by the title of their panel.

    Accuracies of papers use other boxes and pictures than measured ones, and
    fp32. So they have their own panels, without lower precisions.
    """
    batch_size = min(t.case.batch_size for t in benchmark.timings)
    costs = {cost.model: cost for cost in benchmark.costs}
    panels: dict[str, list[Bubble]] = {}

    def add(title: str, timing: Timing, value: float, measured: bool) -> None:
        bubble = Bubble(
            timing.model,
            f'{timing.case.runtime} {timing.case.precision}',
            1000 * timing.median / batch_size,
            100 * value,
            costs[timing.model].parameters,
            measured,
        )
        panels.setdefault(title, []).append(bubble)

    for timing in benchmark.timings:
        case = timing.case
        if timing.error or (case.task, case.batch_size) != (
            INFERENCE,
            batch_size,
        ):
            continue
        if timing.accuracy:
            one = timing.accuracy.settings
            flip = 'on' if one.flip_test else 'off'
            title = (
                f'{one.metric} on {one.data}, boxes: {one.boxes}, flip test '
                f'{flip}'
            )
            add(title, timing, timing.accuracy.value, True)
        published = costs[timing.model].published
        if published and case.precision == 'fp32':
            title = f'AP on {published.dataset} as published'
            add(title, timing, published.value, False)
    return panels


def plot_accuracy(benchmark: Benchmark, out_file: str | Path) -> None:
    """Draw accuracy over latency; hollow bubbles are the papers' accuracies.

    Args:
        benchmark: Figures.
        out_file: Picture to write; its suffix is the format.

    Raises:
        ValueError: If no accuracy is known, or the suffix is not a format.
    """
    check_plot_file(out_file)
    panels = find_bubbles(benchmark) if benchmark.timings else {}
    if not panels:
        raise ValueError(NOTHING_KNOWN)
    figure = Figure(figsize=(6.5 * len(panels), 5.2), layout='constrained')
    FigureCanvasAgg(figure)
    runtimes = list(
        dict.fromkeys(b.runtime for row in panels.values() for b in row)
    )
    axes = figure.subplots(1, len(panels), squeeze=False)[0]
    for axis, (title, bubbles) in zip(axes, panels.items(), strict=True):
        _draw(axis, title, bubbles, runtimes)
    figure.legend(
        handles=_legend(panels, runtimes),
        loc='outside lower center',
        ncols=4,
        fontsize='small',
    )
    machine = benchmark.machine
    figure.suptitle(
        f'{machine.get("gpu") or machine["cpu"]}, threads: '
        f'{machine["threads"]}, {benchmark.config.clock} clock',
        fontsize='medium',
    )
    figure.savefig(out_file, dpi=110)


def _draw(
    axis: Axes, title: str, bubbles: list[Bubble], runtimes: list[str]
) -> None:
    """Draw a panel; a line joins the runtimes of a model."""
    for bubble in bubbles:
        color = f'C{runtimes.index(bubble.runtime) % 10}'
        axis.scatter(
            bubble.milliseconds,
            bubble.accuracy,
            s=20 + AREA * bubble.parameters / 1e6,
            facecolors=color if bubble.is_measured else 'none',
            edgecolors=color,
            alpha=0.7,
        )
    for model in dict.fromkeys(bubble.model for bubble in bubbles):
        row = sorted(b[2:4] for b in bubbles if b.model == model)
        axis.plot(*zip(*row, strict=True), color='gray', lw=0.5, zorder=0)
        axis.annotate(
            model,
            row[0],
            xytext=(0, 6),
            textcoords='offset points',
            ha='center',
            fontsize='x-small',
        )
    axis.set_xscale('log')
    axis.margins(0.15)
    axis.grid(alpha=0.3, which='both')
    axis.set(xlabel='ms an image', ylabel='accuracy in %')
    axis.set_title(title, fontsize='medium')


def _legend(
    panels: dict[str, list[Bubble]], runtimes: list[str]
) -> list[Line2D]:
    def mark(label: str, color: str, **style: Any) -> Line2D:
        return Line2D(
            [], [], ls='', marker='o', color=color, label=label, **style
        )

    marks = [mark(name, f'C{i % 10}') for i, name in enumerate(runtimes)]
    kinds = {b.is_measured for row in panels.values() for b in row}
    if True in kinds:
        marks.append(mark('filled: measured in this run', 'gray'))
    if False in kinds:
        marks.append(
            mark(
                "hollow: the papers' AP, their boxes and flip test",
                'gray',
                markerfacecolor='none',
            )
        )
    for millions in (5, 50):
        side = (20 + AREA * millions) ** 0.5
        marks.append(
            mark(
                f'{millions} M parameters',
                'gray',
                markerfacecolor='none',
                markersize=side,
            )
        )
    return marks
