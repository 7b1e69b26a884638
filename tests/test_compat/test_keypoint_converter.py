"""Nine of COCO's keypoints, trained and evaluated."""

import json

import cv2
import numpy as np
import pytest
import torch
from mmengine.dataset import pseudo_collate
from mmengine.registry import init_default_scope
from mmpose.datasets.datasets.utils import parse_pose_metainfo
from mmpose.registry import DATASETS, METRICS, MODELS, TRANSFORMS

from gtpt_mm.compat.evaluation.keypoint_converter import convert_flips

#: Nose, shoulders, wrists, hips, ankles.
SOURCES = [0, 5, 6, 9, 10, 11, 12, 15, 16]
CONVERTER = dict(
    num_keypoints=9, mapping=[(s, t) for t, s in enumerate(SOURCES)]
)
FLIPS = [0, 2, 1, 4, 3, 6, 5, 8, 7]
CODEC = dict(
    type='MSRAHeatmap', input_size=(64, 96), heatmap_size=(16, 24), sigma=1
)
LOAD = [
    dict(type='LoadImage'),
    dict(type='GetBBoxCenterScale'),
    dict(type='TopdownAffine', input_size=(64, 96)),
]
TRAIN = [
    dict(type='RandomFlip', prob=1.0),
    dict(type='RandomHalfBody', prob=1.0),
    dict(type='GenerateTarget', encoder=CODEC),
]
PACK = [dict(type='PackPoseInputs')]


@pytest.fixture(autouse=True)
def _scope():
    init_default_scope('mmpose')


@pytest.fixture(scope='module')
def root(tmp_path_factory):
    """Four pictures with a person of 17 keypoints in each."""
    root = tmp_path_factory.mktemp('seventeen')
    rng = np.random.default_rng(0)
    images, people = [], []
    for i in range(1, 5):
        cv2.imwrite(str(root / f'{i}.jpg'), np.zeros((120, 100, 3)))
        images.append(dict(id=i, file_name=f'{i}.jpg', width=100, height=120))
        points = np.full((17, 3), 2.0)
        points[:, :2] = rng.uniform(10, 90, (17, 2))
        people.append(
            dict(
                id=i, image_id=i, category_id=1, bbox=[5, 5, 90, 90],
                area=4000, iscrowd=0, num_keypoints=17,
                keypoints=points.flatten().tolist(),
            )
        )  # fmt: skip
    labels = dict(
        images=images,
        annotations=people,
        categories=[dict(id=1, name='person')],
    )
    (root / 'labels.json').write_text(json.dumps(labels))
    return root


def make_nine() -> dict:
    """Metainfo of the nine, as a user writes it."""
    coco = parse_pose_metainfo(
        dict(from_file='configs/_base_/datasets/coco.py')
    )
    names = [coco['keypoint_id2name'][s] for s in SOURCES]
    return dict(
        dataset_name='nine',
        keypoint_info={
            i: dict(id=i, name=n, type='upper', swap=names[FLIPS[i]])
            for i, n in enumerate(names)
        },
        skeleton_info={},
        joint_weights=[1.0] * 9,
        sigmas=[float(coco['sigmas'][s]) for s in SOURCES],
    )


@pytest.fixture
def make_dataset(root):
    def make(combined: bool, steps=(*LOAD, *PACK), test_mode=True):
        convert = dict(type='KeypointConverter', **CONVERTER)
        inner = dict(
            type='CocoDataset',
            data_root=f'{root}/',
            ann_file='labels.json',
            data_prefix=dict(img=''),
            test_mode=test_mode,
        )
        if not combined:
            inner['pipeline'] = [convert, *steps]
            return DATASETS.build(inner)
        inner['pipeline'] = [convert]
        return DATASETS.build(
            dict(
                type='CombinedDataset',
                metainfo=make_nine(),
                datasets=[inner],
                pipeline=list(steps),
                test_mode=test_mode,
            )
        )

    return make


@pytest.mark.parametrize('combined', [False, True])
@pytest.mark.parametrize('gt_converter', [None, CONVERTER])
def test_perfect_predictions_have_an_ap_of_1(
    combined, gt_converter, make_dataset, root
):
    """In all ways to write it, in two validations; others have less."""
    dataset = make_dataset(combined)
    metric = METRICS.build(
        dict(
            type='CocoMetric',
            ann_file=str(root / 'labels.json'),
            gt_converter=gt_converter,
        )
    )
    metric.dataset_meta = dataset.metainfo
    assert len(metric.dataset_meta['sigmas']) == 9
    np.testing.assert_allclose(
        metric.dataset_meta['sigmas'], make_nine()['sigmas'], rtol=1e-6
    )
    for order, expected in ((list(range(9)), 1), (FLIPS, 0), (range(9), 1)):
        for sample in (dataset[i]['data_samples'] for i in range(4)):
            points = sample.gt_instances.keypoints[:, list(order)]
            assert points.shape == (1, 9, 2)
            values = sample.to_dict()
            values['gt_instances'] = sample.gt_instances
            values['pred_instances'] = dict(
                keypoints=points, keypoint_scores=np.ones((1, 9))
            )
            metric.process(None, [values])
        assert metric.evaluate(4)['coco/AP'] == pytest.approx(expected)


