"""Pixels of the faster resize and of Group Pose's whole pipeline."""

import mmcv
import numpy as np
import pytest
from mmcv.transforms import Compose
from mmengine.config import Config
from mmengine.registry import init_default_scope

from gtpt_mm.benchmark.loader import slow_steps
from gtpt_mm.datasets.transforms.pillow_resize import (
    BITS,
    SIDE_LIMIT,
    resize_bilinear,
    weigh_rows,
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
        before = image.copy()
        image.flags.writeable = False
        part = resize_bilinear(image, size, region)
        np.testing.assert_array_equal(
            part, expected[top : top + height, left : left + width]
        )
        assert part.flags.c_contiguous and part.flags.writeable
        np.testing.assert_array_equal(image, before)
        np.testing.assert_array_equal(resize_bilinear(image, size), expected)


def test_views_and_images_of_other_channels_are_resized_as_well():
    image = noise(40, 50)
    alpha = np.concatenate([image, image[..., :1]], axis=2)
    for part in (image[:, ::-1], image[3:30, 5:44], image[..., 0], alpha):
        np.testing.assert_array_equal(
            resize_bilinear(part, (90, 80)),
            mmcv.imresize(part, (90, 80), backend='pillow'),
        )


@pytest.mark.parametrize('heights', [(8, 20), (5, 8), (7, 16), (3, 7)])
def test_every_pair_of_pixels_is_mixed_as_by_pillow(heights):
    """All 256 x 256 pairs, of which many give exact or near halves."""
    n, m = heights
    pairs = np.stack(np.divmod(np.arange(1 << 16), 256)).astype(np.uint8)
    for pair in np.split(pairs, 8, axis=1):
        image = np.concatenate([pair] * n)[:n, :, None].repeat(3, 2)
        width = image.shape[1]
        assert width < SIDE_LIMIT
        expected = mmcv.imresize(image, (width, m), backend='pillow')
        np.testing.assert_array_equal(
            resize_bilinear(image, (width, m)), expected
        )
        turned = resize_bilinear(image.transpose(1, 0, 2), (m, width))
        np.testing.assert_array_equal(turned.transpose(1, 0, 2), expected)


@pytest.mark.parametrize('side', [SIDE_LIMIT - 1, SIDE_LIMIT])
@pytest.mark.parametrize('axis', [0, 1])
def test_huge_images_are_resized_as_well(side, axis):
    """Up to the limit by NumPy, from there on by Pillow."""
    image = noise(2, 3)
    size = (3, side) if axis else (side, 3)
    np.testing.assert_array_equal(
        resize_bilinear(image, size),
        mmcv.imresize(image, size, backend='pillow'),
    )


def test_weights_of_a_pair_sum_to_one():
    """The weight of the first row is not computed, but what is left."""
    rng = np.random.default_rng(0)
    sides = np.sort(rng.integers(1, 2000, (200, 2)))
    largest = SIDE_LIMIT - 1
    for n, m in [*sides, (largest - 1, largest), (largest // 2, largest)]:
        first, share = weigh_rows(n, m)
        center = (np.arange(m) + 0.5) * (n / m) - 0.5
        other = np.where(first + 1 < n, 1 - (center - first), 1)
        other = np.where(center < 0, 1, other)
        whole = np.floor(0.5 + other * (1 << BITS))
        np.testing.assert_array_equal(whole + share, 1 << BITS)
        assert first[0] == 0
        assert (first < n).all()


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
