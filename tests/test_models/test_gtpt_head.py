"""Decoding, flip test and scoring of GTPT's head."""

import numpy as np
import pytest
import torch
from mmengine.structures import InstanceData
from mmpose.apis import MMPoseInferencer
from mmpose.evaluation.functional import oks_nms
from mmpose.models.utils.tta import flip_vectors
from mmpose.structures import PoseDataSample
from support.parity import note
from support.simcc_scores import to_density

from gtpt_mm.models import GTPTHead

SAMPLE = (
    'configs/body_2d_keypoint/gtpt/sample/gtpt-t_1xb16-14e_sample-96x64.py'
)
CODEC = dict(type='UnroundedSimCCLabel', input_size=(192, 256), sigma=4.0)
COCO_FLIP = [0, 2, 1, 4, 3, 6, 5, 8, 7, 10, 9, 12, 11, 14, 13, 16, 15]
COCO_SIGMAS = np.array(
    [26, 25, 25, 35, 35, 79, 79, 72, 72, 62, 62, 107, 107, 87, 87, 89, 89]
)


class FixedLogits(GTPTHead):
    """Returns what it is fed: the decoding alone is under test."""

    def forward(self, feats):
        return feats


@pytest.fixture
def head():
    return FixedLogits(32, 17, CODEC)


def test_flip_test_and_decoding_match_authors(head, gtpt_goldens):
    arrays = gtpt_goldens.npz('decode_17')
    feats = [
        tuple(
            torch.from_numpy(arrays[f'{prefix}logits_{axis}']).float()
            for axis in 'xy'
        )
        for prefix in ('', 'flip_')
    ]
    sample = PoseDataSample(metainfo=dict(flip_indices=COCO_FLIP))
    preds = head.predict(feats, [sample] * 4, dict(flip_test=True))
    for i, pred in enumerate(preds):
        scale = arrays['scale'][i] * 200
        points = pred.keypoints[0] / (192, 256) * scale
        points = points + arrays['center'][i] - 0.5 * scale
        expected = arrays['keypoints'][i]
        note('GTPT', 'decoding', points, expected[:, :2], 1)
        np.testing.assert_allclose(points, expected[:, :2], 0, 1e-3)
        np.testing.assert_allclose(
            to_density(pred.keypoint_scores[0], 4.0), expected[:, 2], 1e-5
        )


def test_rescoring_and_nms_match_authors(gtpt_goldens):
    """What CocoMetric does with keypoint_score_thr 0.01 and nms_thr 0.9."""
    arrays = gtpt_goldens.npz('decode_17')
    meta = gtpt_goldens.meta(arrays)
    people = []
    for points, box, image in zip(
        arrays['nms_keypoints'],
        arrays['nms_boxes'],
        meta['image_ids'],
        strict=True,
    ):
        scores = points[:, 2]
        valid = scores > 0.01
        score = box[5] * (scores[valid].mean() if valid.any() else 0)
        people.append(
            dict(keypoints=points, area=box[4], score=score, image=image)
        )
    kept = []
    for image in sorted({person['image'] for person in people}):
        own = [person for person in people if person['image'] == image]
        chosen = oks_nms(own, 0.9, sigmas=COCO_SIGMAS / 1000)
        kept += [[own[i]['score'], image] for i in chosen]
    np.testing.assert_allclose(kept, arrays['nms_kept'], 1e-5)


@pytest.mark.parametrize('ratio', [1.0, 2.0, 3.0])
def test_convention_flip_aligns_exactly(ratio):
    """A point and its mirror image agree after flipping back."""
    head = FixedLogits(32, 17, CODEC | dict(simcc_split_ratio=ratio))
    points = np.zeros((1, 17, 2))
    points[..., 0] = np.arange(17) * 8.0 + 20
    points[..., 1] = 100
    mirrored = points.copy()[:, COCO_FLIP]
    mirrored[..., 0] = 191 - mirrored[..., 0]

    def logits(p):
        encoded = head.decoder.encode(p)
        return tuple(
            torch.from_numpy(encoded[f'keypoint_{axis}_labels']) * 100
            for axis in 'xy'
        )

    sample = PoseDataSample(metainfo=dict(flip_indices=COCO_FLIP))
    feats = [logits(points), logits(mirrored)]
    both = head.predict(feats, [sample], dict(flip_test=True))
    np.testing.assert_allclose(both[0].keypoints, points, 0, 1e-6)
    back_x, _ = flip_vectors(*feats[1], flip_indices=COCO_FLIP)
    assert (back_x.argmax(-1) - feats[0][0].argmax(-1) == ratio - 1).all()


def test_output_heatmaps(head):
    feats = (torch.randn(2, 17, 384), torch.randn(2, 17, 512))
    preds, fields = head.predict(
        feats, [PoseDataSample()] * 2, dict(output_heatmaps=True)
    )
    assert fields[0].heatmaps.shape == (17, 512, 384)
    torch.testing.assert_close(fields[0].heatmaps.sum((1, 2)), torch.ones(17))


def test_wrong_tokens_are_named():
    head = GTPTHead(32, 17, CODEC)
    with pytest.raises(ValueError, match='133'):
        head((torch.rand(1, 133, 32),))


