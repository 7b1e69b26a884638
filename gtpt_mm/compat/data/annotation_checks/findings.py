"""Mistakes and repairs found in one file, and their messages."""

import functools
from collections import Counter
from typing import Any

from ...messages import list_some, warn


class AnnotationError(ValueError):
    """An annotation file, or a file of detections, cannot be used."""


class Findings:
    """Mistakes and repairs found in one file.

    Args:
        file: Path of the file, for messages.
    """

    def __init__(self, file: str) -> None:
        self.file = file
        self.mended: Counter[str] = Counter()
        self.warnings: list[str] = []
        self.unlisted: Counter[Any] = Counter()
        self.image_ids: dict[Any, int] = {}
        #: Where each mistake occurs.
        self.errors: dict[str, list[str]] = {}

    def image_id(self, written: Any) -> int | None:
        """Return the number of an image by its id in any form, or None.

        7, '7' and '007' are one image, unless the file has two of them.
        """
        if written in self.image_ids:
            return self.image_ids[written]
        return self._numbers.get(plain(written))

    @functools.cached_property
    def _numbers(self) -> dict[Any, int]:
        numbers = {plain(key): value for key, value in self.image_ids.items()}
        return numbers if len(numbers) == len(self.image_ids) else {}

    def error(self, what: str, *places: str) -> None:
        """Note a mistake and where it occurs."""
        self.errors.setdefault(what, []).extend(places)

    def check(self) -> None:
        """Raise if a mistake was noted.

        Raises:
            AnnotationError: With every kind of mistake, its number and the
                first places.
        """
        if self.errors:
            lines = [
                f'{what}: {list_some(places)}' if places else what
                for what, places in self.errors.items()
            ]
            raise AnnotationError(
                f'{self.file} cannot be used:\n- ' + '\n- '.join(lines)
            )

    def log(self) -> None:
        """Log the warnings."""
        for warning in self.warnings:
            warn(f'{self.file}: {warning}')


def count(counter: Counter[str]) -> str:
    """Return counts with their descriptions, without zeros."""
    return ', '.join(f'{n:,} {what}' for what, n in counter.items() if n)


def plain(value: Any) -> Any:
    """Return an id as a Python number if it looks like one.

    Example:
        >>> plain('007'), plain(7.0), plain('a7')
        (7, 7, 'a7')
    """
    value = value.item() if hasattr(value, 'item') else value
    is_whole = isinstance(value, float) and value.is_integer()
    is_decimal = isinstance(value, str) and value.isdecimal()
    return int(value) if is_whole or is_decimal else value


def name(annotation: dict) -> str:
    """Return the name of an annotation in messages."""
    return (
        f'annotation {annotation.get("id")} of image '
        f'{annotation.get("image_id")}'
    )
