"""Models and data small enough to draw from in a test."""

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config

CONFIG = (
    'configs/body_2d_keypoint/gtpt/sample/gtpt-t_1xb16-14e_sample-96x64.py'
)


@pytest.fixture(scope='session')
def body_config(repo_root, tmp_path_factory):
    """The demo's config on a few drawn people."""
    from pose_samples import generate

    root = tmp_path_factory.mktemp('drawn')
    generate(root, layouts=['coco'], num_train=4, num_val=4, seed=3)
    cfg = Config.fromfile(repo_root / CONFIG)
    cfg.train_dataloader.batch_size = 4
    cfg.val_dataloader.batch_size = 2
    for loader in (cfg.train_dataloader, cfg.val_dataloader):
        loader.num_workers = 0
        loader.persistent_workers = False
        loader.dataset.data_root = f'{root}/coco/'
    cfg.val_dataloader.dataset.bbox_file = None
    cfg.test_dataloader = cfg.val_dataloader
    ann = f'{root}/coco/annotations/person_keypoints_val2017.json'
    cfg.val_evaluator.ann_file = cfg.test_evaluator.ann_file = ann
    cfg.train_cfg.val_interval = 1
    cfg.custom_hooks = [
        dict(type='CosineEMAHook', momentum=0.1, min_windows=0)
    ]
    path = tmp_path_factory.mktemp('config') / 'body.py'
    cfg.dump(path)
    return path


@pytest.fixture(scope='session')
def checkpoint(body_config):
    """Weights of a model that has learned nothing but is no constant."""
    from mmpose.apis import init_model

    torch.manual_seed(5)
    model = init_model(str(body_config), device='cpu')
    with torch.no_grad():
        for layer in model.backbone.layers:
            layer.attn.qkv.weight.mul_(2)
    path = body_config.with_name('weights.pth')
    torch.save(dict(meta={}, state_dict=model.state_dict()), path)
    return path


@pytest.fixture(scope='session')
def model(body_config, checkpoint):
    from mmpose.apis import init_model

    return init_model(str(body_config), str(checkpoint), device='cpu')


@pytest.fixture(scope='session')
def image(tmp_path_factory):
    """A picture of 200 x 300 (w, h) with some structure."""
    rows = np.linspace(0, 255, 300)[:, None, None]
    columns = np.linspace(0, 9, 200)[None, :, None]
    img = rows * (1 + np.sin(columns * [1, 2, 3])) / 2
    path = tmp_path_factory.mktemp('image') / 'stripes.png'
    cv2.imwrite(str(path), img.astype(np.uint8))
    return path
