"""Write the config of a training on your own set."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from gtpt_mm.compat.files.atomic_file import atomic_write
from gtpt_mm.datasets.exchange.folder import OwnSet

from .facts import SetFacts
from .families import Base
from .keypoint_groups import find_groups
from .loggers import logger_line
from .rules import Recipe

#: Beside the config, if the training starts from weights.
START = 'start.pth'
OWN = 'gtpt_mm::_base_/own_keypoints.py'
HERE = '{{ fileDirname }}'


class Plan(NamedTuple):
    """Content of a config.

    Attributes:
        base: The config that it inherits.
        facts: Measured facts of the set.
        recipe: Choice of the rule.
        start: File or URL of the weights to start from; '' for random ones.
        logger: Name of a logger; '' for mmengine's files only.
        settings: Further values by their path in the config, such as
            ``'train_dataloader.num_workers'``.
    """

    base: Base
    facts: SetFacts
    recipe: Recipe
    start: str
    logger: str = ''
    settings: Mapping[str, Any] = {}

    @property
    def from_scratch(self) -> bool:
        """Whether the model starts from random weights."""
        return not self.start


def new_config(plan: Plan, own_set: OwnSet, path: Path) -> None:
    """Write a config of at most 30 lines, settings not counted.

    Its paths start at its own folder, so that it may be moved together with
    the set.

    Args:
        plan: Content of the config.
        own_set: The set.
        path: File to write.
    """
    text = write_text(plan, own_set, path.parent)
    with atomic_write(path) as temporary:
        Path(temporary).write_text(text, encoding='utf-8')


def write_text(plan: Plan, own_set: OwnSet, folder: Path) -> str:
    """Return the text of a config that will lie in a folder."""
    write = {
        'group-pose': _group_pose,
        'vitpose-plus': _vitpose_plus,
    }.get(plan.base.family, _topdown)
    data_root = Path(os.path.relpath(own_set.folder, folder)).as_posix()
    lines = [*_head(plan, data_root), *write(plan, own_set), *_tail(plan)]
    lines += _setting_lines(plan.settings, lines)
    text = '\n'.join(lines)
    return '\n'.join(map(str.rstrip, text.splitlines())) + '\n'


def _head(plan: Plan, data_root: str) -> list[str]:
    facts = plan.facts
    start = 'from scratch' if plan.from_scratch else 'from weights'
    lines = [
        f'# {plan.base.name} for {facts.name}, {start}: '
        f'{len(facts.keypoints)} keypoints, {facts.num_train} instances to '
        f'train on, {facts.num_val} to validate on.',
        f"_base_ = ['{plan.base.path}',",
        f"          '{OWN}']",
        f"data_root = '{HERE}/{data_root}/'",
    ]
    if not plan.from_scratch:
        start = f'{HERE}/{START}' if plan.start == START else plan.start
        lines.append(f'load_from = {start!r}')
    return lines


def _tail(plan: Plan) -> list[str]:
    """Return the lines of all families: length, rates, hooks."""
    recipe = plan.recipe
    best = 'PCK' if plan.base.family in _WITH_PCK else 'coco/AP'
    if plan.base.family == 'vitpose-plus':
        best = f'{dataset_key(plan.facts)}/AP'
    pictures = ', visualization=_base_.own.pictures' if plan.logger else ''
    lines = [
        f'train_cfg = dict(max_epochs={recipe.epochs}, '
        f'val_interval={recipe.val_interval})',
        f'optim_wrapper = dict({_optimizer(plan)})',
        f'param_scheduler = [dict(_base_.own.warmup, end={recipe.warmup}), '
        '_base_.own.cosine]',
        *_custom_hooks(plan),
        f'default_hooks = dict(checkpoint=dict(interval={recipe.val_interval},'
        f" save_best='{best}'){pictures})",
    ]
    if plan.logger:
        lines.append(logger_line(plan.logger, plan.facts.name))
    return lines


_WITH_PCK = {'vitpose', 'gtpt', 'hevitpose', 'heatmap'}


def _optimizer(plan: Plan) -> str:
    """Return the arguments of ``optim_wrapper``."""
    words = f'lr={plan.recipe.lr}'
    if plan.base.family == 'gtpt' and plan.from_scratch:
        # The first gradients are large, so Adam must forget them quickly.
        words += ', betas=(0.9, 0.95)'
    words = f'optimizer=dict({words})'
    paramwise = plan.base.cfg.optim_wrapper.get('paramwise_cfg') or {}
    if plan.from_scratch and 'layer_decay_rate' in paramwise:
        words += ', paramwise_cfg=dict(layer_decay_rate=1.0)'
    if plan.from_scratch and 'custom_keys' in paramwise:
        words += ', paramwise_cfg=dict(_delete_=True)'
        words += ', clip_grad=dict(max_norm=1.0)'
    return words


def _custom_hooks(plan: Plan) -> list[str]:
    """Return a line with the average and the other hooks of the base."""
    before = plan.base.cfg.get('custom_hooks') or []
    if any('EMA' in str(hook['type']) for hook in before):
        return []
    words = ['*_base_.custom_hooks'] if before else []
    if plan.base.family == 'vitpose-plus' and not plan.from_scratch:
        expert, key = len(plan.base.cfg.dataset_names), dataset_key(plan.facts)
        words.append(
            "dict(type='FreezeHook', trainable="
            f"['backbone.experts.{expert}', 'head.{key}'])"
        )
    return [f'custom_hooks = [{", ".join([*words, "_base_.own.average"])}]']


def _files(own_set: OwnSet, **options: str) -> list[str]:
    """Return the lines of ``files``, which both splits share.

    Args:
        own_set: The set.
        options: Further arguments of the dataset, as Python code.
    """
    images = Path(os.path.relpath(own_set.image_folder, own_set.folder))
    words = ', '.join(f'{key}={value}' for key, value in options.items())
    return [
        f'files = dict({words}, data_root=data_root, '
        f"data_prefix=dict(img='{images.as_posix()}/'),",
        "             metainfo=dict(from_file=data_root + 'metainfo.py'))",
    ]


def _split_name(own_set: OwnSet, split: str) -> str:
    path = os.path.relpath(own_set.ann_files[split], own_set.folder)
    return Path(path).as_posix()


def _loaders(plan: Plan, own_set: OwnSet) -> list[str]:
    """Return the lines of the loaders and the evaluators."""
    recipe = plan.recipe
    train, val = (_split_name(own_set, split) for split in ('train', 'val'))
    workers = f'num_workers={recipe.num_workers}'
    metric = _metric(plan.base, val)
    return [
        f'train_dataloader = dict(batch_size={recipe.batch}, {workers}, '
        f"dataset=dict(\n    files, ann_file='{train}', "
        'pipeline=train_pipeline))',
        f'val_dataloader = test_dataloader = dict({workers}, dataset=dict(',
        f"    files, ann_file='{val}', pipeline=val_pipeline, "
        'test_mode=True))',
        f'val_evaluator = test_evaluator = {metric}',
    ]


def _metric(base: Base, val: str) -> str:
    """Return the evaluators: AP, and PCK for top-down models."""
    before = base.cfg.get('val_evaluator')
    is_coco = isinstance(before, dict) and before['type'] == 'CocoMetric'
    file = f"ann_file=data_root + '{val}'"
    if base.family == 'group-pose':
        words = "score_mode='bbox', nms_mode='none'"
        return f"dict(\n    _delete_=True, type='CocoMetric', {words}, {file})"
    if is_coco and 'iou_type' not in before:
        return f'[dict(_base_.val_evaluator, {file}), _base_.own.pck]'
    return f"[dict(type='CocoMetric', {file}), _base_.own.pck]"


def _flip(recipe: Recipe) -> str:
    return "dict(type='RandomFlip')," if recipe.flip else ''


def _turn(recipe: Recipe) -> str:
    """Return the transform that shifts, scales and turns."""
    turn = f'rotate_factor={recipe.rotation:.0f}'
    turn += ', rotate_prob=1.0' if recipe.rotation > 90 else ''
    return (
        f"dict(type='RandomBBoxTransform', scale_factor=(0.75, 1.25), {turn})"
    )


def _codec_line(plan: Plan, before: str) -> list[str]:
    """Return the codec and the crop of the recipe's input size."""
    width, height = plan.recipe.input_size
    words = f'input_size=({width}, {height})'
    old = plan.base.cfg.codec if before == 'codec' else plan.base.cfg[before]
    if 'heatmap_size' in old:
        stride = old['input_size'][0] // old['heatmap_size'][0]
        words += f', heatmap_size=({width // stride}, {height // stride})'
    return [f'codec = dict(_base_.{before}, {words})  # (w, h)']


