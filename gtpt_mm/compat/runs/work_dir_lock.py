"""Lock the work folder of a training.

Broken: two trainings in one ``work_dir`` overwrite each other's checkpoints
and both end without an error: mmengine (<= 0.10.7) has no lock.

Here: ``Runner.train`` holds a file ``training.lock`` with host, process and
job; rank 0 touches it every 30 seconds. A second training is refused, unless
the first one is dead: its process is gone on this host, its lock is older
than 120 seconds on another host, or it was an earlier start of the same SLURM
job. ``force_work_dir=True`` in the config takes the lock over. Tests and
validations need no lock.

Can go: when mmengine locks the folder.
"""

import contextlib
import functools
import json
import os
import socket
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from mmengine.dist import broadcast_object_list, is_main_process
from mmengine.runner import Runner

from ..files.atomic_file import is_alive

NAME = 'training.lock'
OPTION = 'force_work_dir'
#: Seconds between two touches, and until a lock of another host is stale.
INTERVAL = 30.0
STALE = 120.0


class WorkDirInUseError(RuntimeError):
    """Another training writes to the work folder."""


def missing() -> str:
    """Say what is missing."""
    return 'mmengine lets two trainings write to one work_dir'


def repair() -> None:
    """Lock the folder of a training, and keep its config."""
    Runner.train = hold_lock(Runner.train)
    Runner.dump_config = spare_config(Runner.dump_config)


def hold_lock(train: Callable) -> Callable:
    """Return the runner's ``train``, refused where another one runs."""

    @functools.wraps(train)
    def wrapper(self: Runner) -> Any:
        force = bool(self.cfg.get(OPTION, False))
        with lock_work_dir(self.work_dir, force):
            return train(self)

    return wrapper


def spare_config(dump_config: Callable) -> Callable:
    """Return the runner's method, not writing where another one trains.

    It is called when a runner is built, before it is known whether it will
    train (and be refused) or test.
    """

    @functools.wraps(dump_config)
    def wrapper(self: Runner) -> None:
        if not find_owner(Path(self.work_dir, NAME)):
            dump_config(self)

    return wrapper


@contextlib.contextmanager
def lock_work_dir(work_dir: str, force: bool = False) -> Iterator[None]:
    """Hold the lock of a work folder; collective over all ranks.

    Args:
        work_dir: Folder, which exists.
        force: Whether the lock of a running training is taken over.

    Raises:
        WorkDirInUseError: On all ranks, if another training runs there.
    """
    lock = Path(work_dir, NAME)
    problem = ['']
    if is_main_process():
        problem = [_take(lock, force)]
    broadcast_object_list(problem)
    if problem[0]:
        raise WorkDirInUseError(problem[0])
    stopped = threading.Event()
    if is_main_process():
        thread = threading.Thread(
            target=_keep_fresh, args=(lock, stopped), daemon=True
        )
        thread.start()
    try:
        yield
    finally:
        stopped.set()
        if is_main_process() and _read(lock) == _describe_self():
            lock.unlink(missing_ok=True)


def find_owner(lock: Path) -> str:
    """Describe another, living holder of a lock; '' if there is none."""
    try:
        touched = lock.stat().st_mtime
    except OSError:
        return ''
    age = _now(lock.parent) - touched
    owner, me = _read(lock), _describe_self()
    if owner == me:
        return ''
    words = (
        f'process {owner.get("pid", "?")} on {owner.get("host", "?")}'
        f'{" of job " + owner["job"] if owner.get("job") else ""}, '
        f'active {max(age, 0):.0f} s ago'
    )
    if owner and all(owner.get(k) == me[k] for k in ('host', 'namespace')):
        is_same = owner.get('start') == _start_time(owner.get('pid'))
        return words if is_same and is_alive(owner['pid']) else ''
    if owner.get('job') and owner['job'] == me['job']:
        return ''  # requeued
    return words if age <= STALE else ''


def _take(lock: Path, force: bool) -> str:
    """Write the lock; return why it cannot be taken, '' if it is."""
    for _ in range(3):
        judged = _read(lock) if lock.exists() else None
        owner = '' if force else find_owner(lock)
        if owner:
            return (
                f'another training runs in {lock.parent}: {owner} '
                f'({lock.name}). Choose another work_dir, or, if you know '
                f'that it has ended, pass --cfg-options {OPTION}=True'
            )
        if judged is not None:
            _remove(lock, judged)
        with contextlib.suppress(FileExistsError):
            _write(lock)
            return ''
    return f'{lock} cannot be taken: other trainings start at the same time'


def _write(lock: Path) -> None:
    """Write a new lock; on a full disk leave none."""
    with lock.open('x') as file:
        try:
            file.write(json.dumps(_describe_self()))
            file.flush()
        except OSError as error:
            lock.unlink()
            raise OSError(error.errno, error.strerror, str(lock)) from error


def _remove(lock: Path, judged: dict) -> None:
    """Remove a lock, unless another start has just replaced it."""
    aside = lock.with_name(f'.{lock.name}.{os.getpid()}')
    with contextlib.suppress(FileNotFoundError):
        os.rename(lock, aside)
        if _read(aside) != judged:
            os.rename(aside, lock)
        aside.unlink(missing_ok=True)


def _keep_fresh(lock: Path, stopped: threading.Event) -> None:
    while not stopped.wait(INTERVAL):
        with contextlib.suppress(OSError):
            os.utime(lock)


def _read(lock: Path) -> dict:
    """Return the content of a lock; {} if it is not written yet."""
    try:
        content = json.loads(lock.read_text())
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _describe_self() -> dict:
    """Return what identifies this process; pids recur, so also its start."""
    pid = os.getpid()
    return dict(
        host=socket.gethostname(),
        namespace=_namespace(),
        pid=pid,
        start=_start_time(pid),
        job=os.environ.get('SLURM_JOB_ID', ''),
    )


def _namespace() -> str:
    """Return the namespace of pids: containers may share a host's name."""
    try:
        return os.readlink('/proc/self/ns/pid')
    except OSError:
        return ''


def _start_time(pid: Any) -> str:
    """Return when a process started, in ticks since boot; '' if unknown."""
    try:
        stat = Path(f'/proc/{pid}/stat').read_text()
    except OSError:
        return ''
    return stat.rpartition(')')[2].split()[19]  # the name may have spaces


def _now(folder: Path) -> float:
    """Return the time of the folder's file system, which touches locks."""
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            return os.fstat(file.fileno()).st_mtime
    except OSError:
        return time.time()
