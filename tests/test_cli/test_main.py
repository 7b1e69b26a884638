"""What ``gtpt-mm`` does with errors: a line, or a traceback of our own."""

import argparse
import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

import gtpt_mm
import gtpt_mm.cli
from gtpt_mm.cli import common, doctor, main
from gtpt_mm.compat.stack.torch_api import UnsafeCheckpointError


@pytest.fixture
def fail(monkeypatch, capsys):
    """Let ``gtpt-mm doctor`` raise; return the exit code and its lines."""

    def run(error: BaseException) -> tuple[int, list[str]]:
        def raise_error(args):
            raise error

        monkeypatch.setattr(doctor, 'run', raise_error)
        code = main(['doctor'])
        return code, capsys.readouterr().err.splitlines()

    return run


@pytest.mark.parametrize(
    ('error', 'line'),
    [
        (ValueError('size 3\n  instead of 4'), 'size 3 instead of 4'),
        (FileNotFoundError(2, 'No such file', 'a.py'), 'a.py: No such file'),
        (OSError('no device'), 'no device'),
        (EOFError(), 'EOFError'),
        (UnicodeDecodeError('ascii', b'\xe2', 0, 1, 'bad'), "can't decode"),
        (UnsafeCheckpointError('evil.pth was not loaded'), 'evil.pth was'),
        (ValueError('x' * 50_000), 'x' * 2000 + ' ...'),
    ],
)
def test_expected_errors_are_one_line(fail, error, line):
    code, [printed] = fail(error)
    assert code == 2
    assert printed.startswith('gtpt-mm doctor: ')
    assert line in printed
    assert len(printed) < 2100


def test_errors_of_our_own_keep_their_traceback(fail):
    for error in (TypeError('ours'), KeyError('ours'), RuntimeError('ours')):
        with pytest.raises(type(error)):
            fail(error)


def test_interrupt_and_lost_reader(fail):
    code, lines = fail(KeyboardInterrupt())
    assert (code, lines) == (130, ['gtpt-mm doctor: interrupted'])
    assert fail(BrokenPipeError(32, 'Broken pipe')) == (141, [])


def test_what_a_broken_package_raises_is_not_the_cause(fail, monkeypatch):
    cause = ImportError('gtpt_mm cannot register: no torch')
    monkeypatch.setattr(gtpt_mm, 'import_error', cause)
    assert fail(AttributeError('x')) == (2, [f'gtpt-mm doctor: {cause}'])


#: Without torch, whose import takes seconds.
SCRIPT = """
import sys, types
package = types.ModuleType('gtpt_mm')
package.__path__, package.__version__ = [{path!r}], '0'
package.import_error = None
sys.modules['gtpt_mm'] = package
import gtpt_mm.cli.doctor
def run(args):
    print('figures', flush={flush})
    return 0
gtpt_mm.cli.doctor.run = run
sys.exit(gtpt_mm.cli.main(['doctor']))
"""


def run_script(shell: str, flush: bool = False) -> subprocess.CompletedProcess:
    """Run a command that prints, with its streams as the shell sets them."""
    script = SCRIPT.format(
        path=str(Path(gtpt_mm.__file__).parent), flush=flush
    )
    return subprocess.run(
        ['bash', '-c', f'"$0" -W ignore -c "$1" {shell}', sys.executable,
         script],
        capture_output=True,
        text=True,
    )  # fmt: skip


@pytest.mark.parametrize('shell', ['<&-', '>&-', '2>&-', '<&- >&- 2>&-'])
def test_closed_streams(shell):
    done = run_script(shell)
    assert (done.returncode, done.stderr) == (0, '')
    assert done.stdout == ('' if '>&- ' in shell + ' ' and '2>' not in shell
                           or '<&- >' in shell else 'figures\n')  # fmt: skip


@pytest.mark.skipif(not os.path.exists('/dev/full'), reason='needs /dev/full')
@pytest.mark.parametrize('flush', [True, False])
def test_stdout_on_a_full_disk(flush):
    done = run_script('>/dev/full', flush)
    assert done.returncode == 2
    [line] = done.stderr.splitlines()
    assert line == 'gtpt-mm doctor: [Errno 28] No space left on device'


@pytest.mark.parametrize('flush', [True, False])
def test_stdout_that_nobody_reads(flush):
    script = '| (exec <&-; sleep 0.3); exit ${PIPESTATUS[0]}'
    done = run_script(script, flush)
    # The reader may be gone before or after the text is in the pipe.
    assert done.returncode in (0, 141)
    assert done.stderr == ''


# ----------------------------------------------------------- files to write


