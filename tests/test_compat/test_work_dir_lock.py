"""One training at a time in a work folder."""

import json
import os
import subprocess
import sys
import time

import pytest
from support.line import make_line_runner

from gtpt_mm.compat.runs import work_dir_lock
from gtpt_mm.compat.runs.work_dir_lock import (
    NAME,
    WorkDirInUseError,
    lock_work_dir,
)


@pytest.fixture
def other(tmp_path):
    """Start another process, and write the lock that it would hold."""
    process = subprocess.Popen(
        [sys.executable, '-c', 'input()'], stdin=subprocess.PIPE
    )
    start = work_dir_lock._start_time(process.pid)
    write_lock(tmp_path, pid=process.pid, start=start)
    yield process
    process.kill()
    process.wait()
    process.stdin.close()


def write_lock(folder, age=0.0, **changes):
    """Write the lock of a training; ours unless something is changed."""
    lock = folder / NAME
    owner = work_dir_lock._describe_self() | dict(job='') | changes
    lock.write_text(json.dumps(owner))
    touched = time.time() - age
    os.utime(lock, (touched, touched))
    return lock


def test_second_training_is_refused_until_the_first_is_dead(tmp_path, other):
    runner = make_line_runner(tmp_path, 1)
    words = rf'{tmp_path}: process {other.pid} on .*force_work_dir=True'
    with pytest.raises(WorkDirInUseError, match=words):
        runner.train()
    assert not list(tmp_path.glob('*.pth'))
    other.kill()
    other.wait()
    runner.train()
    assert (tmp_path / 'epoch_1.pth').exists()
    assert not (tmp_path / NAME).exists()


def test_force_takes_the_lock_over(tmp_path, other):
    options = dict(cfg=dict(force_work_dir=True))
    make_line_runner(tmp_path, 1, **options).train()
    assert (tmp_path / 'epoch_1.pth').exists()


def test_config_of_the_running_training_is_kept(tmp_path, other):
    before = sorted(p.name for p in tmp_path.glob('*.py'))
    make_line_runner(tmp_path, 1)
    assert sorted(p.name for p in tmp_path.glob('*.py')) == before


def test_validation_needs_no_lock(tmp_path, other):
    assert make_line_runner(tmp_path, 1).val()['AP'] == 0.5


def test_lock_is_removed_after_an_error(tmp_path):
    with pytest.raises(KeyError), lock_work_dir(str(tmp_path)):
        assert (tmp_path / NAME).exists()
        raise KeyError
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    'stale',
    [
        dict(pid=2**22 + 1),  # above the largest pid of Linux
        dict(start='0'),  # the pid is another process's now
        dict(host='elsewhere', age=130),
        dict(namespace='of a container', age=130),
        dict(host='elsewhere', job='77'),
    ],
)
def test_stale_lock_is_taken(tmp_path, monkeypatch, stale):
    monkeypatch.setenv('SLURM_JOB_ID', '77')
    write_lock(tmp_path, **stale)
    with lock_work_dir(str(tmp_path)):
        content = json.loads((tmp_path / NAME).read_text())
        assert content['pid'] == os.getpid()
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    'live',
    [
        dict(host='elsewhere', age=90),
        dict(host='elsewhere', job='76'),
        dict(namespace='of a container'),
    ],
)
def test_live_lock_of_another_host(tmp_path, monkeypatch, live):
    monkeypatch.setenv('SLURM_JOB_ID', '77')
    lock = write_lock(tmp_path, **live)
    content = lock.read_text()
    with (
        pytest.raises(WorkDirInUseError, match='another training'),
        lock_work_dir(str(tmp_path)),
    ):
        raise AssertionError('not reached')
    assert lock.read_text() == content


def test_process_of_this_job_that_lives(tmp_path, monkeypatch, other):
    """Two steps of one SLURM job: the first one is no earlier start."""
    lock = tmp_path / NAME
    content = json.loads(lock.read_text()) | dict(job='77')
    lock.write_text(json.dumps(content))
    monkeypatch.setenv('SLURM_JOB_ID', '77')
    with (
        pytest.raises(WorkDirInUseError, match='of job 77'),
        lock_work_dir(str(tmp_path)),
    ):
        raise AssertionError('not reached')


def test_lock_that_is_being_written(tmp_path):
    lock = tmp_path / NAME
    lock.touch()
    with pytest.raises(WorkDirInUseError), lock_work_dir(str(tmp_path)):
        raise AssertionError('not reached')
    os.utime(lock, (0, 0))
    with lock_work_dir(str(tmp_path)):
        pass


def test_starts_at_the_same_time(tmp_path, monkeypatch):
    """Another start takes the lock after this one has found none."""

    def find_owner(lock):
        monkeypatch.undo()
        write_lock(tmp_path, host='elsewhere')
        return ''

    monkeypatch.setattr(work_dir_lock, 'find_owner', find_owner)
    with (
        pytest.raises(WorkDirInUseError, match='on elsewhere'),
        lock_work_dir(str(tmp_path)),
    ):
        raise AssertionError('not reached')


def test_lock_is_touched(tmp_path, monkeypatch):
    monkeypatch.setattr(work_dir_lock, 'INTERVAL', 0.01)
    with lock_work_dir(str(tmp_path)):
        os.utime(tmp_path / NAME, (0, 0))
        deadline = time.time() + 5
        while (tmp_path / NAME).stat().st_mtime == 0:
            assert time.time() < deadline
            time.sleep(0.01)
