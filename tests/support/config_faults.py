"""Faults of configs, one at a time, for the check before a run."""

import copy
import random
from collections.abc import Callable, Iterator
from typing import Any

from mmengine.config import Config
from support.configs import ROOT

BODY = 'configs/body_2d_keypoint'
STOCK = '.mim/configs/body_2d_keypoint'
#: All families; the last two are mmpose's own.
CONFIGS = dict(
    gtpt=f'{BODY}/gtpt/coco/gtpt-b_4xb64-300e_coco-384x288.py',
    gtpt_sample=f'{BODY}/gtpt/sample/gtpt-t_1xb16-14e_sample-96x64.py',
    whole_body='configs/wholebody_2d_keypoint/gtpt/coco-wholebody/'
    'gtpt-s_4xb64-300e_coco-wholebody-256x192.py',
    hevitpose=f'{BODY}/hevitpose/coco/'
    'td-hm_hevitpose-t_2xb32-210e_coco-256x192.py',
    mpii=f'{BODY}/hevitpose/mpii/td-hm_hevitpose-b_1xb32-210e_mpii-256x256.py',
    vitpose=f'{BODY}/vitpose/coco/td-hm_vitpose-b_8xb64-210e_coco-256x192.py',
    bottomup=f'{BODY}/vitpose/sample/'
    'ae_vitpose-tiny_1xb8-14e_sample-128x128.py',
    group_pose=f'{BODY}/group_pose/coco/group-pose_res50_8xb2-60e_coco-'
    '800x1333.py',
    multi='configs/multi_dataset/vitpose_plus/six_datasets/'
    'td-hm_vitpose-plus-b_8xb128-210e_six-datasets-256x192.py',
    mae='configs/pretrain/mae/coco/mae_vit-b_8xb512-1600e_coco-crop-'
    '224x224.py',
    stock=f'{STOCK}/topdown_heatmap/coco/'
    'td-hm_hrnet-w32_8xb64-210e_coco-256x192.py',
    stock_simcc=f'{STOCK}/simcc/coco/simcc_res50_8xb64-210e_coco-256x192.py',
)
#: Sections of which mmengine or a constructor reads every key.
SECTIONS = (
    'model', 'train_dataloader', 'val_dataloader', 'test_dataloader',
    'train_cfg', 'val_cfg', 'optim_wrapper', 'default_hooks', 'env_cfg',
    'val_evaluator', 'test_evaluator', 'param_scheduler', 'custom_hooks',
    'randomness', 'visualizer', 'log_processor', 'auto_scale_lr',
)  # fmt: skip
TOP_LEVEL = (*SECTIONS, 'load_from', 'resume', 'log_level', 'default_scope')
#: The keys of these dicts are names that a user chooses, or free.
NAMED = (
    'datasets', 'heads', 'metrics', 'custom_keys', 'data_prefix', 'metainfo',
    'sample_ratio_factor', 'extra',
)  # fmt: skip


def read(name: str) -> dict:
    """Return a config of ``CONFIGS`` as plain dicts."""
    import mmpose

    path = CONFIGS[name]
    root = ROOT if path.startswith('configs') else mmpose.__path__[0]
    return Config.fromfile(f'{root}/{path}').to_dict()


def misspell(key: str, rng: random.Random) -> str:
    """Delete, swap or double a letter."""
    while True:
        i = rng.randrange(len(key))
        changed = rng.choice(
            (
                key[:i] + key[i + 1 :],
                key[:i] + key[i : i + 2][::-1] + key[i + 2 :],
                key[: i + 1] + key[i:],
            )
        )
        if changed.replace('_', '') != key.replace('_', '') and changed:
            return changed


def visit(value: Any, path: tuple = ()) -> Iterator[tuple[tuple, Any, Any]]:
    """Yield (path of a container, key, value) of everything inside."""
    items: Any = ()
    if isinstance(value, dict):
        items = list(value.items())
    elif isinstance(value, list | tuple):
        items = list(enumerate(value))
    for key, inner in items:
        yield path, key, inner
        yield from visit(inner, (*path, key))


def at(cfg: Any, path: tuple) -> Any:
    """Return the container at a path."""
    for key in path:
        cfg = cfg[key]
    return cfg


def with_change(cfg: dict, path: tuple, change: Callable[[Any], None]) -> dict:
    """Return a copy of a config with a container changed."""
    changed = _thaw(copy.deepcopy(cfg))
    change(at(changed, path))
    return changed


