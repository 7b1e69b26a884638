"""GTPT against outputs recorded from the authors' code."""

import numpy as np
import pytest
import torch
from mmengine.structures import InstanceData
from mmpose.registry import MODELS
from mmpose.structures import PoseDataSample
from support.parity import note

from gtpt_mm.codecs import UnroundedSimCCLabel
from gtpt_mm.convert import convert_gtpt, gtpt_names
from gtpt_mm.engine import CosineEMA

STEM = {'t': 128, 's': 256, 'b': (256, 384, 512)}
BODY = [range(0, 5), range(5, 11), range(11, 17)]
WHOLEBODY_PARTS = [
    [range(23, 91)],
    [range(91, 112), range(112, 133)],
    [range(17, 20), range(20, 23)],
]
MODELS_D32 = [
    f'{size}_{task}_d32_seed0'
    for size in 'tsb'
    for task in ('human', 'wholebody')
]
MODELS_FULL = [name.replace('d32_seed0', 'full_seed1') for name in MODELS_D32]
CODEC = dict(type='UnroundedSimCCLabel', input_size=(192, 256), sigma=4.0)


def build(meta: dict, keep_rate=None, dtype=torch.float64):
    """Build the model that a golden file was recorded from."""
    wholebody = meta['task'] == 'wholebody'
    groups = [
        dict(sparse=sparse, parts=parts if wholebody else [])
        for sparse, parts in zip(BODY, WHOLEBODY_PARTS, strict=True)
    ]
    channels = meta['dim']
    model = MODELS.build(
        dict(
            type='TopdownPoseEstimator',
            backbone=dict(
                type='GTPT',
                arch=dict(
                    embed_dims=channels, stem_channels=STEM[meta['variant']]
                ),
                keypoint_groups=groups,
                keep_rates=keep_rate or meta['keep_rate'],
            ),
            head=dict(
                type='GTPTHead',
                in_channels=channels,
                out_channels=133 if wholebody else 17,
                decoder=CODEC,
            ),
            test_cfg=dict(flip_test=True),
        )
    )
    return model.to(dtype)


def load(model, state_dict) -> None:
    model.load_state_dict(state_dict, strict=True)


def logits(model, img):
    with torch.no_grad():
        return model.head.forward(model.backbone(img))


def mark_patches(indices: torch.Tensor, num_patches: int = 256) -> np.ndarray:
    """Turn indices of kept patches (B, G, M) into booleans (B, G, N)."""
    marks = torch.zeros(*indices.shape[:2], num_patches + 1, dtype=torch.bool)
    marks.scatter_(2, indices.remainder(num_patches + 1), True)
    return marks[..., :num_patches].numpy()


@pytest.fixture(params=MODELS_D32 + MODELS_FULL)
def golden(request, gtpt_goldens):
    arrays = gtpt_goldens.npz(request.param)
    meta = gtpt_goldens.meta(arrays)
    state = gtpt_goldens.official_state_dict(meta['state_dict'], meta['seed'])
    img = torch.from_numpy(
        gtpt_goldens.rule.images(meta['batch'], meta['img_seed'])
    )
    return arrays, meta, state, img


@pytest.mark.parametrize('dtype', [torch.float32, torch.float64])
def test_eval_matches_authors(golden, dtype):
    arrays, meta, state, img = golden
    atol = 3e-7 * 4 if dtype == torch.float64 else 1e-4
    model = build(meta, dtype=dtype).eval()
    load(model, convert_gtpt(state, 'ema'))
    img = img.to(dtype)
    pred_x, pred_y = logits(model, img)
    note('GTPT', 'outputs', pred_x, arrays['eval_pred_x'])
    note('GTPT', 'outputs', pred_y, arrays['eval_pred_y'])
    np.testing.assert_allclose(pred_x, arrays['eval_pred_x'], 0, atol)
    np.testing.assert_allclose(pred_y, arrays['eval_pred_y'], 0, atol)
    with torch.no_grad():
        _, kept = model.backbone.trace_pruning(img)
    # The recordings count layers from 0.
    names = ['layer03', 'transition', 'layer09']
    assert [step.divides for step, _ in kept] == [False, True, False]
    assert [step.layer for step, _ in kept] == [4, 6, 10]
    for name, (_, indices) in zip(names, kept, strict=True):
        expected = arrays[f'eval_keep_{name}']
        marks = mark_patches(indices)
        np.testing.assert_array_equal(
            marks, expected.reshape(marks.shape), err_msg=name
        )


