"""``gtpt-mm train``: the script of mmpose, by a path or a name."""

import sys
from pathlib import Path

import pytest

from gtpt_mm.cli import main, train


@pytest.fixture
def script(tmp_path, monkeypatch):
    """A script in the place of mmpose's, which prints its arguments."""
    path = tmp_path / 'train.py'
    path.write_text(
        'import sys\n'
        "assert 'gtpt_mm' in sys.modules\n"
        'print(__name__, sys.argv[1:])\n'
        "sys.exit(143 if '--stop' in sys.argv else 0)\n"
    )
    monkeypatch.setattr(train, 'find_train_script', lambda: str(path))
    monkeypatch.setattr(sys, 'argv', [])
    monkeypatch.setattr(sys, 'path', [*sys.path])


def test_options_reach_the_script(script, tmp_path, capsys):
    """In their order, and its exit code comes back: torchrun reads it."""
    config = tmp_path / 'config.py'
    config.write_text('')
    options = ['--launcher', 'pytorch', '--cfg-options', 'a=1', '-h', '--stop']
    with pytest.raises(SystemExit) as end:
        main(['train', str(config), *options])
    assert end.value.code == 143
    words = f'__main__ {[str(config), *options]}'
    assert words in capsys.readouterr().out


def test_a_model_has_a_name(script, capsys, repo_root):
    with pytest.raises(SystemExit):
        main(['train', 'vitpose-h'])
    path = 'td-hm_vitpose-h_8xb64-210e_coco-256x192.py'
    assert path in capsys.readouterr().out


def test_an_unknown_config_is_named(script, capsys):
    assert main(['train', 'vitpose-hh']) == 2
    assert 'no config vitpose-hh' in capsys.readouterr().err


def test_the_script_is_that_of_mmpose():
    text = Path(train.find_train_script()).read_text()
    assert "description='Train a pose model'" in text
