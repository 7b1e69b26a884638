"""From the files to the batch, and from poses to AP, as Group Pose does."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.dataset import Compose, pseudo_collate
from mmengine.registry import init_default_scope
from mmengine.structures import InstanceData
from mmpose.models import BottomupPoseEstimator
from mmpose.registry import DATASETS, METRICS, MODELS
from mmpose.structures import PoseDataSample

from gtpt_mm.models import GroupPoseHead

BASES = {
    'coco': 'sample_coco_group_pose',
    'crowdpose': 'sample_crowdpose_group_pose',
}
SPLITS = ('train_dataloader', 'val_dataloader')


@pytest.fixture(scope='module')
def drawn(tmp_path_factory):
    """Up to four people in each of a few pictures."""
    from pose_samples import generate

    root = tmp_path_factory.mktemp('people')
    generate(root, list(BASES), 6, 6, max_people=4, image_size=(192, 160))
    return root


def read(repo_root, name: str) -> Config:
    init_default_scope('mmpose')
    return Config.fromfile(repo_root / f'configs/_base_/datasets/{name}.py')


@pytest.fixture(params=BASES)
def sample_cfg(request, repo_root, drawn):
    cfg = read(repo_root, BASES[request.param])
    for split in SPLITS:
        cfg[split].dataset.data_root = f'{drawn / request.param}/'
    ann_file = cfg.val_dataloader.dataset.ann_file
    cfg.val_evaluator.ann_file = str(drawn / request.param / ann_file)
    return cfg


def predict(samples: list, poses: list[InstanceData]) -> list[dict]:
    """Put poses of input space into the samples as the estimator does."""
    samples = BottomupPoseEstimator.add_pred_to_datasample(
        None, poses, None, samples
    )
    return [sample.to_dict() for sample in samples]


def pack(points: np.ndarray, scores: np.ndarray) -> InstanceData:
    return InstanceData(
        keypoints=points,
        keypoint_scores=np.repeat(scores[:, None], points.shape[1], 1),
        bbox_scores=scores,
        bboxes=np.concatenate((points.min(1), points.max(1)), axis=1),
    )


def evaluate(cfg, samples: list[dict], meta: dict) -> dict:
    metric = METRICS.build(cfg.val_evaluator)
    metric.dataset_meta = dict(meta)
    metric.process([], samples)
    return metric.evaluate(len(samples))


def test_annotated_poses_have_an_ap_of_1(sample_cfg):
    """Resize, back to the file's pixels, and the metric of the config."""
    dataset = DATASETS.build(sample_cfg.val_dataloader.dataset)
    samples = [dataset[i]['data_samples'] for i in range(len(dataset))]
    assert max(len(s.gt_instances.keypoints) for s in samples) > 2
    poses = [
        pack(
            s.gt_instances.keypoints,
            np.linspace(0.9, 0.5, len(s.gt_instances.keypoints)),
        )
        for s in samples
    ]
    stats = evaluate(sample_cfg, predict(samples, poses), dataset.metainfo)
    prefix = sample_cfg.val_evaluator.get('prefix', 'coco')
    assert stats[f'{prefix}/AP'] == pytest.approx(1)
    assert stats[f'{prefix}/AR'] == pytest.approx(1)