def make_samples(head, count, num_keypoints=17):
    samples = []
    for _ in range(count):
        points = np.random.rand(1, num_keypoints, 2) * 100
        encoded = head.decoder.encode(points)
        sample = PoseDataSample()
        sample.gt_instance_labels = InstanceData(
            **{k: torch.from_numpy(v) for k, v in encoded.items()}
        )
        weights = sample.gt_instance_labels.keypoint_weights
        weights[0, np.random.randint(num_keypoints)] = 0
        samples.append(sample)
    return samples


def test_batch_of_one_trains():
    """The authors' loss fails on a single image."""
    head = GTPTHead(32, 17, CODEC)
    tokens = torch.rand(1, 17, 32)
    losses = head.loss((tokens, tokens), make_samples(head, 1))
    assert all(torch.isfinite(v).all() for v in losses.values())
    assert losses['loss_g2l'].abs() < 1e-6  # equal passes


def test_loss_of_supervised_keypoints_is_that_of_a_head_with_only_those():
    """Averages over the chosen ones, in value and in gradient."""
    chosen = [2, 5, 11]
    head = GTPTHead(32, 17, CODEC).double()
    small = GTPTHead(32, 3, CODEC).double()
    small.load_state_dict(head.state_dict())
    samples = make_samples(head, 4)
    feats = tuple(
        torch.rand(4, 17, 32, dtype=torch.float64, requires_grad=True)
        for _ in range(2)
    )
    everything = head.loss(feats, samples)
    head.supervise(chosen)
    losses = head.loss(feats, samples)
    sum(v for k, v in losses.items() if 'loss' in k).backward()

    for sample in samples:
        labels = sample.gt_instance_labels
        sample.gt_instance_labels = InstanceData(
            **{key: value[:, chosen] for key, value in labels.items()}
        )
    own = tuple(f.detach()[:, chosen].requires_grad_() for f in feats)
    expected = small.loss(own, samples)
    sum(v for k, v in expected.items() if 'loss' in k).backward()
    for key, value in expected.items():
        torch.testing.assert_close(losses[key], value)
    assert losses['loss_pruned'] != everything['loss_pruned']
    for ours, theirs in zip(feats, own, strict=True):
        expected = torch.zeros_like(ours)
        expected[:, chosen] = theirs.grad
        torch.testing.assert_close(ours.grad, expected, rtol=1e-9, atol=1e-15)

    head.supervise(None)
    assert head.supervised is None


def test_supervision_leaves_predictions_alone():
    head = GTPTHead(32, 17, CODEC)
    feats = (torch.rand(2, 17, 32),)
    before = head.predict(feats, [PoseDataSample()] * 2)
    head.supervise(range(5))
    after = head.predict(feats, [PoseDataSample()] * 2)
    assert after[0].keypoints.shape == (1, 17, 2)
    for a, b in zip(before, after, strict=True):
        np.testing.assert_array_equal(a.keypoints, b.keypoints)


@pytest.mark.parametrize('keypoints', [[], [17], [-1], [3, 3]])
def test_wrong_supervision_is_named(keypoints):
    head = GTPTHead(32, 17, CODEC)
    with pytest.raises(ValueError, match='0..16'):
        head.supervise(keypoints)
    assert head.supervised is None


def make_targets(num_keypoints, num_x, num_y):
    sample = PoseDataSample()
    sample.gt_instance_labels = InstanceData(
        keypoint_x_labels=torch.rand(1, num_keypoints, num_x),
        keypoint_y_labels=torch.rand(1, num_keypoints, num_y),
        keypoint_weights=torch.ones(1, num_keypoints),
    )
    return [sample]


@pytest.mark.parametrize(
    ('targets', 'given'),
    [
        ((17, 384, 512), None),
        ((17, 192, 256), r'\(17, 192\) and \(17, 256\)'),
        ((17, 512, 384), r'\(17, 512\) and \(17, 384\)'),
        ((9, 384, 512), r'weights of 9 keypoints'),
    ],
)
def test_targets_of_another_codec_are_named(targets, given):
    head = GTPTHead(32, 17, CODEC)
    feats = (torch.rand(1, 17, 32),)
    samples = make_targets(*targets)
    if given is None:
        assert head.loss(feats, samples)['loss_pruned'].isfinite()
        return
    match = rf'\(17, 384\) for x and \(17, 512\) for y.*{given}'
    with pytest.raises(ValueError, match=match):
        head.loss(feats, samples)


def test_skeleton_of_a_perfect_prediction_is_drawn_by_default(repo_root):
    """mmpose draws keypoints with scores above 0.3."""
    inferencer = MMPoseInferencer(
        pose2d=str(repo_root / SAMPLE), det_model='whole_image', device='cpu'
    )
    model = inferencer.inferencer.model
    model.test_cfg['flip_test'] = False
    labels = model.head.decoder.encode(np.full((1, 17, 2), 32.0))
    model.head.forward = lambda feats: tuple(
        torch.from_numpy(labels[f'keypoint_{axis}_labels']).log()
        for axis in 'xy'
    )
    image = np.zeros((96, 64, 3), np.uint8)
    result = next(inferencer(image, return_vis=True))
    [[person]] = result['predictions']
    np.testing.assert_allclose(person['keypoint_scores'], 1, atol=1e-3)
    assert result['visualization'][0].any()
