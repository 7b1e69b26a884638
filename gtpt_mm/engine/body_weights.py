"""Start a model from the checkpoint of a body run."""

from collections import Counter
from pathlib import Path
from typing import NamedTuple

from torch import nn

from gtpt_mm.convert import convert_gtpt, is_authors_gtpt, read_state_dicts


class LoadedWeights(NamedTuple):
    """The names of a model's and a checkpoint's tensors, matched.

    Attributes:
        loaded: Tensors of the model that took the checkpoint's values.
        new: Tensors of the model that the checkpoint does not have.
        left_out: Tensors of the checkpoint that the model does not have.
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
    """Load what a checkpoint shares with ``model``, by name.

    Source: the authors' code of GTPT; a whole-body run takes every tensor of
    the averaged half of a body checkpoint and keeps its own part and dense
    embeddings.

    Args:
        model: Pose estimator; changed in place.
        path: Checkpoint file. Of an authors' file the averaged half is read;
            ``state_dict`` of ours is the average if an EMA hook saved it.

    Returns:
        What was loaded, is new and was left out.

    Raises:
        ValueError: If nothing fits, or a tensor has another shape.
    """
    weights, _ = read_state_dicts(str(path))
    if is_authors_gtpt(weights):
        try:
            weights = convert_gtpt(weights)
        except ValueError as error:
            raise ValueError(f'{path}: {error}') from error
    own = model.state_dict()
    loaded = [name for name in own if name in weights]
    if not loaded:
        raise ValueError(
            f'{path} shares no tensor with the model: it has '
            f'{list(weights)[:3]}, the model {list(own)[:3]}; give a '
            'checkpoint of the body model of the same arch'
        )
    wrong = [
        f'{name} is {tuple(weights[name].shape)} there, '
        f'{tuple(own[name].shape)} here'
        for name in loaded
        if weights[name].shape != own[name].shape
    ]
    if wrong:
        raise ValueError(
            f'{path} does not fit the model, {len(wrong)} tensors differ in '
            f'shape: {"; ".join(wrong[:5])}; give a checkpoint of the body '
            'model of the same arch, input size and sparse keypoints'
        )
    model.load_state_dict(own | {name: weights[name] for name in loaded})
    return LoadedWeights(
        loaded,
        [name for name in own if name not in weights],
        [name for name in weights if name not in own],
    )