def test_crowded_images_have_an_ap_of_their_own(repo_root, tmp_path):
    """AP of easy, medium and hard images, which the authors print as 0."""
    cfg = read(repo_root, BASES['crowdpose'])
    rng = np.random.default_rng(0)
    images, annotations = [], []
    for i, crowd_index in enumerate((0.05, 0.5, 0.9), start=1):
        images.append(
            dict(
                id=i,
                file_name=f'{i}.jpg',
                width=200,
                height=100,
                crowdIndex=crowd_index,
            )
        )
        points = rng.uniform(20, 80, (14, 3))
        points[:, 2] = 2
        annotations.append(
            dict(
                id=i,
                image_id=i,
                category_id=1,
                iscrowd=0,
                bbox=[20, 20, 60, 60],
                num_keypoints=14,
                keypoints=points.flatten().tolist(),
            )
        )
    path = tmp_path / 'crowd.json'
    content = dict(
        images=images,
        annotations=annotations,
        categories=[dict(id=1, name='person')],
    )
    path.write_text(json.dumps(content))
    cfg.val_evaluator.ann_file = str(path)
    found = []
    for image, person in zip(images, annotations, strict=True):
        points = np.reshape(person['keypoints'], (1, 14, 3))[..., :2].copy()
        if image['id'] == 3:
            points += 40  # nobody is found in the hard image
        instances = pack(points, np.array([0.5])).to_dict()
        found.append(
            dict(
                id=[person['id']],
                img_id=image['id'],
                gt_instances={},
                pred_instances=instances,
            )
        )
    dataset = dict(type='CrowdPosePeopleDataset', lazy_init=True)
    stats = evaluate(cfg, found, DATASETS.build(dataset).metainfo)
    parts = [stats[f'crowdpose/AP({part})'] for part in 'EMH']
    assert parts == pytest.approx([1, 1, 0])


@pytest.fixture(scope='module')
def authors(shared_dir):
    """Predictions for eight images and what the authors' evaluator says."""
    folder = shared_dir / 'goldens/group_pose'
    with np.load(folder / 'data.npz') as arrays:
        return folder / 'ap_gt.json', dict(arrays)


def post_process(golden: dict, image: int, num_select: int) -> list:
    """Return the image's sample, and its poses by our head.

    The network saw it twice as large as the file.
    """
    h, w = golden[f'ap/{image}/orig_hw'].tolist()
    sample = PoseDataSample(
        metainfo=dict(
            id=[image],
            img_id=image,
            img_shape=(2 * h, 2 * w),
            input_size=(2 * w, 2 * h),
            input_center=np.array((w / 2, h / 2)),
            input_scale=np.array((w, h)),
        )
    )
    sample.gt_instances = InstanceData()
    logits = torch.from_numpy(golden[f'ap/{image}/logits'])[None]
    points = torch.from_numpy(golden[f'ap/{image}/keypoints'])[:, :34]
    points = points.view(1, -1, 17, 2)
    head = GroupPoseHead('configs/_base_/datasets/coco.py', embed_dims=32)
    head.forward = lambda feats, samples: (logits, points)
    [poses] = head.predict(None, [sample], dict(num_select=num_select))
    return [sample, poses]


@pytest.mark.parametrize('selection', ['theirs', 'ours'])
def test_ap_is_that_of_the_authors_evaluator(authors, repo_root, selection):
    """Their predictions through our post-processing and metric.

    Of the best 20 of all 2 N scores they drop those of class 0, which nobody
    is of; we take the best 20 people. These are theirs, in their order, and
    worse ones behind them, of which some are true.
    """
    ann_file, golden = authors
    cfg = read(repo_root, 'coco_group_pose')
    cfg.val_evaluator.ann_file = str(ann_file)
    samples, found, dropped = [], [], 0
    for image in range(1, 9):
        sample, poses = post_process(golden, image, num_select=20)
        assert len(poses) == 20
        scores = golden[f'ap/{image}/logits'].flatten()
        best = np.argsort(-scores, kind='stable')[:20]
        count = int((best % 2).sum())
        dropped += 20 - count
        samples.append(sample)
        found.append(poses[:count] if selection == 'theirs' else poses)
    assert dropped > 0
    meta = DATASETS.build(dict(type='CocoPeopleDataset', lazy_init=True))
    stats = evaluate(cfg, predict(samples, found), meta.metainfo)
    np.testing.assert_allclose(
        list(stats.values()), golden['ap/stats'], atol=1e-6
    )


