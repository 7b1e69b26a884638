"""Take names of gtpt_mm's models, and models of several datasets.

Broken: mmpose (<= 1.3.2) and mmengine (<= 0.10.7) know the models of a fixed
list of packages by name. They expect one dataset with one pipeline: a
ViTPose++ fails an assertion without a message. A config without a training set
counts as one of COCO.

Here: ``gtpt_mm`` is in mmengine's list (``gtpt_mm::...`` as a base). The 2D
inferencer and ``init_model`` take names; the inferencer fetches the weights.
Both take folders of ``gtpt-mm pack`` with the weights in them. ``init_cfg``
and ``load_from`` take ``mae-vit-b`` and the like.
Names of mmpose keep their meaning; ``gtpt_mm/NAME`` is always ours.
``dataset=`` of the inferencers splits off one dataset of a ViTPose++, by
default the first; a model of ``init_model`` predicts with
``test_cfg.dataset``. Without a training set, the skeleton is that of the test
set.

Can go: when mmengine finds metafiles by entry points. The part on several
datasets stays.
"""

import functools
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from mmengine import hub
from mmengine.config import Config, ConfigDict, utils
from mmengine.config import config as mmengine_config
from mmengine.runner import CheckpointLoader

from ..files.checkpoint_files import load_from_local
from ..replacement import replace_everywhere

PACKAGE = 'gtpt_mm'
PREFIX = f'{PACKAGE}/'
#: Prefix of the names of encoders that a training can start from.
ENCODERS = 'mae-vit-'
#: Returns the module with the functions that look up a name.
GetNames = Callable[[], ModuleType]


def missing() -> str:
    """Say what is missing."""
    return 'mmpose does not know the models of gtpt_mm by name'


def repair(get_names: GetNames) -> None:
    """Let mmengine and mmpose take names and several datasets.

    Args:
        get_names: Returns ``gtpt_mm.apis.model_names``, imported when a name
            is used.
    """
    from mmpose.apis import inference
    from mmpose.apis.inferencers import MMPoseInferencer, Pose2DInferencer
    from mmpose.apis.inferencers.base_mmpose_inferencer import (
        BaseMMPoseInferencer as Base,
    )

    CheckpointLoader.register_scheme(ENCODERS, load_encoder(get_names))
    utils.MODULE2PACKAGE[PACKAGE] = PACKAGE
    for name in ('_get_cfg_metainfo', '_get_external_cfg_base_path'):
        new = find_in_clone(getattr(utils, name), get_names)
        for module in (utils, mmengine_config, hub.hub):
            if hasattr(module, name):
                setattr(module, name, new)
    Config._get_cfg_path = staticmethod(drop_scope(Config._get_cfg_path))
    for kind in (Pose2DInferencer, MMPoseInferencer):
        kind.__init__ = take_name(kind.__init__, get_names)
    Base._load_weights_to_model = split_weights(
        Base._load_weights_to_model, get_names
    )
    replace_everywhere(
        inference.dataset_meta_from_config,
        find_metainfo(inference.dataset_meta_from_config),
    )
    replace_everywhere(
        inference.init_model, build_by_name(inference.init_model, get_names)
    )


def load_encoder(get_names: GetNames) -> Callable:
    """Return a loader of mmengine that takes names of encoders."""

    def load(filename: str, map_location: Any = None) -> Any:
        path = Path(filename)
        if not path.is_file():
            path = get_names().get_weights(filename).path
        return load_from_local(str(path), map_location)

    return load


def find_in_clone(find: Callable, get_names: GetNames) -> Callable:
    """Return a function of mmengine that finds our configs in a clone."""

    @functools.wraps(find)
    def found(package_path: str, cfg_path: str) -> Any:
        package = Path(package_path)
        if package.name != PACKAGE or (package / '.mim').is_dir():
            return find(package_path, cfg_path)
        if find.__name__ == '_get_cfg_metainfo':
            raise ValueError('a clone has no index in .mim')  # then the other
        path = get_names().find_configs() / cfg_path
        utils.check_file_exist(str(path))
        return str(path)

    return found


def drop_scope(find: Callable) -> Callable:
    """Return mmengine's method that finds bases, without a scope of ours.

    Our modules are registered in mmpose's scope.
    """

    @functools.wraps(find)
    def found(cfg_path: str, filename: str) -> tuple[str, str | None]:
        path, scope = find(cfg_path, filename)
        return path, None if scope == PACKAGE else scope

    return found


