"""Models by name: their config, and the model with its weights."""

import copy
import os
from pathlib import Path

from mmengine.config import Config
from mmengine.device import get_device
from mmpose.apis import init_model
from torch import nn

from gtpt_mm.compat.files.loaded_tensors import check_finite, load_state_dict
from gtpt_mm.compat.messages import warn
from gtpt_mm.config_folder import find_configs
from gtpt_mm.config_names import (
    NamedModel,
    find_model,
    list_models,
    suggest,
)
from gtpt_mm.convert import (
    convert_to_native,
    find_datasets,
    find_weights,
    read_checkpoint,
    split_config,
    split_state_dict,
)

from .model_folder import is_folder, read_folder
from .weights import (
    DRIVES,
    PUBLIC,
    VARIABLE,
    StoredWeights,
    explain,
    get_weights,
)

__all__ = [
    'find_configs',
    'find_model',
    'get_config',
    'is_folder',
    'list_models',
    'load_model',
    'read_folder',
    'resolve',
    'select_dataset',
    'split_checkpoint',
]

#: Value of ``weights`` for random weights.
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
    if not path.is_file():
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
            f'there is no config {name}, neither a file nor the name of a '
            f'model; {suggest(name)}'
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
    dataset: str | None = None,
) -> tuple[Config, str | None]:
    """Return the config of a model, and the file of its weights.

    Args:
        model: A name or path for :func:`get_config`, or a config, which is
            copied.
        weights: File or URL; a name of public weights; ``'random'``; None for
            the public weights of the model.
        dataset: For a ViTPose++, one of its datasets; None for the first.

    Returns:
        The config, of the plain model for one dataset; and the file of the
        weights, in the cache if they were fetched, a URL, or None for random
        ones.

    Raises:
        ValueError: If there is no such model, or ``weights`` is None and the
            model has no public ones; the message says how to get some.
    """
    cfg, dataset = select_dataset(_read(model), dataset)
    stored, path = _find_weights(model, cfg, weights, dataset)
    return cfg, str(stored.path) if stored else path


def _read(model: str | os.PathLike | Config) -> Config:
    """Return a new config."""
    if isinstance(model, Config):
        return copy.deepcopy(model)
    return get_config(model)


def _find_weights(
    model: str | os.PathLike | Config,
    cfg: Config,
    weights: str | os.PathLike | None,
    dataset: str | None = None,
) -> tuple[StoredWeights | None, str | None]:
    """Return weights in the cache, or a file or URL; None for random."""
    if weights == RANDOM:
        return None, None
    if weights is None and is_folder(model):
        return None, str(read_folder(os.fspath(model))[1])
    if weights is None:
        name = _weights_name(model, cfg)
    elif Path(weights).is_file() or '://' in str(weights):
        return None, os.fspath(weights)
    else:
        name = str(weights)
    known = find_model(name)
    if known is None:
        raise ValueError(
            f'weights={name!r} is neither a file nor a URL, nor the name of '
            f'public weights; {suggest(name)}'
        )
    heads = PUBLIC[known.name].datasets if known.name in PUBLIC else ()
    if heads and dataset not in (None, *heads) and VARIABLE not in os.environ:
        raise ValueError(
            f'the public weights of {known.name} have a head of '
            f'{", ".join(heads)}, none of {dataset!r}; {explain(known.name)}'
        )
    return get_weights(known.name), None