def _thaw(value: Any) -> Any:
    """Make lists of tuples of dicts, so that they can be changed."""
    if isinstance(value, dict):
        return {k: _thaw(v) for k, v in value.items()}
    if isinstance(value, list):
        return [_thaw(v) for v in value]
    return value


def misspelt_keys(cfg: dict) -> list[tuple[tuple, str]]:
    """Return where each key stands that may be misspelt."""
    found = [((), key) for key in TOP_LEVEL if key in cfg]
    for path, key, _ in visit({k: cfg[k] for k in SECTIONS if k in cfg}):
        if not path or not isinstance(key, str) or path[-1] in NAMED:
            continue
        if not set(path) & {'extra', 'metainfo'}:
            found.append((path, key))
    return found


def typed_values(cfg: dict) -> list[tuple[tuple, str, Any]]:
    """Return scalars of constructors, and a value of another type each."""
    found = []
    sections = {k: cfg[k] for k in SECTIONS if k in cfg}
    for path, key, value in visit(sections):
        if not path or not isinstance(key, str) or key == 'type':
            continue
        if set(path) & {*NAMED, 'clip_grad', 'meta_keys', 'init_cfg'}:
            continue
        if type(value) is int:
            found += [(path, key, str(value)), (path, key, dict(a=1))]
        elif type(value) is float:
            found.append((path, key, 'abc'))
        elif isinstance(value, str):
            found.append((path, key, 5))
    return found


# -------------------------------------------------------------- agreements