@pytest.mark.parametrize('name', MODELS_D32)
def test_unpruned_eval_matches_authors(name, gtpt_goldens):
    arrays = gtpt_goldens.npz(name)
    meta = gtpt_goldens.meta(arrays)
    model = build(meta, keep_rate=(1.0,) * 4).eval()
    state = gtpt_goldens.official_state_dict(meta['state_dict'], meta['seed'])
    load(model, convert_gtpt(state, 'ema'))
    img = gtpt_goldens.rule.images(meta['batch'], meta['img_seed'])
    pred = logits(model, torch.from_numpy(img).double())
    for axis, own in zip('xy', pred, strict=True):
        expected = arrays[f'eval_unpruned_pred_{axis}']
        own = own[..., :: meta['bin_step']]
        note('GTPT', 'outputs', own, expected)
        np.testing.assert_allclose(own, expected, 0, 1.2e-6)


def make_samples(arrays, img):
    codec = UnroundedSimCCLabel((192, 256), sigma=4.0)
    samples = []
    for joints, visible in zip(
        arrays['joints_xy'], arrays['joints_vis'], strict=True
    ):
        labels = codec.encode(joints[None].astype(np.float64), visible[None])
        sample = PoseDataSample()
        sample.gt_instance_labels = InstanceData(
            **{k: torch.from_numpy(v) for k, v in labels.items()}
        )
        samples.append(sample)
    return samples


def test_training_matches_authors(golden):
    """Both passes, loss, its parts, gradients, BatchNorm statistics."""
    arrays, meta, state, img = golden
    model = build(meta).train()
    load(model, convert_gtpt(state, 'model'))
    img = img.double()
    samples = make_samples(arrays, img)
    labels = [sample.gt_instance_labels for sample in samples]
    weights = torch.cat([label.keypoint_weights for label in labels])
    np.testing.assert_array_equal(weights, arrays['target_weight'][..., 0])
    targets = [
        torch.cat([label.keypoint_x_labels for label in labels]),
        torch.cat([label.keypoint_y_labels for label in labels]),
    ]
    check = [t.double().sum() for t in targets] + [t.max() for t in targets]
    np.testing.assert_allclose(check, arrays['target_check'], 1e-6)

    feats = model.extract_feat(img)
    step = meta['bin_step']
    for tokens, prefix in zip(
        feats, ('train_pred', 'train_entire_pred'), strict=True
    ):
        for axis, own in zip('xy', model.head((tokens,)), strict=True):
            own = own.detach()[..., ::step]
            expected = arrays[f'{prefix}_{axis}']
            note('GTPT', 'outputs', own, expected)
            np.testing.assert_allclose(own, expected, 0, 3e-6)
    losses = model.head.loss(feats, samples)
    total = sum(v for k, v in losses.items() if 'loss' in k)
    # Stored targets are float32: the loss agrees to their rounding.
    note('GTPT', 'losses', total, arrays['loss'])
    np.testing.assert_allclose(total.detach(), arrays['loss'], 1e-6)
    parts = arrays['loss_parts'].reshape(3, 2).sum(1)
    for key, expected in zip(
        ('loss_pruned', 'loss_unpruned', 'loss_g2l'), parts, strict=True
    ):
        note('GTPT', 'losses', losses[key], expected)
        np.testing.assert_allclose(losses[key].detach(), expected, 2e-6)

    total.backward()
    names = dict(
        zip(meta['grad_names'], arrays['grad_norms'].tolist(), strict=True)
    )
    largest = max(names.values())
    ours = {
        key: parameter.grad.norm().item()
        for key, parameter in model.named_parameters()
    }
    table = gtpt_names()
    renamed = {table.native(key): norm for key, norm in names.items()}
    assert set(renamed) == set(ours)
    for key, norm in renamed.items():
        scale = max(float(norm), 1e-3 * largest)
        note('GTPT', 'gradients', ours[key], norm, scale)
        assert abs(ours[key] - float(norm)) <= 1e-5 * scale, key

    norm = model.backbone.patch_embed.norm
    np.testing.assert_allclose(
        norm.running_mean, arrays['train_bn_running_mean'], 0, 1e-6
    )
    np.testing.assert_allclose(
        norm.running_var, arrays['train_bn_running_var'], 1e-5
    )
    first = model.backbone.stem.conv1[1]
    np.testing.assert_allclose(
        first.running_mean, arrays['train_bn0_running_mean'], 0, 1e-6
    )
    np.testing.assert_allclose(
        first.running_var, arrays['train_bn0_running_var'], 1e-5
    )


