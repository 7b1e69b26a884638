"""Costs, matches, losses and gradients are the official ones."""

import numpy as np
import pytest
import torch
from mmengine.structures import InstanceData
from mmpose.datasets.datasets.utils import parse_pose_metainfo
from support.parity import note

from gtpt_mm.models.losses.group_pose_criterion import GroupPoseCriterion

CASES = (
    'normal',
    'one_empty',
    'all_empty',
    'more_gt_than_queries',
    'crowd',
    'invisible',
    'tiny_area',
)
DATASETS = {17: 'coco', 14: 'crowdpose'}


def read_sigmas(num_keypoints: int) -> np.ndarray:
    name = DATASETS[num_keypoints]
    path = f'configs/_base_/datasets/{name}.py'
    return parse_pose_metainfo(dict(from_file=path))['sigmas']


def read_instances(golden: dict, prefix: str, num_images: int, num_keypoints):
    instances = []
    for i in range(num_images):
        folder = f'{prefix}tgt/{i}/'
        flat = torch.from_numpy(golden[f'{folder}keypoints'])
        points, visible = flat.split((2 * num_keypoints, num_keypoints), 1)
        instances.append(
            InstanceData(
                keypoints=points.unflatten(1, (num_keypoints, 2)),
                keypoints_visible=visible,
                areas=torch.from_numpy(golden[f'{folder}area']),
                labels=torch.from_numpy(golden[f'{folder}labels']),
            )
        )
    return instances


@pytest.fixture(params=(17, 14))
def criterion_golden(request, group_pose_goldens):
    path = group_pose_goldens / f'criterion_k{request.param}.npz'
    with np.load(path) as arrays:
        return request.param, dict(arrays)


@pytest.mark.parametrize('case', CASES)
def test_criterion_matches_authors(case, criterion_golden):
    num_keypoints, golden = criterion_golden
    criterion = GroupPoseCriterion(read_sigmas(num_keypoints))
    logits = torch.from_numpy(golden[f'{case}/logits']).requires_grad_()
    flat = torch.from_numpy(golden[f'{case}/keypoints']).requires_grad_()
    points = flat[..., : 2 * num_keypoints].unflatten(2, (num_keypoints, 2))
    instances = read_instances(golden, f'{case}/', len(logits), num_keypoints)
    for i, own in enumerate(instances):
        pred = InstanceData(scores=logits[i], keypoints=points[i])
        cost = sum(c(pred, own) for c in criterion.assigner.match_costs)
        expected = golden[f'{case}/cost/{i}']
        np.testing.assert_allclose(
            cost.detach(), expected, atol=2e-5, rtol=2e-6
        )
    matches = criterion.match(logits[None], points[None], instances)
    for i, [(poses, rows)] in enumerate(matches):
        np.testing.assert_array_equal(poses, golden[f'{case}/match/{i}/query'])
        np.testing.assert_array_equal(rows, golden[f'{case}/match/{i}/target'])
    losses = criterion(logits[None], points[None], instances)
    for name, weight, official in (
        ('loss_cls', 2, 'loss_ce'),
        ('loss_keypoint', 10, 'loss_keypoints'),
        ('loss_oks', 4, 'loss_oks'),
    ):
        expected = weight * golden[f'{case}/loss/{official}']
        note('Group Pose', 'losses', losses[name], [expected])
        np.testing.assert_allclose(
            losses[name].detach().numpy(), [expected], rtol=2e-5, atol=1e-6
        )
    sum(loss.sum() for loss in losses.values()).backward()
    for tensor, name in ((logits, 'grad_logits'), (flat, 'grad_keypoints')):
        expected = torch.from_numpy(golden[f'{case}/{name}'])
        error = (tensor.grad - expected).norm()
        scale = max(expected.norm(), 1e-2)
        note('Group Pose', 'gradients', error, 0, scale)
        assert error <= 2e-5 * expected.norm() + 1e-7


def make_batch(num_stages: int = 3):
    torch.manual_seed(0)
    logits = torch.randn(num_stages, 2, 8, 2)
    keypoints = torch.rand(num_stages, 2, 8, 17, 2)
    instances = [
        InstanceData(
            keypoints=torch.rand(num, 17, 2),
            keypoints_visible=(torch.rand(num, 17) < 0.7).float(),
            areas=torch.rand(num) * 0.1 + 0.01,
            labels=torch.ones(num, dtype=torch.long),
        )
        for num in (3, 2)
    ]
    return logits, keypoints, instances


def test_stages_at_once_are_stages_one_by_one():
    criterion = GroupPoseCriterion(read_sigmas(17))
    logits, keypoints, instances = make_batch()
    together = criterion(logits, keypoints, instances)
    for i in range(3):
        alone = criterion(logits[i : i + 1], keypoints[i : i + 1], instances)
        for name, loss in alone.items():
            torch.testing.assert_close(together[name][i], loss[0])


def test_device_is_waited_for_once(monkeypatch):
    copies = []
    stock = torch.Tensor.cpu
    monkeypatch.setattr(
        torch.Tensor, 'cpu', lambda self: copies.append(1) or stock(self)
    )
    for name in ('item', 'tolist', '__bool__', 'nonzero'):
        monkeypatch.setattr(
            torch.Tensor,
            name,
            lambda *args, name=name: pytest.fail(f'{name} waits, too'),
        )
    GroupPoseCriterion(read_sigmas(17))(*make_batch())
    assert len(copies) == 1


def test_predictions_that_are_not_finite_give_a_loss_that_is_not():
    """AMP skips such a step; the authors' matcher raises."""
    logits, keypoints, instances = make_batch()
    keypoints[1, 0, 2] = float('nan')
    losses = GroupPoseCriterion(read_sigmas(17))(logits, keypoints, instances)
    assert losses['loss_cls'].isfinite().all()
    keypoints[1, 0] = float('nan')
    losses = GroupPoseCriterion(read_sigmas(17))(logits, keypoints, instances)
    assert losses['loss_keypoint'][1].isnan()
    assert losses['loss_keypoint'][[0, 2]].isfinite().all()


def test_sigmas_are_no_part_of_checkpoints():
    assert not GroupPoseCriterion(read_sigmas(14)).state_dict()
