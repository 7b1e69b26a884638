"""``gtpt-mm run``: a script runs as python would run it, gtpt_mm beneath."""

import subprocess
import sys

import pytest

from gtpt_mm.cli import main
from gtpt_mm.cli.run import find_script

SCRIPT = """\
import pickle, sys
import __main__, beside

class Thing:
    pass

assert 'gtpt_mm' in sys.modules
assert __main__.Thing is Thing
pickle.loads(pickle.dumps(Thing()))
print(__name__, sys.argv, beside.VALUE)
if sys.argv[1:] == ['fail']:
    raise RuntimeError('boom')
sys.exit(7)
"""


@pytest.fixture
def script(tmp_path):
    (tmp_path / 'beside.py').write_text('VALUE = 3\n')
    path = tmp_path / 'script.py'
    path.write_text(SCRIPT)
    return path


def _run(*words):
    return subprocess.run(
        [sys.executable, '-m', 'gtpt_mm', 'run', *map(str, words)],
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_script_runs_as_under_python(script):
    done = _run(script, '--flag', '-h', '--', 'x')
    assert done.returncode == 7, done.stderr
    argv = [str(script), '--flag', '-h', '--', 'x']
    assert f'__main__ {argv} 3' in done.stdout


def test_the_traceback_is_that_of_the_script(script):
    done = _run(script, 'fail')
    assert done.returncode == 1
    assert f'File "{script}", line 12' in done.stderr
    assert done.stderr.rstrip().endswith('RuntimeError: boom')
    assert 'runpy' not in done.stderr and 'cli/run.py' not in done.stderr


def test_demos_of_mmpose_are_found_by_name():
    for name in ('inferencer_demo.py', 'inferencer_demo', 'image_demo.py'):
        assert 'mmpose' in find_script(name)


def test_unknown_scripts(capsys, script):
    assert main(['run', 'inferncer_demo.py']) == 2
    words = 'no script inferncer_demo.py; did you mean inferencer_demo.py'
    assert words in capsys.readouterr().err
    assert main(['run', str(script.with_name('scrpt.py'))]) == 2
    assert 'did you mean script.py' in capsys.readouterr().err
    assert main(['run', 'qqq']) == 2
    assert "mmpose's demos are body3d" in capsys.readouterr().err