def _topdown(plan: Plan, own_set: OwnSet) -> list[str]:
    """Return the lines of a top-down model."""
    head = f'out_channels={len(plan.facts.keypoints)}, decoder=codec'
    backbone = _backbone(plan)
    flip = '' if plan.recipe.flip else ', test_cfg=dict(flip_test=False)'
    model = f'head=dict({head}){flip})'
    model = f'{backbone}\n    {model}' if backbone else model
    if plan.base.family == 'gtpt' and plan.from_scratch:
        model = f'_base_.own.guided, {model}'
    return [
        *_codec_line(plan, 'codec'),
        "crop = dict(_base_.val_pipeline[2], input_size=codec['input_size'])",
        f'train_pipeline = [*_base_.val_pipeline[:2], {_flip(plan.recipe)}',
        f'    {_turn(plan.recipe)},',
        "    crop, dict(type='GenerateTarget', encoder=codec), "
        '_base_.own.pack]',
        'val_pipeline = [*_base_.val_pipeline[:2], crop, _base_.own.pack]',
        *_files(own_set, _delete_='True', type="'CocoDataset'"),
        *_loaders(plan, own_set),
        *(_group_lines(plan.facts) if plan.base.family == 'gtpt' else ()),
        f'model = dict({model}',
    ]


def _backbone(plan: Plan) -> str:
    """Return the argument ``backbone`` of a top-down model, or ''."""
    words = []
    if 'img_size' in plan.base.cfg.model.backbone:
        words.append("img_size=codec['input_size'][::-1]")
    if plan.base.family == 'gtpt':
        words.append('keypoint_groups=keypoint_groups')
    if plan.base.family == 'gtpt' and plan.from_scratch:
        width, height = plan.recipe.input_size
        square = ', patch_size=(4, 4)' if width == height else ''
        words.append(f'\n        **_base_.own.gtpt_small_set{square}')
    return f'backbone=dict({", ".join(words)}),' if words else ''


