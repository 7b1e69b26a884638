"""Write a file whole or not at all.

Used for checkpoints and for the files that the command line writes. A full
disk, a crash or a kill leaves the old file, never half of the new one.
"""

import contextlib
import os
import re
import socket
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

#: Names of temporary files: process and host, so that others can tell whether
#: somebody still writes to one.
TEMPORARY = re.compile(r'\.gtpt_mm-(\d+)@(.+?)~')
#: Seconds after which nobody writes to a temporary file any more.
ABANDONED = 3600.0


@contextlib.contextmanager
def atomic_write(path: str | Path) -> Iterator[Path]:
    """Yield a path to write to; put the file in its place at the end.

    The temporary file lies beside the target, in the same file system, so
    that the last step is one rename. It is flushed to disk first. If the body
    raises, the target stays unchanged and the temporary file is removed.

    Args:
        path: The target; a link is followed, so that the file behind it is
            replaced, not the link.

    Yields:
        The path of the temporary file, with the suffix of the target.

    Raises:
        IsADirectoryError: If the target is a folder.
        OSError: If the target is a device, or cannot be written; it names
            the target, not the temporary file.
    """
    target = Path(os.path.realpath(path))
    if target.is_dir():
        raise IsADirectoryError(f'{path} is a folder, not a file')
    if target.exists() and not target.is_file():
        raise OSError(f'{path} is not a regular file; it is not replaced')
    handle, name = tempfile.mkstemp(
        dir=target.parent,
        prefix=f'.gtpt_mm-{os.getpid()}@{socket.gethostname()}~{target.stem}.',
        suffix=target.suffix,
    )
    os.close(handle)
    temporary = Path(name)
    try:
        with contextlib.suppress(PermissionError):  # some network disks
            temporary.chmod(_mode(target))
        yield temporary
        _flush(temporary)
        os.replace(temporary, target)
        with contextlib.suppress(OSError):  # not every disk flushes folders
            _flush(target.parent)
    except OSError as error:
        if error.errno is None or error.filename not in (None, name):
            raise
        raise OSError(error.errno, error.strerror, str(path)) from error
    finally:
        temporary.unlink(missing_ok=True)


def remove_leftovers(folder: str | Path) -> None:
    """Remove temporary files of :func:`atomic_write` left by a kill.

    Files of running processes are kept, and files of another host for an hour.

    Args:
        folder: Folder of the targets.
    """
    for path in Path(folder).glob('.gtpt_mm-*'):
        if match := TEMPORARY.match(path.name):
            with contextlib.suppress(OSError):
                is_old = time.time() - path.stat().st_mtime > ABANDONED
                is_here = match[2] == socket.gethostname()
                if is_old or (is_here and not is_alive(int(match[1]))):
                    path.unlink()


def is_alive(pid: int) -> bool:
    """Return whether a process of this host exists; True if unknown."""
    if os.name != 'posix':
        return True  # there is no harmless signal
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True  # of another user
    return True


def _mode(target: Path) -> int:
    """Return the mode of the old file, or the one a new file would get."""
    if target.exists():
        return target.stat().st_mode & 0o777
    mask = os.umask(0)
    os.umask(mask)
    return 0o666 & ~mask


def _flush(path: Path) -> None:
    """Flush a file or a folder to disk, where the system can."""
    if os.name != 'posix' and path.is_dir():
        return  # only POSIX opens folders
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
