"""Group Pose computes what the authors' code computes."""

import json
import zlib

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmengine.structures import InstanceData
from mmpose.models.necks import ChannelMapper
from mmpose.registry import MODELS
from mmpose.structures import PoseDataSample
from torch import nn

from gtpt_mm.convert import (
    convert_group_pose,
    our_group_pose_name,
    read_state_dicts,
    revert_group_pose,
)
from gtpt_mm.models import GroupPoseHead

CASES = (
    'k17_h64_padded',
    'k17_h64_nopad_b1',
    'k17_h64_emptyimg',
    'k14_h64_padded',
    'k17_h256_padded',
)
METAINFO = {
    num: f'configs/_base_/datasets/{name}.py'
    for num, name in {17: 'coco', 14: 'crowdpose'}.items()
}


class Case:
    """A recorded run of the authors' model on given maps."""

    def __init__(self, folder, name: str) -> None:
        with np.load(folder / f'{name}.npz') as arrays:
            self.arrays = dict(arrays)
        self.meta = json.loads(str(self.arrays['meta']))
        with np.load(folder / f'{self.meta["weights"]}.npz') as arrays:
            self.weights = {
                key: torch.from_numpy(arrays[key]).float() for key in arrays
            }
        self.feats = [self[f'in/feat{i}'].float() for i in range(3)]

    def __getitem__(self, key: str) -> torch.Tensor:
        return torch.from_numpy(self.arrays[key])

    def build(self, **options) -> nn.ModuleDict:
        meta = self.meta
        layers = dict(feedforward_dims=meta['dim_feedforward'])
        model = nn.ModuleDict(
            dict(
                neck=ChannelMapper(
                    meta['backbone_channels'],
                    meta['hidden_dim'],
                    kernel_size=1,
                    norm_cfg=dict(type='GN', num_groups=32),
                    act_cfg=None,
                    num_outs=4,
                    bias=True,
                ),
                head=GroupPoseHead(
                    METAINFO[meta['num_keypoints']],
                    embed_dims=meta['hidden_dim'],
                    num_queries=meta['num_queries'],
                    encoder=dict(num_layers=meta['enc_layers'], **layers),
                    decoder=dict(num_layers=meta['dec_layers'], **layers),
                    **options,
                ),
            )
        )
        converted = convert_group_pose(self.weights)
        model.load_state_dict(converted, strict=True)
        return model.eval()

    def make_samples(self) -> list[PoseDataSample]:
        num = self.meta['num_keypoints']
        samples = []
        for i, (h, w) in enumerate(self.arrays['in/img_shapes'].tolist()):
            sample = PoseDataSample(
                metainfo=dict(
                    img_shape=(h, w),
                    input_size=(w, h),
                    batch_input_shape=tuple(self.arrays['in/batch_shape']),
                )
            )
            flat = self.arrays[f'tgt/{i}/keypoints']
            sample.gt_instances = InstanceData(
                keypoints=flat[:, : 2 * num].reshape(len(flat), num, 2)
                * (w, h),
                keypoints_visible=flat[:, 2 * num :],
            )
            sample.gt_instance_labels = InstanceData(
                areas=self[f'tgt/{i}/area'] * (w * h)
            )
            samples.append(sample)
        return samples

    def target_keypoints(self, key: str) -> torch.Tensor:
        num = self.meta['num_keypoints']
        return self[key][..., : 2 * num].unflatten(-1, (num, 2))


@pytest.fixture(params=CASES)
def case(request, group_pose_goldens):
    return Case(group_pose_goldens, request.param)


@pytest.fixture
def full_case(group_pose_goldens):
    return Case(group_pose_goldens, 'k17_h64_padded')


def assert_near(actual, expected, atol=2e-5) -> None:
    torch.testing.assert_close(actual.detach(), expected, atol=atol, rtol=1e-5)


def run(model, case) -> tuple:
    return model.head(model.neck(tuple(case.feats)), case.make_samples())


def test_predictions_match_authors(case):
    last = case.meta['dec_layers'] - 1
    model = case.build()
    with torch.no_grad():
        logits, keypoints = run(model, case)
    assert_near(logits, case[f'out/logits{last}'])
    expected = case.target_keypoints(f'out/keypoints{last}')
    assert_near(keypoints, expected, 5e-6)
    with torch.enable_grad():  # tokens at once, not in chunks
        assert_near(run(model, case)[1], expected, 5e-6)


def test_folded_head_matches_authors(case):
    model = case.build()
    model.head.fold_for_inference()
    last = case.meta['dec_layers'] - 1
    with torch.no_grad():
        _, keypoints = run(model, case)
    assert_near(keypoints, case.target_keypoints(f'out/keypoints{last}'), 5e-6)


def record(module: nn.Module, seen: list) -> None:
    module.register_forward_hook(lambda m, args, out: seen.append(out))


