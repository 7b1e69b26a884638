"""The script for a CUDA machine, as far as a CPU can run it."""

import importlib.util
import json
import subprocess
import sys

import pytest


@pytest.fixture(scope='module')
def script(repo_root):
    path = repo_root / 'tools' / 'gpu_check.py'
    spec = importlib.util.spec_from_file_location('gpu_check', path)
    module = importlib.util.module_from_spec(spec)
    sys.modules['gpu_check'] = module  # dataclasses look it up
    spec.loader.exec_module(module)
    yield module
    del sys.modules['gpu_check']


@pytest.fixture
def run(script, tmp_path, monkeypatch):
    """Return a function that runs parts made of given lines of Python."""

    def run(lines: dict[str, str], limits=None, seconds=60.0):
        def command(name: str) -> list[str]:
            return [sys.executable, '-c', lines.get(name, '')]

        parts = {name: script.Part(None, 60) for name in lines}
        parts['slow'] = script.Part(None, 60, alone=False)
        monkeypatch.setattr(script, 'PARTS', parts)
        settings = script.Settings('cpu', False, tmp_path)
        limits = {name: 60.0 for name in ['start', *lines]} | (limits or {})
        runs = script.Runs(settings, seconds, command, limits)
        code = script.check(runs, list(lines))
        results = json.loads((tmp_path / 'gpu_check.json').read_text())
        return code, results, (tmp_path / 'gpu_check.md').read_text()

    return run


def test_a_part_that_fails_or_hangs_stops_no_other(run, tmp_path):
    row = json.dumps(dict(part='slow', model='m', ms=123.4, result='ok'))
    lines = {
        'bad': 'raise ValueError("no such | kernel")',
        'slow': f'print({row!r}, file=open({str(tmp_path / "slow.jsonl")!r},'
        '"w"), flush=True); import time; time.sleep(60)',
        'good': 'print("fine")',
    }
    code, content, table = run(lines, dict(slow=1.0))
    assert code == 1 and content['failed'] == ['slow', 'bad']
    results = {(r['part'], r['model']): r['result'] for r in content['rows']}
    assert results['slow', 'm'] == 'ok'  # written before its time was up
    assert results['slow', '(all)'].startswith('failed: out of time, after 1')
    assert results['bad', '(all)'].startswith('failed: exit code 1')
    assert results['bad', '(all)'].endswith('ValueError: no such | kernel')
    assert results['good', '(all)'].startswith('ok')
    assert '| slow | m |  |  |  | 123 |  |  | ok |' in table
    assert 'no such / kernel' in table  # the table keeps its columns
    assert table.startswith('# GPU check on a CPU (a trial)')


def test_no_part_outlives_the_whole_time(run):
    sleep = 'import time; time.sleep(60)'
    code, content, _ = run(dict(a=sleep, b=sleep), seconds=1.0)
    assert code == 1 and content['failed'] == ['a', 'b']


def test_nothing_runs_if_the_machine_has_no_gpu(run):
    lines = dict(start='raise SystemExit("no CUDA device")', a='')
    code, content, _ = run(lines)
    assert code == 1
    [row] = content['rows']
    assert row['result'].endswith('no CUDA device')


def test_a_failed_line_fails_its_part(run, tmp_path):
    row = json.dumps(dict(part='a', model='m', result='failed: NaN'))
    write = f'open({str(tmp_path / "a.jsonl")!r}, "w").write({row!r})'
    code, content, _ = run(dict(a=write))
    assert code == 1 and content['failed'] == ['a']


def test_training_and_timing_write_lines(script, tmp_path, monkeypatch):
    """One small part of each kind, in this process."""
    monkeypatch.chdir(tmp_path)
    settings = script.Settings('cpu', True, tmp_path)

    def read(name: str) -> list[dict]:
        rows = script.Rows(name, tmp_path / f'{name}.jsonl')
        script.PARTS[name].run(settings, rows)
        return [
            json.loads(line) for line in rows.file.read_text().splitlines()
        ]

    assert read('start')[0]['result'].endswith(' images')
    assert json.loads((tmp_path / 'machine.json').read_text())['torch']
    [row] = read('train-gtpt')
    assert row['result'].startswith('3 steps, loss ')
    assert row['ms'] > 0 and row['batch'] == 2
    [row] = read('graphs')
    assert row['mode'] == 'fused eager' and row['ms'] > 0
    rows = read('table8')
    assert {row['batch'] for row in rows} == {1, 2}
    assert {row['model'] for row in rows} == {
        'gtpt-t-wholebody',
        'gtpt-t-wholebody unpruned',
    }
    assert all(row['result'] == 'ok' for row in rows)
    # Dropped tokens are not stored.
    pruned, unpruned = (
        next(r for r in rows if r['batch'] == 2 and r['model'].endswith(end))
        for end in ('wholebody', 'unpruned')
    )
    assert 0 < pruned['peak_mib'] <= unpruned['peak_mib']


@pytest.mark.slow
def test_the_whole_script_on_a_cpu(repo_root, tmp_path, script):
    command = [sys.executable, 'tools/gpu_check.py', '--device', 'cpu']
    command += ['--quick', '--out', str(tmp_path)]
    done = subprocess.run(
        command, cwd=repo_root, capture_output=True, text=True, timeout=3600
    )
    content = json.loads((tmp_path / 'gpu_check.json').read_text())
    assert not content['failed'], done.stdout[-3000:]
    assert done.returncode == 0
    assert {row['part'] for row in content['rows']} == set(script.PARTS)
    families = {r['model'] for r in content['rows'] if 'steps' in r['result']}
    assert families == set(script.FAMILIES)
