"""One annotation that is not finite, in real configs on drawn people."""

import json
import re
from pathlib import Path

import mmpose
import numpy as np
import pytest
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmengine.runner import Runner
from mmpose.registry import TRANSFORMS


@TRANSFORMS.register_module()
class SpoilKeypoint:
    """Make a coordinate of the annotation with an id NaN."""

    def __init__(self, ann_id: int) -> None:
        self.ann_id = ann_id

    def __call__(self, results: dict) -> dict:
        ids = np.atleast_1d(results['id'])
        keypoints = results['keypoints'].copy()
        keypoints[ids == self.ann_id, 0, 0] = np.nan
        return dict(results, keypoints=keypoints)


def find_person(dataset: dict) -> tuple[int, str]:
    """Return id and file of the last person with all but no keypoint gone."""
    labels = json.loads(Path(dataset.data_root, dataset.ann_file).read_text())
    files = {image['id']: image['file_name'] for image in labels['images']}
    people = [
        ann
        for ann in labels['annotations']
        if ann['num_keypoints'] > 10 and ann['keypoints'][2] == 2
    ]
    return people[0]['id'], files[people[0]['image_id']]


@pytest.fixture(params=['gtpt', 'group-pose', 'stock'])
def spoilt_run(request, tmp_path):
    """A runner of a config with an annotation that is not finite."""
    if request.param == 'group-pose':
        cfg = request.getfixturevalue('group_pose_config')('coco')
    else:
        cfg = request.getfixturevalue('small_config')('demo')
    dataset = cfg.train_dataloader.dataset
    if request.param == 'stock':
        cfg = read_stock_config(cfg)
        dataset = cfg.train_dataloader.dataset
    dataset.pop('indices', None)
    ann_id, file_name = find_person(dataset)
    dataset.pipeline.insert(1, dict(type='SpoilKeypoint', ann_id=ann_id))
    dataset.pipeline = [
        step for step in dataset.pipeline if 'Half' not in step['type']
    ]
    cfg.train_cfg.max_epochs = 1
    for key in ('cfg', 'dataloader', 'evaluator'):
        cfg[f'val_{key}'] = cfg[f'test_{key}'] = None
    cfg.default_hooks.checkpoint = dict(type='CheckpointHook', interval=1)
    cfg.work_dir = str(tmp_path)
    cfg.experiment_name = cfg.visualizer.name = tmp_path.name
    return cfg, ann_id, file_name


def read_stock_config(ours: Config) -> Config:
    """mmpose's regression with our data and hooks, as small as ours."""
    path = (
        '.mim/configs/body_2d_keypoint/topdown_regression/coco/'
        'td-reg_res50_8xb64-210e_coco-256x192.py'
    )
    cfg = Config.fromfile(Path(mmpose.__file__).parent / path)
    codec = dict(type='RegressionLabel', input_size=(64, 96))
    cfg.model.backbone.update(depth=18, init_cfg=None)
    cfg.model.head.update(in_channels=512, decoder=codec)
    ours.model = cfg.model
    for step in ours.train_dataloader.dataset.pipeline:
        if step.type == 'GenerateTarget':
            step.encoder = codec
    ours.custom_hooks = []
    return ours


def test_nan_of_an_annotation_stops_with_its_file_and_id(spoilt_run):
    init_default_scope('mmpose')
    cfg, ann_id, file_name = spoilt_run
    runner = Runner.from_cfg(cfg)
    with pytest.raises(FloatingPointError) as error:
        runner.train()
    named = re.search(r'Not finite in its labels: (.*?)\.\s', str(error.value))
    assert re.fullmatch(rf'.*{file_name} id {ann_id}', named[1]), named[1]
    assert re.search(r'epoch 1, step \d+: \w+.*= nan', str(error.value))
    assert not list(Path(cfg.work_dir).glob('*.pth'))
    for name, value in runner.model.state_dict().items():
        assert value.isfinite().all(), name