def test_every_step_matches_authors(full_case):
    case = full_case
    model = case.build()
    head, decoder = model.head, model.head.decoder
    steps = {
        'selected': head.selector,
        'queries': decoder.queries,
        'pos': decoder.pos_mlp,
        'memory': head.encoder,
        'enc0': head.encoder.layers[0],
        'points': head.proposer,
    }
    for i, layer in enumerate(decoder.layers):
        steps[f'dec{i}_within'] = layer.self_attn.within_norm
        steps[f'dec{i}_across'] = layer.self_attn.across_norm
        steps[f'dec{i}_cross'] = layer.norm
        steps[f'dec{i}_out'] = layer
    seen = {name: [] for name in steps}
    for name, module in steps.items():
        record(module, seen[name])
    references = []
    stock = decoder._look
    decoder._look = lambda points, maps: (
        references.append(points) or stock(points, maps)
    )
    feats = model.neck(tuple(case.feats))
    for i, feat in enumerate(feats):
        assert_near(feat, case[f'mid/src{i}'], 1e-6)
    with torch.no_grad():
        logits, keypoints, enc_logits, points, _ = head._run(
            feats, case.make_samples(), all_layers=True
        )
    for i in range(2):
        assert_near(logits[i], case[f'out/logits{i}'])
        expected = case.target_keypoints(f'out/keypoints{i}')
        assert_near(keypoints[i], expected, 5e-6)
        assert_near(seen['pos'][i], case[f'mid/dec{i}_query_pos'])
        expected = case[f'mid/reference{i}'].unflatten(2, (18, 2))
        assert_near(references[i], expected[:, :, 1:], 5e-6)
        for step in ('within', 'across', 'cross', 'out'):
            [own] = seen[f'dec{i}_{step}']
            assert_near(own, case[f'mid/dec{i}_{step}'])
    assert_near(enc_logits, case['out/interm_logits'])
    assert_near(points.flatten(2), case['out/interm_keypoints'], 5e-6)
    hidden = torch.cat(
        [case[f'mid/mask{i}'].flatten(1) for i in range(4)], dim=1
    )
    [encoded], [memory] = seen['enc0'], seen['memory']
    assert_near(encoded[~hidden], case['mid/enc0'][~hidden])
    assert_near(memory, case['mid/memory'])
    [selected], [queries] = seen['selected'], seen['queries']
    assert torch.equal(selected.indices, case['mid/topk_indices'])
    assert_near(queries, case['mid/init_queries'])


@pytest.mark.parametrize('with_cp', [False, True])
def test_losses_and_gradients_match_authors(case, with_cp):
    model = case.build().train()
    model.head.encoder.with_cp = model.head.decoder.with_cp = with_cp
    feats = tuple(feat.requires_grad_() for feat in case.feats)
    losses = model.head.loss(model.neck(feats), case.make_samples())
    check_losses(losses, case)
    sum(losses.values()).backward()
    grads = {name: p.grad for name, p in model.named_parameters()}
    largest = float(case['grad/norms'].max())
    norms = zip(
        case.arrays['grad/names'].tolist(),
        case.arrays['grad/norms'].tolist(),
        strict=True,
    )
    for name, expected in norms:
        name = name.replace('transformer.decoder.class_embed', 'class_embed')
        name = name.replace('transformer.decoder.pose_embed', 'pose_embed')
        grad = grads.pop(our_group_pose_name(name)).norm().item()
        assert grad == pytest.approx(expected, rel=1e-3, abs=1e-6 * largest)
    assert not grads
    for i, feat in enumerate(feats):
        expected = case[f'grad/in_feat{i}']
        error = (feat.grad - expected).norm()
        assert error <= 1e-4 * expected.norm()


def check_losses(losses: dict, case: Case) -> None:
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
            assert actual == pytest.approx(expected, rel=1e-4), official


def test_matches_are_those_of_the_authors(case):
    model = case.build()
    seen = []
    stock = model.head.criterion.match
    model.head.criterion.match = lambda *args: (
        seen.append(stock(*args)) or seen[-1]
    )
    model.head.loss(model.neck(tuple(case.feats)), case.make_samples())
    last = case.meta['dec_layers'] - 1
    names = [f'aux{i}' for i in range(last)] + ['final', 'interm']
    for image, heads in enumerate(seen[0]):
        for name, (poses, rows) in zip(names, heads, strict=True):
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
        people = case.arrays[f'post/{i}/labels'] == 1
        scores = case.arrays[f'post/{i}/scores'][people]
        height, width = case.arrays['in/orig_sizes'][i]
        points = case.arrays[f'post/{i}/keypoints'][people]
        points = points.reshape(-1, num, 3)[..., :2] / (width, height)
        assert len(scores) > 0
        own = pred[: len(scores)]
        np.testing.assert_allclose(own.bbox_scores, scores, atol=2e-5)
        input_size = sample.metainfo['input_size']
        np.testing.assert_allclose(
            own.keypoints / input_size, points, atol=5e-6
        )
        assert (own.keypoint_scores == own.bbox_scores[:, None]).all()
        np.testing.assert_array_equal(
            own.bboxes[:, 2:], own.keypoints.max(axis=1)
        )


