"""Every config loads, is consistent, and trains one step."""

from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.registry import init_default_scope
from mmpose.registry import DATASETS, METRICS, MODELS, TRANSFORMS

ROOT = Path(__file__).resolve().parents[1]
CONFIGS = sorted(
    path
    for folder in ('configs', 'projects')
    for path in (ROOT / folder).rglob('*.py')
    if 'configs' in path.parts and '_base_' not in path.parts
)


@pytest.fixture(params=CONFIGS, ids=lambda path: path.stem)
def cfg(request):
    cfg = Config.fromfile(request.param)
    init_default_scope(cfg.default_scope)
    return cfg


def test_model_pipeline_and_codec_agree(cfg):
    codec = cfg.codec
    assert cfg.model.head.decoder == codec
    assert tuple(cfg.model.backbone.img_size) == codec.input_size[::-1]
    for loader in ('train_dataloader', 'val_dataloader', 'test_dataloader'):
        for step in cfg[loader].dataset.pipeline:
            if step.type == 'TopdownAffine':
                assert step.input_size == codec.input_size
            if step.type == 'GenerateTarget':
                assert step.encoder == codec


def test_data_paths_agree(cfg):
    for loader in ('train_dataloader', 'val_dataloader', 'test_dataloader'):
        dataset = cfg[loader].dataset
        assert dataset.data_root == cfg.data_root
        if dataset.get('bbox_file'):
            assert dataset.bbox_file.startswith(cfg.data_root)
    for evaluator in (cfg.val_evaluator, cfg.test_evaluator):
        assert evaluator.ann_file.startswith(cfg.data_root)


def test_average_lasts_as_long_as_the_training(cfg):
    for hook in cfg.get('custom_hooks', []):
        if hook.type == 'CosineEMAHook' and hook.get('total_epochs'):
            assert hook.total_epochs == cfg.train_cfg.max_epochs


def test_one_training_step(cfg, tmp_path):
    """Two drawn people through the config's own pipeline and model."""
    meta = DATASETS.get(cfg.dataset_type)(lazy_init=True, test_mode=True)
    num_keypoints = len(meta.metainfo['keypoint_id2name'])
    pipeline = [
        TRANSFORMS.build(step)
        for step in cfg.train_dataloader.dataset.pipeline
        if step.type != 'LoadImage'
    ]
    rng = np.random.default_rng(0)
    batch = []
    for i in range(2):
        data = dict(
            img=rng.integers(0, 255, (240, 200, 3), np.uint8),
            img_shape=(240, 200),
            ori_shape=(240, 200),
            img_path='',
            id=i,
            img_id=i,
            category_id=1,
            bbox=np.array([[20, 10, 180, 230]], np.float32),
            bbox_score=np.ones(1, np.float32),
            keypoints=rng.uniform(30, 170, (1, num_keypoints, 2)),
            keypoints_visible=np.ones((1, num_keypoints), np.float32),
            **{
                key: meta.metainfo[key]
                for key in (
                    'upper_body_ids',
                    'lower_body_ids',
                    'flip_pairs',
                    'flip_indices',
                    'dataset_keypoint_weights',
                )
                if key in meta.metainfo
            },
        )
        for step in pipeline:
            data = step(data)
        batch.append(data)
    model = MODELS.build(cfg.model).train()
    optimizer = torch.optim.Adam(model.parameters(), 1e-4)
    inputs = model.data_preprocessor(pseudo_collate(batch), training=True)
    losses = model(**inputs, mode='loss')
    loss, _ = model.parse_losses(losses)
    loss.backward()
    optimizer.step()
    assert torch.isfinite(loss)
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert torch.isfinite(parameter.grad).all(), name


def test_metric_is_registered(cfg):
    assert METRICS.get(cfg.val_evaluator.type) is not None
