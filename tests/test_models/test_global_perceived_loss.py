import numpy as np
import pytest
import torch
from mmpose.registry import MODELS
from support.parity import note

from gtpt_mm.models import Global2LocalLoss, GlobalPerceivedLoss


@pytest.mark.parametrize('case', 'abc')
def test_loss_and_gradients_match_authors(case, gtpt_goldens):
    arrays = gtpt_goldens.npz('loss_small')

    def read(name):
        return torch.from_numpy(arrays[f'{case}_{name}']).double()

    logits = {
        name: read(name).requires_grad_()
        for name in ('pred_x', 'pred_y', 'entire_pred_x', 'entire_pred_y')
    }
    pruned = (logits['pred_x'], logits['pred_y'])
    full = (logits['entire_pred_x'], logits['entire_pred_y'])
    target = (read('target_x'), read('target_y'))
    losses = GlobalPerceivedLoss()(pruned, full, target, read('weight'))
    total = sum(losses.values())
    note('GTPT', 'losses', total, arrays[f'{case}_loss'])
    np.testing.assert_allclose(total.detach(), arrays[f'{case}_loss'], 1e-6)
    total.backward()
    for name, value in logits.items():
        expected = arrays[f'{case}_grad_{name}']
        note('GTPT', 'gradients', value.grad, expected)
        np.testing.assert_allclose(value.grad, expected, 1e-5, 1e-8)
    alone = GlobalPerceivedLoss()(pruned, None, target, read('weight'))
    assert list(alone) == ['loss_pruned']
    np.testing.assert_allclose(
        alone['loss_pruned'].detach(), arrays[f'{case}_loss_pruned_only'], 1e-6
    )


def make_case():
    torch.manual_seed(0)
    pruned = tuple(torch.randn(2, 3, 8, requires_grad=True) for _ in 'xy')
    full = tuple(torch.randn(2, 3, 8, requires_grad=True) for _ in 'xy')
    target = tuple(torch.rand(2, 3, 8).softmax(-1) for _ in 'xy')
    return pruned, full, target


def test_detach_decides_who_learns_from_whom():
    for detach in (True, False):
        pruned, full, target = make_case()
        loss = GlobalPerceivedLoss(0.0, 0.0, 1.0, detach=detach)
        sum(loss(pruned, full, target, torch.ones(2, 3)).values()).backward()
        assert (full[0].grad.abs().max() == 0) == detach
        assert pruned[0].grad.abs().max() > 0


def test_weights_scale_their_terms():
    pruned, full, target = make_case()
    weight = torch.ones(2, 3)
    plain = GlobalPerceivedLoss()(pruned, full, target, weight)
    scaled = GlobalPerceivedLoss(2.0, 3.0, 4.0)(pruned, full, target, weight)
    for (key, value), factor in zip(plain.items(), (2, 3, 4), strict=True):
        torch.testing.assert_close(scaled[key], factor * value)


def test_temperature_softens_the_distillation():
    pruned, full, target = make_case()
    hot = GlobalPerceivedLoss(temperature=3.0)
    value = hot(pruned, full, target, torch.ones(2, 3))['loss_g2l']
    expected = 0
    for student, teacher in zip(pruned, full, strict=True):
        p = (teacher / 3).softmax(-1)
        kl = p * (p.log() - (student / 3).log_softmax(-1))
        expected = expected + 9 * kl.mean()
    torch.testing.assert_close(value, expected)


def test_errors_name_the_value():
    with pytest.raises(ValueError, match='-1'):
        GlobalPerceivedLoss(temperature=-1)
    pruned, full, target = make_case()
    with pytest.raises(ValueError, match='target_weight'):
        GlobalPerceivedLoss()(pruned, full, target)


@pytest.mark.parametrize('options', [{}, dict(temperature=3.0, detach=False)])
def test_global_2_local_alone_is_that_term(options):
    """Value and gradients, of a loss that any head can name in its config."""
    weight = torch.rand(2, 3)
    pruned, full, target = make_case()
    whole = GlobalPerceivedLoss(0.0, 0.0, 0.5, **options)
    expected = whole(pruned, full, target, weight)['loss_g2l']
    expected.backward()
    student, teacher, _ = make_case()
    alone = MODELS.build(
        dict(type='Global2LocalLoss', loss_weight=0.5, **options)
    )
    value = alone(student, teacher, weight[..., None])
    value.backward()
    torch.testing.assert_close(value, expected)
    for own, other in zip((*student, *teacher), (*pruned, *full), strict=True):
        assert (own.grad is None) == (other.grad is None)
        if own.grad is not None:
            torch.testing.assert_close(own.grad, other.grad)
    with pytest.raises(ValueError, match='Global2LocalLoss.*target_weight'):
        Global2LocalLoss()(student, teacher)
    unweighted = Global2LocalLoss(use_target_weight=False)(student, teacher)
    ones = Global2LocalLoss()(student, teacher, torch.ones(2, 3))
    torch.testing.assert_close(unweighted, ones)


def test_targets_of_another_size_are_refused_by_name():
    """Other bins, other keypoints, or one that would be broadcast."""
    pred = tuple(torch.randn(2, 3, 8) for _ in 'xy')
    loss = GlobalPerceivedLoss()
    for shape in ((2, 3, 6), (2, 1, 8), (2, 3, 1)):
        target = (torch.rand(shape), torch.rand(2, 3, 8))
        with pytest.raises(ValueError, match=r'targets \[\(2, [31], [681]\)'):
            loss(pred, None, target, torch.ones(2, 3))
    target = tuple(torch.rand(2, 3, 8) for _ in 'xy')
    for shape in ((2, 4), (2, 1), (3, 2), (2, 3, 1, 1)):
        with pytest.raises(ValueError, match=r'target_weight is \('):
            loss(pred, None, target, torch.ones(shape))
    value = loss(pred, None, target, torch.ones(2, 3, 1))['loss_pruned']
    torch.testing.assert_close(
        value, loss(pred, None, target, torch.ones(2, 3))['loss_pruned']
    )
