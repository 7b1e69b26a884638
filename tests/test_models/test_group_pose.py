"""Group Pose beyond the goldens: options, sizes, precision, export."""

import zlib
from contextlib import nullcontext
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmengine.structures import InstanceData, instance_data
from mmpose.models.heads.transformer_heads.transformers import (
    DeformableDetrTransformerEncoder,
    PositionEmbeddingSineHW,
)
from mmpose.registry import MODELS
from mmpose.structures import PoseDataSample
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from gtpt_mm.layers.deform_attention import DeformableAttention
from gtpt_mm.layers.deform_encoder import DeformableEncoder, TokenMaps
from gtpt_mm.layers.pos_embed import sine_point_embed, sine_pos_embed
from gtpt_mm.models import GroupPoseHead, prepare_for_inference
from gtpt_mm.models.task_modules import OKSCost

SHAPES = [(12, 16), (6, 8), (3, 4), (2, 2)]


def make_metainfo(num_keypoints: int) -> dict:
    return dict(
        dataset_name='points',
        keypoint_info={
            i: dict(name=f'k{i}', id=i, color=[0, 0, 0], type='', swap='')
            for i in range(num_keypoints)
        },
        skeleton_info={},
        joint_weights=[1.0] * num_keypoints,
        sigmas=[0.05] * num_keypoints,
    )


def build_head(
    num_keypoints: int = 5,
    num_queries: int = 6,
    encoder=None,
    decoder=None,
    **options,
):
    small = dict(num_layers=2, feedforward_dims=32)
    head = GroupPoseHead(
        make_metainfo(num_keypoints),
        embed_dims=32,
        num_queries=num_queries,
        num_heads=4,
        encoder=small | (encoder or {}),
        decoder=small | (decoder or {}),
        **options,
    )
    head.init_weights()
    for name, parameter in head.named_parameters():
        if 'mlp' in name or 'sampling_offsets.weight' in name:
            torch.nn.init.normal_(parameter, std=0.1)
    return head


def make_feats(batch: int = 2) -> tuple[torch.Tensor, ...]:
    generator = torch.Generator().manual_seed(3)
    return tuple(
        torch.randn(batch, 32, h, w, generator=generator) for h, w in SHAPES
    )


def make_samples(
    sizes=((96, 128), (90, 100)), num_people=(2, 1), num_keypoints=5
):
    rng = np.random.default_rng(4)
    samples = []
    for (h, w), num in zip(sizes, num_people, strict=True):
        sample = PoseDataSample(
            metainfo=dict(
                img_shape=(h, w),
                input_size=(w, h),
                batch_input_shape=(96, 128),
            )
        )
        points = rng.uniform(0, 1, (num, num_keypoints, 2)) * (w, h)
        sample.gt_instances = InstanceData(
            keypoints=points,
            keypoints_visible=np.ones((num, num_keypoints)),
            areas=rng.uniform(500, 2000, num),
        )
        samples.append(sample)
    return samples


# ------------------------------------------------ equal to mmpose's own parts


