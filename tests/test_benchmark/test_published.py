"""Accuracies of papers, and the figure that marks them as such."""

import json
import re

import pytest

from gtpt_mm.benchmark import (
    Benchmark,
    BenchmarkConfig,
    Case,
    ModelCost,
    Timing,
    find_bubbles,
    find_config,
    plot_accuracy,
    to_json,
)
from gtpt_mm.benchmark.published import Published, find_published


@pytest.mark.parametrize(
    'name, value, dataset',
    [
        ('rtmpose-t_8xb256-420e_coco-256x192', 0.682, 'COCO'),
        ('rtmpose-s_8xb256-420e_coco-256x192', 0.716, 'COCO'),
        ('rtmpose-m_8xb256-420e_coco-256x192', 0.746, 'COCO'),
        (
            'rtmpose-m_8xb64-270e_coco-wholebody-256x192',
            0.582,
            'COCO-WholeBody',
        ),
        ('gtpt-t', 0.711, 'COCO'),
        ('gtpt-s-wholebody', 0.596, 'COCO-WholeBody'),
        ('vitpose-plus-b', 0.77, 'COCO'),
    ],
)
def test_values(name, value, dataset):
    found = find_published(find_config(name))
    assert found.value == pytest.approx(value)
    assert found.dataset == dataset


def test_models_without_one(tmp_path):
    assert find_published(find_config('gtpt-t-384')) is None
    copy = tmp_path / find_config('gtpt-t').name
    copy.write_text('model = dict()')
    assert find_published(copy) is None


@pytest.mark.parametrize(
    'page, names',
    [
        ('gtpt', [f'gtpt-{s}' for s in 'tsb']),
        ('gtpt', [f'gtpt-{s}-wholebody' for s in 'tsb']),
        ('vitpose', [f'vitpose-{s}' for s in 'sblh']),
        ('vitpose', [f'vitpose-{s}-simple' for s in 'sblh']),
        ('vitpose_plus', [f'vitpose-plus-{s}' for s in 'sblh']),
        (
            'group_pose',
            [f'group-pose-{s}' for s in ('r50', 'swin-t', 'swin-l')],
        ),
    ],
)
def test_values_are_those_of_the_models_pages(page, names, repo_root):
    text = (repo_root / f'docs/models/{page}.md').read_text()
    values = [100 * find_published(find_config(n)).value for n in names]
    rows = [
        [float(v) for v in re.findall(r'\d\d\.\d', row)]
        for row in re.findall(r'^\| AP on COCO.*$', text, re.M)
    ]
    assert any(
        all(v in row for v in map(lambda v: round(v, 1), values))
        for row in rows
    )


def timing(model, ms, runtime, precision='fp32'):
    return Timing(
        model,
        Case('inference', runtime, precision, 1),
        wall_seconds=[ms / 1000],
    )


@pytest.fixture
def benchmark_result():
    published = Published(0.711, 'COCO', 'a paper')
    cost = ModelCost('a', 'a.py', (192, 256), 2_400_000, 0, 1, 1, published)
    other = ModelCost('b', 'b.py', (192, 256), 9_000_000, 0, 1, 1)
    timings = [
        timing('a', 30, 'eager'),
        timing('b', 20, 'eager'),
        timing('a', 14, 'onnxruntime'),
        timing('a', 9, 'onnxruntime', 'int8'),
    ]
    machine = dict(cpu='a processor', threads=1)
    return Benchmark(machine, BenchmarkConfig(), [cost, other], timings)


def test_json_names_what_a_published_figure_is(benchmark_result):
    first, second = json.loads(to_json(benchmark_result))['models']
    assert first['published'] == dict(
        value=0.711, dataset='COCO', source='a paper'
    )
    assert second['published'] is None


def test_papers_speak_of_fp32_and_are_marked(benchmark_result):
    panels = find_bubbles(benchmark_result)
    assert list(panels) == ['AP on COCO as published']
    [bubbles] = panels.values()
    assert [(b.model, b.runtime, b.is_measured) for b in bubbles] == [
        ('a', 'eager fp32', False),
        ('a', 'onnxruntime fp32', False),
    ]
    assert [b.milliseconds for b in bubbles] == pytest.approx([30, 14])
    assert bubbles[0].accuracy == pytest.approx(71.1)


def test_figure_says_that_hollow_is_published(benchmark_result, tmp_path):
    plot_accuracy(benchmark_result, tmp_path / 'x.svg')
    text = (tmp_path / 'x.svg').read_text()
    assert "hollow: the papers' AP" in text
    assert 'filled: measured' not in text


def test_nothing_to_draw(benchmark_result, tmp_path):
    benchmark_result.timings = [timing('b', 20, 'eager')]
    with pytest.raises(ValueError, match='no accuracy is known'):
        plot_accuracy(benchmark_result, tmp_path / 'x.png')
