"""Metrics of several datasets: each sees its own samples."""

import numpy as np
import pytest
from mmengine.registry import init_default_scope
from mmengine.structures import InstanceData
from mmpose.registry import EVALUATORS
from mmpose.structures import PoseDataSample

from gtpt_mm.evaluation import PerDatasetEvaluator

NAMES = ['coco', 'aic', 'ap10k']
META = dict(
    dataset_name='coco',
    datasets=dict(aic=dict(num_keypoints=14), coco=dict(num_keypoints=17)),
)


@pytest.fixture(autouse=True)
def _scope():
    init_default_scope('mmpose')


def make_evaluator(**options) -> PerDatasetEvaluator:
    metric = dict(type='PCKAccuracy', thr=0.1)
    given = dict(names=NAMES, metrics=dict(aic=metric, coco=metric)) | options
    return EVALUATORS.build(dict(type='PerDatasetEvaluator', **given))


def make_sample(idx: int, num_keypoints: int, error: float) -> PoseDataSample:
    """A person of 100 pixels whose keypoints are all off by as much."""
    sample = PoseDataSample(metainfo=dict(dataset_idx=idx))
    keypoints = np.random.rand(1, num_keypoints, 2) * 100
    sample.gt_instances = InstanceData(
        keypoints=keypoints,
        keypoints_visible=np.ones((1, num_keypoints)),
        bboxes=np.array([[0.0, 0, 100, 100]]),
    )
    sample.pred_instances = InstanceData(keypoints=keypoints + error)
    return sample


def test_each_metric_sees_its_dataset():
    evaluator = make_evaluator()
    evaluator.dataset_meta = META
    samples = [make_sample(0, 17, 0), make_sample(1, 14, 50)]
    samples += [make_sample(0, 17, 50), make_sample(0, 17, 0)]
    evaluator.process(samples[:3], dict())
    evaluator.process(samples[3:], dict())
    metrics = evaluator.evaluate(4)
    assert metrics['coco/PCK'] == pytest.approx(2 / 3)
    assert metrics['aic/PCK'] == 0
    for name, number in (('coco', 17), ('aic', 14)):
        metric = evaluator.metrics_by_name[name]
        assert metric.dataset_meta['num_keypoints'] == number


def test_exchanged_names_are_refused_before_the_run():
    """COCO and AP-10K have as many keypoints: no size would differ."""
    exchanged = ['ap10k', 'aic', 'coco']
    evaluator = make_evaluator()
    evaluator.dataset_meta = META | dict(dataset_names=NAMES)
    with pytest.raises(ValueError, match='write the same list') as error:
        evaluator.dataset_meta = META | dict(dataset_names=exchanged)
    assert str(NAMES) in str(error.value)
    assert str(exchanged) in str(error.value)


def test_samples_of_another_order_are_refused():
    evaluator = make_evaluator()
    for names in (NAMES, [*NAMES, 'mpii'], ['aic', 'coco', 'ap10k']):
        sample = make_sample(1, 14, 0)
        sample.set_metainfo(
            dict(dataset_name=names[1], dataset_names=tuple(names))
        )
        if names[1] == 'aic':
            evaluator.process([sample], dict())
            continue
        with pytest.raises(ValueError, match="dataset 1 is 'coco'"):
            evaluator.process([sample], dict())


def test_bad_input_is_named():
    with pytest.raises(ValueError, match='dogs'):
        make_evaluator(metrics=dict(dogs=dict(type='PCKAccuracy')))
    evaluator = make_evaluator()
    with pytest.raises(ValueError, match='MultiDataset'):
        evaluator.dataset_meta = dict(dataset_name='coco')
    with pytest.raises(ValueError, match="'ap10k'"):
        evaluator.process([make_sample(2, 17, 0)], dict())
