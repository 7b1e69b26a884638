"""Decoders and heads of ``projects/group_pose_ablations``."""

import importlib
from pathlib import Path

import pytest
import torch
from mmengine.structures import InstanceData
from support.group_pose_small import build_head, make_feats, make_samples

HUMANS = dict(num_humans=12, feedforward_dims=32)
#: Whether predictions are those of the paper's decoder of equal weights; None
#: where the weights are others.
DECODERS = dict(
    AcrossInstancesDecoder=False,
    AcrossKeypointsDecoder=False,
    AcrossOnlyDecoder=False,
    GroupPoseDecoder=True,
    MaskedAttentionDecoder=None,
    NoSelfAttentionDecoder=False,
    OnlyInstanceQueriesDecoder=None,
    OnlyKeypointQueriesDecoder=False,
    ScoreFromKeypointsDecoder=False,
    SharedAttentionDecoder=False,
    StandardAttentionDecoder=None,
    TextbookDecoder=False,
    UnaliasedDecoder=True,  # only the losses read other queries
    WithinOnlyDecoder=False,
)


@pytest.fixture(autouse=True, scope='module')
def models():
    """The modules of the project; their classes are registered."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(Path(__file__).resolve().parents[2])
        yield importlib.import_module('projects.group_pose_ablations.models')


def build_humans(**options):
    options = dict(human_decoder=HUMANS) | options
    return build_head(type='HumanGroupPoseHead', **options)


def test_every_decoder_is_tested(models):
    names = {name for name in models.__all__ if name.endswith('Decoder')}
    assert names - {'HumanDecoder'} == set(DECODERS) - {'GroupPoseDecoder'}


@pytest.mark.parametrize('decoder', DECODERS)
def test_decoders_train_every_parameter(decoder):
    head = build_head(decoder=dict(type=decoder)).train()
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
    ('decoder', 'same'),
    [(name, same) for name, same in DECODERS.items() if same is not None],
)
def test_decoders_change_predictions_of_equal_weights(decoder, same):
    base = build_head().eval()
    other = build_head(decoder=dict(type=decoder)).eval()
    weights = base.state_dict()
    other.load_state_dict({key: weights[key] for key in other.state_dict()})
    with torch.no_grad():
        expected, actual = (
            torch.cat([out.flatten() for out in head(make_feats())])
            for head in (base, other)
        )
    assert torch.allclose(actual, expected, atol=1e-6) == same


def test_shared_projections_are_saved_once():
    state = build_head(
        decoder=dict(type='SharedAttentionDecoder')
    ).state_dict()
    assert 'decoder.layers.0.self_attn.across_norm.weight' in state
    assert not any('across_attn' in key for key in state)


def test_masked_attention_attends_to_the_pairs_of_the_groups(models):
    """Changing an instance's slot changes that slot of others, no other."""
    attention = models.FlatSelfAttention(16, 2, masked=True)
    x = torch.randn(1, 3, 4, 16)
    changed = x.clone()
    changed[0, 0, 2] += 1
    moved = (attention(changed) - attention(x)).abs().amax(-1)[0] > 1e-6
    expected = torch.zeros(3, 4, dtype=torch.bool)
    expected[0], expected[:, 2] = True, True
    assert torch.equal(moved, expected)


def test_variant_with_boxes_trains_every_parameter():
    head = build_humans()
    samples = make_samples()
    losses = head.train().loss(make_feats(), samples)
    assert len(losses) == 3 * 3 + 3 * 3
    assert losses['human_loss_giou'] > 0
    sum(losses.values()).backward()
    for name, parameter in head.named_parameters():
        assert parameter.grad.abs().sum() > 0, name
    with torch.no_grad():
        logits, _ = head.eval()(make_feats(), samples)
    assert logits.shape == (2, 6, 2)


def test_boxes_that_are_found_cost_nothing():
    head = build_humans()
    instance = InstanceData(
        bboxes=torch.tensor([[0.2, 0.1, 0.5, 0.7]]),
        labels=torch.ones(1).long(),
    )
    boxes = torch.rand(1, 1, 5, 4).cumsum(-1) / 4
    boxes[0, 0, 3] = instance.bboxes[0]
    logits = torch.zeros(1, 1, 5, 2)
    [[(queries, _)]] = head.human_criterion.match(logits, boxes, [instance])
    assert queries.tolist() == [3]
    losses = head.human_criterion(logits, boxes, [instance])
    assert losses['loss_bbox'] == 0 and losses['loss_giou'].abs() < 1e-5


def test_bad_options_are_named():
    with pytest.raises(ValueError, match='got num_humans=3'):
        build_humans(human_decoder=dict(num_humans=3))
    small = tuple(feat[:, :, :1, :1] for feat in make_feats())
    with pytest.raises(ValueError, match='4 tokens cannot fill 12 queries'):
        build_humans()(small)
