"""People of an image, packed for the loss of Group Pose."""

import numpy as np
import pytest
from mmengine.registry import init_default_scope
from mmpose.registry import KEYPOINT_CODECS, TRANSFORMS

NUM = {'nobody': 0, 'one': 1, 'many': 130}


@pytest.fixture(autouse=True)
def _scope():
    init_default_scope('mmpose')


def sample(num: int) -> dict:
    rng = np.random.default_rng(0)
    low = rng.uniform(0, 50, (num, 2))
    return dict(
        img=np.zeros((120, 200, 3), np.uint8),
        img_shape=(120, 200),
        keypoints=rng.uniform(0, 100, (num, 17, 2)).astype(np.float32),
        keypoints_visible=rng.integers(0, 2, (num, 17)).astype(np.float32),
        bbox=np.concatenate((low, low + (40, 60)), 1).astype(np.float32),
        area=rng.uniform(100, 2400, num).astype(np.float32),
        category_id=np.ones(num),
        id=list(range(num)),
    )


@pytest.mark.parametrize('num', NUM.values(), ids=NUM)
def test_stock_steps_pack_people_and_areas(num):
    # Pitfall: stock EDPoseLabel leaves gt_instance_labels empty and reads
    # img_shape as (w, h).
    data = people = sample(num)
    for step in (
        dict(type='GenerateTarget', encoder=dict(type='GroupPoseLabel')),
        dict(type='PackPoseInputs', meta_keys=('id', 'img_shape')),
    ):
        data = TRANSFORMS.build(step)(data)
    packed = data['data_samples']
    areas = packed.gt_instance_labels.areas
    np.testing.assert_array_equal(areas, people['area'])
    for key in ('keypoints', 'keypoints_visible'):
        np.testing.assert_array_equal(packed.gt_instances[key], people[key])


def test_convention_points_are_pixels():
    codec = KEYPOINT_CODECS.build(dict(type='GroupPoseLabel'))
    points, scores = np.full((2, 17, 2), 30.5), np.ones((2, 17))
    back, _ = codec.decode((points, scores))
    np.testing.assert_array_equal(back, points)


@pytest.mark.parametrize('flip_first', [True, False])
def test_flip_after_the_resize_is_refused(flip_first):
    """Pitfall: it would mirror around the height instead of the width."""
    flip = dict(type='RandomFlip', prob=1.0)
    resize = dict(type='GroupPoseResize', short_sides=[60])
    steps = [flip, resize] if flip_first else [resize, flip]
    # Another resize, as behind a crop, does not hide it.
    steps += [
        dict(type='GroupPoseResize', short_sides=[80]),
        dict(type='GenerateTarget', encoder=dict(type='GroupPoseLabel')),
    ]
    data = dict(sample(2), flip_indices=list(range(17)))
    first = data['keypoints'].copy()
    pipeline = [TRANSFORMS.build(step) for step in steps]
    for step in pipeline[:-1]:
        data = step(data)
    if not flip_first:
        with pytest.raises(ValueError, match='put RandomFlip before'):
            pipeline[-1](data)
        return
    pipeline[-1](data)
    expected = (199 - first[..., 0]) * data['img_shape'][1] / 200
    np.testing.assert_allclose(data['keypoints'][..., 0], expected, rtol=1e-4)


def test_errors_say_what_is_missing():
    codec = KEYPOINT_CODECS.build(dict(type='GroupPoseLabel'))
    data = sample(2)
    with pytest.raises(ValueError, match='no area'):
        codec.encode(data['keypoints'])
    with pytest.raises(ValueError, match='2 people have 1 areas'):
        codec.encode(data['keypoints'], area=data['area'][:1])