@pytest.mark.parametrize('combined', [False, True])
def test_model_of_nine_flips_nine(combined, make_dataset):
    """Flip test and training run on nine flip indices, weights and parts."""
    torch.manual_seed(0)
    model = MODELS.build(
        dict(
            type='TopdownPoseEstimator',
            backbone=dict(type='ResNet', depth=18),
            head=dict(
                type='HeatmapHead',
                in_channels=512,
                out_channels=9,
                deconv_out_channels=(8, 8, 8),
                deconv_kernel_sizes=(4, 4, 4),
                loss=dict(type='KeypointMSELoss', use_target_weight=True),
                decoder=CODEC,
            ),
            test_cfg=dict(flip_test=True),
        )
    ).eval()
    batch = pseudo_collate([make_dataset(combined)[i] for i in range(2)])
    assert batch['data_samples'][0].flip_indices == FLIPS
    images = torch.stack(batch['inputs']).float()
    with torch.no_grad():
        found = model(images, batch['data_samples'], mode='predict')
    assert found[0].pred_instances.keypoints.shape == (1, 9, 2)
    dataset = make_dataset(combined, (*LOAD, *TRAIN, *PACK), test_mode=False)
    batch = pseudo_collate([dataset[i] for i in range(2)])
    losses = model.train()(images, batch['data_samples'], mode='loss')
    assert torch.isfinite(losses['loss_kpt'])


def test_metainfo_is_that_of_the_nine(make_dataset):
    """What the checkpoint, the inferencer and the visualizer read."""
    meta = make_dataset(False).metainfo
    nine = parse_pose_metainfo(make_nine())
    for key in ('num_keypoints', 'keypoint_id2name', 'flip_indices'):
        assert meta[key] == nine[key], key
    np.testing.assert_allclose(meta['sigmas'], nine['sigmas'])
    assert meta['keypoint_colors'].shape == (9, 3)
    named = {
        tuple(meta['keypoint_id2name'][i] for i in link)
        for link in meta['skeleton_links']
    }
    assert named == {
        ('left_hip', 'right_hip'),
        ('left_shoulder', 'left_hip'),
        ('right_shoulder', 'right_hip'),
        ('left_shoulder', 'right_shoulder'),
    }
    assert len(meta['skeleton_link_colors']) == 4
    assert meta['upper_body_ids'] == [0, 1, 2, 3, 4]
    assert meta['lower_body_ids'] == [5, 6, 7, 8]


def test_detections_are_read(root):
    """They have as many (dummy) keypoints as the file."""
    boxes = [dict(image_id=1, category_id=1, bbox=[5, 5, 90, 90], score=0.9)]
    (root / 'boxes.json').write_text(json.dumps(boxes))
    dataset = DATASETS.build(
        dict(
            type='CocoDataset',
            data_root=f'{root}/',
            ann_file='labels.json',
            bbox_file=str(root / 'boxes.json'),
            data_prefix=dict(img=''),
            test_mode=True,
            pipeline=[
                dict(type='KeypointConverter', **CONVERTER),
                *LOAD,
                *PACK,
            ],
        )
    )
    assert dataset.metainfo['num_keypoints'] == 9
    sample = dataset[0]['data_samples']
    assert sample.flip_indices == FLIPS


def test_convention_flips_of_a_mapping():
    """Pairs of sources mirror as pairs; what has no partner is its own."""
    eyes = [0, 2, 1, 4, 3]  # nose, left and right eye, left and right ear
    pairs = [((1, 3), 1), ((4, 2), 0), (0, 2), (3, 3)]
    assert convert_flips(eyes, 5, pairs) == [1, 0, 2, 3, 4]
    step = TRANSFORMS.build(
        dict(type='KeypointConverter', num_keypoints=5, mapping=pairs)
    )
    results = step(
        dict(
            keypoints=np.random.rand(1, 5, 2),
            keypoints_visible=np.ones((1, 5)),
            flip_indices=eyes,
        )
    )
    assert results['flip_indices'] == [1, 0, 2, 3, 4]
    assert eyes == [0, 2, 1, 4, 3]