def test_batch_is_padded_with_zeros_after_it_is_normalised(sample_cfg):
    """Images of different sizes; the masks read img_shape."""
    preprocessor = MODELS.build(sample_cfg.data_preprocessor)
    dataset = dict(sample_cfg.train_dataloader.dataset)
    dataset['pipeline'] = [dataset['pipeline'][0]]
    loaded = DATASETS.build(dataset)
    steps = sample_cfg.train_dataloader.dataset.pipeline
    batch = []
    for i, short in enumerate((64, 100)):
        resize = dict(type='GroupPoseResize', short_sides=[short])
        batch.append(Compose([resize, *steps[-2:]])(loaded[i]))
    batch[1]['inputs'] = batch[1]['inputs'][:, :, :50]  # a tall image
    out = preprocessor(pseudo_collate(batch), training=True)
    images, samples = out['inputs'], out['data_samples']
    assert images.shape == (2, 3, 100, 76)
    assert (images[0, :, 64:] == 0).all() and (images[1, :, :, 50:] == 0).all()
    assert [s.img_shape for s in samples][0] == (64, 76)
    assert samples[0].input_size == (76, 64)
    assert samples[0].batch_input_shape == (100, 76)
    raw = batch[0]['inputs'][[2, 1, 0]].float()
    mean, std = (
        torch.tensor(sample_cfg.data_preprocessor[key]).view(3, 1, 1)
        for key in ('mean', 'std')
    )
    torch.testing.assert_close(images[0, :, :64], (raw - mean) / std)


@pytest.mark.parametrize('name', ['coco_group_pose', 'crowdpose_group_pose'])
def test_recipe_of_the_paper(repo_root, drawn, name):
    """What comes out of the real training and validation pipelines."""
    cfg = read(repo_root, name)
    train, val = (cfg[split].dataset for split in SPLITS)
    folder = drawn / name.partition('_')[0]
    for part in (train, val):
        part.data_root = f'{folder}/'
    names = [step.type for step in train.pipeline]
    assert names.index('GroupPoseFlip') < names.index('RandomChoice')
    dataset = DATASETS.build(train)
    np.random.seed(0)
    items = [dataset[i % 6] for i in range(12)]
    sizes = [item['data_samples'].img_shape for item in items]
    assert {min(size) for size in sizes} <= set(range(480, 801, 32))
    assert len({min(size) for size in sizes}) > 3
    for item in items:
        sample = item['data_samples']
        h, w = sample.img_shape
        assert item['inputs'].shape == (3, h, w)
        assert sample.input_size == (w, h)
        points = sample.gt_instances.keypoints
        assert len(points) == len(sample.gt_instance_labels.areas)
        seen = points[sample.gt_instances.keypoints_visible > 0]
        assert (seen >= 0).all() and (seen <= (w, h)).all()
    # Some were cropped: their shape is not that of the file.
    ratios = {round(w / h, 1) for h, w in sizes}
    assert len(ratios) > 1 and 1.2 in ratios
    sample = DATASETS.build(val)[0]['data_samples']
    assert sample.img_shape == (800, 960)
    # Pitfall: CocoMetric would write it into every result.
    assert 'category_id' not in sample


def test_images_without_people_are_evaluated(sample_cfg, tmp_path):
    """A model may find somebody where nobody is annotated."""
    part = sample_cfg.val_dataloader.dataset
    content = json.loads(Path(sample_cfg.val_evaluator.ann_file).read_text())
    empty = content['images'][0]['id']
    content['annotations'] = [
        a for a in content['annotations'] if a['image_id'] != empty
    ]
    path = tmp_path / 'some.json'
    path.write_text(json.dumps(content))
    part.ann_file = sample_cfg.val_evaluator.ann_file = str(path)
    dataset = DATASETS.build(part)
    assert len(dataset) == len(content['images'])
    samples = [dataset[i]['data_samples'] for i in range(len(dataset))]
    assert 'keypoints' not in samples[-1].gt_instances
    num = dataset.metainfo['num_keypoints']
    poses = [
        pack(np.random.rand(2, num, 2) * 100, np.array([0.9, 0.8]))
        for _ in samples
    ]
    stats = evaluate(sample_cfg, predict(samples, poses), dataset.metainfo)
    assert 0 <= next(iter(stats.values())) < 0.5
    sample_cfg.train_dataloader.dataset.ann_file = str(path)
    train = DATASETS.build(sample_cfg.train_dataloader.dataset)
    assert len(train) == len(content['images']) - 1
