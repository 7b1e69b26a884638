"""ViTPose from the shell, as its page has it: ``mim train``, ``mim test``."""

import numpy as np
import pytest
from mmengine.config import Config
from support.runs import logged, mim, read_metrics, read_scalars

pytestmark = pytest.mark.slow  # a minute and more on a busy machine

NAME = (
    'configs/body_2d_keypoint/vitpose/sample/'
    'td-hm_vitpose-s_1xb16-14e_sample-96x64.py'
)


@pytest.fixture(scope='module')
def options(data_root):
    """The sample config's few pictures, and an epoch of three steps."""
    boxes = data_root / 'person_detection_results'
    boxes /= 'COCO_val2017_detections_AP_H_56_person.json'
    labels = data_root / 'annotations/person_keypoints_val2017.json'
    options = dict.fromkeys(
        (
            'train_dataloader.num_workers',
            'val_dataloader.num_workers',
            'test_dataloader.num_workers',
        ),
        0,
    )
    for loader in ('train', 'val', 'test'):
        options[f'{loader}_dataloader.persistent_workers'] = False
        options[f'{loader}_dataloader.dataset.data_root'] = f'{data_root}/'
    for split in ('val', 'test'):
        options[f'{split}_dataloader.dataset.bbox_file'] = boxes
        options[f'{split}_evaluator.ann_file'] = labels
    options |= {
        'train_dataloader.batch_size': 8,
        'train_dataloader.dataset.indices': 24,
        'train_cfg.max_epochs': 1,
        'train_cfg.val_interval': 1,
        'default_hooks.logger.interval': 1,
    }
    return [f'{key}={value}' for key, value in options.items()]


def test_mim_trains_and_tests_the_sample_config(repo_root, options, tmp_path):
    config = repo_root / NAME
    mim('train', config, tmp_path, '--cfg-options', *options)
    rows = read_scalars(tmp_path)
    losses = logged(rows, 'loss_kpt')
    assert len(losses) == 3
    assert np.isfinite(losses).all()
    [trained] = logged(rows, 'coco/AP')

    # The config that the training wrote needs no options.
    written = tmp_path / config.name
    assert Config.fromfile(written).train_cfg.max_epochs == 1
    folder = tmp_path / 'test'
    checkpoint = tmp_path / 'epoch_1.pth'
    mim('test', written, folder, '--checkpoint', checkpoint)
    metrics = read_metrics(folder)
    assert metrics['coco/AP'] == pytest.approx(trained, abs=1e-6)
