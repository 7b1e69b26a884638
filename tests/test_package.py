"""What the package promises before any model is built."""

import subprocess
import sys
import tarfile

import pytest
from mmpose.registry import MODELS

import gtpt_mm
from gtpt_mm import _is_doctor


@pytest.mark.parametrize(
    ('argv', 'expected'),
    [
        (['python', '-m', 'gtpt_mm', 'doctor'], True),
        (['python', '-X', 'dev', '-m', 'gtpt_mm', 'doctor'], True),
        (['python', '/venv/bin/gtpt-mm', 'doctor', '--json'], True),
        (['python', '/venv/bin/gtpt-mm'], True),
        (['python', '/venv/bin/gtpt-mm', '--help'], True),
        (['python', '/venv/bin/gtpt-mm', 'convert', 'a', 'b'], False),
        (['python', '-m', 'gtpt_mm', 'sample-data', 'out'], False),
        (['python', 'train.py', '--work-dir', '/home/me/gtpt-mm'], False),
        (['python', '-m', 'mim', 'train', 'gtpt_mm', 'doctor'], False),
        (['python'], False),
    ],
)
def test_only_the_doctor_survives_broken_packages(argv, expected, monkeypatch):
    monkeypatch.setattr(sys, 'orig_argv', argv)
    assert _is_doctor() == expected


def test_import_error_names_the_doctor():
    code = (
        'import sys; sys.modules["mmpose"] = None\n'
        'try:\n    import gtpt_mm\n'
        'except ImportError as error:\n    print(error)'
    )
    done = subprocess.run(
        [sys.executable, '-c', code], capture_output=True, text=True
    )
    assert 'gtpt-mm doctor' in done.stdout


def test_a_name_of_mmpose_cannot_be_registered_again():
    """The registry itself refuses; we never pass ``force=True``."""
    with pytest.raises(KeyError, match='ResNet'):
        MODELS.register_module(name='ResNet', module=gtpt_mm.models.GTPT)
    assert MODELS.get('ResNet').__module__.startswith('mmpose')


def test_sdist_carries_what_setup_reads(repo_root, tmp_path):
    subprocess.run(
        [
            sys.executable, 'setup.py', '-q', 'egg_info', '--egg-base',
            str(tmp_path), 'sdist', '--dist-dir', str(tmp_path),
        ],
        cwd=repo_root,
        check=True,
        capture_output=True,
    )  # fmt: skip
    with tarfile.open(next(tmp_path.glob('*.tar.gz'))) as archive:
        names = {name.partition('/')[2] for name in archive.getnames()}
    assert {'README.md', 'LICENSE', 'requirements/runtime.txt'} <= names
    assert 'gtpt_mm/py.typed' in names


def test_requirements_never_pull_what_cannot_build(repo_root):
    lines = (repo_root / 'requirements/runtime.txt').read_text().splitlines()
    names = {line.split('>')[0].split('<')[0].strip() for line in lines}
    assert not names & {'mmpose', 'mmcv', 'mmcv-lite', 'chumpy', 'xtcocotools'}
