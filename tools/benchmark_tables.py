"""Tables of docs/benchmarks.md, made from the figures of its runs."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any


class Result:
    """The figures of a run, as ``gtpt-mm benchmark --json`` writes them.

    Args:
        content: The figures, with the run's ``command``, ``date`` and
            ``commit``; the Markdown that a script printed is in ``text``.
    """

    def __init__(self, content: dict[str, Any]) -> None:
        self.content = content
        self.models = {m['model']: m for m in content.get('models', ())}

    def row(
        self,
        model: str,
        runtime: str,
        batch: int = 1,
        precision: str = 'fp32',
        task: str = 'inference',
    ) -> dict[str, Any]:
        """Return the figures of a model in a case, {} if there are none."""
        wanted = dict(
            model=model, runtime=runtime, batch_size=batch,
            precision=precision, task=task,
        )  # fmt: skip
        for row in self.content.get('rows', ()):
            if wanted.items() <= row.items():
                return row if row.get('error') is None else {}
        return {}

    def ms(self, *case: Any, **more: Any) -> float | None:
        """Return the median milliseconds of a call; None without figures."""
        return self.row(*case, **more).get('median_ms')

    def least_ms(self, *case: Any, **more: Any) -> float | None:
        """Return the milliseconds of the fastest call; None without figures.

        Other work of the machine only adds to a call, so that of few calls
        the least compares better than the median.
        """
        row = self.row(*case, **more)
        clock = self.content.get('settings', {}).get('clock', 'cpu')
        seconds = row.get(f'{clock}_seconds')
        return 1000 * min(seconds) if seconds else row.get('median_ms')

    def printed(self, column: str, *row: str) -> list[float]:
        """Return the figures of a row in the tables that a script printed.

        Args:
            column: Head of the column.
            row: First cells of the row.
        """
        found, head = [], []
        for line in self.content.get('text', '').splitlines():
            cells = [cell.strip() for cell in line.strip('|').split('|')]
            if column in cells:
                head = cells
            elif cells[: len(row)] == list(row) and len(cells) == len(head):
                found.append(float(cells[head.index(column)]))
        return found


def ratio(above: float | None, below: float | None) -> float | None:
    """Return a quotient; None if one of them is None."""
    return None if above is None or below is None else above / below


def number(value: float | None) -> str:
    """Return three digits or more, '' for None."""
    if value is None:
        return ''
    if value >= 100:
        return f'{value:.0f}'
    return f'{value:.1f}' if value >= 10 else f'{value:.2f}'


def markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table."""
    lines = [head, ['---'] * len(head), *rows]
    return '\n'.join(f'| {" | ".join(cells)} |' for cells in lines)


def describe_run(result: Result) -> str:
    """Return when, where and how a run was made, as a small paragraph."""
    content = result.content
    machine = content.get('machine', {})
    names = ('torch', 'mmpose', 'onnxruntime', 'openvino')
    versions = [f'{n} {machine[n]}' for n in names if n in machine]
    where = [
        machine.get('cpu', ''),
        machine.get('cpu_features', ''),
        f'{machine["threads"]} thread, processor time' if machine else '',
        *versions,
    ]
    words = [f'{content["date"]}, commit {content["commit"]}', *where]
    settings = content.get('settings')
    if settings:
        words.append(f'median of {settings["repeats"]} calls in turn')
    command = ' '.join(f"'{w}'" if ' ' in w else w for w in content['command'])
    return f'*{", ".join(filter(None, words))}:* `{command}`'


# -------------------------------------------------------------------- tables


def per_image(result: Result, model: str, runtime: str, batch: int) -> str:
    """Return milliseconds an image."""
    value = result.ms(model, runtime, batch)
    return number(None if value is None else value / batch)


#: The picture that the run draws.
PICTURE = '![AP as published over latency](assets/accuracy_latency.png)'


