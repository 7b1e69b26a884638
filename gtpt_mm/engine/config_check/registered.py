"""Classes that the ``type`` entries of a config name."""

import importlib.util
import inspect
import re
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

from mmengine.config.utils import MODULE2PACKAGE
from mmengine.registry import Registry
from mmpose import registry as mmpose_registry

#: Registry with which mmengine builds a dict, by a pattern of its dotted key.
#: ``\w`` also stands for positions in lists.
PLACES = {
    r'(\w+_dataloader)(\.\w+)*\.dataset(\.datasets\.\w+)?': 'DATASETS',
    r'\w+_dataloader(\.\w+)*\.sampler': 'DATA_SAMPLERS',
    r'\w+_dataloader(\.\w+)*\.pipeline\.\d+(\.transforms(\.\d+)+)?': (
        'TRANSFORMS'
    ),
    r'\w+_dataloader(\.\w+)*\.encoder(\.\d+)?': 'KEYPOINT_CODECS',
    r'model(\.\w+)*\.decoder': 'KEYPOINT_CODECS MODELS',
    r'model(\.(backbone|neck|head|data_preprocessor))?': 'MODELS',
    r'model(\.\w+)*\.init_cfg(\.\d+)?': 'WEIGHT_INITIALIZERS',
    r'data_preprocessor': 'MODELS',
    r'(default_hooks\.\w+|custom_hooks\.\d+)': 'HOOKS',
    r'(val|test)_evaluator(\.\d+)?': 'METRICS EVALUATORS',
    r'(val|test)_evaluator\.metrics\.\w+': 'METRICS',
    r'optim_wrapper': 'OPTIM_WRAPPERS',
    r'optim_wrapper\.constructor': 'OPTIM_WRAPPER_CONSTRUCTORS',
    r'optim_wrapper(\.\w+)?\.optimizer': 'OPTIMIZERS',
    r'(\w+\.)*param_scheduler(\.\d+)?': 'PARAM_SCHEDULERS',
    r'(train|val|test)_cfg': 'LOOPS',
    r'visualizer': 'VISUALIZERS',
    r'(vis_backends|visualizer\.vis_backends)\.\d+': 'VISBACKENDS',
    r'log_processor': 'LOG_PROCESSORS',
}
_PLACES = [(re.compile(k), v.split()) for k, v in PLACES.items()]


@cache
def registries() -> dict[str, Registry]:
    """Return mmpose's registries, their modules imported."""
    found = {
        name: value
        for name, value in vars(mmpose_registry).items()
        if isinstance(value, Registry) and not name.startswith('MMENGINE')
    }
    for registry in found.values():
        registry.import_from_location()
    return found


def find_place(key: str) -> list[str]:
    """Return the names of the registries that build at a dotted key."""
    for pattern, names in _PLACES:
        if pattern.fullmatch(key):
            return names
    return []


def find_classes(kind: Any, key: str) -> list[Callable]:
    """Return the classes or functions that ``type`` may mean at a key."""
    if not isinstance(kind, str):
        return [kind] if callable(kind) else []
    scope, _, name = kind.rpartition('.')
    if scope not in ('', 'mmpose', 'mmengine') and not _is_installed(scope):
        return []
    names = find_place(key) or list(registries())
    found: list[Callable] = []
    for registry in (registries()[n] for n in names):
        if scope in ('', 'mmpose', 'mmengine'):
            obj = _look_up(registry, name)
        else:
            obj = registry.get(kind)  # the run imports the package as well
        if obj is not None and obj not in found:
            found.append(obj)
    return found


@cache
def _is_installed(scope: str) -> bool:
    """Tell whether a package with registries is installed."""
    if '.' in scope or importlib.util.find_spec(scope) is None:
        return False
    try:
        importlib.import_module(f'{scope}.registry')
    except Exception:  # a broken package; the run will say so
        return False
    return True


def find_missing_package(kind: str) -> str | None:
    """Return the package of a type's scope if it is not installed."""
    scope = kind.partition('.')[0]
    if scope == kind or scope not in MODULE2PACKAGE:
        return None
    roots = (registry.parent for registry in registries().values())
    is_own = any(root is not None and scope in root.children for root in roots)
    if is_own or importlib.util.find_spec(scope) is not None:
        return None
    return MODULE2PACKAGE[scope]


def is_readable(kind: Any) -> bool:
    """Tell whether mmpose's registries must know a ``type``."""
    return isinstance(kind, str) and '.' not in kind


def type_names(key: str) -> set[str]:
    """Return the names that ``type`` may have at a key."""
    names = find_place(key) or list(registries())
    return {
        name
        for registry in (registries()[n] for n in names)
        for level in _levels(registry)
        for name in level.module_dict
    }


def find_class(node: Any, place: str) -> type | None:
    """Return the class of a dict with ``type``, or None."""
    found = find_classes((node or {}).get('type'), place)
    return found[0] if found and inspect.isclass(found[0]) else None


def is_codec(node: Any, place: str) -> bool:
    """Tell whether a dict is a codec; some heads have other decoders."""
    kind = (node or {}).get('type')
    if not isinstance(kind, str):
        return getattr(kind, '__module__', '').startswith('mmpose.codecs')
    codecs = registries()['KEYPOINT_CODECS']
    return _look_up(codecs, kind.rpartition('.')[2]) is not None


def _look_up(registry: Registry, name: str) -> Any:
    for level in _levels(registry):
        if name in level.module_dict:
            return level.module_dict[name]
    return None


def _levels(registry: Registry) -> Iterator[Registry]:
    """Yield a registry and those it is derived from."""
    level: Registry | None = registry
    while level is not None:
        yield level
        level = level.parent