def _weights_name(model: str | os.PathLike | Config, cfg: Config) -> str:
    """Return the name of the default weights of a model.

    Raises:
        ValueError: If it is not a config of gtpt_mm.
    """
    file = Path(cfg.filename or '')
    if not isinstance(model, Config) and not Path(model).is_file():
        return str(model)
    known = find_model(file.stem)
    if known is not None and file.resolve() == known.path.resolve():
        return known.name
    raise ValueError(
        f'{_name_of(cfg)} is not a config of gtpt_mm, so it has no public '
        "weights; give weights=FILE, or weights='random'"
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
        weights: File or URL of a checkpoint, of this project or of any other
            that ``gtpt-mm convert`` reads; None for the public weights of the
            model, which are fetched once; a name of public weights;
            ``'random'``.
        device: Such as ``cpu`` or ``cuda:1``; None takes the best one.
        dataset: For a ViTPose++, one of its datasets; None for the first. The
            model returned is a plain ViTPose of that dataset.

    Returns:
        A pose estimator of mmpose in evaluation mode, as ``init_model``
        returns it, with ``cfg`` and ``dataset_meta``. ``weights_source`` is
        the source of its weights: a file, a URL, or ``'random'``.

    Raises:
        ValueError: If there is no such model or dataset, or the weights do not
            fit the model.

    Example:
        >>> model = load_model('vitpose-b')  # doctest: +SKIP
        >>> model.weights_source  # doctest: +SKIP
        'hf://usyd-community/vitpose-base'
    """
    cfg, dataset = select_dataset(_read(model), dataset)
    stored, path = _find_weights(model, cfg, weights, dataset)
    built = init_model(cfg, device='cpu')
    if stored is not None:
        path = str(stored.path)
    if path is None:
        warn(f'{_name_of(cfg)} has random weights: its poses mean nothing')
    else:
        _load(built, path, dataset)
    built.weights_source = stored.source if stored else path or RANDOM
    return built.to(device or get_device()).eval()


def select_dataset(
    cfg: Config, dataset: str | None
) -> tuple[Config, str | None]:
    """Return the config for one dataset of a ViTPose++, and its name.

    Args:
        cfg: Any config; one of a single dataset is returned as it is.
        dataset: Name of the dataset; None for the first.

    Raises:
        ValueError: If there is no such dataset, or the config has only one.
    """
    names = cfg.model.get('head', {}).get('names')
    if names is not None:
        dataset = dataset or names[0]
        cfg = split_config(cfg, dataset)
        cfg.split_dataset = dataset  # weights are split when they are loaded
        return cfg, dataset
    if dataset is not None:
        raise ValueError(
            f'dataset={dataset!r} is for a model of several datasets; '
            f'{_name_of(cfg)} has one'
        )
    return cfg, None


def _name_of(cfg: Config) -> str:
    return Path(cfg.filename).stem if cfg.filename else 'the config'


def _load(model: nn.Module, path: str, dataset: str | None) -> None:
    """Load exactly the weights of a file into a model, in place.

    Args:
        model: The model; its ``dataset_meta`` becomes that of the file.
        path: File or URL.
        dataset: Dataset of a ViTPose++ whose weights are split off.
    """
    content = read_checkpoint(path)
    try:
        # A copy: the content may be the weights themselves.
        weights = convert_to_native(find_weights(content))
        content = dict(content, state_dict=weights)
        if dataset is not None:
            content = split_checkpoint(content, dataset)
    except ValueError as error:
        raise ValueError(f'{path}: {error}') from error
    weights = content['state_dict']
    check_finite(weights, f'the weights of {path}')
    try:
        load_state_dict(model, weights, strict=True)
    except RuntimeError as error:
        raise ValueError(
            f'{path} does not hold the weights of {_name_of(model.cfg)}: '
            f'{error} Give the model it was trained with'
        ) from error
    meta = content.get('meta')
    if isinstance(meta, dict) and meta.get('dataset_meta'):
        model.dataset_meta = meta['dataset_meta']


def split_checkpoint(content: dict, dataset: str) -> dict:
    """Return the content of a checkpoint for one dataset of a ViTPose++.

    Args:
        content: Content of the file; that of a plain model stays as it is.
        dataset: Name of the dataset.

    Raises:
        ValueError: If the file has no head of it.
    """
    weights = find_weights(content)
    heads = find_datasets(weights)
    if not heads:
        return content
    if dataset not in heads:
        raise ValueError(
            f'there is a head of {", ".join(heads)}, none of {dataset!r}; '
            'files of the Hugging Face Hub have that of COCO only, the '
            f'official ones ({DRIVES["vitpose-plus-b"].page}) have all'
        )
    meta = dict(content.get('meta') or {})
    metainfos = meta.pop('dataset_meta', {}).get('datasets', {})
    if dataset in metainfos:
        meta['dataset_meta'] = metainfos[dataset]
    return dict(state_dict=split_state_dict(weights, dataset), meta=meta)
