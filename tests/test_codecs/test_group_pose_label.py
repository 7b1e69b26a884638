"""Labels of all people of an image, as shares of it."""

import numpy as np
import pytest
from mmpose.registry import KEYPOINT_CODECS, TRANSFORMS

NUM = {'nobody': 0, 'one': 1, 'many': 130}


def sample(num: int) -> dict:
    rng = np.random.default_rng(0)
    low = rng.uniform(0, 50, (num, 2))
    return dict(
        img=np.zeros((120, 200, 3), np.uint8),
        img_shape=(120, 200),
        keypoints=rng.uniform(0, 100, (num, 17, 2)).astype(np.float32),
        keypoints_visible=rng.integers(0, 3, (num, 17)).astype(np.float32),
        bbox=np.concatenate((low, low + (40, 60)), 1).astype(np.float32),
        area=np.full(num, 1200.0, np.float32),
        id=list(range(num)),
    )


def test_convention_x_goes_with_w():
    # Pitfall: stock EDPoseLabel reads img_shape as (w, h).
    codec = KEYPOINT_CODECS.build(dict(type='GroupPoseLabel'))
    data = sample(3)
    data['keypoints'][:] = (200, 60)
    labels = codec.encode(
        data['keypoints'], data['keypoints_visible'],
        **{key: data[key] for key in codec.auxiliary_encode_keys},
    )  # fmt: skip
    np.testing.assert_allclose(labels['keypoint_labels'][0, 0], (1.0, 0.5))
    size = labels['bbox_labels'][:, 2:]
    np.testing.assert_allclose(size, [(0.2, 0.5)] * 3, rtol=1e-5)
    np.testing.assert_allclose(labels['areas'], 1200 / (120 * 200))
    assert set(np.unique(labels['keypoint_weights'])) == {0, 1}


def test_convention_decode_undoes_encode():
    codec = KEYPOINT_CODECS.build(dict(type='GroupPoseLabel'))
    data = sample(4)
    labels = codec.encode(
        data['keypoints'], None, data['img_shape'], data['bbox'], data['area']
    )
    points = codec.decode(labels['keypoint_labels'], input_size=(200, 120))
    np.testing.assert_allclose(points, data['keypoints'], rtol=1e-5)
    assert (labels['keypoint_weights'] == 1).all()


@pytest.mark.parametrize('num', NUM.values(), ids=NUM)
def test_stock_steps_pack_every_label(num):
    # Pitfall: stock EDPoseLabel leaves gt_instance_labels empty.
    data = sample(num)
    for step in (
        dict(type='GenerateTarget', encoder=dict(type='GroupPoseLabel')),
        dict(type='PackPoseInputs', meta_keys=('id', 'img_shape')),
    ):
        data = TRANSFORMS.build(step)(data)
    labels = data['data_samples'].gt_instance_labels
    assert labels.keypoint_labels.shape == (num, 17, 2)
    assert labels.keypoint_weights.shape == (num, 17)
    assert labels.bbox_labels.shape == (num, 4)
    assert labels.areas.shape == (num,)
    assert len(data['data_samples'].gt_instances.keypoints) == num


def test_errors_name_what_is_missing():
    codec = KEYPOINT_CODECS.build(dict(type='GroupPoseLabel'))
    data = sample(2)
    with pytest.raises(ValueError, match=r"\['area'\]"):
        codec.encode(
            data['keypoints'], img_shape=(120, 200), bbox=data['bbox']
        )
    with pytest.raises(ValueError, match='2 people have 2 boxes and 1 areas'):
        codec.encode(
            data['keypoints'], None, (120, 200), data['bbox'], data['area'][:1]
        )
