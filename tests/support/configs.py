"""The configs of the repository: read once, drawn batches, small models."""

import copy
from functools import cache
from pathlib import Path

import numpy as np
import torch
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.registry import init_default_scope
from mmpose.registry import DATASETS, MODELS, TRANSFORMS

from gtpt_mm.models import GTPT, EfficientViT, HEViTPose, ViTPose

ROOT = Path(__file__).resolve().parents[2]
LOADERS = ('train_dataloader', 'val_dataloader', 'test_dataloader')


def find_configs() -> list[Path]:
    """Return the configs that ``mim train`` takes, of library and projects."""
    return sorted(
        path
        for folder in ('configs', 'projects')
        for path in (ROOT / folder).rglob('*.py')
        if 'configs' in path.parts and '_base_' not in path.parts
    )


@cache
def _read(path: Path) -> Config:
    return Config.fromfile(path)


def read_config(path: Path | str) -> Config:
    """Return a config of the repository, to be changed at will.

    Each file is read once in a process. Its default scope becomes current.
    """
    cfg = copy.deepcopy(_read(ROOT / path))
    init_default_scope(cfg.default_scope)
    return cfg


# --------------------------------------------------------- parts of a config


def innermost(dataset: dict) -> dict:
    """Return the dataset inside of wrappers, which has files and pipeline."""
    return innermost(dataset.dataset) if 'dataset' in dataset else dataset


def is_end_to_end(cfg: Config) -> bool:
    """Tell whether the model sees all people of an image at once."""
    return cfg.codec.type == 'GroupPoseLabel'


def build_meta(dataset: dict) -> dict:
    """Return the metainfo of a config's dataset without its files."""
    dataset = dict(
        type=dataset.type, lazy_init=True, metainfo=dataset.get('metainfo')
    )
    return DATASETS.build(dataset).metainfo


# -------------------------------------------------------------- drawn people


def draw_person(meta: dict, index: int) -> dict:
    """Return random values in place of a sample that a dataset loads."""
    rng = np.random.default_rng(index)
    num_keypoints = meta['num_keypoints']
    data = dict(
        img=rng.integers(0, 255, (240, 200, 3), np.uint8),
        img_shape=(240, 200),
        ori_shape=(240, 200),
        img_path='',
        id=index,
        img_id=index,
        category_id=1,
        bbox=np.array([[20, 10, 180, 230]], np.float32),
        bbox_score=np.ones(1, np.float32),
        keypoints=rng.uniform(30, 170, (1, num_keypoints, 2)),
        keypoints_visible=np.ones((1, num_keypoints), np.float32),
        upper_body_ids=meta['upper_body_ids'],
        lower_body_ids=meta['lower_body_ids'],
        flip_pairs=meta['flip_pairs'],
        flip_indices=meta['flip_indices'],
        dataset_keypoint_weights=meta['dataset_keypoint_weights'],
    )
    if meta['dataset_name'] == 'coco_wholebody':
        flags = np.pad(data['keypoints'][0], ((0, 0), (0, 1)))
        flags[:, 2] = 2
        fields = np.split(flags, [17, 23, 91, 112])
        names = ('keypoints', 'foot_kpts', 'face_kpts')
        names += ('lefthand_kpts', 'righthand_kpts')
        data['raw_ann_info'] = {
            name: field.flatten().tolist()
            for name, field in zip(names, fields, strict=True)
        }
    return data


def draw_people(meta: dict, index: int) -> dict:
    """Return an image of two people, for an end-to-end model."""
    data = draw_person(meta, index)
    for key in ('bbox', 'bbox_score', 'keypoints', 'keypoints_visible'):
        data[key] = np.repeat(data[key], 2, axis=0).astype(np.float32)
    return {
        **data,
        'id': [1, 2],
        'category_id': np.ones(2, int),
        'area': np.array([2e4, 9e3], np.float32),
    }


# -------------------------------------------------------------- small models


