"""Mistakes and repairs found in one file, and words for them."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

#: Ids named in a message before "...".
NUM_NAMED = 5


class AnnotationError(ValueError):
    """An annotation file, or a file of detections, cannot be used."""


class Findings:
    """What was found in one file.

    Args:
        file: Path of the file, for messages.
    """

    def __init__(self, file: str) -> None:
        self.file = file
        self.mended: Counter[str] = Counter()
        self.warnings: list[str] = []
        self.unlisted: Counter[Any] = Counter()
        self.image_ids: dict[Any, int] = {}
        self._errors: dict[str, list[str]] = {}

    def error(self, what: str, *places: str) -> None:
        """Note a mistake and where it is."""
        self._errors.setdefault(what, []).extend(places)

    def check(self) -> None:
        """Raise if a mistake was noted.

        Raises:
            AnnotationError: With every kind of mistake, its number and the
                first places.
        """
        if self._errors:
            lines = [
                f'{what}: {list_some(places)}' if places else what
                for what, places in self._errors.items()
            ]
            raise AnnotationError(
                f'{self.file} cannot be used:\n- ' + '\n- '.join(lines)
            )


def list_some(places: Sequence[Any]) -> str:
    """Return the first places and, where there are more, their number."""
    some = ', '.join(map(str, places[:NUM_NAMED]))
    more = len(places) > NUM_NAMED
    return f'{some}, ... ({len(places):,} in all)' if more else some


def name(annotation: dict) -> str:
    """Return how a message calls an annotation."""
    return (
        f'annotation {annotation.get("id")} of image '
        f'{annotation.get("image_id")}'
    )
