"""Tables of names: native tensors beside those of another format."""

import re
from collections.abc import Callable, Iterable

from torch import Tensor

WILDCARDS = {'#': r'(\d+)', '*': r'(weight|bias)', '**': r'(.+)'}


class NameTable:
    """Pairs of native and foreign tensor names, used in both directions.

    In both columns ``#`` stands for a number, ``*`` for ``weight`` or
    ``bias``, and ``**`` for any ending; they come in the same order. The
    first row that fits is used.

    Args:
        rows: Pairs (native pattern, foreign pattern).

    Example:
        >>> table = NameTable([('layers.#.norm1.*', 'blocks.#.ln.*')])
        >>> table.native('blocks.3.ln.bias')
        'layers.3.norm1.bias'
        >>> table.foreign('layers.3.norm1.bias')
        'blocks.3.ln.bias'
        >>> table.native('blocks.3.ln.running_mean') is None
        True
    """

    def __init__(self, rows: Iterable[tuple[str, str]]) -> None:
        rows = list(rows)
        self._to_native = [(_regex(b), _template(a)) for a, b in rows]
        self._to_foreign = [(_regex(a), _template(b)) for a, b in rows]

    def native(self, name: str) -> str | None:
        """Return the native name of a foreign tensor, None if unknown."""
        return _rename(name, self._to_native)

    def foreign(self, name: str) -> str | None:
        """Return the foreign name of a native tensor, None if unknown."""
        return _rename(name, self._to_foreign)


def rename_tensors(
    state_dict: dict[str, Tensor],
    rename: Callable[[str], str | None],
    model: str,
) -> dict[str, Tensor]:
    """Return all tensors under new names.

    Args:
        state_dict: Tensors under old names.
        rename: Returns the new name, or None if it does not know the name.
        model: Name of the model for the message.

    Raises:
        ValueError: If names are unknown.
    """
    renamed = {key: rename(key) for key in state_dict}
    unknown = [key for key, name in renamed.items() if name is None]
    if unknown:
        raise ValueError(
            f'{len(unknown)} keys do not belong to {model}: '
            f'{", ".join(unknown)}'
        )
    return {
        name: state_dict[key]
        for key, name in renamed.items()
        if name is not None
    }


def check_present(
    state_dict: dict[str, Tensor], expected: Iterable[str]
) -> None:
    """Check that a checkpoint is complete.

    Raises:
        ValueError: If an expected name is missing.
    """
    missing = sorted(set(expected) - set(state_dict))
    if missing:
        raise ValueError(
            f'the checkpoint lacks {len(missing)} tensors, for example '
            f'{missing[:5]}; the file is not complete'
        )


def count_layers(names: Iterable[str], prefix: str) -> int:
    """Return one more than the largest number behind a prefix.

    Example:
        >>> count_layers(['layers.0.norm', 'layers.2.norm'], 'layers.')
        3
    """
    matches = (re.match(rf'{re.escape(prefix)}(\d+)\.', key) for key in names)
    return 1 + max((int(m[1]) for m in matches if m), default=-1)


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
