"""The wheel holds everything, and works away from any clone."""

import ast
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import yaml
from support.wheel import CONFIG, SHORT, User, build_wheel, list_wheel, run

MIM = 'gtpt_mm/.mim/'
#: Interpreters that the slow test makes environments with.
PYTHONS = os.environ.get('GTPT_MM_PYTHONS', sys.executable).split()


@pytest.fixture(scope='module')
def wheel(repo_root, tmp_path_factory) -> Path:
    return build_wheel(repo_root, tmp_path_factory.mktemp('wheel'))


@pytest.fixture(scope='module')
def user(wheel, tmp_path_factory) -> User:
    """With the wheel unpacked beside the environment of the tests."""
    site = tmp_path_factory.mktemp('site')
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
    folder = tmp_path_factory.mktemp('user')
    return User(sys.executable, site, folder, PYTHONPATH=str(site))


def test_wheel_holds_the_package_and_what_mim_needs(repo_root, wheel):
    found = list_wheel(wheel)
    modules = {
        str(path.relative_to(repo_root))
        for path in (repo_root / 'gtpt_mm').rglob('*')
        if path.is_file() and '__pycache__' not in path.parts
    }
    mim = {
        MIM + str(path.relative_to(repo_root))
        for path in (repo_root / 'configs').rglob('*')
        if path.is_file() and '__pycache__' not in path.parts
    }
    mim |= {f'{MIM}{kind}-index.yml' for kind in ('model', 'dataset')}
    mim |= {f'{MIM}tools/{name}.py' for name in ('train', 'test')}
    assert len(mim) > 100
    outside = {name for name in found if '.dist-info/' not in name}
    assert outside == modules | mim
    assert not [name for name in found if name.endswith(('.png', '.jpg'))]
    assert any(name.endswith('LICENSE') for name in found)


def test_metafiles_and_index_name_all_recipes(repo_root):
    """One metafile per folder of recipes, one collection per family."""
    index = yaml.safe_load((repo_root / 'model-index.yml').read_text())
    files = [
        str(path.relative_to(repo_root))
        for path in sorted((repo_root / 'configs').rglob('*.yml'))
    ]
    assert index == dict(Import=files)
    papers, listed = {}, set()
    for file in files:
        metafile = yaml.safe_load((repo_root / file).read_text())
        [collection] = metafile['Collections']
        paper = papers.setdefault(collection['Name'], collection['Paper'])
        assert collection['Paper'] == paper, file
        for model in metafile['Models']:
            assert model['In Collection'] == collection['Name']
            listed.add(model['Config'])
            # mim downloads a weight by the last part of its address.
            weights = model.get('Weights', '.pth')
            assert weights.endswith('.pth'), weights
    assert {'GTPT', 'HEViTPose', 'ViTPose', 'ViTPose++', 'Group Pose'} < {
        *papers
    }
    recipes = {
        str(path.relative_to(repo_root))
        for path in (repo_root / 'configs').rglob('*.py')
        if not {'_base_', 'sample'} & {*path.parts}
    }
    assert listed == recipes


def test_names_of_configs_are_unique(repo_root):
    """``mim train gtpt_mm NAME.py`` finds a config by its name alone."""
    names = [path.name for path in (repo_root / 'configs').rglob('*.py')]
    assert len({*names}) == len(names)


def test_configs_of_the_wheel_need_nothing_else(user):
    """Neither another folder of the clone nor one above ``.mim``."""
    root = user.site / MIM / 'configs'
    num_bases = 0
    for path in root.rglob('*.py'):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                parts = node.value.split('/')
                assert not {'projects', 'tests', 'shared'} & {*parts[:-1]}, (
                    f'{path}: {node.value}'
                )
            if isinstance(node, ast.Assign) and '_base_' in [
                getattr(target, 'id', '') for target in node.targets
            ]:
                bases = ast.literal_eval(node.value)
                for base in [bases] if isinstance(bases, str) else bases:
                    target = (path.parent / base).resolve(strict=True)
                    assert target.is_relative_to(root.resolve()), base
                    num_bases += 1
    assert num_bases > 100


