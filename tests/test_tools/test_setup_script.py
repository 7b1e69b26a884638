"""The script that builds the environment of a clone."""

import os
import subprocess
import sys


def test_the_folder_behind_a_link_is_not_emptied(repo_root, tmp_path):
    (tmp_path / 'shared').mkdir()
    kept = tmp_path / 'shared' / 'kept.txt'
    kept.touch()
    link = tmp_path / 'venv'
    link.symlink_to('shared')
    done = subprocess.run(
        ['bash', repo_root / 'tools/setup.sh'],
        env=os.environ | dict(VENV=str(link), PYTHON=sys.executable),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert f'{link} is a link to shared' in done.stderr
    assert kept.exists()
