"""``gtpt-mm sample-data`` runs the drawing engine as a process."""

import importlib.util
from importlib.machinery import ModuleSpec

import pytest

from gtpt_mm.cli import main


def test_the_library_does_not_import_the_engine(repo_root):
    for path in (repo_root / 'gtpt_mm').rglob('*.py'):
        text = path.read_text()
        assert 'import pose_samples' not in text, path
        assert 'from pose_samples' not in text, path


def test_all_arguments_are_handed_through(tmp_path, capfd):
    out = str(tmp_path / 'out')
    options = ['--layout', 'coco', '--num-train', '1', '--num-val', '0']
    assert main(['sample-data', *options, out]) == 0
    assert 'wrote' in capfd.readouterr().out
    assert (tmp_path / 'out/coco/train2017/000000200000.jpg').is_file()
    assert main(['sample-data', out, '--num-train', '-1']) == 2
    assert 'num_train must be at least 0' in capfd.readouterr().err


def test_help_is_that_of_the_engine(capfd):
    assert main(['sample-data', '--help']) == 0
    assert '--max-people' in capfd.readouterr().out


@pytest.mark.parametrize('spec', [None, ModuleSpec('pose_samples', None)])
def test_missing_engine_is_named(spec, monkeypatch, capsys):
    """Missing, or but a folder of that name."""
    monkeypatch.setattr(importlib.util, 'find_spec', lambda name: spec)
    assert main(['sample-data', 'out']) == 2
    assert 'pip install ./projects/pose_samples' in capsys.readouterr().err
