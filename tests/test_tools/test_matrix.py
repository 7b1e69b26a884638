"""The matrix of stacks, and the table that it leaves in docs/install.md."""

import json
import re
import subprocess
import sys

import pytest
from support.tools import load_tool

tool = load_tool('matrix')


def test_the_page_has_the_table(repo_root):
    results = json.loads(tool.RESULTS.read_text())
    page = (repo_root / 'docs/install.md').read_text()
    assert tool.format_table(results) in page
    assert tool.update_page(page, results) == page


def test_the_oldest_row_is_what_is_declared(repo_root):
    pins = dict(pin.split('==') for pin in tool.ROWS['oldest'].pins)
    for file in ('runtime', 'mminstall'):
        text = (repo_root / f'requirements/{file}.txt').read_text()
        for name, bound in re.findall(r'^([\w-]+)>=([\d.]+)', text, re.M):
            if name in pins:
                assert pins.pop(name).removesuffix('.*') == bound, name
    assert not pins


def test_rows_have_tests_that_exist(repo_root):
    for path in tool.TESTS:
        file, _, name = path.partition('::')
        assert (repo_root / file).exists(), path
        assert not name or f'def {name}(' in (repo_root / file).read_text()


def test_a_stack_that_has_not_run_is_named():
    results = dict(oldest=dict(python='3.11', error='no wheel'))
    page = tool.update_page('a\n' + ''.join(tool.MARKS) + 'b\n', results)
    assert page.startswith('a\n' + tool.MARKS[0] + '| stack |')
    assert '| oldest | 3.11 |' in page and 'not installed |' in page
    assert 'Not run yet: `middle`, ' in page
    assert page.endswith(tool.MARKS[1] + 'b\n')
    assert tool.update_page(page, results) == page


def test_outcomes_are_found_before_other_output():
    """triton prints leaks at exit, in Python 3.13."""
    printed = '..\n2 passed, 1 skipped in 1.5s (0:00:01)\n4 leaks found in 2s'
    found = tool.read_outcomes(printed)
    assert (found['passed'], found['skipped']) == (2, 1)


def test_tests_that_crash_are_said(monkeypatch):
    row = dict(versions={})
    row |= tool.read_outcomes('ERROR: no such file')
    assert 'no summary' in row['error']
    assert tool.format_outcome(row) == 'tests crashed'

    def abort(*args):
        raise subprocess.CalledProcessError(-6, 'pytest', '3 passed in 1s')

    env = object.__new__(tool.Environment)
    monkeypatch.setattr(env, 'run', abort)
    assert env.try_tests(('tests',))['error'].startswith('pytest: -6')


def test_outcomes_are_read():
    printed = (
        'FAILED a.py::b - x\nERROR c.py\n= 3 passed, 1 failed, 1 error in 2s ='
    )
    assert tool.read_outcomes(printed) == dict(
        passed=3, failed=2, skipped=0, names=['a.py::b', 'c.py']
    )


def test_a_row_that_cannot_be_installed_is_said(monkeypatch, tmp_path):
    """The folder is removed, the log is kept, other rows go on."""

    def fail(self):
        self.run('-c', 'print("no such wheel"); raise SystemExit(1)')

    monkeypatch.setattr(tool.Environment, 'install', fail)
    monkeypatch.setattr(tool, 'VENV', (*tool.VENV, '--without-pip'))
    monkeypatch.setattr(tool, 'find_python', lambda version: sys.executable)
    out = tmp_path / 'build/matrix.json'
    scratch = tmp_path / 'scratch'
    scratch.mkdir()
    arguments = ['--out', str(out), '--scratch', str(scratch)]
    assert tool.main(['--rows', 'oldest', 'middle', *arguments]) == 1
    results = json.loads(out.read_text())
    assert [*results] == ['oldest', 'middle']
    assert 'no such wheel' in results['oldest']['error']
    assert [path.name for path in scratch.iterdir()] == ['log.txt']
    assert 'not installed' in tool.format_table(results)


def test_an_interpreter_that_is_missing():
    with pytest.raises(SystemExit, match=r'no Python 2\.0'):
        tool.find_python('2.0')


def test_help():
    command = [sys.executable, tool.__file__, '--help']
    done = subprocess.run(command, capture_output=True, text=True)
    assert '--scratch' in done.stdout