HEAD = 'model.head.decoder'
TRAIN = 'train_dataloader.dataset.pipeline'
#: (config, dotted key, value, text that a finding holds).
DISAGREEMENTS: list[tuple[str, str, Any, str]] = [
    ('gtpt', f'{HEAD}.input_size', (192, 256), f'{HEAD}.input_size'),
    ('gtpt', 'codec.input_size', (192, 256), 'codec.input_size'),
    ('gtpt', f'{HEAD}.simcc_split_ratio', 3.0, 'simcc_split_ratio'),
    ('gtpt', f'{TRAIN}.6.encoder.input_size', (192, 256), 'input_size'),
    ('gtpt', f'{TRAIN}.5.input_size', (192, 256), f'{TRAIN}.5.input_size'),
    ('gtpt', 'val_dataloader.dataset.pipeline.2.input_size', (384, 288),
     'val_dataloader.dataset.pipeline.2.input_size'),
    ('gtpt', 'model.backbone.img_size', (288, 384), 'img_size'),
    ('gtpt', 'model.backbone.img_size', (256, 192), 'img_size'),
    ('gtpt', 'model.head.out_channels', 16, 'model.head.out_channels'),
    ('gtpt', 'model.head.in_channels', 128, 'model.head.in_channels'),
    ('gtpt', 'model.backbone.arch', 'tiny', 'model.head.in_channels'),
    ('gtpt', 'model.backbone.arch', 'huge', 'model.backbone.arch'),
    ('gtpt', 'model.backbone.keypoint_groups', [dict(sparse=list(range(9)))],
     'keypoint_groups'),
    ('gtpt', 'model.backbone.keypoint_groups',
     [dict(sparse=[0, *range(16)])], 'keypoint_groups'),
    ('gtpt', 'model.head.type', 'HeatmapHead', 'model.head'),
    ('gtpt', 'default_hooks.checkpoint.save_best', 'coco/APP', 'save_best'),
    ('gtpt', 'default_hooks.checkpoint.save_best', 'PCK', 'save_best'),
    ('gtpt', 'train_cfg.max_epochs', 0, 'train_cfg.max_epochs'),
    ('gtpt', 'train_cfg.max_epochs', -1, 'train_cfg.max_epochs'),
    ('gtpt', 'train_cfg.val_interval', 0, 'train_cfg.val_interval'),
    ('gtpt', 'train_dataloader.batch_size', 0, 'batch_size'),
    ('gtpt', 'train_dataloader.batch_size', 64.5, 'batch_size'),
    ('gtpt', 'train_dataloader.num_workers', [2], 'num_workers'),
    ('gtpt', 'default_hooks.logger', 'abc', 'default_hooks.logger'),
    ('gtpt', 'default_hooks.logger.interval', 10.5, 'interval'),
    ('gtpt', 'train_dataloader.dataset', 'abc', 'train_dataloader.dataset'),
    ('gtpt', 'optim_wrapper.optimizer', 'Adam', 'optim_wrapper.optimizer'),
    ('gtpt', 'default_hooks.finte_loss', dict(policy='skip'), 'finite_loss'),
    ('vitpose', 'model.test_cfg.flip_mode', 'heatmapp', 'flip_mode'),
    ('gtpt', 'train_dataloader.num_workers', -1, 'num_workers'),
    ('gtpt', 'train_dataloader.sampler.type', 'InfiniteSampler',
     'train_dataloader.sampler.type'),
    ('gtpt', 'train_cfg', dict(by_epoch=False, max_iters=9, val_interval=3),
     'default_hooks.checkpoint.by_epoch'),
    ('gtpt', 'train_dataloader.dataset.type', 'MpiiDataset', 'out_channels'),
    ('gtpt', 'val_evaluator', None, 'val_evaluator'),
    ('gtpt', 'param_scheduler',
     [dict(type='CosineAnnealingLR', by_epoch=True, end=100)], 'scheduler'),
    ('gtpt', 'param_scheduler',
     [dict(type='CosineAnnealingLR', by_epoch=True, T_max=10)], 'T_max'),
    ('gtpt', 'param_scheduler',
     [dict(type='LinearLR', begin=9, end=9)], 'scheduler'),
    ('gtpt', 'param_scheduler',
     [dict(type='MultiStepLR', milestones=[50, 90], end=60)], 'milestones'),
    ('gtpt_sample', 'param_scheduler.1.by_epoch', False,
     'convert_to_iter_based'),
    ('gtpt_sample', f'{HEAD}.type', 'SimCCLabel', f'{HEAD}.type'),
    ('gtpt_sample', 'model.backbone.type', 'ViTPose', 'model'),
    ('whole_body', 'model.head.out_channels', 17, 'out_channels'),
    ('whole_body', 'train_dataloader.dataset.type', 'CocoDataset',
     'out_channels'),
    ('whole_body', 'model.head.in_channels', 128, 'in_channels'),
    ('hevitpose', f'{HEAD}.heatmap_size', (192, 256), 'heatmap_size'),
    ('hevitpose', 'model.backbone.arch', 'base', 'in_channels'),
    ('hevitpose', 'model.head.deconv_out_channels', (64,), 'heatmap_size'),
    ('hevitpose', 'model.backbone.patch_embed', dict(strides=(2,)),
     'heatmap_size'),
    ('mpii', 'model.head.out_channels', 17, 'out_channels'),
    ('mpii', 'default_hooks.checkpoint.save_best', 'coco/AP', 'save_best'),
    ('vitpose', f'{HEAD}.input_size', (384, 512), f'{HEAD}.input_size'),
    ('vitpose', f'{HEAD}.heatmap_size', (96, 128), 'heatmap_size'),
    ('vitpose', f'{HEAD}.type', 'MSRAHeatmap', f'{HEAD}.type'),
    ('vitpose', f'{HEAD}.sigma', 3, f'{HEAD}.sigma'),
    ('vitpose', f'{TRAIN}.4.use_udp', False, 'use_udp'),
    ('vitpose', 'model.head.in_channels', 384, 'in_channels'),
    ('vitpose', 'model.backbone.arch', 'small', 'in_channels'),
    ('vitpose', 'model.backbone.patch_stride', 8, 'heatmap_size'),
    ('vitpose', 'model.head.deconv_out_channels', (256,), 'heatmap_size'),
    ('bottomup', 'model.head.num_keypoints', 14, 'num_keypoints'),
    ('bottomup', f'{HEAD}.input_size', (256, 256), 'input_size'),
    ('bottomup', f'{HEAD}.decode_keypoint_order', list(range(16)),
     'decode_keypoint_order'),
    ('bottomup', f'{TRAIN}.1.input_size', (256, 256), 'input_size'),
    ('group_pose', 'model.head.metainfo',
     'configs/_base_/datasets/crowdpose.py', 'model.head.metainfo'),
    ('group_pose', 'model.head.embed_dims', 128, 'embed_dims'),
    ('group_pose', 'model.head.num_levels', 3, 'num_levels'),
    ('group_pose', 'model.backbone.depth', 18, 'model.neck.in_channels'),
    ('group_pose', 'model.neck.in_channels', [256, 512, 1024],
     'in_channels'),
    ('multi', 'model.head.names',
     ['ap10k', 'aic', 'mpii', 'coco', 'apt36k', 'wholebody'], 'names'),
    ('multi', 'train_dataloader.dataset.names',
     ['ap10k', 'aic', 'mpii', 'coco', 'apt36k', 'wholebody'],
     'train_dataloader.dataset.names'),
    ('multi', 'val_evaluator.names',
     ['ap10k', 'aic', 'mpii', 'coco', 'apt36k', 'wholebody'],
     'val_evaluator.names'),
    ('multi', 'model.backbone.experts.num_experts', 5, 'num_experts'),
    ('multi', 'model.head.heads.mpii.out_channels', 17, 'mpii.out_channels'),
    ('multi', 'model.head.heads.mpii.decoder.input_size', (256, 256),
     'mpii.decoder.input_size'),
    ('multi', 'model.head.heads.mpii.decoder.type', 'MSRAHeatmap',
     'mpii.decoder.type'),
    ('multi', 'model.test_cfg.dataset', 'cocoo', 'model.test_cfg.dataset'),
    ('multi', 'default_hooks.checkpoint.save_best', 'cooc/AP', 'save_best'),
    ('group_pose', 'model.head.metainfo', 'nowhere/coco.py',
     'model.head.metainfo'),
    ('gtpt', 'train_dataloader.dataset.metainfo',
     dict(from_file='nowhere/coco.py'), 'metainfo.from_file'),
    ('mae', 'model.neck.embed_dim', 512, 'model.neck.embed_dim'),
    ('mae', 'model.neck.num_patches', 100, 'num_patches'),
    ('mae', 'model.head.patch_size', 8, 'model.head.patch_size'),
    ('mae', 'model.backbone.arch', 'large', 'model.neck.embed_dim'),
    ('mae', 'model.backbone.arch', 'bsae', 'model.backbone.arch'),
    ('mae', 'model.backbone.img_size', 256, 'num_patches'),
    ('mae', 'train_dataloader.dataset.pipeline.2.scale', 192, 'scale'),
    ('gtpt', 'default_scope', 'mmpsoe', "did you mean 'mmpose'"),
    ('gtpt', 'launcher', 'torch', 'launcher'),
    ('gtpt', 'launcher', 'pytroch', "did you mean 'pytorch'"),
    ('gtpt', 'train_dataloader', [dict(batch_size=4)], 'train_dataloader'),
    ('gtpt', 'val_dataloader', 'coco', 'val_dataloader'),
    ('gtpt', 'train_dataloader.dataset.data_mode', 'bottomup',
     "set it to 'topdown'"),
    ('bottomup', 'val_dataloader.dataset.data_mode', 'topdown',
     "set it to 'bottomup'"),
    ('group_pose', 'train_dataloader.dataset.data_mode', 'topdown',
     "set it to 'bottomup'"),
    ('multi', 'train_dataloader.dataset.datasets.aic.data_mode', 'bottomup',
     'datasets.aic.data_mode'),
    ('gtpt', 'val_evaluator.nms_mode', 'oks', 'val_evaluator.nms_mode'),
    ('multi', 'val_evaluator.metrics.coco.nms_mode', 'softoks_nms',
     "did you mean 'soft_oks_nms'"),
    ('whole_body', 'test_evaluator.score_mode', 'box', 'score_mode'),
    ('gtpt', 'model.data_preprocessor.std', [58.4, 0, 57.4],
     'model.data_preprocessor.std'),
    ('gtpt', 'optim_wrapper.optimizer.lr', 0, 'optimizer.lr'),
    ('vitpose', 'optim_wrapper.optimizer.lr', -1e-3, 'optimizer.lr'),
    ('stock', f'{HEAD}.input_size', (288, 384), 'input_size'),
    ('stock', f'{HEAD}.heatmap_size', (96, 128), 'heatmap_size'),
    ('stock', 'model.head.in_channels', 48, 'in_channels'),
    ('stock', 'model.head.out_channels', 16, 'out_channels'),
    ('stock', 'model.test_cfg.fliptest', True, 'flip_test'),
    ('stock', 'modle.backbone.arch', 'base', "did you mean 'model'"),
    ('stock', 'load_form', 'x.pth', "did you mean 'load_from'"),
    ('stock', 'train_dataloder.batch_size', 4, "'train_dataloader'"),
    ('stock_simcc', f'{HEAD}.simcc_split_ratio', 3.0, 'simcc_split_ratio'),
    ('stock_simcc', 'model.head.simcc_split_ratio', 3.0, 'split_ratio'),
    ('stock_simcc', 'model.head.input_size', (256, 192), 'input_size'),
    ('stock_simcc', 'model.head.in_featuremap_size', (8, 6), 'featuremap'),
    ('stock_simcc', 'model.backbone.depth', 18, 'in_channels'),
]  # fmt: skip
AMP = dict(
    type='AmpOptimWrapper',
    loss_scale=512.0,
    optimizer=dict(type='Adam', lr=1e-3),
)
#: A hook that is given schedules as the config itself is.
CURRICULUM = dict(
    type='CurriculumHook',
    switch_epoch=1,
    param_scheduler=[
        dict(type='LinearLR', start_factor=0.1, end=20, by_epoch=False),
        dict(type='CosineAnnealingLR', T_max=1, convert_to_iter_based=True),
    ],
)
#: (dotted key, value): changes that are no mistake, in every config.
LEGAL: list[tuple[str, Any]] = [
    ('optim_wrapper.optimizer.lr', 1e-5),
    ('optim_wrapper.optimizer.lr', 1),
    ('optim_wrapper.clip_grad', dict(max_norm=5)),
    ('optim_wrapper.accumulative_counts', 4),
    ('train_dataloader.batch_size', 7),
    ('train_dataloader.num_workers', 0),
    ('train_dataloader.persistent_workers', False),
    ('train_dataloader.drop_last', True),
    ('train_dataloader.pin_memory', True),
    ('train_cfg.max_epochs', 2),
    ('train_cfg.max_epochs', 1000),
    ('train_cfg.val_interval', 1),
    ('train_cfg.val_begin', 1),
    ('randomness', dict(seed=3, deterministic=True)),
    ('work_dir', 'work_dirs/mine'),
    ('load_from', 'work_dirs/mine/epoch_1.pth'),
    ('resume', True),
    ('log_level', 'DEBUG'),
    ('launcher', 'pytorch'),
    ('launcher', 'slurm'),
    ('optim_wrapper.optimizer.lr', 1e-12),
    ('model.data_preprocessor.std', [1.0, 0.5, 255]),
    ('experiment_name', 'mine'),
    ('find_unused_parameters', True),
    ('sync_bn', 'torch'),
    ('auto_scale_lr', dict(enable=True, base_batch_size=512)),
    ('codec', dict(note='my own')),
    ('data_root', 'elsewhere/'),
    ('dataset_type', 'CocoDataset'),
    ('total_epochs', 7),
    ('num_stages', 3),
    ('my_loss', dict(type='anything')),
    ('backbone', 'my own'),
    ('description', 'my own'),
    ('mode', 'train'),
    ('models', ['a', 'b']),
    ('model2', dict(type='anything')),
    ('val_codec', dict(type='anything')),
    ('train_pipeline_stage2', []),
    ('default_hooks.logger.interval', 1),
    ('default_hooks.checkpoint.interval', 5),
    ('default_hooks.checkpoint.max_keep_ckpts', 1),
    ('default_hooks.visualization.enable', True),
    ('default_hooks.my_timer', dict(type='IterTimerHook')),
    ('default_hooks.runtime_info', dict(type='RuntimeInfoHook')),
    ('default_hooks.finite_loss', None),
    ('default_hooks.timer', None),
    ('env_cfg.dist_cfg.backend', 'gloo'),
    ('env_cfg.cudnn_benchmark', True),
    ('visualizer.save_dir', 'elsewhere'),
    ('model.test_cfg.flip_test', False),
    ('custom_hooks', [CURRICULUM]),
    ('optim_wrapper', AMP),
]


def set_key(cfg: dict, key: str, value: Any) -> dict:
    """Return a copy of a config with a dotted key set."""
    changed = _thaw(copy.deepcopy(cfg))
    *path, last = (int(k) if k.isdigit() else k for k in key.split('.'))
    inner: Any = changed
    for step in path:
        if isinstance(inner, dict):
            inner = inner.setdefault(step, {})
        else:
            inner = inner[step]
    inner[last] = value
    return changed
