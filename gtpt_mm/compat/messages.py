"""Messages of the shims: short lists, lines in mmengine's log."""

import logging
from collections.abc import Sequence
from typing import Any

import mmengine.logging

#: Names in a message before "and 3 more".
NUM_NAMED = 5


def list_some(names: Sequence[Any]) -> str:
    """Return the first names and, where there are more, how many.

    Example:
        >>> list_some('abcdefgh')
        'a, b, c, d, e and 3 more'
    """
    some = ', '.join(map(str, names[:NUM_NAMED]))
    more = len(names) - NUM_NAMED
    return f'{some} and {more:,} more' if more > 0 else some


def log(message: str, level: int = logging.INFO) -> None:
    """Log a message where mmengine does."""
    mmengine.logging.print_log(message, logger='current', level=level)


def warn(message: str) -> None:
    """Log a warning where mmengine does."""
    log(message, logging.WARNING)
