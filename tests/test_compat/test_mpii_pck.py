"""PCKh of people whose head has no size, or who have not all joints."""

import json

import cv2
import numpy as np
import pytest
from mmengine.registry import init_default_scope
from mmpose.evaluation.functional import keypoint_pck_accuracy
from mmpose.registry import DATASETS, METRICS
from scipy.io import savemat

from gtpt_mm.datasets import MultiDataset
from gtpt_mm.evaluation import PerDatasetEvaluator


@pytest.fixture(autouse=True)
def _scope():
    init_default_scope('mmpose')


def evaluate(heads, errors, missing=()) -> dict:
    """Return the PCKs of people, off by so many pixels, without joints."""
    metric = METRICS.build(dict(type='MpiiPCKAccuracy'))
    rng = np.random.default_rng(0)
    for head, error in zip(heads, errors, strict=True):
        points = rng.uniform(0, 100, (1, 16, 2))
        visible = np.ones((1, 16))
        visible[:, list(missing)] = 0
        gt = dict(
            keypoints=points + 1,  # MPII counts from 1
            keypoints_visible=visible,
            head_size=np.array([[head]], float),
        )
        found = dict(keypoints=points + [error, 0])
        metric.process(None, [dict(gt_instances=gt, pred_instances=found)])
    return metric.evaluate(len(heads))


def test_heads_of_size_0_do_not_count():
    """Whoever has none is neither right nor wrong."""
    whole = evaluate([20, 20, 20, 20], [0, 3, 0, 30])
    assert whole['PCK'] == pytest.approx(75)
    assert whole['PCK@0.1'] == pytest.approx(50)
    for error in (0, 1000):
        found = evaluate([20, 0, 20, 20, 20], [0, error, 3, 0, 30])
        assert set(found) == set(whole)
        for name, value in whole.items():
            assert found[name] == pytest.approx(value), name


def test_nobody_with_a_head_is_a_pck_of_0():
    """Not -100 and +100."""
    assert evaluate([0, 0], [0, 0]) == {'PCK': 0.0, 'PCK@0.1': 0.0}
    nothing = evaluate([20, 20], [0, 0], missing=range(16))
    assert nothing == {'PCK': 0.0, 'PCK@0.1': 0.0}


def test_joints_that_nobody_has_do_not_count():
    """A right one and one of -100 made 0."""
    found = evaluate([20, 20], [0, 30], missing=[9, 13])
    assert 'Head PCK' not in found
    assert found['Shoulder PCK'] == pytest.approx(50)
    assert found['Elbow PCK'] == pytest.approx(50)
    assert found['PCK'] == pytest.approx(50)


def test_sizes_are_not_overwritten():
    """A second call with them would find everything right."""
    sizes = np.array([[0.0, 0.0], [10, 10]])
    points, mask = np.zeros((2, 3, 2)), np.ones((2, 3), bool)
    for _ in range(2):
        _, mean, number = keypoint_pck_accuracy(
            points + 50, points, mask, 0.5, sizes
        )
        assert (mean, number) == (0, 3)
    assert sizes.tolist() == [[0, 0], [10, 10]]


@pytest.fixture
def make_mpii(tmp_path):
    cv2.imwrite(str(tmp_path / '1.jpg'), np.zeros((100, 100, 3)))
    points = np.random.default_rng(0).uniform(10, 90, (16, 2)).tolist()
    people = [
        dict(
            image='1.jpg', center=[50, 50], scale=0.5, joints=points,
            joints_vis=[1] * 16,
        )
    ]  # fmt: skip
    (tmp_path / 'people.json').write_text(json.dumps(people))
    savemat(tmp_path / 'gt.mat', dict(headboxes_src=np.ones((2, 2, 1))))

    def make(**options) -> dict:
        return dict(
            type='MpiiDataset',
            data_root=f'{tmp_path}/',
            ann_file='people.json',
            data_prefix=dict(img=''),
            test_mode=True,
            pipeline=[dict(type='LoadImage'), dict(type='PackPoseInputs')],
            **options,
        )

    return make


def test_the_file_of_head_boxes_is_missed_before_the_run(make_mpii, tmp_path):
    cfg = dict(type='MpiiPCKAccuracy')
    metric, without = METRICS.build(cfg), DATASETS.build(make_mpii())
    with pytest.raises(ValueError, match='headbox_file'):
        metric.dataset_meta = without.metainfo
    pck = METRICS.build(dict(type='PCKAccuracy'))
    pck.dataset_meta = without.metainfo
    whole = DATASETS.build(make_mpii(headbox_file=f'{tmp_path}/gt.mat'))
    metric.dataset_meta = whole.metainfo
    evaluator = PerDatasetEvaluator(['mpii'], dict(mpii=cfg))
    with pytest.raises(ValueError, match='headbox_file'):
        evaluator.dataset_meta = MultiDataset(
            ['mpii'], dict(mpii=make_mpii())
        ).metainfo
