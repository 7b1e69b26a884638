"""Guided attention: the value of the loss, and an estimator that adds it."""

import copy
import math

import pytest
import torch
from mmengine.registry import init_default_scope
from mmengine.structures import InstanceData
from mmpose.registry import MODELS
from mmpose.structures import PoseDataSample

from gtpt_mm.codecs import UnroundedSimCCLabel
from gtpt_mm.models.losses.attention_guidance import (
    AttentionGuidanceLoss,
    KeypointAttention,
)

GRID = (2, 3)  # (h, w) patches


def make_target(*points):
    """Return the targets of keypoints, in patches, of one image."""
    codec = UnroundedSimCCLabel((3 * 16, 2 * 16), sigma=2.0)
    points = torch.tensor(points) * 16 - 0.25  # bin 2 x is centred at x + 0.25
    encoded = codec.encode(points[None].numpy())
    return tuple(
        torch.from_numpy(encoded[f'keypoint_{axis}_labels']) for axis in 'xy'
    )


def make_layer(*maps, patches=range(6)):
    """Return attention of one keypoint, one map for each head."""
    logits = torch.tensor(maps, dtype=torch.float32).log()[None, None]
    return KeypointAttention(logits, torch.tensor([[list(patches)]]))


def guide(layers, point=(1.5, 0.5), weight=1.0, **options):
    loss = AttentionGuidanceLoss(**(dict(loss_weight=1.0) | options))
    weights = torch.tensor([[weight]])
    return float(loss(layers, GRID, make_target(point), weights))


def test_sharp_target_picks_the_patch_of_the_keypoint():
    uniform = [1 / 6] * 6
    assert guide([make_layer(uniform)], sigma=0.1) == pytest.approx(
        math.log(6), rel=1e-4
    )
    for patch, center in enumerate(
        [(x + 0.5, y + 0.5) for y in range(2) for x in range(3)]
    ):
        there = [0.02] * 6
        there[patch] = 0.9
        assert guide([make_layer(there)], center, sigma=0.1) == pytest.approx(
            -math.log(0.9), rel=1e-3
        )


def test_wide_target_is_a_gaussian_in_patches():
    """A centre between two patches counts for both alike."""
    rows = torch.tensor([[0.5, 1.5]]) - 0.5
    share = (-0.5 * (rows / 0.6).square()).softmax(1)[0]
    attention = [0.4, 0.2, 0.05, 0.2, 0.1, 0.05]
    x = torch.tensor([0.5, 1.5, 2.5]) - 1.0
    x = (-0.5 * (x / 0.6).square()).softmax(0)
    wanted = (share[:, None] * x).flatten()
    expected = -(wanted * torch.tensor(attention).log()).sum()
    found = guide([make_layer(attention)], (1.0, 0.5))
    assert found == pytest.approx(float(expected), rel=1e-4)


def test_one_head_that_looks_there_is_enough():
    there = [1e-6, 1.0, 1e-6, 1e-6, 1e-6, 1e-6]
    away = [1.0, 1e-6, 1e-6, 1e-6, 1e-6, 1e-6]
    found = guide([make_layer(there, away)], sigma=0.1)
    assert found == pytest.approx(math.log(2), rel=1e-3)


def test_dropped_patches_and_other_tokens_are_left_out():
    """Patches 1 and 4 are kept, in this order, behind a dense keypoint."""
    layer = make_layer([0.5, 0.3, 0.2], patches=[-1, 1, 4])
    found = guide([layer], sigma=0.1)
    assert found == pytest.approx(-math.log(0.6), rel=1e-3)
    nothing_left = make_layer([0.5, 0.5], patches=[3, 5])
    assert guide([nothing_left], sigma=0.1) == pytest.approx(0, abs=1e-6)


def test_average_over_layers_and_weights():
    sharp, uniform = [0.02, 0.9, *[0.02] * 4], [1 / 6] * 6
    one, two = (guide([make_layer(m)]) for m in (sharp, uniform))
    both = [make_layer(sharp), make_layer(uniform)]
    assert guide(both) == pytest.approx((one + two) / 2)
    assert guide(both, weight=0.5) == pytest.approx((one + two) / 4)
    assert guide(both, weight=0.0) == 0
    assert guide(both, loss_weight=3.0) == pytest.approx(3 * (one + two) / 2)


