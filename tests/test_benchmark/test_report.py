import json

import cv2
import pytest

from gtpt_mm.benchmark import (
    Benchmark,
    BenchmarkConfig,
    Case,
    ModelCost,
    Timing,
    format_report,
    plot_report,
    to_json,
)

MACHINE = dict(cpu='a processor', threads=1, date='today')


def row(model, ms, task='inference', precision='fp32', batch=8, **kwargs):
    seconds = [t / 1000 for t in ms]
    return Timing(
        model,
        Case(task, 'eager', precision, batch),
        wall_seconds=seconds,
        cpu_seconds=seconds,
        peak_bytes=3 * 2**20,
        **kwargs,
    )


@pytest.fixture
def benchmark_result():
    return Benchmark(
        MACHINE,
        BenchmarkConfig(precisions=('fp32', 'bf16'), batch_sizes=(8,)),
        [
            ModelCost(
                'big', 'big.py', (192, 256), 34_000_000, 34_000_000, 5, 4
            ),
            ModelCost(
                'small', 'small.py', (192, 256), 2_372_864, 2_000_000, 2, 1
            ),
        ],
        [
            row('big', [90, 100, 110]),
            row('small', [20, 25, 30]),
            row('big', [40, 50, 60], precision='bf16'),
            Timing(
                'small',
                Case('inference', 'eager', 'bf16', 8),
                error='not supported: no | kernel',
            ),
            row('big', [300], task='training'),
            row('small', [150], task='training', note='output not finite'),
        ],
    )


def cells(text, *start):
    """Return the cells of the line that starts with these."""
    for line in text.splitlines():
        found = [cell.strip() for cell in line.strip('|').split('|')]
        if tuple(found[: len(start)]) == start:
            return found[len(start) :]
    raise AssertionError(f'no line starts with {start}:\n{text}')


def test_tables(benchmark_result):
    text = format_report(benchmark_result)
    assert 'cpu a processor' in text
    assert cells(text, 'small', '256 x 192') == [
        '2.373', '2.000', '0.000', '0.000', '0.25',
    ]  # fmt: skip
    assert cells(text, 'small', 'inference', 'eager', 'fp32', '8') == [
        '25.0', '22.5 - 27.5', '320', '3.00', '0.25', '0.25',
    ]  # fmt: skip
    big = cells(text, 'big', 'inference', 'eager', 'bf16', '8')
    assert big[-2:] == ['1.00', '0.50']  # to itself; to its own fp32
    small = cells(text, 'small', 'training', 'eager', 'fp32', '8')
    assert small[0] == '150 (output not finite)'
    assert small[-2:] == ['0.50', '1.50']
    failed = cells(text, 'small', 'inference', 'eager', 'bf16', '8')
    assert failed == ['not supported [1]', '', '', '', '', '']
    assert text.endswith('\n\n[1] not supported: no | kernel')


def test_columns_are_aligned(benchmark_result):
    for table in format_report(benchmark_result).split('\n\n'):
        lines = [line for line in table.splitlines() if line[0] == '|']
        assert len({len(line) for line in lines}) <= 1


def test_only_sizes(benchmark_result):
    benchmark_result.timings = []
    text = format_report(benchmark_result)
    assert 'Median' not in text
    assert cells(text, 'big', '256 x 192')[0] == '34.000'


def test_json(benchmark_result):
    content = json.loads(to_json(benchmark_result))
    assert content['machine'] == MACHINE
    assert content['settings']['repeats'] == 10
    assert content['models'][1]['parameters'] == 2_372_864
    first, second, _, failed, *_ = content['rows']
    assert first['median_ms'] == pytest.approx(100)
    assert first['wall_seconds'] == [0.09, 0.1, 0.11]
    assert second['ratio_to_first'] == pytest.approx(0.25)
    assert second['images_per_second'] == pytest.approx(320)
    assert second['batch_size'] == 8
    assert failed['error'] == 'not supported: no | kernel'
    assert 'median_ms' not in failed


def test_plot(benchmark_result, tmp_path):
    benchmark_result.timings.append(row('big', [12, 14], batch=1))
    plot_report(benchmark_result, tmp_path / 'x.png')
    img = cv2.imread(str(tmp_path / 'x.png'))
    blue, orange = (  # matplotlib's first two colours, as (b, g, r)
        (abs(img.astype(int) - color).sum(-1) < 9).sum()
        for color in ((180, 119, 31), (14, 127, 255))
    )
    assert blue > orange > 100


def test_plot_needs_figures_and_a_format(benchmark_result, tmp_path):
    with pytest.raises(ValueError, match='x.xyz'):
        plot_report(benchmark_result, tmp_path / 'x.xyz')
    benchmark_result.timings = []
    with pytest.raises(ValueError, match='nothing was timed'):
        plot_report(benchmark_result, tmp_path / 'x.png')