def write_runtimes(results: dict[str, Result]) -> str:
    """Every model in every runtime, milliseconds an image."""
    result = results['runtimes']
    cases = [
        (runtime, batch)
        for runtime in ('eager', 'fused', 'onnxruntime', 'openvino')
        for batch in (1, 8)
    ]
    head = ['model', 'AP (published)', 'parameters']
    head += [f'{runtime}, {batch}' for runtime, batch in cases]
    head.append('deviation')
    rows = []
    for name, model in result.models.items():
        published = model.get('published')
        deviations = [
            result.row(name, runtime).get('deviation')
            for runtime in ('onnxruntime', 'openvino')
        ]
        known = [d for d in deviations if d is not None]
        rows.append(
            [
                name,
                f'{100 * published["value"]:.1f}' if published else '',
                f'{model["parameters"] / 1e6:.1f} M',
                *(per_image(result, name, *case) for case in cases),
                f'{max(known):.0e}' if known else '',
            ]
        )
    return f'{markdown(head, rows)}\n\n{PICTURE}'


def batch_ratio(
    find_ms: Callable[..., float | None], model: str
) -> float | None:
    """Return the time per image at batch 8 over that at batch 1.

    Args:
        find_ms: ``ms`` or ``least_ms`` of a result.
        model: Its label.
    """
    eight, one = (find_ms(model, 'onnxruntime', batch) for batch in (8, 1))
    value = ratio(eight, one)
    return None if value is None else value / 8


def write_batches(results: dict[str, Result]) -> str:
    """Exported GTPT, milliseconds an image of single images and batches."""
    result = results['batches']
    rows = [
        [
            name,
            *(per_image(result, name, 'onnxruntime', n) for n in (1, 8)),
            number(batch_ratio(result.ms, name)),
        ]
        for name in result.models
    ]
    head = ['model', 'an image, batch 1', 'an image, batch 8', '8 to 1']
    return markdown(head, rows)


def write_int8(results: dict[str, Result]) -> str:
    """Precisions of the runtimes, milliseconds at batch 1."""
    result = results['int8']
    cases = [
        ('onnxruntime', 'fp32'), ('onnxruntime', 'int8'),
        ('openvino', 'fp32'), ('openvino', 'int8'),
    ]  # fmt: skip
    rows = [
        [name, *(number(result.ms(name, r, 1, p)) for r, p in cases)]
        for name in result.models
    ]
    return markdown(['model', *(f'{r} {p}' for r, p in cases)], rows)


def write_sizes_and_times(
    result: Result,
    cases: Sequence[tuple[str, int]],
    peak: tuple[str, int] | None = None,
    first: str | None = None,
) -> str:
    """Return parameters, GMACs and milliseconds of a call, model by model.

    Args:
        result: The run.
        cases: Runtimes and batch sizes.
        peak: Case whose peak of memory is shown.
        first: Model that the times are compared with; None for none.
    """
    head = ['model', 'parameters', 'GMACs']
    for runtime, batch in cases:
        head.append(f'{runtime}, {batch}: ms')
        head += ['x'] if first else []
    head += [f'peak MiB, {peak[0]}, {peak[1]}'] if peak else []
    rows = []
    for name, model in result.models.items():
        macs = model['macs_operators']
        cells = [
            name,
            f'{model["parameters"] / 1e6:.1f} M',
            '' if macs is None else f'{macs / 1e9:.2f}',
        ]
        for case in cases:
            value = result.ms(name, *case)
            cells.append(number(value))
            if first:
                other = result.ms(first, *case)
                cells.append(number(ratio(value, other)))
        if peak:
            memory = result.row(name, *peak).get('peak_bytes')
            cells.append(number(memory / 2**20 if memory else None))
        rows.append(cells)
    return markdown(head, rows)