@pytest.mark.parametrize('overwrite', [True, False])
def test_targets_that_can_never_be_written(tmp_path, overwrite):
    (tmp_path / 'file').write_text('mine')
    (tmp_path / 'dangling').symlink_to(tmp_path / 'gone')
    os.mkfifo(tmp_path / 'pipe')
    for name, message in (
        ('.', 'is a folder'),
        ('dangling', 'is a link to .*gone, which does not exist'),
        ('dangling/x.pth', 'dangling is not a folder'),
        ('file/x.pth', 'file is not a folder'),
        ('file/new/x.pth', 'file is not a folder'),
        ('pipe', 'is not a regular file'),
    ):
        with pytest.raises(ValueError, match=message):
            common.check_target(tmp_path / name, overwrite)
    assert (tmp_path / 'file').read_text() == 'mine'


def test_only_overwrite_replaces(tmp_path):
    path = tmp_path / 'file'
    common.check_target(path, False)
    common.check_target(tmp_path / 'new/folder/file', False)
    path.write_text('mine')
    (tmp_path / 'link').symlink_to(path)
    for target in (path, tmp_path / 'link'):
        with pytest.raises(ValueError, match='exists; give --overwrite'):
            common.check_target(target, False)
        common.check_target(target, True)
    assert sorted(p.name for p in tmp_path.iterdir()) == ['file', 'link']


def test_read_only_places(tmp_path, monkeypatch):
    (tmp_path / 'file').write_text('mine')
    allowed = os.access
    monkeypatch.setattr(
        os, 'access', lambda p, mode: p != tmp_path and allowed(p, mode)
    )
    for name in ('x.pth', 'new/x.pth'):
        with pytest.raises(ValueError, match=f'{tmp_path} cannot be written'):
            common.check_target(tmp_path / name, False)
    monkeypatch.setattr(os, 'access', lambda p, mode: p != tmp_path / 'file')
    with pytest.raises(ValueError, match='file is read-only'):
        common.check_target(tmp_path / 'file', True)


# ------------------------------------------------------------------ configs


@pytest.mark.parametrize(
    ('text', 'word'),
    [
        ('a = = 1', 'SyntaxError: invalid syntax'),
        ('a = 1', 'has no model'),
        ("model = 'gtpt'", 'has no model'),
        ("_base_ = './gone.py'", 'gone.py'),
        ("_base_ = './model.py'\na = _base_.gone", 'gone'),
        ('a = dict()["gone"]', "KeyError: 'gone'"),
        ('a = 1 / 0', 'ZeroDivisionError'),
        ('raise OSError("gone")', 'OSError: gone'),
    ],
)
@pytest.mark.parametrize('command', ['split', 'visualize'])
def test_broken_configs(command, text, word, tmp_path, capsys):
    (tmp_path / 'model.py').write_text('model = dict(type="A")')
    config = tmp_path / 'config.py'
    config.write_text(text)
    last = tmp_path / 'last'
    if command == 'visualize':
        import cv2
        import numpy as np

        last = tmp_path / 'image.png'
        cv2.imwrite(str(last), np.zeros((9, 9, 3), np.uint8))
    options = ['--out', str(tmp_path / 'o')] if command == 'visualize' else []
    code = main([command, str(config), 'x.pth', str(last), *options])
    [line] = capsys.readouterr().err.splitlines()
    assert code == 2
    assert line.startswith(f'gtpt-mm {command}: {config} ')
    assert word in line


def test_missing_config(capsys, tmp_path):
    assert main(['split', 'nope.py', 'x.pth', str(tmp_path)]) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith('gtpt-mm split: there is no config nope.py, ')


# ------------------------------------------------------------------ the code


def test_asserts_only_narrow_types(repo_root):
    """``python -O`` leaves them out: none may guard a user."""
    for folder in ('gtpt_mm', 'tools', 'projects'):
        for path in (repo_root / folder).rglob('*.py'):
            if 'tests' in path.relative_to(repo_root).parts:
                continue
            for node in ast.walk(ast.parse(path.read_text(encoding='utf-8'))):
                if isinstance(node, ast.Assert):
                    text = ast.unparse(node.test)
                    is_narrow = text.startswith('isinstance(')
                    is_narrow |= text.endswith(' is not None')
                    assert is_narrow, f'{path}:{node.lineno}: {text}'


def test_every_command_is_covered_by_main():
    parser = gtpt_mm.cli._make_parser()
    [action] = [
        a for a in parser._actions
        if isinstance(a, argparse._SubParsersAction)
    ]  # fmt: skip
    assert tuple(action.choices) == gtpt_mm.cli.COMMANDS
