"""Group Pose computes what the official code computes."""

import numpy as np
import pytest
import torch
from support.group_pose_goldens import CASES, Case, assert_near, run
from support.parity import note

from gtpt_mm.convert import (
    GROUP_POSE_NAMES,
    convert_group_pose,
    read_state_dicts,
)
from gtpt_mm.deploy.fuse import fuse_module


@pytest.fixture(params=CASES)
def case(request, group_pose_goldens):
    return Case(group_pose_goldens, request.param)


@pytest.fixture
def full_case(group_pose_goldens):
    return Case(group_pose_goldens, 'k17_h64_padded')


def test_predictions_match_authors(case):
    last = case.meta['dec_layers'] - 1
    model = case.build()
    with torch.no_grad():
        logits, keypoints = run(model, case)
    assert_near(logits, case[f'out/logits{last}'])
    expected = case.target_keypoints(f'out/keypoints{last}')
    assert_near(keypoints, expected, 5e-6)


def test_fused_head_matches_authors(case):
    model = case.build()
    model.head = fuse_module(model.head, None)
    last = case.meta['dec_layers'] - 1
    with torch.no_grad():
        _, keypoints = run(model, case)
    assert_near(keypoints, case.target_keypoints(f'out/keypoints{last}'), 5e-6)


@pytest.mark.parametrize('with_cp', [False, True])
def test_losses_and_gradients_match_authors(case, with_cp):
    model = case.build().train()
    model.head.encoder.with_cp = model.head.decoder.with_cp = with_cp
    feats = tuple(feat.requires_grad_() for feat in case.feats)
    losses = model.head.loss(model.neck(feats), case.make_samples())
    check_losses(losses, case)
    total = sum(losses.values())
    note('Group Pose', 'losses', total, case.arrays['loss/total'])
    assert total.item() == pytest.approx(case.arrays['loss/total'], rel=1e-4)
    total.backward()
    check_gradients({n: p.grad for n, p in model.named_parameters()}, case)
    for i, feat in enumerate(feats):
        expected = case[f'grad/in_feat{i}']
        error = (feat.grad - expected).norm()
        note('Group Pose', 'gradients', error, 0, expected.norm())
        assert error <= 1e-4 * expected.norm()


def check_gradients(grads: dict[str, torch.Tensor], case: Case) -> None:
    """Norms of all parameters; some element by element."""
    norms = {name: grad.norm().item() for name, grad in grads.items()}
    total = np.linalg.norm(list(norms.values()))
    assert total == pytest.approx(case.arrays['grad/total_norm'], rel=1e-4)
    largest = float(case['grad/norms'].max())
    official = zip(
        case.arrays['grad/names'].tolist(),
        case.arrays['grad/norms'].tolist(),
        strict=True,
    )
    for name, expected in official:
        norm = norms.pop(our_name(name))
        scale = max(expected, 1e-3 * largest)
        note('Group Pose', 'gradients', norm, expected, scale)
        assert norm == pytest.approx(expected, rel=1e-3, abs=1e-6 * largest)
    assert not norms
    for key in case.arrays:
        if key.startswith('grad/full/'):
            own = grads[our_name(key.removeprefix('grad/full/'))]
            expected = case[key]
            atol = 2e-4 * expected.abs().max().item()
            assert_near(own, expected, atol, 'gradients')


def our_name(name: str) -> str:
    """Return the name of a tensor, also of their second copy of the heads."""
    for copy in ('class_embed', 'pose_embed'):
        name = name.replace(f'transformer.decoder.{copy}', copy)
    return GROUP_POSE_NAMES.native(name)


def check_losses(losses: dict, case: Case) -> None:
    """All that are learned from; theirs also logs what is right or matched."""
    last = case.meta['dec_layers'] - 1
    suffixes = {'': '', 'enc_': '_interm'}
    suffixes |= {f'd{i}.': f'_{i}' for i in range(last)}
    names = dict(loss_cls='ce', loss_keypoint='keypoints', loss_oks='oks')
    assert len(losses) == len(suffixes) * len(names)
    for prefix, suffix in suffixes.items():
        for own, theirs in names.items():
            official = f'loss_{theirs}{suffix}'
            expected = (
                case.arrays[f'loss/{official}']
                * case.meta['loss_weights'][official]
            )
            actual = losses[f'{prefix}{own}'].item()
            note('Group Pose', 'losses', actual, expected)
            assert actual == pytest.approx(expected, rel=1e-4), official


def test_matches_are_those_of_the_authors(case):
    model = case.build()
    calls = []
    model.head.criterion.register_forward_hook(
        lambda module, args, out: calls.append(args)
    )
    model.head.loss(model.neck(tuple(case.feats)), case.make_samples())
    matches = model.head.criterion.match(*calls[0])
    last = case.meta['dec_layers'] - 1
    names = [f'aux{i}' for i in range(last)] + ['final', 'interm']
    for image, stages in enumerate(matches):
        for name, (poses, rows) in zip(names, stages, strict=True):
            path = f'match/{name}/{image}'
            np.testing.assert_array_equal(poses, case.arrays[f'{path}/query'])
            np.testing.assert_array_equal(rows, case.arrays[f'{path}/target'])


def test_postprocessing_matches_authors(case):
    model = case.build()
    samples = case.make_samples()
    num = case.meta['num_keypoints']
    with torch.no_grad():
        preds = model.head.predict(
            model.neck(tuple(case.feats)),
            samples,
            dict(num_select=case.meta['num_select']),
        )
    for i, (pred, sample) in enumerate(zip(preds, samples, strict=True)):
        instances = case.arrays[f'post/{i}/labels'] == 1
        scores = case.arrays[f'post/{i}/scores'][instances]
        height, width = case.arrays['in/orig_sizes'][i]
        points = case.arrays[f'post/{i}/keypoints'][instances]
        points = points.reshape(-1, num, 3)[..., :2] / (width, height)
        assert len(scores) > 0
        own = pred[: len(scores)]
        np.testing.assert_allclose(own.bbox_scores, scores, atol=2e-5)
        input_size = sample.metainfo['input_size']
        size = np.array((width, height))
        pixels = own.keypoints / input_size * size
        note('Group Pose', 'decoding', pixels, points * size, 1)
        np.testing.assert_allclose(
            own.keypoints / input_size, points, atol=5e-6
        )
        assert (own.keypoint_scores == own.bbox_scores[:, None]).all()
        np.testing.assert_array_equal(
            own.bboxes[:, 2:], own.keypoints.max(axis=1)
        )


def test_official_checkpoint_is_read(full_case, group_pose_goldens):
    path = group_pose_goldens / 'checkpoint_official_layout_k17_h64.pth'
    state_dict, _ = read_state_dicts(str(path))
    converted = convert_group_pose(state_dict)
    full_case.build().load_state_dict(converted, strict=True)
    for key, value in convert_group_pose(full_case.weights).items():
        note('Group Pose', 'checkpoints', converted[key], value)
        assert torch.equal(value, converted[key]), key
