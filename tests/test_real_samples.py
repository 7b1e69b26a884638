"""The COCO configs' own data paths on real COCO images."""

import copy

import numpy as np
import pytest
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmpose.registry import DATASETS, KEYPOINT_CODECS, METRICS, MODELS

CONFIGS = [
    (
        'body_2d_keypoint/gtpt/coco/gtpt-t_4xb64-300e_coco-256x192.py',
        'test_coco.json',
        'coco/AP',
    ),
    (
        'wholebody_2d_keypoint/gtpt/coco-wholebody/'
        'gtpt-t_4xb64-300e_coco-wholebody-256x192.py',
        'test_coco_wholebody.json',
        'coco-wholebody/AP',
    ),
]


@pytest.mark.parametrize('config, ann_file, score', CONFIGS)
def test_targets_decode_to_the_annotated_keypoints(
    shared_dir, repo_root, config, ann_file, score
):
    """Box to crop to targets, decoded and scored by the metric: AP 1."""
    cfg = Config.fromfile(repo_root / 'configs' / config)
    init_default_scope(cfg.default_scope)
    folder = shared_dir / 'data/real/coco'
    dataset_cfg = copy.deepcopy(cfg.val_dataloader.dataset)
    dataset_cfg.update(
        data_root=str(folder) + '/',
        ann_file=ann_file,
        data_prefix=dict(img=''),
        bbox_file=None,
    )
    generate = cfg.train_pipeline[-2]
    assert generate.type == 'GenerateTarget'
    dataset_cfg.pipeline.insert(3, generate)
    dataset = DATASETS.build(dataset_cfg)
    codec = KEYPOINT_CODECS.build(cfg.codec)
    model = MODELS.build(cfg.model)
    metric = METRICS.build(
        cfg.val_evaluator | dict(ann_file=str(folder / ann_file))
    )
    metric.dataset_meta = dataset.metainfo
    assert len(dataset) > 5
    for data in dataset:
        sample = data['data_samples']
        labels = sample.gt_instance_labels
        keypoints, scores = codec.decode(
            labels.keypoint_x_labels.numpy(), labels.keypoint_y_labels.numpy()
        )
        pred = sample.gt_instances.new(
            keypoints=keypoints.astype(np.float64), keypoint_scores=scores
        )
        [sample] = model.add_pred_to_datasample([pred], None, [sample])
        metric.process([data], [sample.to_dict()])
    result = metric.evaluate(size=len(dataset))
    assert result[score] > 0.95