def shrink_steps(steps: list[dict]) -> list[dict]:
    """Return the pipeline of an end-to-end model for images of 96 pixels."""
    steps = copy.deepcopy(steps)
    for step in steps:
        if step.type == 'GroupPoseResize':
            step.update(short_sides=[96], max_long_side=None)
        elif step.type == 'GroupPoseCrop':
            step.update(min_size=64, max_size=90)
        elif step.type == 'GroupPoseResizedCrop':
            step.update(short_sides=[96], min_size=64, max_size=90)
        elif step.type == 'RandomChoice':
            step.transforms = [shrink_steps(s) for s in step.transforms]
    return steps


def shrink(model: dict) -> dict:
    """Return the config of a model with narrow, few layers."""
    model = copy.deepcopy(model)
    if model.head.type.endswith('GroupPoseHead'):
        _shrink_end_to_end(model)
    for part in (model, model.get('train_cfg', {}).get('teacher')):
        if part:
            _shrink_backbone(part)
    if model.type == 'KnowledgeTokenDistiller':
        model.backbone.knowledge_dims = 32
    return model


def _shrink_backbone(model: dict) -> None:
    backbone = model.backbone
    head = model.head.get('shared', model.head)  # of several datasets
    if filters := head.get('deconv_out_channels'):
        head.deconv_out_channels = (16,) * len(filters)
    if 'part_features' in (backbone.get('experts') or {}):
        backbone.experts.part_features = 8
    kind = MODELS.get(backbone.type)
    if issubclass(kind, GTPT):
        backbone.update(arch=dict(embed_dims=32, stem_channels=16), depth=8)
        head.in_channels = 32
    elif issubclass(kind, ViTPose):
        backbone.arch = dict(embed_dims=32, depth=2, num_heads=2)
        head.in_channels = 32
    elif issubclass(kind, HEViTPose):
        # Divided by 2, 3, 4 or 8 groups and then by the heads of each stage.
        groups = HEViTPose.arch_settings[backbone.arch]['num_groups']
        backbone.arch = dict(
            embed_dims=(32, 96, 64), depths=(1, 1, 1), num_groups=groups
        )
        head.in_channels = 64
    elif issubclass(kind, EfficientViT):
        backbone.update(
            key_dims=4,
            arch=dict(
                embed_dims=(16, 24, 32),
                depths=(1, 1, 1),
                num_heads=(2, 2, 2),
                query_kernels=(5, 3),
            ),
        )
        head.in_channels = 32


def _shrink_end_to_end(model: dict) -> None:
    if model.backbone.type == 'OfficialSwin':
        model.backbone.update(
            embed_dims=16, depths=(1, 1, 1, 1), num_heads=(1, 2, 4, 8)
        )
        model.neck.in_channels = [32, 64, 128]
    elif model.backbone.depth == 50:
        model.backbone.depth = 18
        model.neck.in_channels = [128, 256, 512]
    head = model.head
    model.neck.out_channels = head.embed_dims = 64
    for part in ('encoder', 'decoder'):
        layers = dict(num_layers=2, feedforward_dims=64)
        head[part] = {**head.get(part, {}), **layers}
    # No more than there are tokens.
    head.num_queries = min(12, head.get('num_queries', 12))
    if 'human_decoder' in head:
        head.human_decoder.num_humans = 20


# -------------------------------------------------------------- one training


def train_one_step(model: torch.nn.Module, batch: list[dict]) -> None:
    """Train a model on samples as its pipeline packs them; check gradients."""
    model.train()
    optimizer = torch.optim.Adam(model.parameters(), 1e-4)
    inputs = model.data_preprocessor(pseudo_collate(batch), training=True)
    loss, _ = model.parse_losses(model(**inputs, mode='loss'))
    loss.backward()
    optimizer.step()
    assert torch.isfinite(loss)
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            assert parameter.grad is not None, name
            assert torch.isfinite(parameter.grad).all(), name


def apply_pipeline(steps: list[dict], data: dict) -> dict:
    """Apply the steps of a pipeline to a sample with its image."""
    for step in steps:
        if step.type != 'LoadImage':
            data = TRANSFORMS.build(step)(data)
    return data
