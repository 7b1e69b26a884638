"""The ``gtpt-mm`` command: parse, call, print.

Each subcommand is a module of this package with ``HELP`` (one line),
``add_arguments(parser)`` and ``run(args) -> int`` (the exit code). A module
imports what it needs inside ``run``, so that ``gtpt-mm doctor`` answers even
where torch or mmpose is broken.
"""

import argparse
import importlib

COMMANDS = (
    'doctor',
    'sample-data',
    'convert',
    'split',
    'add-dataset',
    'visualize',
    'benchmark',
)


def main(argv: list[str] | None = None) -> int:
    """Run one subcommand and return its exit code."""
    parser = argparse.ArgumentParser(
        prog='gtpt-mm', description='Tools around the gtpt_mm pose models.'
    )
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
    return args.run(args)
