"""Models by name: their config, and the model with its weights."""

import copy
import os
from pathlib import Path

from mmengine.config import Config
from mmengine.device import get_device
from mmpose.apis import init_model
from mmpose.apis.inference import dataset_meta_from_config
from torch import nn

from gtpt_mm.compat.files.loaded_tensors import check_finite, load_state_dict
from gtpt_mm.compat.messages import warn
from gtpt_mm.config_names import (
    NamedModel,
    find_model,
    list_models,
    suggest,
)
from gtpt_mm.convert import (
    find_datasets,
    find_weights,
    read_checkpoint,
    split_config,
    split_state_dict,
)

from .model_folder import is_folder, read_folder

__all__ = ['get_config', 'list_models', 'load_model', 'resolve']

#: Asks :func:`load_model` for random weights.
RANDOM = 'random'


def get_config(name: str | os.PathLike) -> Config:
    """Return the config of a model.

    Args:
        name: Short name such as ``gtpt-t``, full name of a config of this
            package with or without ``.py``, path of any config, or a folder
            of ``gtpt-mm pack``, also ``hf://USER/NAME``.

    Raises:
        ValueError: If there is no such model, with the nearest names, or the
            file is not the config of a model.

    Example:
        >>> get_config('gtpt-t').model.backbone.arch
        'tiny'
    """
    if is_folder(name):
        return read_folder(name)[0]
    path = Path(name)
    if not (path.suffix == '.py' and path.is_file()):
        path = _find(str(name)).path
    try:
        cfg = Config.fromfile(path)
    except Exception as error:  # a config is a program
        raise ValueError(
            f'{path} cannot be read as a config: {type(error).__name__}: '
            f'{error}'
        ) from error
    if not isinstance(cfg.get('model'), dict):
        raise ValueError(f'{path} has no model; give the config of a training')
    return cfg


def _find(name: str) -> NamedModel:
    """Return the model of a name that has a config."""
    model = find_model(name)
    if model is None:
        raise ValueError(
            f'there is no model {name!r}, neither a name nor a config; '
            f'{suggest(name)}'
        )
    if not model.config:
        raise ValueError(
            f'{name} is an encoder to start a training from, not a model of '
            f'poses; fetch it by gtpt-mm download {name}'
        )
    return model


def resolve(
    model: str | os.PathLike | Config,
    weights: str | os.PathLike | None = None,
) -> tuple[Config, str | None]:
    """Return the config of a model, and the file of its weights.

    Args:
        model: What :func:`get_config` takes, or a config, which is copied.
        weights: File or URL; ``'random'`` for none; None for the public ones
            of the model, which are fetched once.

    Returns:
        The config, and the path or URL of the weights, None for random.

    Raises:
        ValueError: If there is no such model, or weights are None and there
            are none; it says how to get some.
    """
    if weights is None and is_folder(model):
        cfg, file = read_folder(model)
        return cfg, str(file)
    cfg = (
        copy.deepcopy(model)
        if isinstance(model, Config)
        else get_config(model)
    )
    if weights == RANDOM:
        return cfg, None
    if weights is not None:
        return cfg, os.fspath(weights)
    return cfg, str(_find_public(model, cfg))


def _find_public(model: str | os.PathLike | Config, cfg: Config) -> Path:
    raise ValueError(
        "give weights, the file of a checkpoint, or weights='random'"
    )


def load_model(
    model: str | os.PathLike | Config,
    weights: str | os.PathLike | None = None,
    device: str | None = None,
    dataset: str | None = None,
) -> nn.Module:
    """Return a model with its weights, ready to predict.

    Args:
        model: Name or path of a config, or a config; see :func:`resolve`.
        weights: File or URL of a checkpoint with native names; None for the
            public weights of the model; ``'random'`` for random ones.
        device: Such as ``cpu`` or ``cuda:1``; None takes the best one.
        dataset: For a ViTPose++, one of its datasets; None for the first. The
            model returned is a plain ViTPose of that dataset.

    Returns:
        A pose estimator of mmpose in evaluation mode, as ``init_model``
        returns it, with ``cfg`` and ``dataset_meta``. ``weights_source`` says
        where its weights are from: a file, a URL, or ``'random'``.

    Raises:
        ValueError: If there is no such model or dataset, or the weights are
            not those of the model.
    """
    cfg, path = resolve(model, weights)
    names = cfg.model.get('head', {}).get('names')
    if dataset is not None and names is None:
        raise ValueError(
            f'dataset={dataset!r} is for a model of several datasets; '
            f'{_name_of(cfg)} has one'
        )
    if names is not None:
        dataset = dataset or names[0]
        cfg = split_config(cfg, dataset)
    built = init_model(cfg, device='cpu')
    built.dataset_meta = _find_metainfo(cfg) or built.dataset_meta
    built.weights_source = path or RANDOM
    if path is None:
        warn(f'{_name_of(cfg)} has random weights: its poses mean nothing')
    else:
        _load(built, path, dataset)
    return built.to(device or get_device()).eval()


def _name_of(cfg: Config) -> str:
    return Path(cfg.filename).stem if cfg.filename else 'the config'


def _find_metainfo(cfg: Config) -> dict | None:
    """Return the skeleton of the first dataset that the config has."""
    for mode in ('train', 'val', 'test'):
        if metainfo := dataset_meta_from_config(cfg, dataset_mode=mode):
            return metainfo
    return None


def _load(model: nn.Module, path: str, dataset: str | None) -> None:
    """Load exactly the weights of a file into a model, in place.

    Args:
        model: The model; its ``dataset_meta`` becomes that of the file.
        path: File or URL.
        dataset: Dataset to split off the weights of a ViTPose++.
    """
    content = read_checkpoint(path)
    try:
        weights = find_weights(content)
    except ValueError as error:
        raise ValueError(f'{path}: {error}') from error
    meta = content.get('meta')
    metainfo = (meta if isinstance(meta, dict) else {}).get('dataset_meta')
    if dataset is not None and find_datasets(weights):
        weights = split_state_dict(weights, dataset)
        metainfo = (metainfo or {}).get('datasets', {}).get(dataset)
    check_finite(weights, f'the weights of {path}')
    try:
        load_state_dict(model, weights, strict=True)
    except RuntimeError as error:
        raise ValueError(
            f'{path} does not hold the weights of {_name_of(model.cfg)}: '
            f'{error} Give the model it was trained with; a file of another '
            'project is converted by `gtpt-mm convert`'
        ) from error
    model.dataset_meta = metainfo or model.dataset_meta