def is_ours(name: Any, get_names: GetNames) -> bool:
    """Return whether a model of mmpose's functions is a name of ours.

    A folder of ``gtpt-mm pack`` is one as well.
    """
    if not isinstance(name, str | Path) or Path(name).is_file():
        return False
    if get_names().is_folder(name):
        return True
    name = str(name)
    if name.lower().startswith(PREFIX):
        return True
    if get_names().find_model(name) is None:
        return False
    return name.lower() not in _stock_names()


@functools.cache
def _stock_names() -> frozenset[str]:
    """Return the names and aliases of mmpose's models, in lower case."""
    from mmpose.apis.inferencers.utils import get_model_aliases

    aliases = get_model_aliases('mmpose')
    return frozenset(word.lower() for pair in aliases.items() for word in pair)


def take_name(init: Callable, get_names: GetNames) -> Callable:
    """Return the constructor of an inferencer that takes names of ours."""

    @functools.wraps(init)
    def __init__(
        self: Any,
        model: Any = None,
        weights: str | None = None,
        *args: Any,
        dataset: str | None = None,
        **options: Any,
    ) -> None:
        model = options.pop('pose2d', model)
        weights = options.pop('pose2d_weights', weights)
        if is_ours(model, get_names):
            model, weights = get_names().resolve(model, weights, dataset)
        else:
            model = _split(model, dataset, get_names)
        init(self, model, weights, *args, **options)

    return __init__


def _split(model: Any, dataset: str | None, get_names: GetNames) -> Any:
    """Return the config of one dataset of several; any other as it is."""
    if isinstance(model, str | Path) and Path(model).suffix == '.py':
        cfg = Config.fromfile(model) if Path(model).is_file() else None
    else:
        cfg = model if isinstance(model, Config) else None
    names = cfg and cfg.get('model', {}).get('head', {}).get('names')
    if dataset is None and not names:
        return model
    if cfg is None:
        raise ValueError(
            f'dataset={dataset!r} is for a ViTPose++ of gtpt_mm; {model} is '
            'none'
        )
    return get_names().select_dataset(cfg, dataset)[0]


def split_weights(load: Callable, get_names: GetNames) -> Callable:
    """Return ``_load_weights_to_model`` that splits weights as the config."""

    @functools.wraps(load)
    def loaded(self: Any, model: Any, checkpoint: Any, cfg: Any) -> None:
        dataset = cfg.get('split_dataset')
        if dataset is not None and checkpoint is not None:
            checkpoint = get_names().split_checkpoint(checkpoint, dataset)
        load(self, model, checkpoint, cfg)

    return loaded


def find_metainfo(find: Callable) -> Callable:
    """Return ``dataset_meta_from_config`` for several or missing datasets."""

    @functools.wraps(find)
    def found(config: Any, dataset_mode: str = 'train') -> dict | None:
        for mode in dict.fromkeys((dataset_mode, 'test')):
            loader = config.get(f'{mode}_dataloader')
            if loader and loader.get('dataset'):
                dataset = _main(loader['dataset'], config)
                loaders = {f'{mode}_dataloader': dict(dataset=dataset)}
                return find(ConfigDict(loaders), mode)
        return find(config, dataset_mode)

    return found


def _main(dataset: Any, config: Any) -> Any:
    """Return the dataset that represents several named ones."""
    inner = dataset.get('datasets')
    if 'metainfo' in dataset or not isinstance(inner, dict):
        return dataset
    return inner.get(_default(config)) or next(iter(inner.values()))


def _default(config: Any) -> str | None:
    """Return the dataset a model of several predicts for."""
    model = config.get('model', {})
    names = model.get('head', {}).get('names') or [None]
    return model.get('test_cfg', {}).get('dataset') or names[0]


def build_by_name(init_model: Callable, get_names: GetNames) -> Callable:
    """Return ``init_model`` that takes names, and several datasets."""

    @functools.wraps(init_model)
    def init(
        config: Any, checkpoint: Any = None, *args: Any, **options: Any
    ) -> Any:
        if is_ours(config, get_names):
            if checkpoint is None and get_names().is_folder(config):
                checkpoint = str(get_names().read_folder(config)[1])
            config = get_names().get_config(config)
        model = init_model(config, checkpoint, *args, **options)
        _choose_pipeline(model)
        return model

    return init


def _choose_pipeline(model: Any) -> None:
    """Give a model of several datasets the pipeline and skeleton of one."""
    loader = model.cfg.get('test_dataloader') or {}
    dataset = loader.get('dataset') or {}
    inner = dataset.get('datasets')
    name = _default(model.cfg)
    if isinstance(inner, dict) and name in inner:
        dataset['pipeline'] = inner[name]['pipeline']
        metainfos = model.dataset_meta.get('datasets', {})  # of a training
        model.dataset_meta = metainfos.get(name, model.dataset_meta)
