import json

import numpy as np
import pytest
from mmpose.registry import DATASETS, TRANSFORMS

SIZES = {
    'keypoints': 17,
    'foot_kpts': 6,
    'face_kpts': 68,
    'lefthand_kpts': 21,
    'righthand_kpts': 21,
}


@pytest.fixture
def transform():
    return TRANSFORMS.build(dict(type='AnnotatedVisibility'))


def sample(flags) -> dict:
    """A sample whose keypoints have the given flags v."""
    annotation, first = {}, 0
    for field, size in SIZES.items():
        points = np.zeros((size, 3))
        points[:, 2] = flags[first : first + size]
        annotation[field] = points.flatten().tolist()
        first += size
    visible = (np.asarray(flags) > 0)[None].astype(int)
    return dict(raw_ann_info=annotation, keypoints_visible=visible)


def test_confidences_are_kept_and_flags_clipped(transform):
    flags = np.random.choice([0, 0.04, 0.6, 1, 2], 133)
    data = sample(flags)
    before = data['keypoints_visible'].copy()
    visible = transform(data)['keypoints_visible']
    assert visible.dtype == np.float32
    np.testing.assert_allclose(visible, np.minimum(flags, 1)[None])
    np.testing.assert_array_equal(data['keypoints_visible'], before)


def test_doubtful_hands_of_real_annotations(transform, shared_dir):
    """Two hands of the sample carry a model's confidence, at most 0.38."""
    path = shared_dir / 'data/real/coco/test_coco_wholebody.json'
    dataset = DATASETS.build(
        dict(type='CocoWholeBodyDataset', ann_file=str(path), pipeline=[])
    )
    doubtful = 0
    for data in dataset:
        stock = data['keypoints_visible']
        ours = transform(data)['keypoints_visible']
        assert ours.shape == stock.shape == (1, 133)
        np.testing.assert_array_equal(ours > 0, stock > 0)
        changed = ours != stock
        assert not changed[:, :91].any()
        doubtful += np.count_nonzero(changed)
        assert (ours[changed] < 0.4).all()
    assert doubtful == 2 * 21
    assert len(dataset) < len(json.loads(path.read_text())['annotations'])


def test_body_annotations_are_refused(transform):
    data = sample(np.ones(133))
    del data['raw_ann_info']['foot_kpts']
    with pytest.raises(ValueError, match='foot_kpts'):
        transform(data)
    del data['raw_ann_info']
    with pytest.raises(ValueError, match='CocoWholeBodyDataset'):
        transform(data)


def test_changed_keypoints_are_refused(transform):
    data = sample(np.ones(133))
    data['keypoints_visible'] = data['keypoints_visible'][:, :17]
    with pytest.raises(ValueError, match='133 keypoints, the sample 17'):
        transform(data)