def test_encoder_is_mmposes():
    encoder = DeformableEncoder(32, 2, 64, num_heads=4)
    attn = dict(embed_dims=32, num_heads=4, dropout=0.0)
    ffn = dict(embed_dims=32, feedforward_channels=64)
    twin = DeformableDetrTransformerEncoder(
        2, dict(self_attn_cfg=attn, ffn_cfg=ffn)
    )
    for parameter in twin.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    names = {
        'norms.0': 'norm',
        'norms.1': 'ffn.norm',
        'ffn.layers.0.0': 'ffn.linear1',
        'ffn.layers.1': 'ffn.linear2',
    }
    weights = {}
    for key, value in twin.state_dict().items():
        for theirs, ours in names.items():
            if f'.{theirs}.' in key:
                key = key.replace(theirs, ours)
                break
        weights[key] = value
    encoder.load_state_dict(weights, strict=True)
    masks = []
    for h, w in SHAPES:
        mask = torch.zeros(2, h, w, dtype=torch.bool)
        mask[1, :, w * 3 // 4 :] = True
        masks.append(mask)
    maps = TokenMaps.with_padding(masks)
    x, pos = torch.randn(2, 2, sum(h * w for h, w in SHAPES), 32)
    sizes = torch.tensor(SHAPES)
    expected = twin(
        query=x,
        query_pos=pos,
        key_padding_mask=maps.hidden,
        spatial_shapes=sizes,
        level_start_index=sizes.prod(1).cumsum(0) - sizes.prod(1),
        valid_ratios=maps.valid_ratios,
    )
    actual = encoder(x, pos, maps)
    torch.testing.assert_close(actual, expected, atol=2e-5, rtol=1e-5)
    with torch.no_grad():  # in chunks
        torch.testing.assert_close(encoder(x, pos, maps), actual)


def test_positions_without_padding_are_mmposes():
    table = sine_pos_embed((5, 7), 32, temperature=20)
    stock = PositionEmbeddingSineHW(16, 20, 20, normalize=True)
    expected = stock(torch.zeros(1, 5, 7, dtype=torch.bool))
    expected = expected[0].flatten(1).T
    torch.testing.assert_close(table, expected, atol=1e-5, rtol=0)


def test_positions_of_points_are_those_of_cells():
    """At the far corner the axes are at their end."""
    corner = sine_point_embed(torch.ones(2), 32, temperature=20)
    table = sine_pos_embed((5, 7), 32, temperature=20)
    torch.testing.assert_close(corner, table[-1], atol=1e-5, rtol=0)


# -------------------------------------------------------------- training


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


def test_masked_attention_reads_the_pairs_of_the_groups():
    """Changing an instance's slot changes that slot of others, no other."""
    from gtpt_mm.layers.instance_attention import FlatSelfAttention

    attention = FlatSelfAttention(16, 2, masked=True)
    x = torch.randn(1, 3, 4, 16)
    changed = x.clone()
    changed[0, 0, 2] += 1
    moved = (attention(changed) - attention(x)).abs().amax(-1)[0] > 1e-6
    expected = torch.zeros(3, 4, dtype=torch.bool)
    expected[0], expected[:, 2] = True, True
    assert torch.equal(moved, expected)


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


# -------------------------------------------------------------- prediction


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


@pytest.mark.parametrize('variant', ['poses', 'humans'])
@pytest.mark.parametrize('padded', [False, True])
def test_few_copies_to_the_device_and_none_back(variant, padded, monkeypatch):
    """But the one of the matching, which has a test of its own."""
    humans = dict(num_humans=12, feedforward_dims=32)
    options = dict(human_decoder=humans) if variant == 'humans' else {}
    head = build_head(**options).to('meta')
    feats = tuple(feat.to('meta') for feat in make_feats())
    samples = make_samples(((96, 128), (90, 100) if padded else (96, 128)))
    for sample in samples:
        areas = torch.from_numpy(sample.gt_instances.pop('areas'))
        sample.gt_instances.bboxes = np.ones((len(areas), 4))
        # Where the data preprocessor puts it.
        labels = InstanceData(areas=areas.to('meta'))
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
    # People, and the matches of poses and boxes.
    num_criteria = 1 + (variant == 'humans')
    assert len(loss.names) == len(forward.names) + 1 + num_criteria
    assert set(loss.names) == {'aten::_to_copy'}


def test_sigmas_of_the_costs_are_copied_once():
    cost = OKSCost([0.05] * 5)
    people = InstanceData(
        keypoints=torch.rand(3, 5, 2, device='meta'),
        keypoints_visible=torch.ones(3, 5, device='meta'),
        areas=torch.ones(3, device='meta'),
    )
    pred = InstanceData(keypoints=torch.rand(8, 5, 2, device='meta'))
    for expected in (1, 0):
        with Transfers() as transfers:
            cost(pred, people)
        assert len(transfers.names) == expected


@pytest.mark.parametrize('dtype', [torch.bfloat16, torch.float16])
@pytest.mark.parametrize('padded', [False, True])
@pytest.mark.parametrize('variant', ['poses', 'humans'])
def test_weights_in_half_precision_predict_nearly_the_same(
    dtype, padded, variant, monkeypatch
):
    """model.to(torch.bfloat16) works; places stay in 32 bits.

    Every token is a query: a choice among scores that are rounded would be
    another choice.
    """
    tokens = sum(h * w for h, w in SHAPES)
    humans = dict(num_humans=tokens, feedforward_dims=32)
    options = dict(human_decoder=humans) if variant == 'humans' else {}
    head = build_head(num_queries=tokens, **options).eval()
    samples = make_samples(((96, 128), (90, 100) if padded else (96, 128)))
    attend, dtypes = DeformableAttention.attend, set()
    monkeypatch.setattr(
        DeformableAttention,
        'attend',
        lambda self, query, references, *rest: (
            dtypes.add(references.dtype)
            or attend(self, query, references, *rest)
        ),
    )
    orders, results = [], []
    head.selector.register_forward_hook(
        lambda module, inputs, output: orders.append(output.indices)
    )
    if head.human_decoder is not None:
        head.human_decoder.register_forward_hook(
            lambda module, inputs, output: orders.append(
                output.proposals.indices
            )
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
        place = orders[-1].argsort(dim=1)[..., None]
        results.append(poses.gather(1, place.expand_as(poses)))
    assert dtypes == {torch.float32}
    apart = (results[1] - results[0]).abs()
    assert apart.mean() < 2e-3 and apart.max() < 0.05


def test_one_image_alone_is_that_image_in_a_batch():
    head = build_head().eval()
    feats, samples = make_feats(), make_samples()
    with torch.no_grad():
        together = head.predict(feats, samples)
        for i, sample in enumerate(samples):
            maps = tuple(feat[i : i + 1] for feat in feats)
            [alone] = head.predict(maps, [sample])
            np.testing.assert_allclose(
                alone.keypoints, together[i].keypoints, atol=1e-3
            )


def test_padding_does_not_matter():
    """Whatever lies in the padding, and however much of it there is."""
    head = build_head().eval()
    feats = make_feats()
    sizes = ((96, 128), (96, 64))
    samples = make_samples(sizes)
    with torch.no_grad():
        expected = head.predict(feats, samples)[1]
        for feat in feats:
            feat[1, :, :, feat.shape[3] // 2 :] = 7
        actual = head.predict(feats, samples)[1]
    np.testing.assert_allclose(actual.keypoints, expected.keypoints, atol=1e-4)


def test_padded_maps_are_those_without_padding():
    """But for the positions of the queries, which tell the padding.

    The authors scale them by the part of the image that is not padding.
    """
    head = build_head().eval()
    last = head.decoder.pos_mlp.layers[-1]
    torch.nn.init.zeros_(last.weight), torch.nn.init.zeros_(last.bias)
    alone = tuple(feat[:1] for feat in make_feats())
    padded = tuple(
        torch.nn.functional.pad(feat, (0, feat.shape[3], 0, feat.shape[2]))
        for feat in alone
    )
    [sample] = make_samples([(96, 128)], [1])
    with torch.no_grad():
        [expected] = head.predict(alone, [sample])
        sample.set_metainfo(dict(batch_input_shape=(192, 256)))
        [actual] = head.predict(padded, [sample])
    for field in ('keypoints', 'bbox_scores'):
        np.testing.assert_allclose(
            actual[field], expected[field], rtol=1e-4, atol=1e-4
        )


def test_without_samples_nothing_is_padded():
    head = build_head().eval()
    sizes = ((96, 128), (96, 128))
    with torch.no_grad():
        expected = head(make_feats(), make_samples(sizes))
        actual = head(make_feats())
    assert torch.equal(actual[1], expected[1])


def test_prediction_is_sorted_selected_and_suppressed():
    head = build_head().eval()
    samples = make_samples()
    with torch.no_grad():
        [every, _] = head.predict(make_feats(), samples)
        [few, _] = head.predict(make_feats(), samples, dict(num_select=2))
        thr = float(every.bbox_scores[2])
        [good, _] = head.predict(make_feats(), samples, dict(score_thr=thr))
        [apart, _] = head.predict(make_feats(), samples, dict(nms_thr=0.0))
    assert (np.diff(every.bbox_scores) <= 0).all()
    assert len(every) == 6 and len(few) == 2 and len(good) == 2
    assert every.bboxes.shape == (6, 4)
    assert every.keypoint_scores.shape == (6, 5)
    for i, box in enumerate(apart.bboxes):
        others = np.delete(apart.bboxes, i, axis=0)
        overlap = np.minimum(box[2:], others[:, 2:]) - np.maximum(
            box[:2], others[:, :2]
        )
        assert (overlap.clip(0).prod(1) == 0).all()


def test_equal_scores_keep_the_order_of_the_queries(monkeypatch):
    """Each query once, also among more than 16, where topk would mix."""
    head = build_head()
    logits = torch.zeros(1, 40, 2)
    logits[0, 30, 1] = 1
    places = torch.arange(40) / 40
    keypoints = places[None, :, None, None].expand(1, 40, 5, 2)
    monkeypatch.setattr(head, 'forward', lambda *_: (logits, keypoints))
    [sample] = make_samples([(40, 40)], [1])
    for num_select, expected in (
        (40, [30, *range(30), *range(31, 40)]),
        (5, [30, 0, 1, 2, 3]),
    ):
        [pred] = head.predict(None, [sample], dict(num_select=num_select))
        places = pred.keypoints[:, 0, 0].round().astype(int)
        assert places.tolist() == expected


def test_prediction_runs_only_the_heads_that_it_needs():
    """One score, one move a layer, first poses of the selected tokens only.

    The loss also scores the other layers, and moves from what they alias.
    """
    head = build_head(decoder=dict(num_layers=3))
    counts = {}

    def count(name):
        def hook(module, inputs, output):
            counts[name] = counts.get(name, 0) + 1
            if name == 'proposer':
                assert inputs[0].shape == (2, 6, 32)  # of 256 tokens

        return hook

    for kind in ('fc_cls', 'pose_mlps'):
        for i, module in enumerate(getattr(head.decoder, kind)):
            module.register_forward_hook(count(f'{kind}.{i}'))
    head.proposer.mlp.register_forward_hook(count('proposer'))
    with torch.no_grad():
        head.eval().predict(make_feats(), make_samples())
    moves = {f'pose_mlps.{i}': 1 for i in range(3)}
    assert counts == {'proposer': 1, **moves, 'fc_cls.2': 1}
    counts.clear()
    head.train().loss(make_feats(), make_samples())
    assert [counts[f'fc_cls.{i}'] for i in range(3)] == [1, 1, 1]
    assert [counts[f'pose_mlps.{i}'] for i in range(3)] == [2, 2, 1]


def test_nobody_is_left_to_suppress():
    head = build_head().eval()
    test_cfg = dict(score_thr=1.0, nms_thr=0.5)
    with torch.no_grad():
        [pred, _] = head.predict(make_feats(), make_samples(), test_cfg)
    assert pred.keypoints.shape == (0, 5, 2)
    assert pred.bboxes.shape == (0, 4)


def build_small(**head) -> torch.nn.Module:
    init_default_scope('mmpose')
    model = Config.fromfile('configs/_base_/models/group_pose_res50.py').model
    model.backbone.update(depth=18, init_cfg=None)
    model.neck.update(in_channels=[128, 256, 512], out_channels=32)
    model.head.update(
        embed_dims=32,
        num_queries=6,
        encoder=dict(num_layers=1, feedforward_dims=32),
        decoder=dict(num_layers=1, feedforward_dims=32),
        **head,
    )
    model = MODELS.build(model)
    for name, parameter in model.head.named_parameters():
        if 'mlp' in name or 'sampling_offsets.weight' in name:
            torch.nn.init.normal_(parameter, std=0.1)
    return model.eval()


def test_estimator_maps_poses_to_the_image():
    model = build_small()
    [sample] = make_samples([(96, 128)], [1])
    sample.set_metainfo(
        dict(
            input_center=np.array([320.0, 240.0]),
            input_scale=np.array([640.0, 480.0]),
        )
    )
    images = torch.randn(1, 3, 96, 128)
    with torch.no_grad():
        [own] = model.head.predict(model.extract_feat(images), [sample])
        [result] = model(images, [sample], mode='predict')
        tensors = model(images, None, mode='tensor')
    pred = result.pred_instances
    np.testing.assert_allclose(pred.keypoints, own.keypoints * 5, rtol=1e-5)
    assert pred.keypoints_visible.shape == (6, 17)
    np.testing.assert_allclose(
        pred.bboxes[:, :2], pred.keypoints.min(axis=1), rtol=1e-5
    )
    assert tensors[0].shape == (1, 6, 2)


@pytest.mark.parametrize('prepared', [False, True])
def test_estimator_in_half_precision_predicts(prepared):
    """All modules are cast, also of an image that is padded."""
    model = build_small()
    if prepared:
        model = prepare_for_inference(model)
    model = model.to(torch.bfloat16)
    samples = make_samples(num_keypoints=17)
    for sample in samples:
        size = np.array(sample.metainfo['input_size'])
        sample.set_metainfo(dict(input_center=size / 2, input_scale=size))
    images = torch.randn(2, 3, 96, 128, dtype=torch.bfloat16)
    with torch.no_grad():
        results = model(images, samples, mode='predict')
    for result in results:
        poses = result.pred_instances
        assert poses.keypoints.shape == (6, 17, 2)
        assert np.isfinite(poses.keypoints).all()


def test_prepared_model_predicts_the_same():
    model = build_small()
    images = torch.randn(1, 3, 96, 128)
    fast = prepare_for_inference(model)
    with torch.no_grad():
        expected = model(images, None, mode='tensor')
        actual = fast(images, None, mode='tensor')
    for own, other in zip(actual, expected, strict=True):
        torch.testing.assert_close(own, other, atol=1e-4, rtol=1e-4)
    assert not any(
        isinstance(m, torch.nn.BatchNorm2d) for m in fast.backbone.modules()
    )


@pytest.mark.parametrize('opset', [16, 20])
def test_onnx_runtime_predicts_the_same(opset, tmp_path):
    onnxruntime = pytest.importorskip('onnxruntime')
    model = build_small()
    images = torch.randn(1, 3, 64, 96)
    with torch.no_grad():
        expected = model(images, None, mode='tensor')
        model.forward = model._forward
        torch.onnx.export(
            model,
            (images,),
            str(tmp_path / 'model.onnx'),
            opset_version=opset,
            dynamo=False,
        )
    session = onnxruntime.InferenceSession(str(tmp_path / 'model.onnx'))
    name = session.get_inputs()[0].name
    actual = session.run(None, {name: images.numpy()})
    for own, other in zip(actual, expected, strict=True):
        np.testing.assert_allclose(own, other, atol=1e-5)


# ------------------------------------------------------------------ errors


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (dict(self_attn='grouped'), "self_attn must .* got 'grouped'"),
        (dict(self_attn='masked', shared=True), 'got self_attn=.masked.'),
        (dict(query_types=()), 'query_types must'),
        (dict(across=('joint',)), 'across must be some'),
        (dict(query_types=('keypoint',)), "score_from must .* 'instance'"),
        (dict(pos_in_value=False), 'set aux_alias=False'),
        (dict(across=(), shared=True), 'shared=True needs both'),
    ],
)
def test_bad_options_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        build_head(decoder=options)


def test_bad_inputs_are_named():
    head = build_head()
    with pytest.raises(ValueError, match=r'got maps of \[32, 32, 32\]'):
        head(make_feats()[:3])
    with pytest.raises(ValueError, match='flip_test=False'):
        head.predict(make_feats(), make_samples(), dict(flip_test=True))
    small = tuple(feat[:, :, :1, :1] for feat in make_feats())
    with pytest.raises(ValueError, match='4 tokens cannot fill 6 queries'):
        head(small)
    humans = build_head(human_decoder=dict(num_humans=12))
    with pytest.raises(ValueError, match='fill 12 .* its num_humans'):
        humans(small)
    samples = make_samples()
    del samples[0].gt_instances.areas
    with pytest.raises(ValueError, match='no areas .*GroupPoseLabel'):
        head.loss(make_feats(), samples)
    samples = make_samples()
    areas = InstanceData(areas=torch.ones(3))
    samples[0].gt_instance_labels = areas
    with pytest.raises(ValueError, match='2 people of an image have 3 areas'):
        head.loss(make_feats(), samples)
    samples = make_samples(num_keypoints=4)
    with pytest.raises(ValueError, match=r'\(G, 5, 2\)'):
        head.loss(make_feats(), samples)
    samples = make_samples()
    samples[0].set_metainfo(dict(input_size=(96, 128)))
    with pytest.raises(ValueError, match='contradicts img_shape'):
        head.predict(make_feats(), samples)
    with pytest.raises(TypeError, match='num_layer'):
        build_head(decoder=dict(num_layer=3))


@pytest.mark.parametrize(
    ('name', 'giver'),
    [
        ('batch_input_shape', 'PoseDataPreprocessor'),
        ('img_shape', 'meta_keys'),
        ('input_size', 'GroupPoseResize'),
    ],
)
def test_sizes_that_a_sample_lacks_are_named(name, giver):
    [sample] = make_samples([(96, 128)], [1])
    sizes = {k: v for k, v in sample.metainfo.items() if k != name}
    feats = tuple(feat[:1] for feat in make_feats())
    lacking = PoseDataSample(metainfo=sizes)
    with pytest.raises(ValueError, match=f'has no {name}, .* by .*{giver}'):
        build_head().eval().predict(feats, [lacking])


@pytest.mark.parametrize('field', ['keypoints', 'keypoints_visible', 'bboxes'])
def test_people_that_a_sample_lacks_are_named(field):
    humans = dict(num_humans=12, feedforward_dims=32)
    head = build_head(human_decoder=humans)
    samples = make_samples()
    for sample in samples:
        people = sample.gt_instances
        people.bboxes = np.ones((len(people), 4))
        people.pop(field)
    with pytest.raises(ValueError, match=f'no {field} in gt_instances'):
        head.loss(make_feats(), samples)


def test_metainfo_of_a_file_that_is_not_there():
    """mmpose would take its own coco.py, with no more than a warning."""
    for metainfo in ('my/coco.py', dict(from_file='my/coco.py')):
        with pytest.raises(ValueError, match="'my/coco.py', does not exist"):
            GroupPoseHead(metainfo)
    head = GroupPoseHead('configs/_base_/datasets/crowdpose.py')
    assert head.num_keypoints == 14


# ------------------------------------------- recorded after the goldens agreed

RECORDED = Path(__file__).resolve().parents[1] / 'data/group_pose_small.npz'


def fill_by_name(module: torch.nn.Module) -> None:
    """Give every parameter values that only its name and shape decide."""
    for name, parameter in module.named_parameters():
        numbers = np.random.RandomState(zlib.crc32(name.encode()))
        values = numbers.standard_normal(tuple(parameter.shape)) * 0.3
        if 'norm' in name and name.endswith('weight'):
            values += 1
        parameter.data.copy_(torch.from_numpy(values))


def test_small_model_as_recorded():
    """Guards the numbers where the authors' recordings are not at hand."""
    head = build_head().eval()
    fill_by_name(head)
    numbers = np.random.RandomState(0)
    feats = tuple(
        torch.from_numpy(numbers.standard_normal((2, 32, h, w))).float()
        for h, w in SHAPES
    )
    with torch.no_grad():
        logits, keypoints = head(feats, make_samples())
        losses = head.loss(feats, make_samples())
    actual = dict(
        logits=logits.numpy(),
        keypoints=keypoints.numpy(),
        losses=np.array([losses[name].item() for name in sorted(losses)]),
    )
    with np.load(RECORDED) as recorded:
        for name, values in actual.items():
            np.testing.assert_allclose(
                values, recorded[name], atol=1e-4, rtol=1e-4
            )
