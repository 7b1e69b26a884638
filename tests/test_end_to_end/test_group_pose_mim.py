"""Group Pose through stock mmpose, and poses without a detector."""

import shutil

import cv2
import numpy as np
import pytest
import torch
from support.runs import (
    logged,
    make_inferencer,
    make_runner,
    mim,
    read_metrics,
    read_scalars,
)

NUM_KEYPOINTS = {'coco': 17, 'crowdpose': 14}
NUM_QUERIES = 4  # of the small config


@pytest.fixture(
    scope='module',
    params=['coco', pytest.param('crowdpose', marks=pytest.mark.slow)],
)
def layout(request):
    return request.param


@pytest.fixture(scope='module')
def config(layout, group_pose_config, tmp_path_factory):
    cfg = group_pose_config(layout)
    path = tmp_path_factory.mktemp('config') / 'tiny.py'
    cfg.dump(path)
    return path


@pytest.fixture(
    scope='module',
    params=['here', pytest.param('mim', marks=pytest.mark.slow)],
)
def trained(request, config, tmp_path_factory):
    """The work folder of a training in this process, or of ``mim train``."""
    work_dir = tmp_path_factory.mktemp(request.param)
    if request.param == 'mim':
        mim('train', config, work_dir)
    else:
        make_runner(config, work_dir).train()
    return work_dir


# ----------------------------------------------------------------- training


def test_losses_and_metrics_are_logged(layout, trained):
    rows = read_scalars(trained)
    losses = logged(rows, 'loss')
    assert len(losses) == 2 * 12 / 2
    assert np.isfinite(losses).all()
    parts = {'loss_cls', 'loss_keypoint', 'loss_oks'}
    for prefix in ('', 'd0.', 'enc_'):
        assert {prefix + part for part in parts} <= set(rows[0])
    assert len(logged(rows, f'{layout}/AP')) == 1


def test_checkpoint_has_the_metric_of_the_training(layout, config, trained):
    checkpoint = trained / 'epoch_2.pth'
    if trained.name.startswith('mim'):
        mim('test', config, trained / 'test', '--checkpoint', checkpoint)
        metrics = read_metrics(trained / 'test')
    else:
        options = dict(load_from=str(checkpoint))
        metrics = make_runner(config, trained / 'test', **options).test()
    [expected] = logged(read_scalars(trained), f'{layout}/AP')
    assert metrics[f'{layout}/AP'] == pytest.approx(expected, abs=1e-6)


def test_resume_goes_on_where_it_stopped(config, trained, tmp_path):
    """As after a kill in epoch 2: the files of epoch 1 are there.

    That weights are equal as well is tested in ``test_exact_resume.py``.
    """
    shutil.copy(trained / 'epoch_1.pth', tmp_path)
    (tmp_path / 'last_checkpoint').write_text(str(tmp_path / 'epoch_1.pth'))
    if trained.name.startswith('mim'):
        printed = mim('train', config, tmp_path, '--resume')
        assert 'resumed epoch: 1' in printed
    else:
        make_runner(config, tmp_path, resume=True).train()
    ours, theirs = (
        torch.load(folder / 'epoch_2.pth', weights_only=True)
        for folder in (tmp_path, trained)
    )
    assert ours['meta']['iter'] == theirs['meta']['iter'] == 12
    assert ours['param_schedulers'] == theirs['param_schedulers']
    steps = [c['optimizer']['state'][0]['step'] for c in (ours, theirs)]
    assert steps[0] == steps[1] == 12


# ------------------------------------------------------------- prediction


@pytest.fixture(scope='module')
def inferencer(config, trained):
    return make_inferencer(config, trained / 'epoch_2.pth')


def predict(inferencer, inputs, **options) -> list[list[dict]]:
    """Return the people of each image."""
    results = list(inferencer(inputs, **options))
    return [result['predictions'][0] for result in results]


