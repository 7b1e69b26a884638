"""Start a whole-body model from the checkpoint of a body run."""

from collections import Counter
from pathlib import Path
from typing import NamedTuple

from torch import nn

from gtpt_mm.convert import (
    Source,
    convert_gtpt,
    find_source,
    read_state_dicts,
)


class LoadedWeights(NamedTuple):
    """The tensors of a model and a checkpoint, matched by name.

    Attributes:
        loaded: Tensors of the model with values from the checkpoint.
        new: Tensors of the model only.
        left_out: Tensors of the checkpoint only.
    """

    loaded: list[str]
    new: list[str]
    left_out: list[str]

    def __str__(self) -> str:
        modules = Counter('.'.join(n.split('.')[:2]) for n in self.loaded)
        counts = ', '.join(f'{name} {n}' for name, n in modules.items())
        return (
            f'{len(self.loaded)} tensors loaded ({counts}); '
            f'{len(self.new)} new ({", ".join(self.new) or "none"}); '
            f'{len(self.left_out)} left out '
            f'({", ".join(self.left_out) or "none"})'
        )


def find_checkpoint(path: str | Path) -> Path:
    """Return a checkpoint file: ``path``, or the best one in that folder.

    Args:
        path: A file, or the work folder of a run that saved its best epoch
            (``best_*.pth``, of which mmengine keeps one for each metric).

    Raises:
        ValueError: If there is no such file, or more than one.
    """
    path = Path(path).expanduser()
    if path.is_file():
        return path
    remedy = (
        'give the file of a body run as init_from of InitFromHook, on the '
        'command line as --cfg-options custom_hooks.N.init_from=FILE with N '
        'its place in custom_hooks, counted from 0'
    )
    if not path.is_dir():
        raise ValueError(f'init_from {str(path)!r} does not exist; {remedy}')
    best = sorted(path.glob('best_*.pth'))
    if len(best) != 1:
        names = [file.name for file in best]
        raise ValueError(
            f'init_from {str(path)!r} should hold one best_*.pth, but has '
            f'{names}; {remedy}'
        )
    return best[0]


def load_body_weights(model: nn.Module, path: str | Path) -> LoadedWeights:
    """Load the tensors that a checkpoint shares with ``model``, by name.

    Source: the official code of GTPT; a whole-body run takes every tensor of
    the averaged half of a body checkpoint and keeps its part and dense
    embeddings.

    Args:
        model: Pose estimator; changed in place.
        path: Checkpoint file. In an official one the averaged half is read;
            ``state_dict`` of a native one is the average if an EMA hook saved
            it.

    Raises:
        ValueError: If nothing fits, or a tensor has another shape.
    """
    weights, _ = read_state_dicts(str(path))
    if find_source(weights) == Source('GTPT', 'official'):
        try:
            weights = convert_gtpt(weights)
        except ValueError as error:
            raise ValueError(f'{path}: {error}') from error
    state = model.state_dict()
    loaded = [name for name in state if name in weights]
    if not loaded:
        raise ValueError(
            f'{path} shares no tensor with the model: it has '
            f'{list(weights)[:3]}, the model {list(state)[:3]}; give a '
            'checkpoint of the body model of the same arch'
        )
    differing = [
        f'{name} is {tuple(weights[name].shape)} there, '
        f'{tuple(state[name].shape)} here'
        for name in loaded
        if weights[name].shape != state[name].shape
    ]
    if differing:
        raise ValueError(
            f'{path} does not fit the model, {len(differing)} tensors differ '
            f'in shape: {"; ".join(differing[:5])}; give a checkpoint of the '
            'body model of the same arch, input size and sparse keypoints'
        )
    model.load_state_dict(state | {name: weights[name] for name in loaded})
    return LoadedWeights(
        loaded,
        [name for name in state if name not in weights],
        [name for name in weights if name not in state],
    )
