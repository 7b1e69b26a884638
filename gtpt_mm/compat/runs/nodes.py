"""Refuse a training whose processes see other files than the first.

Nodes of a cluster may have separate file systems, or a shared one that shows
new files late.
"""

import contextlib
import os
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mmengine.dist import (
    all_gather_object,
    broadcast_object_list,
    get_world_size,
    is_main_process,
)

from ..messages import list_some

#: Seconds that a network file system may keep an old listing of a folder.
PATIENCE = 70.0


def agree(what: str, value: Any, remedy: str) -> None:
    """Raise in all processes if one of them has another value.

    All processes must call this.

    Args:
        what: Description of the value, for the message.
        value: Anything that can be pickled and compared.
        remedy: Advice for the message.

    Raises:
        ValueError: If the values differ; it names hosts and values.
    """
    if get_world_size() == 1:
        return
    found = list(all_gather_object((socket.gethostname(), value)) or ())
    first = found[0][1]
    others = [
        f'process {rank} on {host} has {theirs}'
        for rank, (host, theirs) in enumerate(found)
        if theirs != first
    ]
    if others:
        raise ValueError(
            f'{what} differs between processes: the first, on {found[0][0]}, '
            f'has {first}, {list_some(others)}. {remedy}'
        )


def find_together(find: Callable[[], str | None]) -> str | None:
    """Return the file that the first process finds, for all processes.

    All processes must call this.

    Args:
        find: Returns the path of a file, None for none; the first process
            calls it.

    Raises:
        ValueError: In all processes, if ``find`` raises one in the first, or
            if one of them cannot see the file.
    """
    if get_world_size() == 1:
        return find()
    found: list = [None, None]
    if is_main_process():
        try:
            found[0] = find()
        except ValueError as error:
            found[1] = error
    broadcast_object_list(found)
    path, error = found
    if error is not None:
        raise error
    if path is not None and '://' not in path:
        agree(
            f'whether the checkpoint {path} is there',
            _appears(Path(path)),
            'Set work_dir to a folder of a file system that all nodes share',
        )
    return path


def _appears(path: Path) -> bool:
    """Tell whether a file exists, or appears while we wait."""
    end = time.monotonic() + PATIENCE
    while not path.is_file():
        if time.monotonic() > end:
            return False
        with contextlib.suppress(OSError):
            os.listdir(path.parent)  # asks the server
        time.sleep(1)
    return True
