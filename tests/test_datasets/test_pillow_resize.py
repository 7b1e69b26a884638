"""Pixels of the faster resize and of Group Pose's whole pipeline."""

import mmcv
import numpy as np
import pytest
from mmcv.transforms import Compose
from mmengine.config import Config
from mmengine.registry import init_default_scope
from PIL import Image

from gtpt_mm.benchmark.loader import slow_steps
from gtpt_mm.datasets.transforms import pillow_resize
from gtpt_mm.datasets.transforms.pillow_resize import (
    plan_rows,
    read_pixels,
    resize_bilinear,
)

#: Height before and after: ratios of few and of many shares, odd ones, 1.
HEIGHTS = [(256, 640), (48, 80), (427, 800), (3, 7), (1, 5), (2, 2), (99, 98)]


def noise(h: int, w: int, seed: int = 0) -> np.ndarray:
    """Return pixels of all differences, black and white ones among them."""
    rng = np.random.default_rng(seed)
    image = rng.integers(0, 256, (h, w, 3), np.uint8)
    image[rng.random((h, w)) < 0.2] = 0
    image[rng.random((h, w)) < 0.2] = 255
    return image


@pytest.mark.parametrize('heights', HEIGHTS)
def test_pixels_are_those_of_pillow(heights):
    h, new_h = heights
    image = noise(h, 60)
    for new_w in (60, 101, 41):
        expected = mmcv.imresize(image, (new_w, new_h), backend='pillow')
        actual = resize_bilinear(image, (new_w, new_h))
        assert actual.flags.c_contiguous
        np.testing.assert_array_equal(actual, expected)


def test_pixels_of_random_sizes_and_regions_are_those_of_pillow():
    rng = np.random.default_rng(5)
    for seed in range(60):
        h, w = rng.integers(1, 90, 2)
        size = int(rng.integers(1, 3 * w + 1)), int(rng.integers(1, 3 * h + 1))
        image = noise(h, w, seed)
        left, top = (int(rng.integers(side)) for side in size)
        width = int(rng.integers(1, size[0] - left + 1))
        height = int(rng.integers(1, size[1] - top + 1))
        expected = mmcv.imresize(image, size, backend='pillow')
        region = left, top, width, height
        np.testing.assert_array_equal(
            resize_bilinear(image, size, region),
            expected[top : top + height, left : left + width],
        )
        np.testing.assert_array_equal(resize_bilinear(image, size), expected)


def test_views_and_gray_images_are_resized_as_well():
    image = noise(40, 50)
    for part in (image[:, ::-1], image[3:30, 5:44], image[..., 0]):
        np.testing.assert_array_equal(
            resize_bilinear(part, (90, 80)),
            mmcv.imresize(part, (90, 80), backend='pillow'),
        )


@pytest.mark.parametrize('heights', HEIGHTS[:5])
def test_every_difference_of_every_row_is_rounded_as_pillow_does(heights):
    """What the plan claims, by whole numbers, of all 511 differences."""
    n, m = heights
    plan = plan_rows(n, m)
    center = (np.arange(m) + 0.5) * (n / m) - 0.5
    share = np.clip(center - plan.first, 0, 1)
    share[plan.first + 1 >= n] = 0
    whole = np.floor(share * 2**22 + 0.5).astype(np.int64)[:, None]
    steps = np.arange(256)
    products = steps.astype(np.float32) * plan.scales[:, :, None]
    rounded = np.abs(np.rint(products + plan.shifts[:, :, None]))
    half = 1 << 21
    brighter = (whole * steps + half) >> 22
    darker = -((whole * -steps + half) >> 22)
    np.testing.assert_array_equal(rounded[0], brighter)
    np.testing.assert_array_equal(rounded[1], darker)


def test_rows_without_proof_are_left_to_pillow(monkeypatch):
    monkeypatch.setattr(pillow_resize, '_prove', lambda share, up: None)
    plan_rows.cache_clear()
    image = noise(48, 50)
    assert plan_rows(48, 80) is None
    np.testing.assert_array_equal(
        resize_bilinear(image, (70, 80)),
        mmcv.imresize(image, (70, 80), backend='pillow'),
    )
    plan_rows.cache_clear()


def test_pixels_are_read_of_any_pillow(monkeypatch):
    image = Image.fromarray(noise(30, 20))
    np.testing.assert_array_equal(read_pixels(image), np.asarray(image))
    monkeypatch.delattr(Image.Image, '__arrow_c_array__', raising=False)
    np.testing.assert_array_equal(read_pixels(image), np.asarray(image))


# --------------------------------------------------------- the whole pipeline


def make_people(seed: int) -> dict:
    rng = np.random.default_rng(seed)
    h, w = rng.integers(200, 300, 2)
    points = rng.uniform(0, 1, (3, 17, 2)) * (w, h)
    corners = points.min(1), points.max(1)
    return dict(
        img=noise(h, w, seed),
        img_path=None,
        img_shape=(int(h), int(w)),
        ori_shape=(int(h), int(w)),
        keypoints=points.astype(np.float32),
        keypoints_visible=np.ones((3, 17), np.float32),
        bbox=np.concatenate(corners, axis=1).astype(np.float32),
        bbox_score=np.ones(3, np.float32),
        area=np.array([3e3, 2e3, 1e3], np.float32),
        category_id=np.ones(3, int),
        id=[1, 2, 3],
        img_id=1,
        flip_indices=list(range(17)),
    )


def test_samples_are_equal_to_those_of_separate_stock_steps(repo_root):
    """Pixels and annotations, bit by bit, for the recipe of the paper."""
    init_default_scope('mmpose')
    base = repo_root / 'configs/_base_/datasets/coco_group_pose.py'
    steps = Config.fromfile(base).train_dataloader.dataset.pipeline
    fast, slow = Compose(steps), Compose(slow_steps(steps))
    flipped = set()
    for seed in range(8):
        samples = []
        for pipeline in (fast, slow):
            np.random.seed(seed)
            samples.append(pipeline(make_people(seed)))
        one, other = samples
        np.testing.assert_array_equal(one['inputs'], other['inputs'])
        assert one['inputs'].is_contiguous()
        one, other = (sample['data_samples'] for sample in samples)
        assert one.metainfo.keys() == other.metainfo.keys()
        for key, value in other.metainfo.items():
            np.testing.assert_array_equal(one.metainfo[key], value)
        for part in ('gt_instances', 'gt_instance_labels'):
            fields = dict(other.get(part).items())
            assert fields.keys() == dict(one.get(part).items()).keys()
            for key, value in fields.items():
                np.testing.assert_array_equal(one.get(part)[key], value)
        flipped.add(one.metainfo['flip'])
    assert flipped == {True, False}
