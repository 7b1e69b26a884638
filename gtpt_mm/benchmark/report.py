"""Figures of a benchmark as text, JSON and picture."""

import dataclasses
import json
from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from .results import Benchmark, Row
from .settings import EAGER, INFERENCE


def ratio_to_first(benchmark: Benchmark, row: Row) -> float | None:
    """Return time by the first model's time in the same setting."""
    first = benchmark.sizes[0].model
    for other in benchmark.rows:
        if (other.model, other.setting) == (first, row.setting):
            return _ratio(row, other)
    return None


def ratio_to_base(benchmark: Benchmark, row: Row) -> float | None:
    """Return time by the first model's plain time at the same batch size.

    Plain is eager inference in fp32 (or the first dtype, without fp32), so
    this compares dtypes, modes and training with one yardstick.
    """
    base = dataclasses.replace(
        row.setting,
        task=INFERENCE,
        mode=EAGER,
        dtype=benchmark.base_dtype,
    )
    first = benchmark.sizes[0].model
    for other in benchmark.rows:
        if (other.model, other.setting) == (first, base):
            return _ratio(row, other)
    return None


def _ratio(row: Row, other: Row) -> float | None:
    if row.error or other.error:
        return None
    return row.median / other.median


def format_report(benchmark: Benchmark) -> str:
    """Return the machine and the tables as Markdown.

    Args:
        benchmark: What was measured; without rows there is no second table.
    """
    machine, settings = benchmark.machine, benchmark.settings
    parts = [
        ', '.join(
            f'{key} {value}'
            for key, value in machine.items()
            if key not in ('system', 'python')
        ),
        _format_sizes(benchmark),
    ]
    if benchmark.rows:
        parts += [
            f'Median of {settings.repeats} calls after {settings.warmup}, '
            f'{settings.clock} clock, models in turn; "x first": to '
            f'{benchmark.sizes[0].model} in the same setting; "x base": to '
            f'its eager {benchmark.base_dtype} inference at the same batch.',
            _format_rows(benchmark),
            *_format_reasons(benchmark),
        ]
    return '\n\n'.join(parts)


def _format_sizes(benchmark: Benchmark) -> str:
    first = benchmark.sizes[0]
    head = [
        'model',
        'input (h x w)',
        'parameters (M)',
        'trained (M)',
        'MACs, modules (G)',
        'MACs, operators (G)',
        'operators x first',
    ]
    lines = [
        [
            size.model,
            f'{size.input_size[1]} x {size.input_size[0]}',
            f'{size.parameters / 1e6:.3f}',
            f'{size.trained / 1e6:.3f}',
            f'{size.macs_modules / 1e9:.3f}',
            f'{size.macs_operators / 1e9:.3f}',
            f'{size.macs_operators / first.macs_operators:.2f}'
            if first.macs_operators
            else '',
        ]
        for size in benchmark.sizes
    ]
    return _markdown(head, lines, num_text=2)


def _format_rows(benchmark: Benchmark) -> str:
    head = [
        'model',
        'task',
        'mode',
        'dtype',
        'batch',
        'ms',
        'quartiles',
        'images/s',
        'peak MiB',
        'x first',
        'x base',
    ]
    lines = [
        [
            row.model,
            row.setting.task,
            row.setting.mode,
            row.setting.dtype,
            str(row.setting.batch_size),
            *_figures(benchmark, row),
        ]
        for row in benchmark.rows
    ]
    return _markdown(head, lines, num_text=4)


def _reasons(benchmark: Benchmark) -> list[str]:
    """Return why models failed, each reason once."""
    return list(dict.fromkeys(r.error for r in benchmark.rows if r.error))


def _format_reasons(benchmark: Benchmark) -> list[str]:
    """Return what the numbers of failures mean, as a list of one or none."""
    lines = [f'[{i}] {r}' for i, r in enumerate(_reasons(benchmark), 1)]
    return ['\n'.join(lines)] if lines else []


def _figures(benchmark: Benchmark, row: Row) -> list[str]:
    """Return the cells from the time on."""
    if row.error:
        number = _reasons(benchmark).index(row.error) + 1
        return [f'{row.error.partition(":")[0]} [{number}]'] + [''] * 5
    low, high = (1000 * seconds for seconds in row.quartiles)
    ratios = (
        ratio(benchmark, row) for ratio in (ratio_to_first, ratio_to_base)
    )
    return [
        _digits(1000 * row.median) + (f' ({row.note})' if row.note else ''),
        f'{_digits(low)} - {_digits(high)}',
        _digits(row.images_per_second),
        _digits(row.peak_bytes / 2**20),
        *('' if ratio is None else f'{ratio:.2f}' for ratio in ratios),
    ]


def _digits(value: float) -> str:
    """Return a figure with three digits or more."""
    if value >= 100:
        return f'{value:.0f}'
    return f'{value:.1f}' if value >= 10 else f'{value:.2f}'


