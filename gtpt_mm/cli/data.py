"""``gtpt-mm data``: your own set, from and to annotation tools."""

import argparse

from . import data_check, data_export, data_import

HELP = 'Read, check and write annotated sets of your own.'
COMMANDS = {
    'import': data_import,
    'check': data_check,
    'export': data_export,
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the subcommands."""
    commands = parser.add_subparsers(dest='data_command', required=True)
    for name, module in COMMANDS.items():
        sub = commands.add_parser(
            name, help=module.HELP, description=module.HELP
        )
        module.add_arguments(sub)


def run(args: argparse.Namespace) -> int:
    """Run the subcommand."""
    return COMMANDS[args.data_command].run(args)
