"""Rules: arguments of each built object have known names and types."""

from collections.abc import Callable, Iterator
from typing import Any

from torch.utils.data import DataLoader

from gtpt_mm.layers.attention import build_attentions
from gtpt_mm.layers.deform_encoder import DeformableEncoder
from gtpt_mm.layers.expert_mlp import ExpertMLP
from gtpt_mm.layers.patch_embed import OverlapPatchEmbed
from gtpt_mm.models.heads.group_pose_decoder import GroupPoseDecoder
from gtpt_mm.models.losses.group_pose_criterion import GroupPoseCriterion

from .finding import MISSING, Finding, collect, find_near, suggest
from .keys import LOADER_KEYS, walk
from .registered import (
    find_class,
    find_classes,
    find_missing_package,
    find_place,
    is_codec,
    is_readable,
    type_names,
)
from .signatures import Arguments, find_mismatch, read_arguments
from .view import LOADERS, View

#: Dicts without ``type`` that our classes hand to another one.
PASSED_ON: dict[tuple[str, str], Callable] = {
    ('GroupPoseHead', 'encoder'): DeformableEncoder,
    ('GroupPoseHead', 'decoder'): GroupPoseDecoder,
    ('GroupPoseHead', 'loss_weights'): GroupPoseCriterion,
    ('ViTPose', 'attention'): build_attentions,
    ('ViTPose', 'experts'): ExpertMLP,
    ('HEViTPose', 'patch_embed'): OverlapPatchEmbed,
    ('EfficientViT', 'patch_embed'): OverlapPatchEmbed,
}
#: What mmengine builds where a section has no ``type``.
BY_DEFAULT = {
    'val_cfg': 'ValLoop',
    'test_cfg': 'TestLoop',
    'optim_wrapper': 'OptimWrapper',
    'log_processor': 'LogProcessor',
}
#: Keys that are read before the class is built, by the registry.
ALSO = {
    'HOOKS': {'priority'},
    'OPTIM_WRAPPERS': {'constructor', 'paramwise_cfg', 'optimizer'},
    'PARAM_SCHEDULERS': {'convert_to_iter_based', 'end'},
    'LOOPS': {'by_epoch'},
}
#: Keys of mmengine in any dict.
RESERVED = {'type', '_scope_', '_delete_'}
#: Packages that have another name now.
RENAMED = {
    'mmcls': 'mmpretrain',
    'mmselfsup': 'mmpretrain',
    'mmedit': 'mmagic',
    'mmgen': 'mmagic',
}
#: These are data, not modules.
DATA = ('metainfo', 'meta_keys', 'keypoint_groups', 'clip_grad')
#: Another package builds the dicts inside these.
FOREIGN = ('Albumentation', 'Albu')
#: Registries whose modules have a ``type`` wherever they stand.
TYPED = {
    'DATASETS', 'DATA_SAMPLERS', 'TRANSFORMS', 'KEYPOINT_CODECS', 'MODELS',
    'HOOKS', 'METRICS', 'OPTIMIZERS', 'PARAM_SCHEDULERS', 'VISUALIZERS',
    'VISBACKENDS',
}  # fmt: skip


def find_wrong_arguments(view: View) -> Iterator[Finding]:
    """Find unknown types, and arguments that a constructor does not take."""
    foreign: list[str] = []
    for place, node in walk(view.cfg, skip=DATA):
        if place.split('.')[0] not in _BUILT:
            continue
        kind = node.get('type')
        is_inside = any(place.startswith(f'{other}.') for other in foreign)
        is_own = kind is None or '.init_cfg' in place
        if is_inside and not is_own and _is_local(kind):
            continue  # another package chooses the registry
        if '_scope_' in node or not _is_local(kind) or kind in FOREIGN:
            foreign.append(place)
        yield from _find_scalars(place, node)
        if 'type' in node:
            found = collect(_check_typed(place, node))
        else:
            found = collect(_check_untyped(place, node, is_inside))
        may_lack = not view.is_run and not place.startswith('model')
        for finding in found:
            if finding.value is not MISSING or not may_lack:
                yield finding


def _find_scalars(place: str, node: dict) -> Iterator[Finding]:
    """Find strings and numbers where a module is built."""
    for key, value in node.items():
        names = find_place(f'{place}.{key}')
        by_name = 'OPTIM_WRAPPER_CONSTRUCTORS' in names
        if names and not by_name and isinstance(value, str | int | float):
            yield Finding(
                f'{place}.{key}',
                value,
                'a module is built there',
                "give a dict with its 'type'",
            )


