"""Heatmaps in pictures: of bottom-up models, and in little memory."""

import tracemalloc
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmengine.structures import InstanceData, PixelData
from mmpose import structures
from mmpose.apis.inferencers import Pose2DInferencer
from mmpose.structures import PoseDataSample
from mmpose.structures.utils import revert_heatmap
from mmpose.visualization import PoseLocalVisualizer

from gtpt_mm.compat.inference import heatmaps as shim

SIZE = (72, 128)  # (h, w) of the image


def make_people(num_people=3, num_keypoints=5, size=SIZE, **instance):
    """People of an image, with random heatmaps."""
    generator = torch.Generator().manual_seed(0)
    people = []
    for number in range(num_people):
        instances = InstanceData(keypoints=np.zeros((1, num_keypoints, 2)))
        instances.set_data(dict(instance))
        sample = PoseDataSample(
            metainfo=dict(
                ori_shape=size,
                input_center=np.array([size[1] * (number + 1) / 4, 30.0]),
                input_scale=np.array([size[1] / 3, size[0] / 2]),
                img_path='picture',
            )
        )
        sample.pred_instances = instances
        sample.pred_fields = PixelData(
            heatmaps=torch.rand(num_keypoints, 16, 12, generator=generator)
        )
        people.append(sample)
    return people


def expect(people):
    """The definition: all maps of all people, then the maximum.

    mmpose fails at a single keypoint, unless it has no axis.
    """
    return np.max(
        [
            revert_heatmap(
                one.pred_fields.heatmaps.squeeze(0),
                one.input_center,
                one.input_scale,
                one.ori_shape,
            )
            for one in people
        ],
        axis=0,
    ).reshape(-1, *people[0].ori_shape)


def draw(heatmaps):
    sample = PoseDataSample()
    sample.pred_fields = PixelData(heatmaps=heatmaps)
    image = np.full((*SIZE, 3), 90, np.uint8)
    visualizer = PoseLocalVisualizer(name=f'maps{id(sample)}')
    return visualizer._draw_instance_heatmap(sample.pred_fields, image)


@pytest.mark.parametrize('num_keypoints', [1, 4, 5, 8, 9, 17])
def test_maps_of_each_keypoint_are_those_of_mmpose(num_keypoints):
    people = make_people(3, num_keypoints)
    merged = structures.merge_data_samples(people)
    assert np.array_equal(merged.pred_fields.heatmaps, expect(people))
    assert merged.pred_instances.keypoints.shape == (3, num_keypoints, 2)
    assert merged.img_path == 'picture'
    assert 'heatmaps' in people[0].pred_fields  # left as they were


@pytest.mark.parametrize('num_keypoints', [1, 4, 5, 8, 9, 17])
def test_pictures_of_large_maps_are_the_same(num_keypoints, monkeypatch):
    people = make_people(3, num_keypoints)
    monkeypatch.setattr(shim, 'MAX_BYTES', 0)
    merged = structures.merge_data_samples(people).pred_fields.heatmaps
    assert merged.shape == (1, *SIZE)
    assert np.array_equal(merged[0], expect(people).max(0))
    assert np.array_equal(draw(merged), draw(expect(people)))


def test_axes_of_simcc_are_kept(monkeypatch):
    monkeypatch.setattr(shim, 'MAX_BYTES', 0)
    people = make_people(keypoint_x_labels=np.zeros((1, 5, 20)))
    merged = structures.merge_data_samples(people).pred_fields.heatmaps
    assert np.array_equal(merged, expect(people))


def test_memory_of_whole_bodies_is_bounded():
    """Of 4 at 1280x720 mmpose takes 4 GB."""
    people = make_people(4, 133, size=(720, 1280))
    tracemalloc.start()
    structures.merge_data_samples(people)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 100e6


@pytest.mark.parametrize('samples', [None, [1]])
def test_bad_samples_are_refused_as_before(samples):
    with pytest.raises((ValueError, TypeError)):
        structures.merge_data_samples(samples)


class Model(torch.nn.Module):
    """A bottom-up model that puts a blob at a pixel of its input."""

    def __init__(self, has_heatmaps=True):
        super().__init__()
        self.head = torch.nn.Identity()
        self.head.test_cfg = self.test_cfg = {}
        self.has_heatmaps = has_heatmaps

    def test_step(self, sample):
        if self.test_cfg.get('output_heatmaps') and self.has_heatmaps:
            maps = torch.zeros(2, 32, 32)
            maps[0, 8, 24] = 1
            sample.pred_fields = PixelData(heatmaps=maps, tags=maps)
        return [sample]


def infer(model, draw_heatmap):
    """Run the steps of a 2D inferencer on an image of 64x32, padded."""
    inferencer = Pose2DInferencer.__new__(Pose2DInferencer)
    inferencer.model = model
    inferencer.cfg = SimpleNamespace(data_mode='bottomup')
    model.dataset_meta = {}
    inferencer.visualizer = SimpleNamespace(set_dataset_meta=lambda *_: None)
    inferencer.update_model_visualizer_settings(draw_heatmap=draw_heatmap)
    model.test_cfg = model.head.test_cfg.copy()  # as ``preprocess`` does
    model.test_cfg.pop('output_heatmaps', None)
    sample = PoseDataSample(
        metainfo=dict(
            ori_shape=(32, 64),
            input_center=np.array([32.0, 16.0]),
            input_scale=np.array([64.0, 64.0]),
        )
    )
    return inferencer.forward(sample)[0]


def test_bottom_up_maps_lie_on_the_image():
    """Without the padding: row 8 of 32 is row 0 of the image."""
    maps = infer(Model(), True).pred_fields.heatmaps
    assert maps.shape == (2, 32, 64)
    y, x = np.unravel_index(maps[0].argmax(), (32, 64))
    assert abs(x - 48) <= 1 and y <= 1
    assert 'pred_fields' not in infer(Model(), False)


def test_model_without_heatmaps_is_named(log):
    infer(Model(has_heatmaps=False), True)
    assert 'Identity predicts no heatmaps' in log.text