def write_vitpose(results: dict[str, Result]) -> str:
    """ViTPose beside mmpose's and Hugging Face's."""
    cases = [
        ('eager', 1), ('eager', 8), ('onnxruntime', 1), ('onnxruntime', 8),
    ]  # fmt: skip
    result = results['vitpose']
    return write_sizes_and_times(
        result, cases, ('eager', 8), next(iter(result.models))
    )


def write_training(result: Result, batch: int) -> str:
    """Return the steps of a run: time, to the first model, and memory."""
    rows = []
    first = result.ms(
        next(iter(result.models)), 'eager', batch, task='training'
    )
    for name in result.models:
        row = result.row(name, 'eager', batch, task='training')
        memory = row.get('peak_bytes')
        value = row.get('median_ms')
        rows.append(
            [
                name,
                number(value),
                number(ratio(value, first)),
                number(memory / 2**20 if memory else None),
            ]
        )
    return markdown(['model', 'ms', 'x first', 'peak MiB'], rows)


def write_gtpt(results: dict[str, Result]) -> str:
    """GTPT-S whole-body beside ResNet-50, inference and training."""
    result = results['gtpt']
    base, model = 'ResNet-50', 'GTPT-S whole body'
    rows = []
    for task, runtime, precision, batch in (
        ('inference', 'eager', 'fp32', 8),
        ('inference', 'fused', 'fp32', 8),
        ('training', 'eager', 'fp32', 8),
    ):
        row = result.row(model, runtime, batch, precision, task)
        value = row.get('median_ms')
        memory = row.get('peak_bytes')
        rows.append(
            [
                f'{task}, {runtime} {precision}',
                str(batch),
                number(value),
                number(ratio(1000 * batch, value)),
                number(memory / 2**20 if memory else None),
                number(ratio(value, result.ms(base, 'eager', batch))),
            ]
        )
    head = [model, 'batch', 'ms', 'images/s', 'peak MiB', 'x ResNet-50']
    return markdown(head, rows)


def write_pruning(results: dict[str, Result]) -> str:
    """Pruned beside unpruned."""
    result = results['pruning']
    rows = []
    for runtime in ('eager', 'onnxruntime'):
        for batch in (1, 8):
            times = [
                result.ms(name, runtime, batch)
                for name in ('pruned', 'unpruned')
            ]
            rows.append(
                [
                    runtime,
                    str(batch),
                    *map(number, times),
                    number(ratio(times[1], times[0])),
                ]
            )
    head = ['fp32', 'batch', 'pruned, ms', 'unpruned, ms']
    return markdown([*head, 'unpruned / pruned'], rows)


def write_hevitpose(results: dict[str, Result]) -> str:
    """HEViTPose beside mmpose's backbones."""
    cases = [(r, b) for b in (1, 8) for r in ('eager', 'fused')]
    return write_sizes_and_times(results['hevitpose'], cases, ('fused', 8))


def write_group_pose(results: dict[str, Result]) -> str:
    """Group Pose beside ED-Pose."""
    cases = [('eager', 1), ('fused', 1), ('onnxruntime', 1)]
    return write_sizes_and_times(results['group_pose'], cases, ('fused', 1))


def write_windows(results: dict[str, Result]) -> str:
    """Attention in windows: inference, and the training step."""
    result = results['windows']
    first = next(iter(result.models))
    rows = []
    for name in result.models:
        one = result.ms(name, 'eager', 1)
        step = result.row(name, 'eager', 2, task='training')
        value, memory = step.get('median_ms'), step.get('peak_bytes')
        base = result.ms(first, 'eager', 2, task='training')
        rows.append(
            [
                name,
                number(one),
                number(ratio(one, result.ms(first, 'eager', 1))),
                number(value),
                number(ratio(value, base)),
                number(memory / 2**20 if memory else None),
            ]
        )
    head = ['attention', '1 image, ms', 'x full', 'training step of 2, ms']
    return markdown([*head, 'x full', 'peak in training, MiB'], rows)


# --------------------------------------------------------------------- goals


