"""What the package promises before any model is built."""

import ast
import importlib
import os
import subprocess
import sys
import tarfile

import pytest
from mmpose.registry import MODELS

import gtpt_mm
from gtpt_mm import compat, ops


def test_import_error_is_shown_kept_and_raised_at_use():
    """Also where a config imports gtpt_mm, and without the repairs."""
    code = """
import sys
sys.modules['mmpose'] = None
from mmengine.config import Config
Config.fromstring("custom_imports = dict(imports=['gtpt_mm'])", '.py')
import gtpt_mm
print(hasattr(gtpt_mm, '__wrapped__'))
for statement in ('gtpt_mm.models', 'from gtpt_mm import models'):
    try:
        exec(statement)
    except ImportError as error:
        print(error)
from gtpt_mm.cli import main
for argv in (['--version'], ['--help'], ['visualize', 'a', 'b', 'c']):
    try:
        print(main(argv))
    except SystemExit as end:
        print(end.code)
"""
    done = subprocess.run(
        [sys.executable, '-W', 'ignore', '-c', code],
        capture_output=True,
        text=True,
        env={**os.environ, 'OMP_NUM_THREADS': '1', 'GTPT_MM_COMPAT': '0'},
    )
    first, *errors = done.stdout.splitlines()[:3]
    shown = done.stderr.splitlines()
    assert first == 'False'
    assert len(errors) == len(shown) == 2  # at import, and by visualize
    for text in (*errors, *shown):
        assert 'mmpose' in text and 'gtpt-mm doctor' in text
        assert 'GTPT_MM_COMPAT=0 leaves out these repairs: ' in text
        assert 'torch_api (' in text
    assert f'gtpt_mm {gtpt_mm.__version__}' in done.stdout
    assert 'add-dataset' in done.stdout
    assert done.stdout.endswith('0\n2\n')


def test_commands_name_the_kept_error_whatever_a_broken_package_raises(
    tmp_path,
):
    """A second import of it raises its own error, no ImportError."""
    package = tmp_path / 'mmpose'
    package.mkdir()
    (package / '__init__.py').write_text('raise RuntimeError("no kernels")')
    code = """
from gtpt_mm.cli import main
for argv in (['split', 'a', 'b', 'c'], ['visualize', 'a', 'b', 'c']):
    print(main(argv))
"""
    path = os.pathsep.join([str(tmp_path), *filter(None, sys.path)])
    done = subprocess.run(
        [sys.executable, '-W', 'ignore', '-c', code],
        capture_output=True,
        text=True,
        env={**os.environ, 'OMP_NUM_THREADS': '1', 'PYTHONPATH': path},
    )
    assert done.stdout == '2\n2\n'
    _, *errors = done.stderr.splitlines()
    for name, error in zip(('split', 'visualize'), errors, strict=True):
        assert error.startswith(f'gtpt-mm {name}: gtpt_mm cannot register')
        assert "RuntimeError('no kernels')" in error


@pytest.mark.parametrize('program', ['gtpt-mm', 'train.py'])
def test_the_command_that_installs_mmpose_does_not_complain(tmp_path, program):
    """A program that trains would only miss the models: it is told."""
    (tmp_path / 'mmpose.py').write_text('raise ImportError("not installed")')
    script = tmp_path / program
    script.write_text('import gtpt_mm; print(gtpt_mm.import_error)')
    path = os.pathsep.join([str(tmp_path), *filter(None, sys.path)])
    done = subprocess.run(
        [sys.executable, '-W', 'ignore', script],
        capture_output=True,
        text=True,
        env={**os.environ, 'OMP_NUM_THREADS': '1', 'PYTHONPATH': path},
    )
    assert done.stdout.startswith('gtpt_mm cannot register its models')
    assert bool(done.stderr) == (program == 'train.py')


def test_what_compat_leaves_out_is_named(monkeypatch):
    found = compat.applied()
    assert compat.left_out() == ''
    monkeypatch.setenv('GTPT_MM_COMPAT', '0')
    assert compat.applied() == {}
    words = compat.left_out()
    for name, missing in found.items():
        assert (name in words) == bool(missing)
    for name in compat.SHIMS['stack']:
        assert (f'{name} ({found[name]})' in words) == bool(found[name])
    with pytest.warns(RuntimeWarning, match='leaves out these repairs: '):
        importlib.reload(gtpt_mm)
    assert gtpt_mm.import_error is None
    monkeypatch.setenv('GTPT_MM_COMPAT', 'off')
    with pytest.raises(ValueError, match="must be 0 or 1, got 'off'"):
        compat.install(ops)


def test_unknown_name_of_the_package():
    with pytest.raises(AttributeError, match='no_such_name'):
        gtpt_mm.no_such_name  # noqa: B018


def test_a_name_of_mmpose_cannot_be_registered_again():
    """The registry itself refuses; only shims pass ``force=True``."""
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
    # What the wheel takes into gtpt_mm/.mim.
    assert {'model-index.yml', 'dataset-index.yml'} <= names
    assert {'tools/train.py', 'tools/test.py'} <= names
    assert 'configs/pretrain/mae/coco/mae_coco.yml' in names
    assert 'gtpt_mm/py.typed' in names


def test_requirements_never_pull_what_cannot_build(repo_root):
    lines = (repo_root / 'requirements/runtime.txt').read_text().splitlines()
    names = {line.split('>')[0].split('<')[0].strip() for line in lines}
    assert not names & {'mmpose', 'mmcv', 'mmcv-lite', 'chumpy', 'xtcocotools'}


def find_imports(path) -> list[str]:
    """Return the packages that a file imports, from top to bottom."""
    nodes = sorted(
        (
            node
            for node in ast.walk(ast.parse(path.read_text()))
            if isinstance(node, ast.Import | ast.ImportFrom)
        ),
        key=lambda node: node.lineno,
    )
    names = [
        [node.module or '']
        if isinstance(node, ast.ImportFrom)
        else [alias.name for alias in node.names]
        for node in nodes
    ]
    return [name.partition('.')[0] for part in names for name in part]


def test_scripts_import_gtpt_mm_before_mmpose(repo_root):
    """Without its repairs mmpose does not import on this stack."""
    scripts = [
        *repo_root.glob('tools/*.py'),
        *repo_root.glob('projects/*/*.py'),
    ]
    checked = []
    for path in scripts:
        names = find_imports(path)
        stock = [names.index(x) for x in ('mmpose', 'mmdet') if x in names]
        if stock:
            assert 'gtpt_mm' in names[: min(stock)], path
            checked.append(path.name)
    assert 'demo.py' in checked
