"""The ``gtpt-mm`` command: parse, call, print.

Each subcommand is a module of this package with ``HELP`` (one line),
``add_arguments(parser)`` and ``run(args) -> int`` (the exit code). A module
imports torch and mmpose inside ``run`` only, so that ``gtpt-mm doctor``,
``--help`` and ``--version`` answer where those are missing or broken.
"""

import argparse
import importlib
import importlib.metadata
import pickle
import sys

import gtpt_mm

COMMANDS = (
    'doctor',
    'sample-data',
    'convert',
    'split',
    'add-dataset',
    'visualize',
    'benchmark',
)
#: Errors that are told in one line.
INPUT_ERRORS = (ValueError, OSError, pickle.UnpicklingError)


def main(argv: list[str] | None = None) -> int:
    """Run one subcommand.

    Args:
        argv: Arguments; those of the process if None.

    Returns:
        The exit code: of the subcommand, or 2 on bad input, which one line
        on stderr explains.
    """
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
    args = parser.parse_args(argv)
    try:
        return args.run(args)
    except Exception as error:
        if gtpt_mm.import_error is not None and not isinstance(error, OSError):
            # Whatever a broken package raised this time: that is the cause.
            message = str(gtpt_mm.import_error)
        elif isinstance(error, INPUT_ERRORS):
            message = str(error)
        else:
            raise
    print(f'gtpt-mm {args.command}: {message}', file=sys.stderr)
    return 2


def _versions() -> str:
    """Return the versions that matter for a report of an error."""
    found = [f'gtpt_mm {gtpt_mm.__version__}']
    for name in ('torch', 'mmengine', 'mmcv', 'mmcv-lite', 'mmdet', 'mmpose'):
        try:
            found.append(f'{name} {importlib.metadata.version(name)}')
        except importlib.metadata.PackageNotFoundError:
            continue
    return ', '.join([*found, f'Python {sys.version.split()[0]}'])
