"""The ``gtpt-mm`` command: parse, call, print.

Bad input is reported in one line, with exit code 2; only a bug shows a
traceback. Each subcommand is a module of this package with ``HELP``
(one line), ``add_arguments(parser)`` and ``run(args) -> int`` (the exit code).
A module imports torch and mmpose only inside ``run``, so that ``gtpt-mm
doctor``, ``--help`` and ``--version`` work even if those are missing or
broken.
"""

import argparse
import importlib
import importlib.metadata
import os
import pickle
import sys
from typing import TextIO

import gtpt_mm

COMMANDS = (
    'doctor',
    'setup',
    'new',
    'finetune',
    'train',
    'predict',
    'sample-data',
    'data',
    'download',
    'convert',
    'split',
    'add-dataset',
    'visualize',
    'analyze',
    'benchmark',
    'export',
    'pack',
    'app',
    'run',
)
#: Errors that are reported in one line: those that our functions raise for bad
#: input, and those of files, disks and pipes.
INPUT_ERRORS = (ValueError, OSError, EOFError, pickle.UnpicklingError)
INTERRUPTED = 130  # as shells count: 128 + SIGINT
BROKEN_PIPE = 141  # 128 + SIGPIPE
#: Maximum length of a message in characters.
MAX_LENGTH = 2000


def main(argv: list[str] | None = None) -> int:
    """Run one subcommand.

    Args:
        argv: Arguments; those of the process if None.

    Returns:
        The exit code: that of the subcommand; 2 on bad input and 130 if
        interrupted, each with one line on stderr; 141 if nobody reads the
        output any more.
    """
    _open_closed_streams()
    args = _make_parser().parse_args(argv)
    try:
        code = args.run(args)
        sys.stdout.flush()
        return code
    except BrokenPipeError:
        _give_up(sys.stdout)
        return BROKEN_PIPE
    except KeyboardInterrupt:
        message, code = 'interrupted', INTERRUPTED
    except Exception as error:
        if gtpt_mm.import_error is not None and not isinstance(error, OSError):
            # A broken package may raise anything; report it as the cause.
            error = gtpt_mm.import_error
        elif not isinstance(error, INPUT_ERRORS):
            raise
        message, code = _describe(error), 2
        if isinstance(error, OSError) and error.filename is None:
            _give_up(sys.stdout)  # maybe that was the full disk
    print(f'gtpt-mm {args.command}: {message}', file=sys.stderr)
    return code


def _make_parser() -> argparse.ArgumentParser:
    """Return the parser of all subcommands."""
    parser = argparse.ArgumentParser(
        prog='gtpt-mm', description='Tools around the gtpt_mm pose models.'
    )
    parser.add_argument('--version', action='version', version=_versions())
    subparsers = parser.add_subparsers(dest='command', required=True)
    for name in COMMANDS:
        module = importlib.import_module(
            f'{__name__}.{name.replace("-", "_")}'
        )
        sub = subparsers.add_parser(
            name, help=module.HELP, description=module.HELP
        )
        module.add_arguments(sub)
        sub.set_defaults(run=module.run)
    return parser


def _describe(error: Exception) -> str:
    """Return the error in one line."""
    message = str(error)
    if isinstance(error, OSError) and error.filename is not None:
        message = f'{os.fsdecode(error.filename)}: {error.strerror}'
    message = ' '.join(message.split()) or type(error).__name__
    if len(message) > MAX_LENGTH:
        message = f'{message[:MAX_LENGTH]} ...'
    return message


def _open_closed_streams() -> None:
    """Open closed ones of stdin, stdout and stderr on the null device.

    Otherwise the next opened file, maybe a checkpoint, would become stdout for
    libraries that print to it.
    """
    nothing = os.open(os.devnull, os.O_RDWR)
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.dup2(nothing, number)
    if nothing > 2:
        os.close(nothing)
    for number, name in (1, 'stdout'), (2, 'stderr'):
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(number, 'w', closefd=False))


def _give_up(stream: TextIO) -> None:
    """Drop output that cannot be written, or Python would complain at exit."""
    try:
        stream.flush()
    except OSError:
        nothing = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nothing, stream.fileno())
        os.close(nothing)


def _versions() -> str:
    """Return the versions that matter for a report of an error."""
    found = [f'gtpt_mm {gtpt_mm.__version__}']
    for name in ('torch', 'mmengine', 'mmcv', 'mmcv-lite', 'mmdet', 'mmpose'):
        try:
            found.append(f'{name} {importlib.metadata.version(name)}')
        except importlib.metadata.PackageNotFoundError:
            continue
    return ', '.join([*found, f'Python {sys.version.split()[0]}'])
