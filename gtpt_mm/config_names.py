"""Configs of this package by name. Imports nothing but the table of names."""

import difflib
import fnmatch
from pathlib import Path
from typing import NamedTuple

from .config_folder import find_configs
from .model_table import ALIASES, MODELS

#: In mmpose's own functions a name behind this is one of ours.
PREFIX = 'gtpt_mm/'
#: Name by the stem of a config: the model's own, not that of other weights.
_BY_CONFIG = {
    Path(row[0]).stem: name
    for name, row in sorted(
        MODELS.items(), key=lambda item: len(item[0]), reverse=True
    )
    if row[0]
}


class NamedModel(NamedTuple):
    """A row of the table of names.

    Attributes:
        name: Short name; the full one for a config that has no other.
        config: File below the folder of configs; '' for an encoder to start
            a training from.
        dataset: Dataset in the name of the config.
        size: Input in the name of the config, height x width.
        weights: Where public weights are, or the page of those to be fetched
            by hand; '' if there are none.
    """

    name: str
    config: str
    dataset: str
    size: str
    weights: str

    @property
    def path(self) -> Path:
        """File of the config."""
        return find_configs() / self.config


def list_models(pattern: str = '*') -> list[str]:
    """Return the short names of models.

    Args:
        pattern: With ``*``, ``?`` and ``[...]`` as in names of files.

    Example:
        >>> list_models('vitpose-?')
        ['vitpose-b', 'vitpose-h', 'vitpose-l', 'vitpose-s']
    """
    return [
        name
        for name, (config, *_) in MODELS.items()
        if config
        and name != Path(config).stem
        and fnmatch.fnmatchcase(name, pattern.lower())
    ]


def find_model(name: str) -> NamedModel | None:
    """Return the row of a name, None if there is none.

    Args:
        name: Short name, alias, or full name of a config with or without
            ``.py``; capitals count as small letters, ``gtpt_mm/`` may stand
            before.

    Example:
        >>> find_model('gtpt_mm/GTPT-S-384').size
        '384x288'
    """
    word = name.lower().removeprefix(PREFIX).removesuffix('.py')
    word = ALIASES.get(word, word)
    word = _BY_CONFIG.get(word, word)
    row = MODELS.get(word)
    return NamedModel(word, *row) if row else None


def suggest(name: str) -> str:
    """Return a sentence with the names that are nearest to one."""
    known = [*MODELS, *ALIASES, *_BY_CONFIG]
    near = difflib.get_close_matches(name.lower(), known, n=3, cutoff=0.4)
    if near:
        return f'near to it: {", ".join(near)}'
    return 'gtpt_mm.list_models() has all names'
