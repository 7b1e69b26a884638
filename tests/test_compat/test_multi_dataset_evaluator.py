"""mmpose's evaluator with two datasets of one class."""

import json

import cv2
import numpy as np
import pytest
from mmengine.evaluator import BaseMetric
from mmengine.registry import init_default_scope
from mmpose.registry import DATASETS, EVALUATORS

from gtpt_mm.datasets import MultiDataset


class Recorder(BaseMetric):
    """Keep the names of the images that it gets, and its metainfo."""

    def process(self, data_batch, data_samples) -> None:
        self.results += [s['img_path'].split('/')[-1] for s in data_samples]

    def compute_metrics(self, results) -> dict:
        return dict(images=sorted(results))


@pytest.fixture(autouse=True)
def _scope():
    init_default_scope('mmpose')


@pytest.fixture
def make_cfg(tmp_path):
    """Return the config of a set of two images, named after it."""

    def make(name: str, kind='CocoDataset', num_keypoints=17, **options):
        images, people = [], []
        for i in (1, 2):
            path = tmp_path / f'{name}{i}.jpg'
            cv2.imwrite(str(path), np.zeros((40, 50, 3)))
            images.append(dict(id=i, file_name=path.name, width=50, height=40))
            people.append(
                dict(
                    id=i, image_id=i, category_id=1, bbox=[1, 1, 20, 20],
                    area=200, iscrowd=0, num_keypoints=num_keypoints,
                    keypoints=[5.0, 6.0, 2.0] * num_keypoints,
                )
            )  # fmt: skip
        labels = dict(
            images=images,
            annotations=people,
            categories=[dict(id=1, name='person')],
        )
        (tmp_path / f'{name}.json').write_text(json.dumps(labels))
        return dict(
            type=kind,
            data_root=f'{tmp_path}/',
            ann_file=f'{name}.json',
            data_prefix=dict(img=''),
            test_mode=True,
            pipeline=[],
            **options,
        )

    return make


PIPELINE = [
    dict(type='LoadImage'),
    dict(type='GetBBoxCenterScale'),
    dict(type='PackPoseInputs', meta_keys=('id', 'img_path')),
]


def evaluate(dataset, datasets) -> dict:
    evaluator = EVALUATORS.build(
        dict(
            type='MultiDatasetEvaluator',
            metrics=[Recorder(prefix=str(i)) for i in range(len(datasets))],
            datasets=datasets,
        )
    )
    evaluator.dataset_meta = dataset.metainfo
    for index in np.random.default_rng(0).permutation(len(dataset)):
        packed = dataset[int(index)]
        batch = dict(
            inputs=[packed['inputs']], data_samples=[packed['data_samples']]
        )
        evaluator.process([packed['data_samples']], batch)
    return evaluator.evaluate(len(dataset))


def test_two_sets_of_one_class(make_cfg):
    """And a third of another, in another order than the metrics."""
    cfgs = [make_cfg(name) for name in 'ab']
    cfgs.append(make_cfg('c', 'AicDataset', 14))
    dataset = DATASETS.build(
        dict(
            type='CombinedDataset',
            metainfo=dict(from_file='configs/_base_/datasets/coco.py'),
            datasets=cfgs,
            pipeline=PIPELINE,
            test_mode=True,
        )
    )
    found = evaluate(dataset, [cfgs[1], cfgs[0], cfgs[2]])
    assert found == {
        '0/images': ['b1.jpg', 'b2.jpg'],
        '1/images': ['a1.jpg', 'a2.jpg'],
        '2/images': ['c1.jpg', 'c2.jpg'],
    }


def test_samples_of_our_multi_dataset(make_cfg):
    """Their names are the user's, not those of the classes."""
    cfgs = {n: make_cfg(n) | dict(pipeline=PIPELINE) for n in 'ab'}
    dataset = MultiDataset(list(cfgs), cfgs)
    found = evaluate(dataset, list(cfgs.values()))
    assert found['0/images'] == ['a1.jpg', 'a2.jpg']
    assert found['1/images'] == ['b1.jpg', 'b2.jpg']


def test_metainfo_of_the_config_counts(make_cfg):
    nine = dict(
        dataset_name='nine',
        keypoint_info={i: dict(id=i, name=f'k{i}', swap='') for i in range(9)},
        skeleton_info={},
        joint_weights=[1.0] * 9,
        sigmas=[0.05] * 9,
    )
    evaluator = EVALUATORS.build(
        dict(
            type='MultiDatasetEvaluator',
            metrics=[Recorder(prefix='0')],
            datasets=[make_cfg('a', num_keypoints=9, metainfo=nine)],
        )
    )
    assert evaluator.metrics[0].dataset_meta['num_keypoints'] == 9


def test_what_nothing_tells_apart_is_refused(make_cfg):
    with pytest.raises(ValueError, match='a.json twice'):
        evaluate(None, [make_cfg('a')] * 2)
    with pytest.raises(ValueError, match='1 metrics for 2 datasets'):
        EVALUATORS.build(
            dict(
                type='MultiDatasetEvaluator',
                metrics=[Recorder()],
                datasets=[make_cfg('a'), make_cfg('b')],
            )
        )
