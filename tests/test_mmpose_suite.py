"""``make test-mmpose`` on a small stand-in of a checkout."""

import sys
from importlib.metadata import version

import pytest
from support.projects import load_script

tool = load_script('../tools/mmpose_suite.py')

TEST = """
import sys
from pathlib import Path

def test_installed_package_is_tested_under_the_repairs():
    import mmpose
    assert 'gtpt_mm' in sys.modules
    assert '.mim' in [p.name for p in Path(mmpose.__file__).parent.iterdir()]
    assert Path('configs/a.py').is_file()

def test_that_is_left_out():
    assert False
"""


@pytest.fixture
def checkout(tmp_path):
    folder = tmp_path / 'mmpose'
    for name in ('tests', 'configs', 'mmpose'):
        (folder / name).mkdir(parents=True)
    (folder / 'configs/a.py').touch()
    (folder / 'tests/test_a.py').write_text(TEST)
    (folder / 'mmpose/__init__.py').write_text('raise ImportError("mine")')
    (folder / 'mmpose/version.py').write_text(
        f"__version__ = '{version('mmpose')}'\n"
    )
    return folder


@pytest.fixture
def run(monkeypatch, capfd):
    """Run the tool; return its exit code and what it printed."""
    monkeypatch.setattr(tool, 'PACKAGES', ('pytest',))

    def call(*args):
        monkeypatch.setattr(sys, 'argv', ['mmpose_suite.py', *map(str, args)])
        code = tool.main()
        out, err = capfd.readouterr()
        return code, out + err

    return call


def test_suite_runs_without_what_is_deselected(
    checkout, run, tmp_path, monkeypatch
):
    listed = tmp_path / 'deselected.txt'
    listed.write_text('# fails on purpose\ntests/test_a.py::test_that_is\n')
    tests = tool.read_deselected(listed)
    assert tests == {'tests/test_a.py::test_that_is': 'fails on purpose'}
    monkeypatch.setattr(tool, 'read_deselected', lambda: tests)
    code, printed = run(checkout)
    assert '1 passed, 1 deselected' in printed
    assert code == 0


def test_other_checkouts_are_refused(checkout, run, tmp_path):
    (checkout / 'mmpose/version.py').write_text("__version__ = '0.29.0'\n")
    code, printed = run(checkout)
    assert code == 2
    assert '0.29.0' in printed and f'--branch v{version("mmpose")}' in printed
    code, printed = run(tmp_path)
    assert code == 2
    assert f'{tmp_path} has no tests' in printed


def test_each_deselected_test_has_a_reason(tmp_path):
    tests = tool.read_deselected()
    assert len(tests) > 5
    assert all(name.startswith('tests/') for name in tests)
    assert all(len(reason) > 10 for reason in tests.values())
    file = tmp_path / 'a.txt'
    file.write_text('# reason\ntests/a.py\n\ntests/b.py::test_b\n')
    with pytest.raises(ValueError, match=r'a.txt:4: tests/b.py::test_b'):
        tool.read_deselected(file)