#: Of the recorded average: 300 epochs, which the authors fix, of 3 steps.
TOTAL_ITERS = 900


@pytest.mark.parametrize('task', ['human', 'wholebody'])
def test_three_training_steps_match_authors(task, gtpt_goldens):
    """Adam and the average, three steps: losses, weights, outputs."""
    arrays = gtpt_goldens.npz(f'train3_t_{task}_d32')
    meta = gtpt_goldens.meta(arrays)
    source = gtpt_goldens.npz(f't_{task}_d32_seed0')
    recorded = gtpt_goldens.meta(source)
    state = gtpt_goldens.official_state_dict(
        recorded['state_dict'], 7, lambda name: name.removeprefix('ema_')
    )
    model = build(recorded).train()
    load(model, convert_gtpt(state, 'model'))
    ema = CosineEMA(model, total_iters=TOTAL_ITERS)
    initial = {k: v.clone() for k, v in model.state_dict().items()}
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    rule, num_keypoints = gtpt_goldens.rule, model.head.out_channels
    for i in range(3):
        joints, visible = rule.joints(2, num_keypoints, 600 + i)
        img = torch.from_numpy(rule.images(2, 500 + i)).double()
        batch = dict(joints_xy=joints, joints_vis=visible)
        losses = model.loss(img, make_samples(batch, img))
        total = sum(v for k, v in losses.items() if 'loss' in k)
        note('GTPT', 'training steps', total, arrays['losses'][i])
        np.testing.assert_allclose(
            total.detach(), arrays['losses'][i], 1e-6, err_msg=f'step {i}'
        )
        np.testing.assert_allclose(
            1 - ema.momentum_at(i), arrays['ema_momentum'][i], 1e-9
        )
        optimizer.zero_grad()
        total.backward()
        optimizer.step()
        ema.update_parameters(model)

    img = torch.from_numpy(rule.images(2, 700)).double()
    for name, net in (('ema', ema.module), ('student', model)):
        pred = logits(net.eval(), img)
        for axis, own in zip('xy', pred, strict=True):
            own, expected = own[..., ::4], arrays[f'{name}_pred_{axis}']
            note('GTPT', 'training steps', own, expected)
            np.testing.assert_allclose(own, expected, 0, 2e-5)
    final = model.state_dict()
    table = gtpt_names()
    deltas = {
        table.native(name): norm
        for name, norm in zip(meta['names'], arrays['delta_norm'], strict=True)
        if not name.startswith('ema_')
    }
    for key, expected in deltas.items():
        if _absorbs_noise(model, key):
            continue
        moved = (final[key] - initial[key]).double().norm().item()
        scale = max(float(expected), 1e-3)
        note('GTPT', 'training steps', moved, expected, scale)
        np.testing.assert_allclose(
            moved, float(expected), 1e-3, 1e-6, err_msg=key
        )


def _absorbs_noise(model, key: str) -> bool:
    """Tell convolution biases under a BatchNorm, and that BatchNorm's mean.

    Such a bias has no gradient in theory; Adam moves it by rounding noise,
    and the running mean moves along.
    """
    if 'stem' not in key:
        return False
    name, leaf = key.rsplit('.', 1)
    is_conv = isinstance(model.get_submodule(name), torch.nn.Conv2d)
    return leaf == 'running_mean' or (leaf == 'bias' and is_conv)
