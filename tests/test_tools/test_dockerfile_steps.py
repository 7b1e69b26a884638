"""Dockerfiles: their steps can be read, and run without docker."""

import subprocess
import sys

import pytest
from support.tools import load_tool

tool = load_tool('dockerfile_steps')
FILES = sorted(tool.ROOT.glob('docker/*.Dockerfile'))


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    """pip takes seconds to install, and no test here needs it."""
    monkeypatch.setattr(tool, 'VENV', (*tool.VENV, '--without-pip'))


@pytest.mark.parametrize('path', FILES, ids=[path.name for path in FILES])
def test_what_is_copied_suffices_for_a_wheel(path, repo_root):
    """All that setup.py reads, and nothing beside."""
    assert len(FILES) == 2
    steps = [*tool.read_steps(path.read_text())]
    assert ('COPY', '. .') in steps
    names = subprocess.run(
        ['git', 'ls-files'], cwd=repo_root, capture_output=True, text=True
    ).stdout.splitlines()
    ignore = (path.parent / f'{path.name}.dockerignore').read_text()
    copied = set(tool.list_copied(ignore, names))
    if not names:
        pytest.skip('no clone: git lists no files')
    assert {'setup.py', 'README.md', 'gtpt_mm/apis/__init__.py'} <= copied
    assert 'requirements/constraints.txt' in copied
    assert 'tools/train.py' in copied and 'tools/demo.py' not in copied
    assert not {x for x in copied if x.startswith(('tests/', 'docs/'))}


def test_steps_run_in_a_folder(tmp_path, capfd):
    path = tmp_path / 'x.Dockerfile'
    path.write_text("""
FROM python:3.12-slim
ARG WHO=nobody
ENV A=1 B="two words"
WORKDIR /opt/x
# a comment
RUN --mount=type=cache,target=/a apt-get update && \\
    echo "$A $B $WHO" > out.txt
RUN which python | grep -q env/bin/python && cat out.txt
USER pose
ENTRYPOINT ["python", "-c"]
CMD ["print(open('out.txt').read() * 2)"]
""")
    arguments = ['--build-arg', 'WHO=me', '--scratch', str(tmp_path)]
    assert tool.main([str(path), *arguments]) == 0
    printed = capfd.readouterr().out
    assert printed.count('1 two words me') == 3
    assert 'left out  USER pose' in printed
    assert 'simulated  RUN --mount' in printed
    assert 'ran  RUN which python' in printed
    assert [x.name for x in tmp_path.iterdir()] == ['x.Dockerfile']


def test_a_step_that_fails(tmp_path, capfd):
    path = tmp_path / 'x.Dockerfile'
    path.write_text('FROM a\nRUN exit 3\nRUN echo not reached\n')
    assert tool.main([str(path), '--python', sys.executable]) == 1
    assert capfd.readouterr().out.endswith('failed with 3: RUN exit 3\n')


def test_an_unknown_instruction(tmp_path, capfd):
    path = tmp_path / 'x.Dockerfile'
    path.write_text('FROM a\nHEALTHCHECK NONE\n')
    with pytest.raises(SystemExit):
        tool.main([str(path)])
    assert 'HEALTHCHECK is not known' in capfd.readouterr().err
