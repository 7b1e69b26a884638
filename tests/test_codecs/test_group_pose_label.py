"""Units of Group Pose: targets of the image, poses in pixels."""

import numpy as np
import pytest
from mmengine.registry import init_default_scope
from mmpose.registry import KEYPOINT_CODECS, TRANSFORMS

NUM = {'nobody': 0, 'one': 1, 'many': 130}


@pytest.fixture(autouse=True)
def _scope():
    init_default_scope('mmpose')


@pytest.fixture
def codec():
    return KEYPOINT_CODECS.build(dict(type='GroupPoseLabel'))


def sample(num: int) -> dict:
    rng = np.random.default_rng(0)
    low = rng.uniform(0, 50, (num, 2))
    return dict(
        img=np.zeros((120, 200, 3), np.uint8),
        img_shape=(120, 200),
        keypoints=rng.uniform(0, 100, (num, 17, 2)).astype(np.float32),
        keypoints_visible=rng.integers(0, 3, (num, 17)).astype(np.float32),
        bbox=np.concatenate((low, low + (40, 60)), 1).astype(np.float32),
        area=rng.uniform(100, 2400, num).astype(np.float32),
        category_id=np.ones(num),
        id=list(range(num)),
    )


@pytest.mark.parametrize('num', NUM.values(), ids=NUM)
def test_stock_steps_pack_targets_of_the_image(num):
    # Pitfall: stock EDPoseLabel leaves gt_instance_labels empty and reads
    # img_shape as (w, h).
    data = people = sample(num)
    for step in (
        dict(type='GenerateTarget', encoder=dict(type='GroupPoseLabel')),
        dict(type='PackPoseInputs', meta_keys=('id', 'img_shape')),
    ):
        data = TRANSFORMS.build(step)(data)
    packed = data['data_samples']
    labels = packed.gt_instance_labels
    size = np.array([200, 120])
    for name, expected in (
        ('keypoints', people['keypoints'] / size),
        ('keypoints_visible', people['keypoints_visible'] > 0),
        ('bboxes', people['bbox'] / [200, 120, 200, 120]),
        ('areas', people['area'] / 24000),
        ('labels', np.ones(num)),
    ):
        np.testing.assert_allclose(labels[name], expected, rtol=1e-6)
    # Pictures and metrics find them in pixels.
    for key in ('keypoints', 'keypoints_visible'):
        np.testing.assert_array_equal(packed.gt_instances[key], people[key])


def test_convention_decoding_returns_the_pixels(codec):
    data = sample(3)
    targets = codec.encode(
        **{k: data[k] for k in ('keypoints', 'area', 'bbox', 'img_shape')}
    )
    points, scores = codec.decode(
        targets['keypoint_labels'], np.array([0.9, 0.5, 0.1]), (120, 200)
    )
    np.testing.assert_allclose(points, data['keypoints'], atol=1e-4)
    assert scores.shape == (3, 17) and (scores[1] == 0.5).all()
    assert targets['visible_labels'].all()  # where nothing else is known


def test_errors_say_what_is_missing(codec):
    data = sample(2)
    keys = ('keypoints', 'area', 'bbox', 'img_shape')
    data = {key: data[key] for key in keys}
    with pytest.raises(ValueError, match='no area'):
        codec.encode(**data | dict(area=None))
    with pytest.raises(ValueError, match='no bbox'):
        codec.encode(**data | dict(bbox=None))
    with pytest.raises(ValueError, match='2 instances have 1 values of area'):
        codec.encode(**data | dict(area=data['area'][:1]))
    with pytest.raises(ValueError, match='img_shape'):
        codec.encode(**data | dict(img_shape=None))