def _markdown(head: list[str], lines: list[list[str]], num_text: int) -> str:
    """Return an aligned table; columns after ``num_text`` hold numbers."""
    # A pipe in an error message would open a new column.
    table = [head, *([c.replace('|', '/') for c in line] for line in lines)]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    rule = [
        '-' * width if i < num_text else '-' * (width - 1) + ':'
        for i, width in enumerate(widths)
    ]
    return '\n'.join(
        '| '
        + ' | '.join(
            cell.ljust(width) if i < num_text else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(cells, widths, strict=True))
        )
        + ' |'
        for cells in (table[0], rule, *table[1:])
    )


def to_json(benchmark: Benchmark) -> str:
    """Return everything that was measured, each call's time included."""
    rows = []
    for row in benchmark.rows:
        entry = dict(model=row.model, **dataclasses.asdict(row.setting))
        if row.error is None:
            low, high = row.quartiles
            entry |= dict(
                median_ms=1000 * row.median,
                quartiles_ms=[1000 * low, 1000 * high],
                images_per_second=row.images_per_second,
                peak_bytes=row.peak_bytes,
                ratio_to_first=ratio_to_first(benchmark, row),
                ratio_to_base=ratio_to_base(benchmark, row),
                wall_seconds=row.wall_seconds,
                cpu_seconds=row.cpu_seconds,
            )
        rows.append(entry | dict(error=row.error, note=row.note))
    content = dict(
        machine=benchmark.machine,
        settings=dataclasses.asdict(benchmark.settings),
        models=[size._asdict() for size in benchmark.sizes],
        rows=rows,
    )
    return json.dumps(content, indent=2)


def plot_report(benchmark: Benchmark, out_file: str | Path) -> None:
    """Draw a panel for each batch size: latency at 1, throughput above.

    A group of bars is a setting, a bar a model; lines span the quartiles.

    Args:
        benchmark: What was measured.
        out_file: Picture to write; its suffix is the format.

    Raises:
        ValueError: If nothing was timed, or the suffix is no format.
    """
    check_plot_file(out_file)
    rows = [row for row in benchmark.rows if row.error is None]
    if not rows:
        raise ValueError('nothing was timed, so there is nothing to plot')
    sizes = sorted({row.setting.batch_size for row in rows})
    per_size = [
        [row for row in rows if row.setting.batch_size == size]
        for size in sizes
    ]
    num_bars = max(map(len, per_size))
    figure = Figure(
        figsize=(5.5 * len(sizes) + 1, 1.8 + 0.32 * num_bars),
        layout='constrained',
    )
    FigureCanvasAgg(figure)
    labels = [size.model for size in benchmark.sizes]
    panels = figure.subplots(1, len(sizes), squeeze=False)[0]
    for panel, size, own in zip(panels, sizes, per_size, strict=True):
        _draw_panel(panel, size, own, labels)
    handles = {}
    for panel in panels:
        bars, names = panel.get_legend_handles_labels()
        handles |= dict(zip(names, bars, strict=True))
    figure.legend(
        handles.values(), handles, loc='outside lower center', ncols=2
    )
    figure.suptitle(
        benchmark.machine.get('gpu')
        or f'{benchmark.machine["cpu"]}, threads: '
        f'{benchmark.machine["threads"]}',
        fontsize='medium',
    )
    figure.savefig(out_file, dpi=110)


def check_plot_file(out_file: str | Path) -> None:
    """Raise ValueError if no picture can be written under this name."""
    formats = sorted(FigureCanvasAgg.get_supported_filetypes())
    if Path(out_file).suffix[1:].lower() not in formats:
        raise ValueError(
            f'{str(out_file)!r} does not end in a format of pictures: one of '
            f'{", ".join(formats)}'
        )


def _draw_panel(
    panel, batch_size: int, rows: list[Row], labels: list[str]
) -> None:
    """Draw the rows of one batch size, from the top."""
    ticks: dict[float, str] = {}
    place, group = 0.0, None
    for row in rows:
        setting = row.setting
        if group is not None and setting != group:
            place += 0.7
        group = setting
        middle, *ends = (
            1000 * t if batch_size == 1 else batch_size / t
            for t in (row.median, *row.quartiles)
        )
        panel.barh(
            place,
            middle,
            xerr=[[middle - min(ends)], [max(ends) - middle]],
            color=f'C{labels.index(row.model) % 10}',
            label=row.model,
            capsize=2,
        )
        ticks[place] = f'{setting.task} {setting.mode} {setting.dtype}'
        place += 1
    panel.set_yticks(*zip(*_middles(ticks).items(), strict=True))
    panel.invert_yaxis()
    panel.grid(axis='x', alpha=0.3)
    panel.set(
        title=f'batch {batch_size}',
        xlabel='ms, less is better'
        if batch_size == 1
        else 'images/s, more is better',
    )


def _middles(ticks: dict[float, str]) -> dict[float, str]:
    """Return one tick for each group, in its middle."""
    places: dict[str, list[float]] = {}
    for place, name in ticks.items():
        places.setdefault(name, []).append(place)
    return {sum(own) / len(own): name for name, own in places.items()}
