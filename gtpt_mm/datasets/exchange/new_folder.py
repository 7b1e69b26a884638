"""Make a folder whole or not at all."""

import contextlib
import os
import shutil
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

from gtpt_mm.compat.files.atomic_file import TEMPORARY, is_alive


@contextlib.contextmanager
def new_folder(
    out: Path, overwrite: bool, is_ours: Callable[[Path], bool]
) -> Iterator[Path]:
    """Yield a folder to fill; put it in its place at the end.

    The temporary folder lies beside the target, so that the last step is one
    rename. If the body raises, or the process is killed, the target stays as
    it was.

    Args:
        out: The target.
        overwrite: Whether a folder that is there may be replaced.
        is_ours: Returns whether a folder is one that may be replaced.

    Yields:
        The path of the temporary folder.

    Raises:
        ValueError: If the target is a file or a folder that may not be
            replaced.
    """
    out = Path(os.path.abspath(out))
    check_new_folder(out, overwrite, is_ours)
    out.parent.mkdir(parents=True, exist_ok=True)
    mark = f'.gtpt_mm-{os.getpid()}@{socket.gethostname()}~'
    temporary = out.parent / f'{mark}{out.name}'
    old = out.parent / f'{mark}{out.name}.old'
    temporary.mkdir()
    try:
        yield temporary
        if out.exists():
            out.rename(old)
        temporary.rename(out)
    except BaseException:
        if old.exists() and not out.exists():
            old.rename(out)
        raise
    finally:
        for folder in (temporary, old):
            shutil.rmtree(folder, ignore_errors=True)


def check_new_folder(
    out: Path, overwrite: bool, is_ours: Callable[[Path], bool]
) -> None:
    """Raise if a folder may not be made or replaced.

    Leftovers of killed processes are restored or removed.
    """
    _remove_leftovers(Path(os.path.abspath(out)))
    if os.path.lexists(out) and not out.is_dir():
        raise ValueError(f'{out} is a file; give the name of a new folder')
    if not out.exists() or not any(out.iterdir()):
        return
    if not overwrite:
        raise ValueError(
            f'{out} exists and is not empty; give another name, or '
            '--overwrite to replace it'
        )
    if not is_ours(out):
        raise ValueError(
            f'{out} holds other things than a set that was written here, so '
            'it is not replaced; give another name, or remove it by hand'
        )


def _remove_leftovers(out: Path) -> None:
    """Remove temporary folders that killed processes have left."""
    for path in out.parent.glob('.gtpt_mm-*'):
        match = TEMPORARY.match(path.name)
        rest = path.name[match.end() :] if match else ''
        if not match or rest not in (out.name, f'{out.name}.old'):
            continue
        if match[2] == socket.gethostname() and not is_alive(int(match[1])):
            if rest.endswith('.old') and not out.exists():
                path.rename(out)  # killed between the two renames
            else:
                shutil.rmtree(path, ignore_errors=True)