def _group_lines(facts: SetFacts) -> list[str]:
    """Return the limb chains of a skeleton, one line each."""
    groups = find_groups(len(facts.keypoints), facts.links, facts.swap)
    lines = []
    for group in groups:
        names = ', '.join(facts.keypoints[i] for i in group)
        names = names if len(names) < 50 else f'{names[:46]} ...'
        lines.append(f'    dict(sparse={group}),  # {names}')
    lines[0] = f'keypoint_groups = [{lines[0].strip()}'
    lines[-1] = lines[-1].replace('),  #', ')]  #')
    return lines


def _group_pose(plan: Plan, own_set: OwnSet) -> list[str]:
    """Return the lines of a model of whole pictures."""
    side = plan.recipe.input_size[1]
    sides = [round(side * factor / 32) * 32 for factor in (0.8, 1.0, 1.2)]
    flip = "dict(type='GroupPoseFlip'), " if plan.recipe.flip else ''
    backbone = 'init_cfg=None'
    if plan.from_scratch and plan.base.cfg.model.backbone.type == 'ResNet':
        backbone += ', frozen_stages=-1'
        backbone += ', norm_cfg=dict(requires_grad=True), norm_eval=False'
    return [
        f"resize = dict(type='GroupPoseResize', short_sides={sides}, "
        'max_long_side=1333)',
        'train_pipeline = [',
        f"    dict(type='LoadImage'), {flip}resize,",
        "    dict(type='GenerateTarget', encoder=_base_.codec), "
        '_base_.train_pipeline[-1]]',
        'val_pipeline = [',
        f"    dict(type='LoadImage'), dict(resize, short_sides=[{side}]), "
        '_base_.val_pipeline[-1]]',
        *_files(
            own_set,
            _delete_='True',
            type="'CocoPeopleDataset'",
            data_mode="'bottomup'",
        ),
        *_loaders(plan, own_set),
        f'model = dict(backbone=dict({backbone}),\n    '
        "head=dict(metainfo=data_root + 'metainfo.py'))",
    ]


