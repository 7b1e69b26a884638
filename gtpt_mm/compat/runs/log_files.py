"""Keep the log file of a training when other packages configure logging.

Broken: ``logging.config.dictConfig`` and ``fileConfig``, which uvicorn (the
page in the browser), Ray Data and others call, close the handlers of all
loggers. mmengine's log file (<= 0.10.7) is opened for writing anew, and
Python does not open such a file again: later lines of the log are lost
without a word, and ``init_weights`` of the next model ends with
``'NoneType' object has no attribute 'write'``.

Here: a file of ``MMLogger`` that was closed by others is opened again, at its
end, when the next line comes or the next model is initialised.

Can go: when mmengine opens its log for appending, and writes through it.
"""

import functools
import logging

from mmengine.logging import MMLogger
from mmengine.model import BaseModule

_call_handlers = MMLogger.callHandlers
_dump_init_info = BaseModule._dump_init_info


def missing() -> str:
    """Say what is missing."""
    return (
        'mmengine loses its log file when another package configures logging'
    )


def repair() -> None:
    """Open closed files before they are written."""
    MMLogger.callHandlers = _call_handlers_of_open_files
    BaseModule._dump_init_info = _dump_into_open_files


def reopen(logger: logging.Logger) -> None:
    """Open the files of a logger that others have closed.

    A file whose folder is gone is no longer written.
    """
    for handler in list(logger.handlers):
        if isinstance(handler, logging.FileHandler) and not handler.stream:
            handler.mode = 'a'
            try:
                handler.setStream(handler._open())
            except OSError:
                logger.removeHandler(handler)


@functools.wraps(_call_handlers)
def _call_handlers_of_open_files(
    self: MMLogger, record: logging.LogRecord
) -> None:
    reopen(self)
    _call_handlers(self, record)


@functools.wraps(_dump_init_info)
def _dump_into_open_files(self: BaseModule) -> None:
    reopen(MMLogger.get_current_instance())
    _dump_init_info(self)
