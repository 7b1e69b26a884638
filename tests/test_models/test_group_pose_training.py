"""Group Pose learns: options, numbers of keypoints and people, precision."""

import numpy as np
import pytest
import torch
from mmengine.structures import InstanceData
from support.group_pose_small import (
    build_head,
    make_feats,
    make_metainfo,
    make_samples,
)

from gtpt_mm.models import GroupPoseHead

OPTIONS = [
    {},
    dict(query_types=('keypoint',), score_from='keypoint'),
    dict(query_types=('instance',)),
    dict(score_from='keypoint'),
    dict(self_attn='standard'),
    dict(self_attn='masked'),
    dict(across=()),
    dict(with_within=False),
    dict(with_within=False, across=()),
    dict(across=('keypoint',)),
    dict(across=('instance',)),
    dict(shared=True),
    dict(aux_alias=False),
    dict(pos_in_value=False, aux_alias=False),
]


@pytest.mark.parametrize('options', OPTIONS, ids=str)
def test_options_train_every_parameter(options):
    head = build_head(decoder=options).train()
    losses = head.loss(make_feats(), make_samples())
    assert len(losses) == 3 * 3
    sum(losses.values()).backward()
    unused = {
        name
        for name, parameter in head.named_parameters()
        if parameter.grad is None or not parameter.grad.abs().sum() > 0
    }
    assert not unused
    head.eval()
    with torch.no_grad():
        logits, keypoints = head(make_feats(), make_samples())
    assert logits.shape == (2, 6, 2) and keypoints.shape == (2, 6, 5, 2)


@pytest.mark.parametrize(
    ('options', 'same'),
    [
        (dict(score_from='keypoint'), False),
        (dict(across=('instance',)), False),
        (dict(with_within=False), False),
        (dict(shared=True), False),
        (dict(pos_in_value=False, aux_alias=False), False),
        (dict(aux_alias=False), True),  # only the loss reads it
    ],
    ids=str,
)
def test_options_change_predictions_of_equal_weights(options, same):
    base, other = build_head().eval(), build_head(decoder=options).eval()
    weights = base.state_dict()
    other.load_state_dict({key: weights[key] for key in other.state_dict()})
    with torch.no_grad():
        expected, actual = (
            torch.cat([out.flatten() for out in head(make_feats())])
            for head in (base, other)
        )
    assert torch.allclose(actual, expected, atol=1e-6) == same


def test_variant_with_boxes_trains_every_parameter():
    head = build_head(human_decoder=dict(num_humans=12, feedforward_dims=32))
    samples = make_samples()
    for sample in samples:
        points = sample.gt_instances.keypoints
        sample.gt_instances.bboxes = np.concatenate(
            (points.min(1), points.max(1)), axis=1
        )
    losses = head.train().loss(make_feats(), samples)
    assert len(losses) == 3 * 3 + 3 * 3
    assert losses['human_loss_giou'] > 0
    sum(losses.values()).backward()
    for name, parameter in head.named_parameters():
        assert parameter.grad.abs().sum() > 0, name
    with torch.no_grad():
        logits, _ = head.eval()(make_feats(), samples)
    assert logits.shape == (2, 6, 2)
    with pytest.raises(ValueError, match='got num_humans=3'):
        build_head(human_decoder=dict(num_humans=3))


def test_boxes_that_are_found_cost_nothing():
    head = build_head(human_decoder=dict(num_humans=12, feedforward_dims=32))
    person = InstanceData(
        bboxes=torch.tensor([[0.2, 0.1, 0.5, 0.7]]),
        labels=torch.ones(1).long(),
    )
    boxes = torch.rand(1, 1, 5, 4).cumsum(-1) / 4
    boxes[0, 0, 3] = person.bboxes[0]
    logits = torch.zeros(1, 1, 5, 2)
    [[(places, _)]] = head.human_criterion.match(logits, boxes, [person])
    assert places.tolist() == [3]
    losses = head.human_criterion(logits, boxes, [person])
    assert losses['loss_bbox'] == 0 and losses['loss_giou'].abs() < 1e-5


@pytest.mark.parametrize('num_keypoints', [1, 2, 14, 21])
def test_any_number_of_keypoints(num_keypoints):
    head = build_head(num_keypoints).train()
    samples = make_samples(num_keypoints=num_keypoints)
    losses = head.loss(make_feats(), samples)
    assert all(loss.isfinite() for loss in losses.values())
    [pred, _] = head.eval().predict(make_feats(), samples)
    assert pred.keypoints.shape == (6, num_keypoints, 2)


@pytest.mark.parametrize('dtype', [torch.bfloat16, torch.float16])
def test_amp_trains_without_nan(dtype):
    head = build_head().train()
    with torch.autocast('cpu', dtype):
        losses = head.loss(make_feats(), make_samples())
    exact = head.loss(make_feats(), make_samples())
    for name, loss in losses.items():
        assert loss.dtype == torch.float32
        assert loss.item() == pytest.approx(exact[name].item(), rel=0.1), name
    sum(losses.values()).backward()
    for name, parameter in head.named_parameters():
        assert parameter.grad.isfinite().all(), name


def test_checkpointing_changes_no_gradient():
    grads = []
    for with_cp in (False, True):
        torch.manual_seed(0)
        options = dict(with_cp=with_cp)
        head = build_head(encoder=options, decoder=options).train()
        sum(head.loss(make_feats(), make_samples()).values()).backward()
        grads.append([p.grad for p in head.parameters()])
    for own, expected in zip(*grads, strict=True):
        torch.testing.assert_close(own, expected)


def test_no_people_at_all():
    head = build_head().train()
    losses = head.loss(make_feats(), make_samples(num_people=(0, 0)))
    assert losses['loss_keypoint'] == 0 and losses['loss_cls'] > 0


def test_targets_are_normalised_by_width_and_height():
    """x by w and y by h; areas by w * h; of the image, not of the batch."""
    head = build_head()
    [_, person] = head._read_people(make_samples(), torch.device('cpu'))
    sample = make_samples()[1]
    expected = sample.gt_instances.keypoints / [100, 90]
    np.testing.assert_allclose(person.keypoints, expected, rtol=1e-6)
    expected = sample.gt_instances.areas / 9000
    np.testing.assert_allclose(person.areas, expected, rtol=1e-6)
    assert person.labels.tolist() == [1]


def test_misaligned_encoder_loss_is_an_option():
    losses = []
    for option in (False, True):
        torch.manual_seed(0)
        head = build_head(misaligned_enc_loss=option)
        losses.append(head.loss(make_feats(), make_samples()))
    for name in losses[0]:
        same = torch.equal(losses[0][name], losses[1][name])
        assert same == ('enc' not in name), name  # matches differ, too


def test_starts_with_all_keypoints_at_the_proposal():
    head = GroupPoseHead(make_metainfo(5), embed_dims=32, num_queries=6)
    head.init_weights()
    logits, keypoints, enc_logits, points, _ = head._run(make_feats(), None)
    assert points.std(dim=2).max() < 1e-6
    torch.testing.assert_close(keypoints[0], points, atol=1e-3, rtol=0)
    assert enc_logits.sigmoid().mean() < 0.1
