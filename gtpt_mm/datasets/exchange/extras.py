"""Packages that only some formats need."""

import importlib
from types import ModuleType


class MissingExtraError(ImportError, ValueError):
    """A package of an extra is not installed: for users, an input error."""


def import_extra(package: str, extra: str, purpose: str) -> ModuleType:
    """Import a package, or say how it is installed.

    Args:
        package: Name that is imported.
        extra: Extra of gtpt_mm that installs it.
        purpose: Name of the file to read, for the message.

    Raises:
        MissingExtraError: If it is not installed.
    """
    try:
        return importlib.import_module(package)
    except ImportError as error:
        raise MissingExtraError(
            f'{purpose} needs the package {package}, which is not installed: '
            f'pip install "gtpt_mm[{extra}]"'
        ) from error
