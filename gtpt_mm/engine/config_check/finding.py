"""Findings of the check, and suggestions for misspelt names."""

import difflib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

#: Longest text of a value in a message.
MAX_VALUE = 80


@dataclass(frozen=True)
class Finding:
    """A mistake in a config.

    Attributes:
        place: Dotted key, as for ``--cfg-options``.
        value: The value there; ``MISSING`` if there is none.
        message: What is wrong with it.
        remedy: How to mend it.
        severity: ``'error'`` stops the run, ``'warning'`` is only printed.
    """

    place: str
    value: Any
    message: str
    remedy: str
    severity: str = 'error'

    def __str__(self) -> str:
        value = '' if self.value is MISSING else f'={_shorten(self.value)}'
        return (
            f'{self.severity}: {self.place}{value}: {self.message}; '
            f'{self.remedy}'
        )


#: The value of a missing key.
MISSING: Any = object()


def collect(findings: Iterable[Finding]) -> list[Finding]:
    """Return the findings up to the first thing that cannot be read."""
    found = []
    try:
        for finding in findings:
            found.append(finding)
    except Exception:  # a config may hold anything
        return found
    return found


def _shorten(value: Any) -> str:
    """Return the value as text, cut where it is long."""
    text = repr(value)
    return text if len(text) <= MAX_VALUE else f'{text[: MAX_VALUE - 3]}...'


def find_near(word: str, names: Iterable[str]) -> str | None:
    """Return the name that ``word`` misspells, or None.

    Case and underscores do not count; otherwise one letter may be added, left
    out, replaced or swapped, in a long name two. A number after a name makes a
    different name.
    """
    best: tuple[int, str] | None = None
    for name in names:
        if _fold(word).rstrip('0123456789') == _fold(name) != _fold(word):
            continue  # model2 is a second one
        distance = _count_edits(_fold(word), _fold(name))
        limit = 1 if min(len(word), len(name)) < 9 else 2
        if distance <= limit and (best is None or distance < best[0]):
            best = distance, name
    return best[1] if best else None


def suggest(word: str, names: Iterable[str]) -> str:
    """Return the remedy for a name that is not among ``names``."""
    names = sorted(names)
    near = find_near(word, names)
    if near is None:
        close = difflib.get_close_matches(word, names, 1, 0.6)
        near = close[0] if close else None
    if near is not None:
        return f'did you mean {near!r}?'
    if not names:
        return 'remove it'
    shown = ', '.join(names[:12]) + (', ...' if len(names) > 12 else '')
    return f'choose one of {shown}'


def _fold(word: str) -> str:
    return word.casefold().replace('_', '')


def _count_edits(a: str, b: str) -> int:
    """Return the edit distance; swapping two neighbours is one edit."""
    if abs(len(a) - len(b)) > 2:
        return 3
    before: list[int] = []
    row = list(range(len(b) + 1))
    for i, letter in enumerate(a, 1):
        last, before, row = before, row, [i]
        for j, other in enumerate(b, 1):
            cost = before[j - 1] + (letter != other)
            cost = min(cost, before[j] + 1, row[j - 1] + 1)
            if i > 1 and j > 1 and a[i - 2 : i] == b[j - 2 : j][::-1]:
                cost = min(cost, last[j - 2] + 1)
            row.append(cost)
    return row[-1]
