"""The script that measures what docs/benchmarks.md shows."""

import argparse
import importlib
import json
import re
import subprocess
import sys

import pytest

from gtpt_mm.benchmark import parse_models
from gtpt_mm.cli import benchmark as command


def parse(run):
    """Return the arguments of a run, as the command line gives them."""
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    name, *words = run.command(quick=False)
    assert name == 'benchmark'
    return parser.parse_args(words)


@pytest.fixture
def script(repo_root, monkeypatch):
    monkeypatch.syspath_prepend(str(repo_root / 'tools'))
    monkeypatch.chdir(repo_root)
    return importlib.import_module('make_benchmarks')


@pytest.fixture
def tables(script):
    return importlib.import_module('benchmark_tables')


def entry(model, ms, runtime='eager', batch=1, precision='fp32', **more):
    return dict(
        model=model, runtime=runtime, batch_size=batch, precision=precision,
        task='inference', error=None, median_ms=ms, peak_bytes=2**20,
    ) | more  # fmt: skip


def make_result(tables, *rows, **more):
    names = dict.fromkeys(row['model'] for row in rows)
    models = [
        dict(model=n, parameters=2_400_000, macs_operators=10**9)
        for n in names
    ]
    content = dict(
        models=models, rows=list(rows), date='2026-11-29', commit='abc1234',
        command=['gtpt-mm', 'benchmark', 'gtpt-t', 'label=whole body'],
        machine=dict(cpu='a processor', threads=1, torch='2.14'),
        settings=dict(repeats=7),
    )  # fmt: skip
    return tables.Result(content | more)


def test_every_run_is_a_command_that_parses(script):
    for name, run in script.RUNS.items():
        if isinstance(run, script.Script):
            first, *_ = run.command(quick=False)
            assert first == '-m' or (script.ROOT / first).is_file()
            continue
        choices = parse_models(parse(run).models)
        assert [c.label for c in choices] == list(run.models), name


def test_page_has_the_markers_of_every_table(script, tables):
    text = script.PAGE.read_text(encoding='utf-8')
    found = re.findall(r'<!-- table: (\w+) -->', text)
    assert sorted(found) == sorted(tables.TABLES)
    for needed, _ in tables.TABLES.values():
        assert set(needed) <= set(script.RUNS)


def test_goals_are_of_models_that_are_measured(script, tables):
    """Each goal is measured of a run whose cases all are there."""
    for goal in tables.GOALS:
        run = script.RUNS[goal.run]
        if isinstance(run, script.Script):
            continue
        args = parse(run)
        names = dict(torch='eager')
        rows = [
            entry(model, 6.0 * batch, names.get(runtime, runtime), batch, p)
            for model in run.models
            for batch in args.batch_sizes
            for runtime in args.runtime
            for p in args.precision
        ]
        rows += [
            entry(model, 6.0, batch=batch, precision=p, task='training')
            for model in run.models
            for batch in args.train or ()
            for p in args.precision
        ]
        value = goal.measure(make_result(tables, *rows))
        assert value is not None, goal.text


@pytest.mark.parametrize(
    'ours, verdict, shown',
    [(9.0, 'met', '0.90'), (12.0, '**not met**', '1.20')],
)
def test_goal(tables, ours, verdict, shown):
    goal = next(g for g in tables.GOALS if 'HEViTPose-T' in g.text)
    result = make_result(
        tables,
        entry('HEViTPose-T', ours, 'onnxruntime'),
        entry('RTMPose-m', 10.0, 'onnxruntime'),
    )
    assert goal.row(dict(runtimes=result)) == [
        goal.text, '<= 1', shown, verdict,
    ]  # fmt: skip
    assert goal.row({})[2:] == ['', 'not measured']


def test_batches_are_compared_by_image(tables):
    goal = next(g for g in tables.GOALS if 'batch 8' in g.text)
    rows = [
        entry('GTPT-T', 10.0, 'onnxruntime'),
        entry('GTPT-T', 76.0, 'onnxruntime', 8),
        entry('GTPT-S', 20.0, 'onnxruntime'),
        entry('GTPT-S', 168.0, 'onnxruntime', 8),
    ]
    result = make_result(tables, *rows)
    assert goal.row(dict(batches=result))[2] == '1.05'
    table = tables.TABLES['batches'][1](dict(batches=result))
    assert '| GTPT-T | 10.0 | 9.50 | 0.95 |' in table
    assert '| GTPT-S | 20.0 | 21.0 | 1.05 |' in table
    failed = entry('GTPT-B', 1.0, 'onnxruntime', error='no')
    result = make_result(tables, *rows, failed)
    assert goal.row(dict(batches=result))[2:] == ['', 'not measured']