_BUILT = {
    'model', 'data_preprocessor', *LOADERS, 'val_evaluator', 'test_evaluator',
    'optim_wrapper', 'default_hooks', 'custom_hooks', 'param_scheduler',
    'visualizer', 'vis_backends', 'log_processor', 'train_cfg', 'val_cfg',
    'test_cfg',
}  # fmt: skip


def _is_local(kind: Any) -> bool:
    """Tell whether a type belongs to no other package's scope."""
    if not isinstance(kind, str) or '.' not in kind:
        return True
    return kind.split('.')[0] in ('mmpose', 'mmengine')


def _check_untyped(
    place: str, node: dict, is_inside: bool
) -> Iterator[Finding]:
    """Report a dict that needs a ``type``."""
    for key in node:
        if key != 'dtype' and len(key) < 6 and find_near(key, {'type'}):
            yield Finding(
                f'{place}.{key}',
                node[key],
                'no type is given',
                "did you mean 'type'?",
            )
            return
    registries = find_place(place)
    is_part = place.endswith(('.decoder', 'data_preprocessor'))
    if is_part or not registries or not set(registries) <= TYPED:
        return
    if is_inside or place.startswith('default_hooks.'):
        return  # mmengine has some hooks by default
    if place == 'param_scheduler' and any(
        isinstance(value, list) for value in node.values()
    ):
        return  # lists of several optimizers, by name
    yield Finding(
        f'{place}.type',
        MISSING,
        'no type is given',
        'give the name of a registered class',
    )


def _check_typed(place: str, node: dict) -> Iterator[Finding]:
    """Check a dict that has a ``type``."""
    classes = find_classes(node['type'], place)
    if not classes:
        yield from _check_type(place, node['type'])
        return
    registries = find_place(place)
    also = {*RESERVED, 'override'}
    for name in registries:
        also |= ALSO.get(name, set())
    if place.startswith('model'):
        also |= {'init_cfg'}
    if place.endswith('.override'):
        also |= {'name'}
    if place.endswith('norm_cfg'):
        also |= {'requires_grad'}
    if registries == ['VISUALIZERS']:
        also |= {'vis_backends'}  # the annotation is wrong
    candidates = [
        list(check_arguments(place, node, read_arguments(cls), also))
        for cls in classes
    ]
    yield from min(candidates, key=len)
    is_part = place.endswith('.decoder') and not is_codec(node, place)
    if registries and len(classes) == 1 and not is_part:
        yield from _check_required(place, node, read_arguments(classes[0]))
    for key, function in _passed_on(node):
        yield from check_arguments(
            f'{place}.{key}', node[key], read_arguments(function), {'type'}
        )


def find_wrong_overrides(view: View) -> Iterator[Finding]:
    """Check the arguments that single heads of a ``MultiDatasetHead`` set."""
    shared = view.part('model').child('head', 'shared')
    cls = find_class(shared.cfg, shared.place)
    for name, head in view.network.heads.items():
        own = view.part('model').child('head', 'heads', name).cfg
        if cls is not None and name and 'type' not in own:
            arguments = read_arguments(cls)
            yield from check_arguments(head.place, own, arguments, set())


def find_arch_keys(view: View) -> Iterator[Finding]:
    """Check the ``arch`` of our backbones, a name or a dict."""
    backbone = view.network.backbone
    cls = find_class(backbone.cfg, backbone.place)
    zoo = getattr(cls, 'arch_zoo', None)  # mmpretrain's
    settings = zoo or getattr(cls, 'arch_settings', None)
    arch = backbone.cfg.get('arch')
    if cls is None or not isinstance(settings, dict):
        return
    if not all(isinstance(s, dict) for s in settings.values()):
        return  # not one of ours
    if isinstance(arch, str) and arch not in settings:
        yield Finding(
            f'{backbone.place}.arch',
            arch,
            f'{backbone.kind} has no such architecture',
            suggest(arch, settings),
        )
    if isinstance(arch, dict) and not zoo:
        yield from _check_arch_values(backbone.place, arch)
        names = set(next(iter(settings.values())))
        for key in sorted(set(arch) ^ names):
            yield Finding(
                f'{backbone.place}.arch.{key}',
                arch.get(key, MISSING),
                f'an arch as a dict needs exactly {sorted(names)}',
                suggest(key, names) if key in arch else 'give it',
            )


