"""Group Pose of full size computes what the official code computes."""

import json
import zlib

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmpose.registry import MODELS
from mmpose.structures import PoseDataSample
from support.group_pose_goldens import assert_near, record
from support.parity import note

from gtpt_mm.convert import convert_group_pose, export_group_pose


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
    selected, memories, scored, proposed = [], [], [], []
    record(model.head.selector, selected)
    record(model.head.encoder, memories)
    record(model.head.selector.fc_cls, scored)
    record(model.head.proposer, proposed)
    with torch.no_grad():
        feats = model.backbone(images)
        for i, feat in enumerate(feats):
            expected = torch.from_numpy(golden[f'backbone_mean{i}'])
            assert_near(feat.mean((2, 3)), expected, 5e-5)
            expected = torch.from_numpy(golden[f'backbone_absmax{i}'])
            assert_near(feat.abs().amax((2, 3)), expected, 2e-4)
        logits, keypoints = model.head(model.neck(feats), samples)
    expected = torch.from_numpy(golden['memory_slice'])
    assert_near(memories[0][:, ::37, ::8], expected, 5e-5)
    expected = torch.from_numpy(golden['interm_logits'])  # of all tokens
    assert_near(scored[0], expected, 5e-5)
    scores = scored[0].amax(-1).sort(descending=True).values[:, :101]
    assert_near(scores, torch.from_numpy(golden['topk_scores']), 5e-5)
    for i in range(len(images)):
        best = selected[0].indices[i]
        theirs = torch.from_numpy(golden['topk_indices'][i])
        assert set(best.tolist()) == set(theirs.tolist())
        rows, their_rows = best.argsort(), theirs.argsort()
        expected = torch.from_numpy(golden['interm_keypoints'][i])
        own = proposed[0][i][rows].flatten(1)
        assert_near(own, expected[their_rows], 1e-5)
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
    model.head.metainfo = 'configs/_base_/datasets/coco.py'
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
    back = export_group_pose(convert_group_pose(official))
    assert set(back) == set(official)
    for key, value in official.items():
        note('Group Pose', 'checkpoints', back[key], value)
        assert torch.equal(back[key], value), key
