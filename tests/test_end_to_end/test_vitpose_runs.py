"""ViTPose through a Runner, on a few drawn people."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmengine.runner import Runner
from mmpose.apis import MMPoseInferencer, inference_topdown

NAME = 'sample/td-hm_vitpose-s_1xb16-14e_sample-96x64.py'


@pytest.fixture(scope='module')
def cfg(repo_root, data_root, tmp_path_factory):
    """The sample config: two epochs of a small ViTPose with all options."""
    cfg = Config.fromfile(
        repo_root / 'configs/body_2d_keypoint/vitpose' / NAME
    )
    init_default_scope('mmpose')
    cfg.model.backbone.update(
        arch=dict(embed_dims=48, depth=4, num_heads=4), with_cp=True
    )
    cfg.model.head.update(in_channels=48, deconv_out_channels=(32, 32))
    cfg.train_dataloader.batch_size = 8
    for loader in (cfg.train_dataloader, cfg.val_dataloader):
        loader.num_workers = 0
        loader.persistent_workers = False
        loader.dataset.data_root = str(data_root) + '/'
    cfg.train_dataloader.dataset.indices = 24
    boxes = 'person_detection_results/'
    boxes += 'COCO_val2017_detections_AP_H_56_person.json'
    cfg.val_dataloader.dataset.bbox_file = str(data_root / boxes)
    cfg.test_dataloader = cfg.val_dataloader
    ann_file = str(data_root / cfg.val_dataloader.dataset.ann_file)
    cfg.val_evaluator.ann_file = cfg.test_evaluator.ann_file = ann_file
    cfg.train_cfg.update(max_epochs=2, val_interval=2)
    cfg.param_scheduler[0].end = 3
    cfg.param_scheduler[1].update(T_max=2, eta_min=0)
    cfg.optim_wrapper.paramwise_cfg.layer_decay_rate = 0.8
    cfg.default_hooks.logger.interval = 1
    cfg.visualizer.name = 'vitpose'
    cfg.work_dir = str(tmp_path_factory.mktemp('vitpose'))
    return cfg


@pytest.fixture(scope='module')
def runner(cfg):
    torch.manual_seed(0)
    runner = Runner.from_cfg(cfg)
    runner.start = {
        name: value.clone() for name, value in runner.model.named_parameters()
    }
    runner.train()
    return runner


def test_every_parameter_is_trained(runner):
    for name, value in runner.model.named_parameters():
        assert torch.isfinite(value).all(), name
        assert not torch.equal(value, runner.start[name]), name


def test_rates_fall_towards_the_first_layer(runner):
    groups = runner.optim_wrapper.optimizer.param_groups
    rates = {group['group_name']: group['lr'] for group in groups}
    assert rates['layer_0_decay'] == pytest.approx(
        rates['layer_5_decay'] * 0.8**5
    )


def test_loss_is_logged_and_metric_computed(runner):
    history = runner.message_hub.log_scalars
    losses, count = history['train/loss_kpt'].data
    assert len(losses) == 6
    assert np.isfinite(losses).all()
    assert 'val/coco/AP' in history


def test_checkpoint_goes_on_and_predicts_the_same(runner, cfg):
    again = cfg.copy()
    again.load_from = str(Path(runner.work_dir) / 'epoch_2.pth')
    again.visualizer.name = 'vitpose-test'
    fresh = Runner.from_cfg(again)
    metrics = fresh.test()
    trained = runner.message_hub.log_scalars['val/coco/AP'].current()
    assert metrics['coco/AP'] == pytest.approx(trained, abs=1e-6)
    again.train_cfg.max_epochs = 3
    again.resume = True
    again.visualizer.name = 'vitpose-resume'
    resumed = Runner.from_cfg(again)
    resumed.train()
    assert resumed.iter == 9


def test_inferencer_takes_config_and_checkpoint(runner, data_root, tmp_path):
    """As the page on ViTPose has it; with what the run wrote."""
    config = min(Path(runner.work_dir).glob('*/vis_data/config.py'))
    inferencer = MMPoseInferencer(
        pose2d=str(config),
        pose2d_weights=str(Path(runner.work_dir) / 'epoch_2.pth'),
        det_model='whole_image',
        device='cpu',
    )
    model = runner.model.eval()
    model.cfg = Config.fromfile(config)
    model.dataset_meta = runner.train_dataloader.dataset.metainfo
    paths = sorted((data_root / 'val2017').iterdir())[:2]
    results = inferencer([str(p) for p in paths], vis_out_dir=str(tmp_path))
    for path, result in zip(paths, results, strict=True):
        [[person]] = result['predictions']
        height, width = cv2.imread(str(path)).shape[:2]
        np.testing.assert_allclose(person['bbox'][0], [0, 0, width, height])
        # The same as the model of the run says of that box.
        [expected] = inference_topdown(model, str(path))
        np.testing.assert_allclose(
            person['keypoints'],
            expected.pred_instances.keypoints[0],
            atol=1e-3,
        )
        assert (tmp_path / path.name).is_file()


def test_fits_a_few_people(cfg, data_root):
    """The loss of one batch, seen 60 times, falls to a third."""
    init_default_scope('mmpose')
    from mmengine.dataset import pseudo_collate
    from mmengine.optim import build_optim_wrapper
    from mmpose.registry import DATASETS, MODELS

    torch.manual_seed(0)
    dataset = dict(cfg.train_dataloader.dataset, pipeline=[
        step for step in cfg.train_dataloader.dataset.pipeline
        if not step.type.startswith('Random')
    ])  # fmt: skip
    dataset = DATASETS.build(dataset)
    batch = pseudo_collate([dataset[i] for i in range(4)])
    model = MODELS.build(cfg.model)
    model.init_weights()
    wrapper = build_optim_wrapper(model, cfg.optim_wrapper)
    for group in wrapper.param_groups:
        group['lr'] *= 3
    losses = [
        model.train_step(batch, wrapper)['loss'].item() for _ in range(60)
    ]
    assert losses[-1] < losses[0] / 3