def _check_arch_values(place: str, arch: dict) -> Iterator[Finding]:
    for key, value in arch.items():
        if isinstance(value, str | dict):
            yield Finding(
                f'{place}.arch.{key}',
                value,
                'the type of the value is wrong, numbers are expected',
                'give a number, or one for each stage',
            )


def _passed_on(node: dict) -> Iterator[tuple[str, Callable]]:
    for (kind, key), function in PASSED_ON.items():
        inner = node.get(key)
        if node['type'] != kind or not isinstance(inner, dict):
            continue
        if 'type' not in inner:
            yield key, function


def _check_type(place: str, kind: Any) -> Iterator[Finding]:
    """Report a ``type`` that no registry knows."""
    if not isinstance(kind, str):
        if find_place(place) and not callable(kind):
            yield Finding(
                f'{place}.type',
                kind,
                'a type is the name of a registered class',
                'give its name',
            )
        return
    if (package := find_missing_package(kind)) is not None:
        new = RENAMED.get(package)
        remedy = f'write {new}' if new else f'pip install {package}'
        message = f'the package {package} is not installed'
        yield Finding(f'{place}.type', kind, message, remedy)
        return
    names = type_names(place)
    if not is_readable(kind) or not (
        find_place(place) or find_near(kind, names)
    ):
        return
    yield Finding(
        f'{place}.type',
        kind,
        'no class is registered by this name here',
        f'{suggest(kind, names)} If it is your own, import its module by '
        'custom_imports',
    )


def check_arguments(
    place: str, node: dict, arguments: Arguments, also: set[str]
) -> Iterator[Finding]:
    """Compare the keys and values of a dict with a constructor."""
    names = arguments.names
    for key, value in node.items():
        if key in also and (
            key == 'vis_backends' or key not in arguments.hints
        ):
            continue
        if key not in names:
            if not arguments.is_open or _is_typo(key, names, node):
                yield Finding(
                    f'{place}.{key}',
                    value,
                    f'{node.get("type", place)} takes no such argument',
                    suggest(key, names | also - RESERVED),
                )
            continue
        expected = find_mismatch(value, arguments, key)
        if expected is not None:
            yield Finding(
                f'{place}.{key}',
                value,
                f'the type of the value is wrong, {expected} is expected',
                'give one',
            )


def _is_typo(key: str, names: set[str], node: dict) -> bool:
    """Tell whether a key misspells an argument that is not given."""
    near = find_near(key, names)
    return near is not None and near not in node and len(key) > 2


def _check_required(
    place: str, node: dict, arguments: Arguments
) -> Iterator[Finding]:
    """Report arguments without a default that are not given."""
    for name in sorted(arguments.required - set(node)):
        yield Finding(
            f'{place}.{name}',
            MISSING,
            f'{node["type"]} needs this argument',
            'give it',
        )


def find_constructor(view: View) -> Iterator[Finding]:
    """Check the class that makes the groups of parameters."""
    kind = view.part('optim_wrapper').cfg.get('constructor')
    place = 'optim_wrapper.constructor'
    if kind is not None and not find_classes(kind, place):
        yield Finding(
            place,
            kind,
            'no class is registered by this name here',
            suggest(str(kind), type_names(place)),
        )


def find_default_arguments(view: View) -> Iterator[Finding]:
    """Check the sections whose class mmengine chooses."""
    for place, kind in BY_DEFAULT.items():
        node = view.part(place).cfg
        if node and 'type' not in node and _is_single(place, node):
            yield from _check_typed(place, dict(node, type=kind))
    loop = view.part('train_cfg').cfg
    if loop and 'type' not in loop:
        kind = 'EpochBased' if loop.get('by_epoch', True) else 'IterBased'
        typed = dict(loop, type=f'{kind}TrainLoop')
        yield from _check_typed('train_cfg', typed)
    loader = read_arguments(DataLoader)
    for place in LOADERS:
        node = view.part(place).cfg
        yield from check_arguments(place, node, loader, LOADER_KEYS)


def _is_single(place: str, node: dict) -> bool:
    """Tell whether ``optim_wrapper`` has one optimizer, not several."""
    return place != 'optim_wrapper' or not any(
        isinstance(v, dict) and 'optimizer' in v for v in node.values()
    )
