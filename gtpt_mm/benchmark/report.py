"""Figures of a benchmark as text, JSON and picture."""

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from .accuracy import check_settings
from .cases import Case
from .results import Benchmark, ModelCost, Timing

COST_COLUMNS = (
    'model', 'input (h x w)', 'parameters (M)', 'trained (M)',
    'MACs, modules (G)', 'MACs, operators (G)', 'operators x first',
)  # fmt: skip
TIMING_COLUMNS = (
    'model', 'task', 'runtime', 'precision', 'batch', 'ms', 'quartiles',
    'images/s', 'peak MiB', 'x first', 'x base',
)  # fmt: skip


def format_report(benchmark: Benchmark) -> str:
    """Return the machine and the tables as Markdown.

    Args:
        benchmark: Figures; without timings there is one table.

    Raises:
        ValueError: If accuracies in it are not comparable.
    """
    machine, config = benchmark.machine, benchmark.config
    parts = [
        ', '.join(
            f'{key} {value}'
            for key, value in machine.items()
            if key not in ('system', 'python')
        ),
        _format_costs(benchmark),
    ]
    if benchmark.timings:
        parts += [
            f'Median of {config.repeats} calls after {config.warmup}, '
            f'{config.clock} clock, models in turn; "x first": to '
            f'{benchmark.costs[0].model} in the same case; "x base": to '
            f'its {_words(config.base_case(1))} inference at the same batch.'
            + _describe_accuracy(benchmark),
            _format_timings(benchmark),
        ]
        lines = [f'[{i}] {r}' for i, r in enumerate(_reasons(benchmark), 1)]
        parts += ['\n'.join(lines)] if lines else []
    return '\n\n'.join(parts)


def _words(case: Case) -> str:
    return f'{case.runtime} {case.precision}'


def _describe_accuracy(benchmark: Benchmark) -> str:
    """Return the settings of accuracies as a sentence, '' without any."""
    found = {t.model: t.accuracy for t in benchmark.timings if t.accuracy}
    settings = {label: row.settings for label, row in found.items()}
    check_settings(settings)
    if not settings:
        return ''
    one = next(iter(settings.values()))
    return (
        f' {one.metric} on {one.data}; boxes: {one.boxes}; flip test: '
        f'{"on" if one.flip_test else "off"}.'
    )


def _format_costs(benchmark: Benchmark) -> str:
    first = benchmark.costs[0].macs_operators
    lines = [
        [
            cost.model,
            f'{cost.input_size[1]} x {cost.input_size[0]}',
            f'{cost.parameters / 1e6:.3f}',
            f'{cost.trained / 1e6:.3f}',
            *(
                '' if macs is None else f'{macs / 1e9:.3f}'
                for macs in (cost.macs_modules, cost.macs_operators)
            ),
            f'{cost.macs_operators / first:.2f}'
            if first and cost.macs_operators is not None
            else '',
        ]
        for cost in benchmark.costs
    ]
    return _markdown(COST_COLUMNS, lines, num_text=2)


def _format_timings(benchmark: Benchmark) -> str:
    """Return the table of timings; empty columns are left out."""
    timings = benchmark.timings
    lines = [
        [
            timing.model,
            *map(str, dataclasses.astuple(timing.case)),
            *_figures(benchmark, timing),
        ]
        for timing in timings
    ]
    columns = list(TIMING_COLUMNS)
    if any(t.deviation is not None for t in timings):
        columns.append('deviation')
        for line, t in zip(lines, timings, strict=True):
            line.append('' if t.deviation is None else f'{t.deviation:.1e}')
    if any(t.accuracy or t.accuracy_error for t in timings):
        metrics = {t.accuracy.settings.metric for t in timings if t.accuracy}
        columns += [next(iter(metrics), 'accuracy'), 'decoder']
        for line, t in zip(lines, timings, strict=True):
            line += _accuracy_cells(benchmark, t)
    return _markdown(columns, lines, num_text=4)


def _accuracy_cells(benchmark: Benchmark, timing: Timing) -> list[str]:
    if timing.accuracy_error:
        number = _reasons(benchmark).index(timing.accuracy_error) + 1
        return [f'not tested [{number}]', '']
    if timing.accuracy is None:
        return ['', '']
    return [f'{100 * timing.accuracy.value:.1f}', timing.accuracy.decoder]


def _reasons(benchmark: Benchmark) -> list[str]:
    """Return why models failed, each reason once."""
    reasons = [
        reason
        for timing in benchmark.timings
        for reason in (timing.error, timing.accuracy_error)
        if reason
    ]
    return list(dict.fromkeys(reasons))


def _figures(benchmark: Benchmark, timing: Timing) -> list[str]:
    """Return the cells from the time on."""
    if timing.error:
        number = _reasons(benchmark).index(timing.error) + 1
        return [f'{timing.error.partition(":")[0]} [{number}]'] + [''] * 5
    low, high = (_digits(1000 * seconds) for seconds in timing.quartiles)
    ratios = (
        benchmark.ratio_to_first(timing), benchmark.ratio_to_base(timing)
    )  # fmt: skip
    note = f' ({timing.note})' if timing.note else ''
    peak = timing.peak_bytes / 2**20
    return [
        _digits(1000 * timing.median) + note,
        f'{low} - {high}',
        _digits(timing.images_per_second),
        _digits(peak) if peak else '',
        *('' if ratio is None else f'{ratio:.2f}' for ratio in ratios),
    ]


