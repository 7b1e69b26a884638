"""Arguments and checks that several subcommands share."""

import argparse
from pathlib import Path


def add_overwrite(parser: argparse.ArgumentParser) -> None:
    """Add ``--overwrite``."""
    parser.add_argument(
        '--overwrite', action='store_true', help='replace existing files'
    )


def add_no_config_check(parser: argparse.ArgumentParser) -> None:
    """Add ``--no-config-check``."""
    parser.add_argument(
        '--no-config-check',
        dest='config_check',
        action='store_false',
        help='do not look for mistakes in the config first',
    )


def check_target(path: Path, overwrite: bool) -> None:
    """Check that a file may be written.

    Raises:
        ValueError: If it exists and may not be replaced.
    """
    if path.exists() and not overwrite:
        raise ValueError(f'{path} exists; give --overwrite to replace it')