def test_a_goal_that_is_missed_names_its_profile(tables, repo_root):
    goal = next(g for g in tables.GOALS if 'ViTPose-S to' in g.text)
    result = make_result(
        tables,
        entry('ViTPose-S', 25.0, 'onnxruntime'),
        entry('RTMPose-m', 10.0, 'onnxruntime'),
    )
    verdict = goal.row(dict(runtimes=result))[-1]
    assert verdict == f'**not met**, [why]({goal.why})'
    for goal in tables.GOALS:
        page, _, anchor = goal.why.partition('#')
        text = (repo_root / 'docs' / (page or 'benchmarks.md')).read_text()
        headings = [s for s in text.splitlines() if s.startswith('#')]
        names = [
            re.sub(r"[,']", '', h.lstrip('# ').lower()).replace(' ', '-')
            for h in headings
        ]
        assert not goal.why or anchor in names, goal.why


def test_goal_of_a_script_is_that_of_its_worst_table(tables):
    text = """
one clip: 2 pictures

| model | runtime | ratio |
|---|---|---|
| GTPT-T | torch | 1.20 |
| GTPT-T | auto | 2.10 |
| ViTPose-S | auto | 1.90 |

another

| model | runtime | ratio |
|---|---|---|
| GTPT-T | auto | 1.70 |
"""
    result = make_result(tables, text=text)
    rows = [g.row(dict(end_to_end=result))[1:] for g in tables.GOALS[-2:]]
    assert rows == [
        ['>= 1.8', '1.70', f'**not met**, [why]({tables.GOALS[-1].why})'],
        ['>= 1.8', '1.90', 'met'],
    ]


def test_lines_of_a_log_do_not_reach_the_page(tables):
    text = '1/1 - mmengine - INFO - /a/b: read\n| a   |  b |\n| 1 | 2 |\n'
    table = tables.TABLES['loader'][1]
    results = dict(loader=make_result(tables, text=text))
    assert table(results) == '| a | b |\n| 1 | 2 |'


def test_a_case_that_failed_has_no_figure(tables):
    result = make_result(tables, entry('a', 5.0), entry('b', 1.0, error='no'))
    assert result.ms('a', 'eager') == 5.0
    assert result.ms('b', 'eager') is None
    assert result.ms('a', 'eager', 8) is None


def test_tables_are_written_between_their_markers(script, tables, tmp_path):
    page = tmp_path / 'page.md'
    page.write_text(
        'Hand-written.\n\n'
        + '\n'.join(
            f'<!-- table: {name} -->\nold\n<!-- end: {name} -->\n\n'
            f'After {name}.'
            for name in tables.TABLES
        )
    )
    result = make_result(
        tables,
        entry('pruned', 10.0),
        entry('unpruned', 13.0),
        entry('pruned', 4.0, 'onnxruntime', 8),
    )
    written = script.write_page(page, dict(pruning=result))
    assert written == ['goals', 'pruning']
    text = page.read_text()
    assert text.startswith('Hand-written.\n\n')
    assert (
        'After pruning.' in text
        and text.count('old') == len(tables.TABLES) - 2
    )
    assert '| eager | 1 | 10.0 | 13.0 | 1.30 |' in text
    assert '| onnxruntime | 8 | 4.00 |  |  |' in text
    described = text.partition('<!-- end: pruning -->')[0].splitlines()[-2]
    assert described == (
        '*2026-11-29, commit abc1234, a processor, 1 thread, processor time, '
        'torch 2.14, median of 7 calls in turn:* `gtpt-mm benchmark gtpt-t '
        "'label=whole body'`"
    )
    again = page.read_text()
    script.write_page(page, dict(pruning=result))
    assert page.read_text() == again


def test_page_without_a_marker(script, tmp_path):
    (tmp_path / 'page.md').write_text('nothing')
    with pytest.raises(ValueError, match='table: runtimes --> and <!-- end'):
        script.write_page(tmp_path / 'page.md', {})


def test_quick(script, tmp_path, repo_root):
    page = tmp_path / 'page.md'
    page.write_text(script.PAGE.read_text(encoding='utf-8'))
    done = subprocess.run(
        [
            sys.executable, 'tools/make_benchmarks.py', '--quick',
            '--only', 'windows', '--page', str(page),
            '--work', str(tmp_path / 'work'),
        ],
        cwd=repo_root, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert 'wrote goals, windows in' in done.stdout
    content = json.loads((tmp_path / 'work/windows.json').read_text())
    assert [m['model'] for m in content['models']] == ['full', '8 x 8']
    assert content['commit']
    row = re.search(r'^\| full \| ([\d.]+) \| 1.00 \|', page.read_text(), re.M)
    assert float(row[1]) > 0


def test_a_run_that_fails_is_named(script, tmp_path, monkeypatch):
    monkeypatch.setitem(script.RUNS, 'windows', script.Script('no_such.py'))
    with pytest.raises(
        RuntimeError, match='windows failed, see .*windows.log'
    ):
        script.execute('windows', tmp_path, quick=True)
    assert 'no_such.py' in (tmp_path / 'windows.log').read_text()
