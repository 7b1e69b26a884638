"""From 133 logits to scored people: the whole-body config's own test path."""

import json

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmengine.structures import InstanceData
from mmpose.registry import DATASETS, METRICS, MODELS
from mmpose.structures import PoseDataSample
from support.parity import note
from support.simcc_scores import to_density

CONFIG = (
    'configs/wholebody_2d_keypoint/gtpt/coco-wholebody/'
    'gtpt-t_4xb64-300e_coco-wholebody-256x192.py'
)


@pytest.fixture(scope='module')
def cfg(repo_root):
    cfg = Config.fromfile(repo_root / CONFIG)
    init_default_scope(cfg.default_scope)
    return cfg


@pytest.fixture(scope='module')
def meta(cfg):
    dataset = DATASETS.build(
        dict(type=cfg.dataset_type, lazy_init=True, test_mode=True)
    )
    return dataset.metainfo


@pytest.fixture(scope='module')
def model(cfg):
    """The config's model, fed with logits instead of tokens."""
    model = MODELS.build(cfg.model)
    model.head.forward = lambda feats: feats
    return model


@pytest.fixture(scope='module')
def arrays(gtpt_goldens):
    return gtpt_goldens.npz('decode_133')


def test_skeleton_is_that_of_the_authors(arrays, meta, gtpt_goldens):
    """Mirror pairs for the flip test, sigmas for the suppression."""
    recorded = gtpt_goldens.meta(arrays)
    flip = np.arange(133)
    for left, right in recorded['flip_pairs']:
        flip[[left, right]] = right, left
    np.testing.assert_array_equal(meta['flip_indices'], flip)
    np.testing.assert_allclose(meta['sigmas'], recorded['sigmas'], 1e-6)


def test_flip_test_and_crop_to_image_match_authors(model, arrays, meta):
    feats = [
        tuple(
            torch.from_numpy(arrays[f'{prefix}logits_{axis}']).float()
            for axis in 'xy'
        )
        for prefix in ('', 'flip_')
    ]
    samples = []
    for center, scale in zip(arrays['center'], arrays['scale'], strict=True):
        sample = PoseDataSample(
            metainfo=dict(
                flip_indices=meta['flip_indices'],
                input_size=(192, 256),
                input_center=center,
                input_scale=scale * 200,
            )
        )
        sample.gt_instances = InstanceData(
            bboxes=np.zeros((1, 4)), bbox_scores=np.ones(1)
        )
        samples.append(sample)
    preds = model.head.predict(feats, samples, model.test_cfg)
    samples = model.add_pred_to_datasample(preds, None, samples)
    for sample, expected in zip(samples, arrays['keypoints'], strict=True):
        pred = sample.pred_instances
        points = pred.keypoints[0]
        note('GTPT', 'decoding', points, expected[:, :2], 1)
        np.testing.assert_allclose(points, expected[:, :2], 0, 1e-3)
        np.testing.assert_allclose(
            to_density(pred.keypoint_scores[0], 4.0), expected[:, 2], 1e-5
        )


def test_metric_scores_and_suppresses_as_the_authors(
    cfg, arrays, meta, gtpt_goldens, tmp_path
):
    """Rescoring and OKS-NMS of all 133 keypoints, in the authors' order."""
    recorded = gtpt_goldens.meta(arrays)
    people = []
    for index, (points, box, image) in enumerate(
        zip(
            arrays['nms_keypoints'],
            arrays['nms_boxes'],
            recorded['image_ids'],
            strict=True,
        )
    ):
        people.append(
            dict(
                id=index,
                img_id=image,
                ori_shape=(480, 640),
                raw_ann_info=dict(),
                pred_instances=dict(
                    keypoints=points[None, :, :2],
                    keypoint_scores=points[None, :, 2] / to_density(1, 4.0),
                ),
                gt_instances=dict(
                    bbox_scores=box[None, 5], bbox_scales=box[None, 2:4] * 200
                ),
            )
        )
    ann_file = tmp_path / 'empty.json'
    ann_file.write_text(
        json.dumps(dict(images=[], annotations=[], categories=[]))
    )
    options = dict(
        cfg.val_evaluator,
        ann_file=str(ann_file),
        format_only=True,
        outfile_prefix=str(tmp_path / 'people'),
    )
    metric = METRICS.build(options)
    metric.dataset_meta = meta
    metric.process([], people)
    metric.compute_metrics(metric.results)
    kept = json.loads((tmp_path / 'people.keypoints.json').read_text())
    scores = np.array([person['score'] for person in kept])
    images = [person['image_id'] for person in kept]
    np.testing.assert_allclose(
        np.stack((to_density(scores, 4.0), images), axis=1),
        arrays['nms_kept'],
        1e-5,
    )
    assert len(kept) == len(people) - 1
    lengths = {key: len(kept[0][key]) // 3 for key in kept[0] if 'kp' in key}
    assert lengths == {
        'foot_kpts': 6,
        'face_kpts': 68,
        'lefthand_kpts': 21,
        'righthand_kpts': 21,
    }
