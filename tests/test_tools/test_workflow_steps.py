"""Workflows can run here, and call what exists."""

import shutil

import pytest
from support.tools import load_tool

tool = load_tool('workflow_steps')


@pytest.fixture
def clone(repo_root, tmp_path):
    """A copy of the files that the check reads."""
    for name in ('Makefile', '.ci/run'):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copyfile(repo_root / name, tmp_path / name)
    shutil.copytree(repo_root / '.github', tmp_path / '.github')
    return tmp_path


def test_workflows_call_targets_of_the_makefile(repo_root):
    assert tool.check(repo_root) == []
    names = {path.stem for path in repo_root.glob(tool.WORKFLOWS)}
    assert names == {'ci', 'nightly', 'release'}


def test_ci_and_the_workflow_run_the_same_targets(repo_root):
    """So that nothing passes here and fails there."""
    script = (repo_root / '.ci/run').read_text().splitlines()
    here = {x.split()[1] for x in script if x.startswith('make ')}
    path = repo_root / '.github/workflows/ci.yml'
    steps = tool.read_steps(path, {})
    there = {step.run.split()[1] for step in steps if step.run}
    assert {'lint', 'test'} <= here <= there


def test_a_missing_target_is_found(clone):
    path = clone / '.github/workflows/ci.yml'
    path.write_text(path.read_text().replace('make lint', 'make lnit'))
    assert tool.check(clone) == [
        "ci.yml, lint: no target 'lnit' in the Makefile"
    ]
    (clone / '.ci/run').write_text('make lint\nmake tset\n')
    assert tool.check(clone)[1:] == [
        ".ci/run: no target 'tset' in the Makefile"
    ]


def test_a_matrix_is_filled_in(repo_root):
    path = repo_root / '.github/workflows/ci.yml'
    runs = [step.run for step in tool.read_steps(path, {})]
    assert 'make test COVERAGE=1 PYTHON=python3.11' in runs
    values = {'matrix.python': '3.13'}
    runs = [step.run for step in tool.read_steps(path, values)]
    assert 'make test COVERAGE=1 PYTHON=python3.13' in runs


def test_an_expression_without_a_value(repo_root):
    path = repo_root / '.github/workflows/release.yml'
    with pytest.raises(ValueError, match="job build.*'github.ref_name'"):
        list(tool.read_steps(path, {}))


def test_steps_run_until_one_fails(tmp_path, capfd):
    path = tmp_path / 'w.yml'
    path.write_text("""
jobs:
  one:
    steps:
      - uses: actions/checkout@v4
      - run: |
          false
          echo not reached
      - run: echo not reached
  two:
    steps:
      - run: echo two && test -f Makefile
""")
    assert tool.main([str(path), '--run']) == 1
    printed = capfd.readouterr().out.splitlines()
    assert printed[0] == '[one] (left out) actions/checkout@v4'
    assert printed[-1] == '[one] failed with exit code 1'
    assert 'not reached' not in printed
    assert tool.main([str(path), '--run', '--job', 'two']) == 0
    assert capfd.readouterr().out.splitlines()[-1] == 'two'
    with pytest.raises(SystemExit):
        tool.main([str(path), '--job', 'three'])
    assert "no job 'three'" in capfd.readouterr().err
