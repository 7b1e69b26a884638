"""Group Pose learns: numbers of keypoints and instances, precision."""

import pytest
import torch
from support.group_pose_small import (
    SHAPES,
    build_head,
    make_feats,
    make_metainfo,
    make_samples,
)

from gtpt_mm.models import GroupPoseHead


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
    """Every token is a query: rounded scores would choose others."""
    tokens = sum(h * w for h, w in SHAPES)
    head = build_head(num_queries=tokens).train()
    with torch.autocast('cpu', dtype):
        losses = head.loss(make_feats(), make_samples())
    exact = head.loss(make_feats(), make_samples())
    for name, loss in losses.items():
        assert loss.dtype == torch.float32
        assert loss.item() == pytest.approx(exact[name].item(), rel=0.02), name
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
    for actual, expected in zip(*grads, strict=True):
        torch.testing.assert_close(actual, expected)


def test_no_instances_at_all():
    head = build_head().train()
    losses = head.loss(make_feats(), make_samples(num_instances=(0, 0)))
    assert losses['loss_keypoint'] == 0 and losses['loss_cls'] > 0


def test_misaligned_encoder_loss_is_an_option():
    losses = []
    for option in (False, True):
        torch.manual_seed(0)
        head = build_head(misaligned_enc_loss=option)
        losses.append(head.loss(make_feats(), make_samples()))
    for name in losses[0]:
        if name != 'enc_loss_cls':  # matches may differ or not
            same = torch.equal(losses[0][name], losses[1][name])
            assert same == ('enc' not in name), name


def test_starts_with_all_keypoints_at_the_proposal():
    head = GroupPoseHead(make_metainfo(5), embed_dims=32, num_queries=6)
    head.init_weights()
    _, keypoints, proposals, points = head.forward_stages(make_feats(), None)
    assert points.std(dim=2).max() < 1e-6
    torch.testing.assert_close(keypoints[0], points, atol=1e-3, rtol=0)
    assert proposals.logits.sigmoid().mean() < 0.1
