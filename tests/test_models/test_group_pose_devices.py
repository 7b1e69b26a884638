"""Group Pose on devices: copies that wait, weights in half precision."""

import importlib
from contextlib import nullcontext
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
import torch
from mmengine.structures import InstanceData, instance_data
from support.group_pose_small import (
    SHAPES,
    build_head,
    make_feats,
    make_samples,
)
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from gtpt_mm.layers.deform_attention import DeformableAttention
from gtpt_mm.models.task_modules import OKSCost

VARIANTS = dict(
    poses={},
    humans=dict(
        type='HumanGroupPoseHead',
        human_decoder=dict(num_humans=12, feedforward_dims=32),
    ),
)


@pytest.fixture(autouse=True, scope='module')
def _ablations():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(Path(__file__).resolve().parents[2])
        importlib.import_module('projects.group_pose_ablations.models')
        yield


class Transfers(TorchDispatchMode):
    """Counts operators that join the CPU with the device ``meta``.

    Numbers of no dimension are arguments of kernels and need no copy.
    """

    def __init__(self) -> None:
        super().__init__()
        self.names = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        kinds = {
            leaf.device.type
            for leaf in tree_leaves((args, kwargs, out))
            if isinstance(leaf, torch.Tensor) and leaf.ndim
        }
        if len(kinds) > 1:
            self.names.append(func.name())
        return out


@pytest.mark.parametrize('variant', VARIANTS)
@pytest.mark.parametrize('padded', [False, True])
def test_few_copies_to_the_device_and_none_back(variant, padded, monkeypatch):
    """But the one of the matching, which has a test of its own."""
    head = build_head(**VARIANTS[variant]).to('meta')
    feats = tuple(feat.to('meta') for feat in make_feats())
    samples = make_samples(((96, 128), (90, 100) if padded else (96, 128)))
    for sample in samples:  # as the data preprocessor
        labels = sample.gt_instance_labels.to('meta')
        sample.gt_instance_labels = labels
    # Neither autocast nor mmengine knows the device meta.
    monkeypatch.setattr(torch, 'autocast', lambda *_, **__: nullcontext())
    indices = instance_data.IndexType | torch.Tensor
    monkeypatch.setattr(instance_data, 'IndexType', indices)
    if variant == 'poses':  # mmdet's losses of boxes call it
        # It makes a copy that no dispatch mode sees.
        error = mock.Mock(side_effect=AssertionError('new_tensor waits'))
        monkeypatch.setattr(torch.Tensor, 'new_tensor', error, raising=False)
    with torch.no_grad(), Transfers() as forward:
        head(feats, samples)
    # Sizes of the levels, and of the images.
    assert len(forward.names) == 1 + padded
    match = np.arange(1), np.zeros(1, int)
    for criterion in (head.criterion, getattr(head, 'human_criterion', None)):
        if criterion:
            monkeypatch.setattr(
                criterion,
                'match',
                lambda logits, *_: [[match] * len(logits)] * 2,
            )
    with Transfers() as loss:
        losses = head.loss(feats, samples)
        sum(losses.values()).backward()
    # The matches of poses and boxes.
    num_criteria = 1 + (variant == 'humans')
    assert len(loss.names) == len(forward.names) + num_criteria
    assert set(loss.names) == {'aten::_to_copy'}


def test_sigmas_of_the_costs_are_copied_once():
    cost = OKSCost([0.05] * 5)
    instances = InstanceData(
        keypoints=torch.rand(3, 5, 2, device='meta'),
        keypoints_visible=torch.ones(3, 5, device='meta'),
        areas=torch.ones(3, device='meta'),
    )
    pred = InstanceData(keypoints=torch.rand(8, 5, 2, device='meta'))
    for expected in (1, 0):
        with Transfers() as transfers:
            cost(pred, instances)
        assert len(transfers.names) == expected


@pytest.mark.parametrize('dtype', [torch.bfloat16, torch.float16])
@pytest.mark.parametrize('padded', [False, True])
@pytest.mark.parametrize('variant', VARIANTS)
def test_weights_in_half_precision_predict_nearly_the_same(
    dtype, padded, variant
):
    """model.to(torch.bfloat16) works; reference points stay in 32 bits.

    Every token is a query: a choice among scores that are rounded would be
    another choice.
    """
    tokens = sum(h * w for h, w in SHAPES)
    options = dict(VARIANTS[variant], num_queries=tokens)
    if variant == 'humans':
        options['human_decoder'] = dict(num_humans=tokens, feedforward_dims=32)
    head = build_head(**options).eval()
    samples = make_samples(((96, 128), (90, 100) if padded else (96, 128)))
    orders, results, dtypes = [], [], set()
    for module in head.modules():
        if isinstance(module, DeformableAttention):
            module.register_forward_hook(
                lambda module, args, out: dtypes.add(args[2].dtype)
            )
    head.selector.register_forward_hook(
        lambda module, inputs, output: orders.append(output.indices)
    )
    if variant == 'humans':
        head.human_decoder.register_forward_hook(
            lambda module, inputs, output: orders.append(output.indices)
        )
    for dt in (torch.float32, dtype):
        head.to(dt)
        feats = tuple(feat.to(dt) for feat in make_feats())
        with torch.no_grad():
            logits, keypoints = head(feats, samples)
        assert logits.dtype == dt and keypoints.dtype == torch.float32
        poses = torch.cat(
            (logits[..., 1:].float().sigmoid(), keypoints.flatten(2)), dim=-1
        )
        order = orders[-1].argsort(dim=1)[..., None]
        results.append(poses.gather(1, order.expand_as(poses)))
    assert dtypes == {torch.float32}
    error = (results[1] - results[0]).abs()
    assert error.mean() < 2e-3 and error.max() < 0.05
