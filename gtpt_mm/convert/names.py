"""Tables of names: one project's tensors beside ours."""

import re
from collections.abc import Iterable

WILDCARDS = {'#': r'(\d+)', '*': r'(weight|bias)', '**': r'(.+)'}


class NameTable:
    """Two names for every tensor, ours and another project's.

    In both columns ``#`` stands for a number, ``*`` for ``weight`` or
    ``bias``, and ``**`` for any ending; they come in the same order. The
    first row that fits is used.

    Args:
        rows: Pairs (our pattern, their pattern).

    Example:
        >>> table = NameTable([('layers.#.norm1.*', 'blocks.#.ln.*')])
        >>> table.ours('blocks.3.ln.bias'), table.theirs('layers.3.norm1.bias')
        ('layers.3.norm1.bias', 'blocks.3.ln.bias')
        >>> table.ours('blocks.3.ln.running_mean') is None
        True
    """

    def __init__(self, rows: Iterable[tuple[str, str]]) -> None:
        rows = list(rows)
        self._to_ours = [(_regex(b), _template(a)) for a, b in rows]
        self._to_theirs = [(_regex(a), _template(b)) for a, b in rows]

    def ours(self, name: str) -> str | None:
        """Return our name of their tensor, None if there is none."""
        return _rename(name, self._to_ours)

    def theirs(self, name: str) -> str | None:
        """Return their name of our tensor, None if there is none."""
        return _rename(name, self._to_theirs)


def _rename(name: str, rules: list[tuple[re.Pattern, str]]) -> str | None:
    for pattern, template in rules:
        if match := pattern.fullmatch(name):
            return template.format(*match.groups())
    return None


def _pieces(pattern: str) -> list[str]:
    return re.split(r'(\*\*|\*|#)', pattern)


def _regex(pattern: str) -> re.Pattern:
    return re.compile(
        ''.join(WILDCARDS.get(p) or re.escape(p) for p in _pieces(pattern))
    )


def _template(pattern: str) -> str:
    return ''.join('{}' if p in WILDCARDS else p for p in _pieces(pattern))
