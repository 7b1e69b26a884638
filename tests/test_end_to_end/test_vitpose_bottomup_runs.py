"""Bottom-up ViTPose through a Runner, on a few drawn people."""

import numpy as np
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmengine.runner import Runner

NAME = 'sample/ae_vitpose-tiny_1xb8-14e_sample-128x128.py'


def test_sample_config_trains_and_validates(repo_root, data_root, tmp_path):
    cfg = Config.fromfile(
        repo_root / 'configs/body_2d_keypoint/vitpose' / NAME
    )
    init_default_scope('mmpose')
    cfg.model.backbone.arch = dict(embed_dims=48, depth=2, num_heads=4)
    cfg.model.head.update(in_channels=48, deconv_out_channels=(16, 16))
    for loader in (cfg.train_dataloader, cfg.val_dataloader):
        loader.num_workers = 0
        loader.persistent_workers = False
        loader.dataset.data_root = str(data_root) + '/'
    cfg.train_dataloader.dataset.indices = 16
    cfg.val_dataloader.dataset.indices = 2
    cfg.test_dataloader = cfg.val_dataloader
    ann_file = str(data_root / cfg.val_dataloader.dataset.ann_file)
    cfg.val_evaluator.ann_file = cfg.test_evaluator.ann_file = ann_file
    cfg.train_cfg.update(max_epochs=2, val_interval=2)
    cfg.param_scheduler[0].end = 2
    cfg.param_scheduler[1].update(T_max=2, eta_min=0)
    cfg.default_hooks.logger.interval = 1
    cfg.visualizer.name = 'bottomup'
    cfg.work_dir = str(tmp_path)
    torch.manual_seed(0)
    runner = Runner.from_cfg(cfg)
    runner.train()
    history = runner.message_hub.log_scalars
    for name in ('loss_kpt', 'loss_pull', 'loss_push'):
        losses, count = history[f'train/{name}'].data
        assert len(losses) == 4
        assert np.isfinite(losses).all()
    # Untrained, but images came in, people came out, and were scored.
    assert 0 <= history['val/coco/AP'].current() <= 1