def dataset_key(facts: SetFacts) -> str:
    """Return the name of a set among the datasets of a ViTPose++."""
    name = ''.join(c if c.isalnum() else '_' for c in facts.name.lower())
    return name if name[:1].isalpha() else f'set_{name}'


def _vitpose_plus(plan: Plan, own_set: OwnSet) -> list[str]:
    """Return the lines of a ViTPose++ with one more dataset, or only it."""
    key, recipe = dataset_key(plan.facts), plan.recipe
    names = f"*_base_.dataset_names, '{key}'"
    return [
        f'dataset_names = [{names if not plan.from_scratch else repr(key)}]',
        *_codec_line(plan, 'udp_codec'),
        "crop = dict(type='TopdownAffine', "
        "input_size=codec['input_size'], use_udp=True)",
        f'train_pipeline = [*_base_.own.load, {_flip(recipe)}',
        f'    {_turn(recipe)},',
        "    crop, dict(type='GenerateTarget', encoder=codec), "
        '_base_.own.pack]',
        'val_pipeline = [*_base_.own.load, crop, _base_.own.pack]',
        *_files(own_set, type="'CocoDataset'"),
        *_plus_loaders(key, recipe, own_set),
        *_plus_model(plan, key),
    ]


def _plus_loaders(key: str, recipe: Recipe, own_set: OwnSet) -> list[str]:
    """Return the lines of loaders and evaluator of one dataset of several."""
    train, val = (_split_name(own_set, split) for split in ('train', 'val'))
    workers = f'num_workers={recipe.num_workers}'
    many = "_delete_=True, type='MultiDataset', names=dataset_names"
    return [
        f'train_dataloader = dict(batch_size={recipe.batch}, {workers}, '
        f'dataset=dict({many},',
        f"    datasets=dict({key}=dict(files, ann_file='{train}', "
        'pipeline=train_pipeline))))',
        f'val_dataloader = test_dataloader = dict({workers}, '
        f'dataset=dict({many},',
        f"    datasets=dict({key}=dict(files, ann_file='{val}', "
        'pipeline=val_pipeline, test_mode=True))))',
        'val_evaluator = test_evaluator = dict(names=dataset_names, '
        f'metrics=dict(_delete_=True, {key}=dict(',
        f"    type='CocoMetric', ann_file=data_root + '{val}')))",
    ]


def _plus_model(plan: Plan, key: str) -> list[str]:
    """Return the lines of a model with one more dataset, or only it."""
    scratch = plan.from_scratch
    clear = '_delete_=True, ' if scratch else ''
    number = 1 if scratch else len(plan.base.cfg.dataset_names) + 1
    tests = f"dataset='{key}'"
    if scratch:
        tests += ', datasets=dict(_delete_=True)'
    if not plan.recipe.flip:
        tests += ', flip_test=False'
    return [
        "model = dict(backbone=dict(img_size=codec['input_size'][::-1], "
        f'experts=dict(num_experts={number})),',
        f'    head=dict(names=dataset_names, heads=dict({clear}{key}=dict(',
        f'        out_channels={len(plan.facts.keypoints)}, '
        f'decoder=codec))), test_cfg=dict({tests}))',
    ]


def _setting_lines(
    settings: Mapping[str, Any], lines: Sequence[str]
) -> list[str]:
    """Return a statement for each ``--set``."""
    assigned = {
        name
        for line in lines
        if ' = ' in line and not line.startswith((' ', '#'))
        for name in line.split(' = ')[:-1]
    }
    found = []
    for path, value in settings.items():
        root, *keys = path.split('.')
        if root not in assigned or not keys:
            text = repr(value)
            for key in reversed(keys):
                text = f'dict({key}={text})'
            found.append(f'{root} = {text}')
            assigned.add(root)
            continue
        words = root
        for key in keys[:-1]:
            words += (
                f'[{key}]' if key.isdigit() else f".setdefault('{key}', {{}})"
            )
        last = keys[-1] if keys[-1].isdigit() else repr(keys[-1])
        found.append(f'{words}[{last}] = {value!r}')
    return found