def _digits(value: float) -> str:
    """Return a figure with three digits or more."""
    if value >= 100:
        return f'{value:.0f}'
    return f'{value:.1f}' if value >= 10 else f'{value:.2f}'


def _markdown(
    head: Sequence[str], lines: list[list[str]], num_text: int
) -> str:
    """Return an aligned table; columns after ``num_text`` hold numbers."""
    # A pipe in an error message would open a new column.
    table = [head, *([c.replace('|', '/') for c in line] for line in lines)]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]

    def align(cells: Sequence[str]) -> str:
        aligned = [
            cell.ljust(width) if i < num_text else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(cells, widths, strict=True))
        ]
        return f'| {" | ".join(aligned)} |'

    rule = [
        '-' * width if i < num_text else '-' * (width - 1) + ':'
        for i, width in enumerate(widths)
    ]
    return '\n'.join(map(align, (table[0], rule, *table[1:])))


def to_json(benchmark: Benchmark) -> str:
    """Return all figures, each call's time included."""
    rows = []
    for timing in benchmark.timings:
        entry = dict(model=timing.model, **dataclasses.asdict(timing.case))
        if timing.error is None:
            entry |= dict(
                median_ms=1000 * timing.median,
                quartiles_ms=[1000 * time for time in timing.quartiles],
                images_per_second=timing.images_per_second,
                peak_bytes=timing.peak_bytes,
                ratio_to_first=benchmark.ratio_to_first(timing),
                ratio_to_base=benchmark.ratio_to_base(timing),
                wall_seconds=timing.wall_seconds,
                cpu_seconds=timing.cpu_seconds,
                deviation=timing.deviation,
            )
        if timing.accuracy:
            value, decoder, settings = timing.accuracy
            entry['accuracy'] = dict(
                value=value, decoder=decoder, **settings._asdict()
            )
        if timing.accuracy_error:
            entry['accuracy_error'] = timing.accuracy_error
        rows.append(entry | dict(error=timing.error, note=timing.note))
    content = dict(
        machine=benchmark.machine,
        settings=dataclasses.asdict(benchmark.config),
        models=[_describe(cost) for cost in benchmark.costs],
        rows=rows,
    )
    return json.dumps(content, indent=2)


def _describe(cost: ModelCost) -> dict:  # type: ignore[type-arg]
    published = cost.published and cost.published._asdict()
    return cost._asdict() | dict(published=published)


def plot_report(benchmark: Benchmark, out_file: str | Path) -> None:
    """Draw a panel for each batch size: latency at 1, throughput above.

    A group of bars is a case, a bar a model; lines span the quartiles.

    Args:
        benchmark: Figures.
        out_file: Picture to write; its suffix is the format.

    Raises:
        ValueError: If nothing was timed, or the suffix is not a format.
    """
    check_plot_file(out_file)
    panels: dict[int, list[Timing]] = {}
    for timing in benchmark.timings:
        if timing.error is None:
            panels.setdefault(timing.case.batch_size, []).append(timing)
    if not panels:
        raise ValueError('nothing was timed, so there is nothing to plot')
    figure = Figure(
        figsize=(
            5.5 * len(panels) + 1,
            1.8 + 0.32 * max(map(len, panels.values())),
        ),
        layout='constrained',
    )
    FigureCanvasAgg(figure)
    labels = [cost.model for cost in benchmark.costs]
    axes = figure.subplots(1, len(panels), squeeze=False)[0]
    handles: dict = {}
    for axis, batch_size in zip(axes, sorted(panels), strict=True):
        _draw_panel(axis, batch_size, panels[batch_size], labels)
        bars, names = axis.get_legend_handles_labels()
        handles |= dict(zip(names, bars, strict=True))
    figure.legend(
        handles.values(), handles, loc='outside lower center', ncols=2
    )
    machine = benchmark.machine
    on_cpu = f'{machine["cpu"]}, threads: {machine["threads"]}'
    figure.suptitle(machine.get('gpu') or on_cpu, fontsize='medium')
    figure.savefig(out_file, dpi=110)


def check_plot_file(out_file: str | Path) -> None:
    """Raise ValueError if the suffix is not a picture format."""
    formats = sorted(FigureCanvasAgg.get_supported_filetypes())
    if Path(out_file).suffix[1:].lower() not in formats:
        raise ValueError(
            f'{str(out_file)!r} does not end in a format of pictures: one of '
            f'{", ".join(formats)}'
        )


def _draw_panel(
    panel: Axes, batch_size: int, timings: list[Timing], labels: list[str]
) -> None:
    """Draw the timings of one batch size, from the top."""
    groups: dict[str, list[float]] = {}  # case -> heights of its bars
    height = -0.7
    for timing in timings:
        case = timing.case
        name = f'{case.task} {_words(case)}'
        height += 0 if name in groups else 0.7
        groups.setdefault(name, []).append(height)
        middle, *ends = (
            1000 * t if batch_size == 1 else batch_size / t
            for t in (timing.median, *timing.quartiles)
        )
        panel.barh(
            height,
            middle,
            xerr=[[middle - min(ends)], [max(ends) - middle]],
            color=f'C{labels.index(timing.model) % 10}',
            label=timing.model,
            capsize=2,
        )
        height += 1
    middles = [sum(heights) / len(heights) for heights in groups.values()]
    panel.set_yticks(middles, list(groups))
    panel.invert_yaxis()
    panel.grid(axis='x', alpha=0.3)
    is_latency = batch_size == 1
    unit = 'ms, less is better' if is_latency else 'images/s, more is better'
    panel.set(title=f'batch {batch_size}', xlabel=unit)