@pytest.mark.parametrize(
    'name', ['resnet50', 'swin_T_224_1k'], ids=['r50', 'swin-t']
)
def test_full_size_matches_authors(name, group_pose_goldens):
    """Backbone, neck and head of the paper; weights by a rule."""
    path = group_pose_goldens / f'fullsize_{name}_formula.npz'
    with np.load(path) as arrays:
        golden = dict(arrays)
    meta = json.loads(str(golden['meta']))
    keys = json.loads((group_pose_goldens / f'keys_{name}.json').read_text())
    model = MODELS.build(full_size_config(name)).eval()
    own = model.state_dict()
    official = {
        key: fill_by_rule(key, shape, meta['salt'])
        for key, shape in keys.items()
    }
    converted = convert_group_pose(official)
    for key in converted:
        if key.endswith('relative_position_index'):
            converted[key] = own[key]
    model.load_state_dict(converted, strict=True)
    images = torch.from_numpy(golden['images']).float()
    samples = [
        PoseDataSample(
            metainfo=dict(
                img_shape=tuple(shape),
                batch_input_shape=tuple(images.shape[2:]),
            )
        )
        for shape in golden['img_shapes'].tolist()
    ]
    selected, memories = [], []
    record(model.head.selector, selected)
    record(model.head.encoder, memories)
    with torch.no_grad():
        feats = model.backbone(images)
        for i, feat in enumerate(feats):
            expected = torch.from_numpy(golden[f'backbone_mean{i}'])
            assert_near(feat.mean((2, 3)), expected, 5e-5)
        logits, keypoints = model.head(model.neck(feats), samples)
    expected = torch.from_numpy(golden['memory_slice'])
    assert_near(memories[0][:, ::37, ::8], expected, 5e-5)
    for i in range(len(images)):
        best = selected[0].indices[i]
        theirs = torch.from_numpy(golden['topk_indices'][i])
        assert set(best.tolist()) == set(theirs.tolist())
        rows, their_rows = best.argsort(), theirs.argsort()
        expected = torch.from_numpy(golden['pred_logits'][i])
        assert_near(logits[i][rows], expected[their_rows], 5e-5)
        expected = torch.from_numpy(golden['pred_keypoints'][i])[:, :34]
        assert_near(keypoints[i][rows].flatten(1), expected[their_rows], 1e-5)


def full_size_config(name: str) -> dict:
    stem = dict(resnet50='res50', swin_T_224_1k='swin-t')[name]
    path = f'configs/_base_/models/group_pose_{stem}.py'
    init_default_scope('mmpose')
    model = Config.fromfile(path).model
    model.backbone.init_cfg = None
    return model


def fill_by_rule(key: str, shape: list[int], salt: int) -> torch.Tensor:
    """Return the weights that the goldens' README prescribes."""
    for copy in ('class_embed', 'pose_embed'):
        key = key.replace(f'transformer.decoder.{copy}', copy)
    if key.endswith('relative_position_index'):
        return torch.zeros(shape, dtype=torch.long)
    seed = (zlib.crc32(key.encode()) + salt) % 2**32
    g = np.random.RandomState(seed).standard_normal(int(np.prod(shape)))
    g = g.astype(np.float32).reshape(shape)
    if key.endswith('running_var'):
        g = 1 + 0.1 * np.abs(g)
    elif key.endswith(('running_mean', 'relative_position_bias_table')):
        g = 0.1 * g
    elif key.endswith('sampling_offsets.bias'):
        g = 1.5 * g
    elif key.endswith(('embedding.weight', 'level_embed')):
        g = 0.5 * g
    elif g.ndim == 1:
        g = 1 + 0.1 * g if key.endswith('weight') else 0.05 * g
    else:
        g = g / np.sqrt(np.prod(shape[1:]))
    return torch.from_numpy(np.asarray(g, np.float32))


@pytest.mark.parametrize('name', ['resnet50', 'swin_T_224_1k'])
def test_official_names_survive_both_ways(name, group_pose_goldens):
    keys = json.loads((group_pose_goldens / f'keys_{name}.json').read_text())
    official = {key: fill_by_rule(key, keys[key], 3) for key in keys}
    back = revert_group_pose(convert_group_pose(official))
    assert set(back) == set(official)
    for key, value in official.items():
        assert torch.equal(back[key], value), key


def test_official_checkpoint_is_read(full_case, group_pose_goldens):
    path = group_pose_goldens / 'checkpoint_official_layout_k17_h64.pth'
    state_dict, _ = read_state_dicts(str(path))
    converted = convert_group_pose(state_dict)
    full_case.build().load_state_dict(converted, strict=True)
    for key, value in convert_group_pose(full_case.weights).items():
        assert torch.equal(value, converted[key]), key