def test_keypoint_without_target_keeps_gradients_finite():
    logits = torch.zeros(1, 1, 2, 6, requires_grad=True)
    layer = KeypointAttention(logits, torch.arange(6)[None, None])
    nothing = torch.zeros(1, 1, 96), torch.zeros(1, 1, 64)
    loss = AttentionGuidanceLoss()([layer], GRID, nothing, torch.zeros(1, 1))
    loss.backward()
    assert loss == 0 and not logits.grad.any()


def test_sigma_must_be_positive():
    with pytest.raises(ValueError, match='sigma.*-1'):
        AttentionGuidanceLoss(sigma=-1)


# ---------------------------------------------------------------- estimator

CODEC = dict(type='UnroundedSimCCLabel', input_size=(48, 64), sigma=4.0)
HEAD = dict(type='GTPTHead', in_channels=32, out_channels=5, decoder=CODEC)


def make_model(kind='GuidedGTPTEstimator', **options):
    init_default_scope('mmpose')
    torch.manual_seed(0)
    backbone = dict(
        type='GTPT',
        arch=dict(embed_dims=32, stem_channels=16),
        img_size=(64, 48),
        patch_size=(4, 4),
        keep_rates=(1.0, 0.8, 0.7, 0.6),
        keypoint_groups=[
            dict(sparse=[0, 1], parts=[[3, 4]]),
            dict(sparse=[2]),
        ],
        depth=8,
        num_heads=4,
    )
    return MODELS.build(
        dict(type=kind, backbone=backbone | options, head=HEAD)
    )


def make_samples(number=4):
    rng = torch.Generator().manual_seed(0)
    points = torch.rand(number, 1, 5, 2, generator=rng) * 44
    codec = UnroundedSimCCLabel((48, 64), sigma=4.0)
    samples = []
    for keypoints in points:
        sample = PoseDataSample()
        sample.gt_instance_labels = InstanceData(
            **{
                name: torch.from_numpy(value)
                for name, value in codec.encode(keypoints.numpy()).items()
            }
        )
        samples.append(sample)
    return torch.randn(number, 3, 64, 48, generator=rng), samples


def test_weights_and_predictions_are_those_of_the_stock_estimator():
    guided, stock = make_model(), make_model('TopdownPoseEstimator')
    stock.load_state_dict(guided.state_dict(), strict=True)
    img, samples = make_samples()
    for a, b in zip(
        guided.eval()(img, None), stock.eval()(img, None), strict=True
    ):
        assert torch.equal(a, b)
    losses = guided.train().loss(img, copy.deepcopy(samples))
    expected = stock.train().loss(img, copy.deepcopy(samples))
    assert set(losses) == {*expected, 'loss_guidance'}
    for name, value in expected.items():
        assert torch.equal(losses[name], value), name


@pytest.mark.parametrize('with_unpruned', [True, False])
def test_guidance_reaches_the_layers_that_read_keypoints(with_unpruned):
    model = make_model(with_unpruned=with_unpruned).train()
    model.loss(*make_samples())['loss_guidance'].backward()
    qk = [layer.attn.qkv.weight.grad for layer in model.backbone.layers]
    # Layer 3 introduces the keypoints; guidance of layers 3 to 8.
    assert all(grad.any() and grad.isfinite().all() for grad in qk)
    assert model.backbone.sparse_embed.grad.any()
    assert model.head.fc_x.weight.grad is None


def test_guided_attention_finds_the_keypoints():
    """Overfit the guidance alone: keypoints look at their own patch."""
    model = make_model(
        keep_rates=(1.0, 1.0, 1.0, 1.0), init_cfg=dict(type='GTPTShortRun')
    ).train()
    model.init_weights()
    model.guidance.sigma = 0.3
    img, samples = make_samples()
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)
    losses = []
    for _ in range(60):
        loss = model.loss(img, samples)['loss_guidance']
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss))
    # log 12 patches: as if it looked everywhere.
    assert losses[0] > 0.8 * model.guidance.loss_weight * math.log(12)
    assert losses[-1] < 0.6 * losses[0]


def test_other_backbones_are_refused():
    init_default_scope('mmpose')
    with pytest.raises(ValueError, match='got a ResNet'):
        MODELS.build(
            dict(
                type='GuidedGTPTEstimator',
                backbone=dict(type='ResNet', depth=18),
                head=HEAD,
            )
        )
