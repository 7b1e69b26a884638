"""The four kinds of tests that a new part comes with."""

import csv
import doctest
import importlib
from pathlib import Path

import my_pose
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmengine.runner import Runner
from mmpose.registry import MODELS

from gtpt_mm.engine.config_check import check

FOLDER = Path(__file__).resolve().parents[1]


@pytest.fixture(scope='module')
def cfg():
    return Config.fromfile(FOLDER / 'config.py')


@pytest.fixture
def model(cfg):
    init_default_scope('mmpose')
    return MODELS.build(cfg.model)


@pytest.fixture
def table(tmp_path) -> Path:
    """Two instances; the second has no nose."""
    names = ('nose', 'left_wrist', 'right_wrist', 'left_ankle', 'right_ankle')
    path = tmp_path / 'set.csv'
    with open(path, 'w', newline='') as file:
        writer = csv.writer(file)
        columns = [f'{name}_{axis}' for name in names for axis in 'xy']
        writer.writerow(['file', 'left', 'top', 'right', 'bottom', *columns])
        writer.writerow(['a.jpg', 1, 2, 31, 42, *range(10)])
        writer.writerow(['b.jpg', 0, 0, 9, 9, '', '', *range(2, 10)])
    return path


# -------------------------------------------------------------------- values


def test_labels_by_hand():
    encoded = my_pose.CenteredLabel((48, 64)).encode(
        np.array([[[23.5, 31.5], [-1, 3], [47, 0]]]),
        np.array([[1, 1, 0]]),
    )
    expected = [[0, 0], [-24.5 / 48, -28.5 / 64], [23.5 / 48, -31.5 / 64]]
    np.testing.assert_allclose(encoded['keypoint_labels'][0], expected)
    # The second lies outside, the third is not labelled.
    assert encoded['keypoint_weights'].tolist() == [[1, 0, 0]]


def test_rows_of_the_table(table):
    dataset = my_pose.CsvPoseDataset(
        ann_file=str(table), data_prefix=dict(img='pictures')
    )
    first, second = dataset
    assert first['img_path'] == 'pictures/a.jpg'
    assert first['bbox'].tolist() == [[1, 2, 31, 42]]
    assert first['keypoints'].tolist() == [
        [[0, 1], [2, 3], [4, 5], [6, 7], [8, 9]]
    ]
    assert second['keypoints_visible'].tolist() == [[0, 1, 1, 1, 1]]
    assert second['flip_indices'] == [0, 2, 1, 4, 3]


def test_examples_of_the_docstrings():
    counts = [
        doctest.testmod(importlib.import_module(f'my_pose.{name}'))
        for name in ('backbone', 'codec')
    ]
    assert [c.failed for c in counts] == [0, 0]
    assert all(c.attempted for c in counts)


# --------------------------------------------------------------- conventions


def test_convention_decode_returns_the_keypoints():
    codec = my_pose.CenteredLabel((48, 64))
    keypoints = np.random.default_rng(0).uniform(0, 47, (2, 5, 2))
    decoded, scores = codec.decode(codec.encode(keypoints)['keypoint_labels'])
    np.testing.assert_allclose(decoded, keypoints, atol=1e-4)
    assert scores.tolist() == [[1] * 5] * 2


def test_convention_a_mirrored_keypoint_has_the_negative_offset():
    codec = my_pose.CenteredLabel((48, 64))
    mirrored = codec.encode(np.array([[[47 - 10.0, 20]]]))['keypoint_labels']
    label = codec.encode(np.array([[[10.0, 20]]]))['keypoint_labels']
    np.testing.assert_allclose(mirrored, label * [-1, 1], atol=1e-6)


# ----------------------------------------------------------------- contracts


def test_the_config_passes_the_check(cfg):
    assert check(cfg) == []


def test_the_config_trains(cfg, tmp_path, monkeypatch):
    """Two epochs on 16 drawn people; the loss falls."""
    monkeypatch.syspath_prepend(str(FOLDER))
    importlib.import_module('draw').main(tmp_path / 'set', 16, 4)
    cfg = cfg.copy()
    for name in ('train_dataloader', 'val_dataloader'):
        cfg[name].dataset.data_root = f'{tmp_path}/set/'
    cfg.merge_from_dict(
        {
            'work_dir': str(tmp_path / 'work'),
            'train_cfg': dict(max_epochs=6, val_interval=6),
            'param_scheduler.0.T_max': 6,
            'train_dataloader.batch_size': 8,
        }
    )
    runner = Runner.from_cfg(cfg)
    runner.train()
    losses = runner.message_hub.get_scalar('train/loss').data[0]
    assert len(losses) == 12
    assert np.mean(losses[-4:]) < 0.8 * np.mean(losses[:4])
    assert runner.message_hub.get_scalar('val/PCK').data[0].shape == (1,)


def test_every_parameter_learns(model):
    x = model.backbone.train()(torch.rand(2, 3, 96, 64))
    model.head.forward(x).square().sum().backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad.abs().sum() > 0, name


def test_an_image_does_not_depend_on_its_batch(model):
    images = torch.rand(3, 3, 96, 64)
    model.eval()
    [together] = model.backbone(images)
    [alone] = model.backbone(images[1:2])
    torch.testing.assert_close(together[1:2], alone)


def test_weights_return_from_foreign_names(model):
    weights = model.state_dict()
    foreign = my_pose.to_torch(weights)
    assert 'features.0.0.weight' in foreign and 'regressor.bias' in foreign
    assert len(foreign) == len(weights)
    returned = my_pose.from_torch(foreign)
    assert returned.keys() == weights.keys()
    assert all(returned[key] is value for key, value in weights.items())


# -------------------------------------------------------------------- errors


def test_no_stage():
    with pytest.raises(ValueError, match=r'a stage, got \(\)'):
        my_pose.PooledConvs(())


def test_a_missing_column_is_named(table):
    table.write_text(table.read_text().replace('nose_y', 'nose_z'))
    with pytest.raises(ValueError, match="no column 'nose_y'"):
        my_pose.CsvPoseDataset(ann_file=str(table))


def test_an_unknown_tensor_is_named():
    weights = {'features.0.2.weight': torch.ones(1)}
    with pytest.raises(ValueError, match='features.0.2.weight'):
        my_pose.from_torch(weights)