def test_images_of_any_size_need_no_detector(layout, inferencer, tmp_path):
    """Each as if it were alone, whatever the batch size; also a blank one."""
    sizes = [(160, 192), (240, 90), (64, 200)]
    rng = np.random.default_rng(0)
    images = [
        rng.integers(0, 255, (h, w, 3), dtype=np.uint8) for h, w in sizes
    ]
    images[2][:] = 0
    paths = [str(tmp_path / f'{i}.png') for i in range(3)]
    for path, image in zip(paths, images, strict=True):
        cv2.imwrite(path, image)
    options = dict(bbox_thr=0.0)
    out = tmp_path / 'drawn'
    together = predict(
        inferencer, paths, batch_size=2, vis_out_dir=str(out), **options
    )
    for path, people, (h, w) in zip(paths, together, sizes, strict=True):
        [alone] = predict(inferencer, path, **options)
        assert len(people) == len(alone) == NUM_QUERIES
        for one, other in zip(people, alone, strict=True):
            points = np.array(one['keypoints'])
            assert points.shape == (NUM_KEYPOINTS[layout], 2)
            assert (points >= 0).all() and (points <= (w, h)).all()
            np.testing.assert_array_equal(points, other['keypoints'])
            assert one['bbox_score'] == other['bbox_score'] > 0
    assert len(list(out.glob('*.png'))) == 3


@pytest.fixture
def crowd(layout, inferencer, monkeypatch):
    """Let the network find four people, the second a copy of the first.

    Returns their poses, (4, K, 2), in units of the image.
    """
    pose = torch.rand(NUM_KEYPOINTS[layout], 2) / 4
    starts = torch.tensor([[0.1, 0.1], [0.101, 0.1], [0.6, 0.6], [0.1, 0.6]])
    poses = starts[:, None] + pose
    scores = torch.tensor([0.9, 0.8, 0.6, 0.2])
    logits = torch.stack((torch.ones(4), scores.logit()), dim=1)
    head = inferencer.inferencer.model.head
    monkeypatch.setattr(
        head, 'forward', lambda feats, samples: (logits[None], poses[None])
    )
    return poses.numpy()


IMAGE = np.zeros((80, 120, 3), np.uint8)


def test_bbox_thr_is_the_score_that_people_must_exceed(inferencer, crowd):
    counts = [
        len(predict(inferencer, IMAGE, bbox_thr=thr)[0])
        for thr in (0.0, 0.3, 0.7, 0.95)
    ]
    assert counts == [4, 3, 2, 0]
    [people] = predict(inferencer, IMAGE)  # mmpose's default, 0.3
    assert len(people) == 3
    for person, pose in zip(people, crowd, strict=False):
        # In pixels of the image that was given.
        expected = pose * (120, 80)
        np.testing.assert_allclose(person['keypoints'], expected, atol=1e-3)
        box = np.concatenate((expected.min(0), expected.max(0)))
        np.testing.assert_allclose(person['bbox'][0], box, atol=1e-3)


def test_copies_of_a_person_can_be_removed(inferencer, crowd, monkeypatch):
    """By similar poses, or, if the config says so, by boxes."""
    [people] = predict(inferencer, IMAGE, pose_based_nms=True)
    assert [round(p['bbox_score'], 4) for p in people] == [0.9, 0.6]
    # The paper has no NMS: without nms_thr in test_cfg there is none.
    assert len(predict(inferencer, IMAGE, nms_thr=0.5)[0]) == 3
    test_cfg = inferencer.inferencer.model.head.test_cfg
    monkeypatch.setitem(test_cfg, 'nms_thr', None)
    [people] = predict(inferencer, IMAGE, nms_thr=0.5)
    assert [round(p['bbox_score'], 4) for p in people] == [0.9, 0.6]
    assert len(predict(inferencer, IMAGE, nms_thr=1.0)[0]) == 3
    # Nobody is left to be compared.
    assert predict(inferencer, IMAGE, nms_thr=0.5, bbox_thr=0.95) == [[]]
