"""Models of a benchmark: names and overrides as a user types them."""

import argparse
import difflib
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from mmengine.config import DictAction
from mmpose.apis.inferencers.utils import get_model_aliases

import gtpt_mm
from gtpt_mm.config_names import find_model, list_models

from .huggingface import PREFIX, find_native

#: Options of a model that are not keys of its config; read as strings.
_WORDS = ('label', 'weights', 'config')


@dataclass(frozen=True)
class ModelChoice:
    """A model to measure.

    Args:
        config: Its config file; for a model without one, the config whose
            pipeline and decoder it gets, or None.
        label: Its name in the tables.
        options: Changes to the config, dotted key -> value.
        weights: File or URL of its weights; None for random ones.
        source: As typed: a name or path of a config, ``hf:NAME`` or the path
            of an ONNX file.
    """

    config: Path | None
    label: str
    options: dict[str, Any] = field(default_factory=dict)
    weights: str | None = None
    source: str = ''

    @property
    def is_onnx(self) -> bool:
        """Whether it is an ONNX file."""
        return self.source.endswith('.onnx')

    @property
    def is_hugging_face(self) -> bool:
        """Whether it is a model of transformers."""
        return self.source.startswith(PREFIX)


def parse_models(words: Sequence[str]) -> list[ModelChoice]:
    """Read ``MODEL [KEY=VALUE ...] [MODEL [KEY=VALUE ...] ...]``.

    Args:
        words: A model is a name for :func:`find_config`, the path of an ONNX
            file, or ``hf:`` and the name or folder of a VitPose of
            transformers. It may be followed by ``model.*=VALUE``, which
            changes its config, written as for ``--cfg-options`` of mmpose, by
            ``label=NAME``, by ``weights=FILE``, and, for an ONNX file, by
            ``config=NAME``, the config whose pipeline and decoder it gets.

    Returns:
        The models in order.

    Raises:
        ValueError: If a model is unknown, a key changes nothing that is
            measured, or two models have the same label.
    """
    groups: list[tuple[str, list[str]]] = []
    for word in words:
        if _is_override(word):
            if not groups:
                raise ValueError(
                    f'{word!r} changes no model: write it behind the model '
                    'that it belongs to'
                )
            groups[-1][1].append(word)
        else:
            groups.append((word, []))
    choices = [_choose(name, pairs) for name, pairs in groups]
    labels = [choice.label for choice in choices]
    for label in labels:
        if labels.count(label) > 1:
            raise ValueError(
                f'two models are called {label!r}; tell them apart by '
                'label=NAME behind one of them'
            )
    return choices


def _is_override(word: str) -> bool:
    return (
        bool(re.match(r'[A-Za-z_][\w.]*=', word)) and not Path(word).exists()
    )


def _choose(name: str, pairs: list[str]) -> ModelChoice:
    """Make the choice of one model and its overrides."""
    split = [pair.partition('=')[::2] for pair in pairs]
    given = {key: value for key, value in split if key in _WORDS}
    options = _parse_pairs([p for p in pairs if p.split('=')[0] not in _WORDS])
    config, stem = _find_pipeline(name, given.get('config'))
    is_config = not name.endswith('.onnx') and not name.startswith(PREFIX)
    for key in options:
        if not key.startswith('model.') or not is_config:
            raise ValueError(
                f'{key!r} behind {name!r} changes nothing that is measured: '
                'only label=, weights= and, of a config, keys that start '
                'with model. do'
            )
    changes = [
        f'{key.rpartition(".")[2]}={value}' for key, value in options.items()
    ]
    label = given.get('label', ' '.join([stem, *changes]))
    choice = ModelChoice(config, label, options, given.get('weights'), name)
    if choice.is_onnx and choice.weights:
        raise ValueError(f'{name} has its weights: give no weights= behind it')
    return choice


def _find_pipeline(name: str, config: str | None) -> tuple[Path | None, str]:
    """Return the config of a model, and its default name."""
    if name.endswith('.onnx'):
        if not Path(name).is_file():
            raise ValueError(f'there is no file {name}')
        return find_config(config) if config else None, Path(name).stem
    if config:
        raise ValueError(
            f'config={config} is for an ONNX file, which has none; {name!r} '
            'has one'
        )
    if name.startswith(PREFIX):
        return find_config(find_native(name)), name
    path = find_config(name)
    return path, path.stem


def _parse_pairs(pairs: list[str]) -> dict[str, Any]:
    """Parse KEY=VALUE as ``--cfg-options`` does."""
    if not pairs:
        return {}
    parser = argparse.ArgumentParser()
    parser.add_argument('--options', nargs='+', action=DictAction)
    return parser.parse_args(['--options', *pairs]).options


def find_config(name: str) -> Path:
    """Find the config of a model.

    Args:
        name: Path of a config; or a short name of this project, such as
            ``vitpose-b``; or the name of a config of this project or of
            mmpose, without folder, with or without ``.py``; or an alias of
            mmpose's model zoo, such as ``rtmpose-m``.

    Returns:
        Path of the config file.

    Raises:
        ValueError: If there is none; names the closest ones.
    """
    path = Path(name)
    if path.suffix == '.py' and path.is_file():
        return path
    model = find_model(name)
    if model is not None and model.config:
        return model.path
    known = _known_configs()
    stem = name.removesuffix('.py')
    if stem in known:
        return known[stem]
    names = [*list_models(), *known]
    close = difflib.get_close_matches(stem, names, n=3, cutoff=0.5)
    hint = f'; close to it: {", ".join(close)}' if close else ''
    raise ValueError(
        f'no config is called {name!r}, neither a file nor a model of '
        f'gtpt_mm or mmpose{hint}'
    )


@cache
def _known_configs() -> dict[str, Path]:
    """Map names and aliases to configs; gtpt_mm's come before mmpose's."""
    import mmpose

    known: dict[str, Path] = {}
    for package in (mmpose, gtpt_mm):
        folder = Path(str(package.__file__)).parent
        # A checkout has configs beside the package, a wheel in .mim.
        for root in (folder.parent, folder / '.mim'):
            for path in _configs_below(root):
                known[path.stem] = path
    for alias, name in get_model_aliases().items():
        if name in known:
            known.setdefault(alias, known[name])
    return known


def _configs_below(root: Path) -> list[Path]:
    """Return the configs of a checkout or of what mim installs."""
    patterns = ('configs/**/*.py', 'projects/*/configs/**/*.py')
    return [
        path
        for pattern in patterns
        for path in root.glob(pattern)
        if '_base_' not in path.parts
    ]