@dataclass(frozen=True)
class Goal:
    """A goal of speed.

    Attributes:
        text: The goal in words.
        run: Name of the run that shows it.
        measure: Returns the figure; None if it was not measured.
        limit: Bound of the figure.
        at_least: Whether ``limit`` is a lower bound.
        why: Link to the profile that explains why the goal is not met.
    """

    text: str
    run: str
    measure: Callable[[Result], float | None]
    limit: float
    at_least: bool = False
    why: str = ''

    def row(self, results: dict[str, Result]) -> list[str]:
        """Return the line of the table."""
        value = (
            self.measure(results[self.run]) if self.run in results else None
        )
        sign = '>=' if self.at_least else '<='
        verdict = 'not measured'
        if value is not None:
            is_met = value >= self.limit if self.at_least else (
                value <= self.limit
            )  # fmt: skip
            verdict = 'met'
            if not is_met:
                verdict = '**not met**'
                if self.why:
                    verdict += f', [why]({self.why})'
        return [self.text, f'{sign} {self.limit:g}', number(value), verdict]


def _times(
    above: Sequence[Any], below: Sequence[Any]
) -> Callable[[Result], float | None]:
    """Return the ratio of two cases: arguments of :meth:`Result.row`."""
    return lambda result: ratio(
        result.least_ms(*above), result.least_ms(*below)
    )


def _batches(result: Result) -> float | None:
    """Return the time per image at batch 8 over batch 1; the worst GTPT."""
    found = [batch_ratio(result.least_ms, name) for name in result.models]
    return max(found) if found and None not in found else None


def _memory(result: Result) -> float | None:
    row = result.row('GTPT-S whole body', 'eager', 8, task='training')
    return row['peak_bytes'] / 1e9 if row else None


def _inferencers(model: str) -> Callable[[Result], float | None]:
    """Return how many times as fast PoseInferencer is, in the worst table."""
    return lambda result: min(
        result.printed('ratio', model, 'auto'), default=None
    )


SAMPLE = 'ms a sample'


def _loading(label: str) -> Callable[[Result], float | None]:
    """Return the milliseconds of a sample."""
    return lambda result: next(iter(result.printed(SAMPLE, label)), None)


def _loading_to_stock(result: Result) -> float | None:
    """Return GTPT's pipeline to mmpose's; the others have mmpose's own."""
    stock = 'td-hm_res50_8xb64-210e_coco-256x192'
    return ratio(_loading('GTPT')(result), _loading(stock)(result))