def test_mim_searches_the_wheel(user):
    found = user.search()
    assert set(found['model'].values()) == {'gtpt'}
    configs = found['config'].values()
    assert len(configs) > 10
    assert all((user.site / MIM / config).is_file() for config in configs)


def test_wheel_trains_tests_and_predicts(user):
    """By its own scripts, which ``mim train gtpt_mm`` runs."""
    [config] = (user.site / MIM).rglob(CONFIG)
    tools = user.site / MIM / 'tools'
    user.run(tools / 'train.py', config, '--work-dir', 'work', *SHORT)
    checkpoint = user.find_checkpoint('work')
    assert checkpoint.is_file()
    test = [tools / 'test.py', config, checkpoint, '--work-dir', 'work']
    assert 'coco/AP: ' in user.run(*test, *SHORT)
    assert user.predict(checkpoint) == 17


# --------------------------------------------------------- whole environments


def make_compilers_fail(folder: Path) -> dict[str, str]:
    """Return the variables of a machine without a working C compiler."""
    folder.mkdir()
    for name in ('cc', 'gcc', 'g++', 'c++', 'clang', 'x86_64-linux-gnu-gcc'):
        script = folder / name
        script.write_text('#!/bin/sh\necho "no compiler here" >&2\nexit 1\n')
        script.chmod(0o755)
    path = f'{folder}{os.pathsep}{os.environ["PATH"]}'
    return dict(PATH=path, CC='/bin/false', CXX='/bin/false')


def freeze(python: Path, folder: Path) -> set[str]:
    """Return the distributions of an environment, with versions."""
    return {*run([python, '-m', 'pip', 'freeze'], folder).split('\n')}


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize('pinned', [False, True], ids=['newest', 'pinned'])
@pytest.mark.parametrize('python', PYTHONS)
def test_two_commands_in_an_empty_environment(
    python, pinned, wheel, tmp_path, repo_root
):
    """6 GB each: one at a time, and removed afterwards."""
    env = tmp_path / 'env'
    variables = make_compilers_fail(tmp_path / 'no_compiler')
    if pinned:
        constraints = repo_root / 'requirements/constraints.txt'
        variables['PIP_CONSTRAINT'] = str(constraints)
    try:
        subprocess.run([python, '-m', 'venv', env], check=True)
        install_and_use(env, wheel, tmp_path, variables)
    finally:
        shutil.rmtree(env)


def install_and_use(
    env: Path, wheel: Path, tmp_path: Path, variables: dict[str, str]
) -> None:
    """Follow docs/install.md, then train, test and predict."""
    python = env / 'bin/python'
    [site] = env.glob('lib/python*/site-packages')
    folder = tmp_path / 'user'
    folder.mkdir()
    run([python, '-m', 'pip', 'install', wheel], folder, **variables)
    before = freeze(python, folder)
    command = [env / 'bin/gtpt-mm', 'setup']
    for _ in range(2):  # safe to repeat
        printed = run(command, folder, **variables)
        assert 'Everything necessary works.' in printed
        new = freeze(python, folder) - before
        names = {line.split('==')[0] for line in new}
        names -= {'opencv-python-headless'}  # where libGL is missing
        assert names == {'mmcv-lite', 'mmdet', 'mmpose'}
        assert before < freeze(python, folder)
    assert printed.startswith('mmcv-lite ')
    user = User(str(python), site, folder, **variables)
    assert len(user.search()['config']) > 10
    work = ['--work-dir', 'work', *SHORT]
    user.mim('train', 'gtpt_mm', CONFIG, *work)
    checkpoint = user.find_checkpoint('work')
    test = ['test', 'gtpt_mm', CONFIG, '--checkpoint', checkpoint]
    assert 'coco/AP: ' in user.mim(*test, *work)
    [config] = (site / MIM).rglob(CONFIG)
    user.mim('train', 'mmpose', config, '--work-dir', 'stock', *SHORT)
    assert user.find_checkpoint('stock').is_file()
    assert user.predict(checkpoint) == 17
