"""The sbatch file of docs/clusters.md, with stand-ins of Slurm's commands."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from support.runs import ENV
from support.same_run import assert_same_run
from support.small_training import write_config

#: Starts two tasks as Slurm does; the first that fails ends the other.
SRUN = """#!{python}
import os, subprocess, sys
command = [word for word in sys.argv[1:] if not word.startswith('--kill')]
tasks = [
    subprocess.Popen(
        command,
        env=os.environ | dict(
            SLURM_PROCID=str(rank), SLURM_NTASKS='2', SLURM_LOCALID='0',
            SLURM_NODELIST=os.environ['SLURM_JOB_NODELIST']),
    )
    for rank in range(2)
]
sys.exit(max(task.wait() for task in tasks))
"""
SCONTROL = """#!/bin/sh
echo "scontrol $*" >> "$LOG"
[ "$1" = show ] && printf '127.0.0.1\\nother\\n'
exit 0
"""
#: In the place of ``python -m gtpt_mm``: notes what it would run.
PYTHON = """#!/bin/sh
echo "$SLURM_PROCID $MASTER_ADDR:$MASTER_PORT $*" >> "$LOG"
exit {code}
"""


@pytest.fixture
def slurm(tmp_path):
    """A folder of commands, and the environment of a job."""
    folder = tmp_path / 'bin'
    folder.mkdir()

    def write(name: str, text: str) -> None:
        path = folder / name
        path.write_text(text)
        path.chmod(path.stat().st_mode | stat.S_IEXEC)

    write('srun', SRUN.format(python=sys.executable))
    write('scontrol', SCONTROL)
    env = os.environ | dict(
        PATH=f'{folder}:{os.environ["PATH"]}',
        LOG=str(tmp_path / 'log'),
        SLURM_JOB_ID='12345',
        SLURM_JOB_NAME='vitpose-h',
        SLURM_JOB_NODELIST='node[0-1]',
    )
    return write, env


def submit(repo_root, env, *words, cwd):
    return subprocess.run(
        ['bash', repo_root / 'docs/assets/train.sbatch', *words],
        env=env,
        cwd=cwd,
        capture_output=True,
        text=True,
    )


@pytest.mark.parametrize(('code', 'requeued'), [(0, 0), (1, 0), (138, 1),
                                                (143, 0)])  # fmt: skip
def test_starts_and_starts_again(repo_root, slurm, tmp_path, code, requeued):
    write, env = slurm
    write('python', PYTHON.format(code=code))
    done = submit(repo_root, env, '--auto-scale-lr', cwd=tmp_path)
    assert done.returncode == code, done.stderr
    lines = (tmp_path / 'log').read_text().splitlines()
    expected = (
        '127.0.0.1:32345 -m gtpt_mm train vitpose-h --launcher slurm '
        '--work-dir work_dirs/vitpose-h --resume --auto-scale-lr'
    )
    assert sorted(lines)[:2] == [f'0 {expected}', f'1 {expected}']
    assert lines.count('scontrol requeue 12345') == requeued


@pytest.mark.slow
def test_a_job_at_its_limit(repo_root, slurm, tmp_path):
    """Real trainings of two tasks: stopped, started again, and whole."""
    config = write_config(
        repo_root,
        tmp_path / 'data',
        **{
            'custom_imports.imports': ['gtpt_mm', 'support.die_at'],
            'custom_hooks': [dict(type='DieAt')],
        },
    )
    paths = os.pathsep.join(map(str, (repo_root, repo_root / 'tests')))
    env = slurm[1] | ENV | dict(PYTHONPATH=paths, CONFIG=str(config))
    python = Path(sys.executable).parent
    env |= dict(PATH=f'{tmp_path}/bin:{python}:{os.environ["PATH"]}')
    env |= dict(GLOO_SOCKET_IFNAME='lo', WORK_DIR=str(tmp_path / 'job'))
    first = env | dict(DIE_AT='1 6 limit')
    done = submit(repo_root, first, cwd=tmp_path)
    assert done.returncode == 138, done.stderr[-3000:]
    assert 'scontrol requeue 12345' in (tmp_path / 'log').read_text()
    assert (tmp_path / 'job' / 'stopped.pth').is_file()
    for folder in ('job', 'whole'):
        env |= dict(WORK_DIR=str(tmp_path / folder))
        done = submit(repo_root, env, cwd=tmp_path)
        assert done.returncode == 0, done.stderr[-3000:]
    assert_same_run(tmp_path / 'job', tmp_path / 'whole')


def test_page_shows_the_file(repo_root):
    page = (repo_root / 'docs/clusters.md').read_text()
    text = (repo_root / 'docs/assets/train.sbatch').read_text()
    assert f'```bash\n{text}```' in page