ORT = 'onnxruntime'
STEP = ('eager', 12, 'fp32', 'training')
GOALS = (
    Goal(
        'GTPT-T to RTMPose-s, onnxruntime',
        'runtimes',
        _times(('GTPT-T', ORT), ('RTMPose-s', ORT)),
        1.15,
        why='export_speed.md#floors',
    ),
    Goal(
        'GTPT-S whole body to RTMPose-m whole body, onnxruntime',
        'runtimes',
        _times(('whole body: GTPT-S', ORT), ('whole body: RTMPose-m', ORT)),
        1.0,
        why='export_speed.md#floors',
    ),
    Goal(
        'GTPT an image, batch 8 to batch 1, the worst, onnxruntime',
        'batches',
        _batches,
        1.0,
        why='export_speed.md#floors',
    ),
    Goal(
        'HEViTPose-T to RTMPose-m, onnxruntime',
        'runtimes',
        _times(('HEViTPose-T', ORT), ('RTMPose-m', ORT)),
        1.0,
    ),
    Goal(
        'ViTPose-S to RTMPose-m, onnxruntime',
        'runtimes',
        _times(('ViTPose-S', ORT), ('RTMPose-m', ORT)),
        2.4,
        why='export_speed_vit.md#where-the-time-of-vitpose-s-goes',
    ),
    Goal(
        "ViTPose-B to Hugging Face's VitPose-B, onnxruntime",
        'vitpose',
        _times(('ViTPose-B, gtpt_mm', ORT), ('VitPose-B, Hugging Face', ORT)),
        1.0,
        why='#vitpose-beside-its-peers',
    ),
    Goal(
        'Group Pose R50 at 480x800, onnxruntime to eager',
        'group_pose',
        _times(('Group Pose, gtpt_mm', ORT), ('Group Pose, gtpt_mm', 'eager')),
        0.6,
        why='models/group_pose.md#onnx',
    ),
    *(
        Goal(
            f'{name}, int8 to fp32, onnxruntime',
            'int8',
            _times((name, ORT, 1, 'int8'), (name, ORT)),
            0.65,
            why='export_int8.md#speed',
        )
        for name in ('GTPT-T', 'ViTPose-S')
    ),
    Goal(
        'training step of GTPT-S whole body at 8, to ResNet-50 eager at 8',
        'gtpt',
        _times(
            ('GTPT-S whole body', 'eager', 8, 'fp32', 'training'),
            ('ResNet-50', 'eager', 8),
        ),
        3.3,
        why='training_speed.md#gtpt-s-whole-body',
    ),
    Goal('its peak memory, GB', 'gtpt', _memory, 1.2),
    Goal(
        "training step of ViTPose-B at 12, to mmpose's",
        'vitpose_training',
        _times(('ViTPose-B, gtpt_mm', *STEP), ('ViTPose-B, mmpose', *STEP)),
        1.0,
    ),
    Goal(
        'training step of six datasets at 12, to one dataset',
        'vitpose_training',
        _times(
            ('ViTPose++-B, as the official code', *STEP),
            ('ViTPose-B, gtpt_mm', *STEP),
        ),
        1.15,
        why='training_speed.md#six-datasets-at-once',
    ),
    Goal(
        'loading a sample of Group Pose, ms',
        'loader',
        _loading('GroupPose'),
        6.0,
        why='#loading',
    ),
    Goal(
        "loading a sample of GTPT to mmpose's ResNet-50",
        'loader',
        _loading_to_stock,
        1.0,
    ),
    *(
        Goal(
            f'pictures a second of {name}, PoseInferencer(auto) to mmpose',
            'end_to_end',
            _inferencers(name),
            1.8,
            at_least=True,
            why='#inference-beside-mmposes',
        )
        for name in ('GTPT-T', 'ViTPose-S')
    ),
)


def write_goals(results: dict[str, Result]) -> str:
    """Every goal, its measured ratio, and whether it is met."""
    rows = [goal.row(results) for goal in GOALS]
    return markdown(['goal', 'limit', 'measured', ''], rows)


def read_text(result: Result) -> str:
    """Return what a script has printed, without the lines of a log."""
    lines = result.content['text'].strip().splitlines()
    kept = (line for line in lines if ' - mmengine - ' not in line)
    return '\n'.join(re.sub(' {2,}', ' ', line) for line in kept)


#: Name of a table: the runs that it needs, and the function that writes it.
#: The goals are written from all available runs.
TABLES: dict[
    str, tuple[tuple[str, ...], Callable[[dict[str, Result]], str]]
] = {
    'runtimes': (('runtimes',), write_runtimes),
    'goals': ((), write_goals),
    'batches': (('batches',), write_batches),
    'int8': (('int8',), write_int8),
    'vitpose': (('vitpose',), write_vitpose),
    'vitpose_training': (
        ('vitpose_training',),
        lambda results: write_training(results['vitpose_training'], 12),
    ),
    'windows': (('windows',), write_windows),
    'gtpt': (('gtpt',), write_gtpt),
    'pruning': (('pruning',), write_pruning),
    'hevitpose': (('hevitpose',), write_hevitpose),
    'group_pose': (('group_pose',), write_group_pose),
    'loader': (('loader',), lambda results: read_text(results['loader'])),
    'end_to_end': (
        ('end_to_end',),
        lambda results: read_text(results['end_to_end']),
    ),
}
