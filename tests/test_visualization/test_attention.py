"""Attention maps: the weights that the model applies, on the right patch."""

import numpy as np
import pytest
import torch
from torch import nn

from gtpt_mm.models import GTPT
from gtpt_mm.visualization import trace_attention
from gtpt_mm.visualization.attention import shade_attention

BODY_GROUPS = [dict(sparse=[0, 3, 2]), dict(sparse=[1, 4])]
DENSE_GROUPS = [
    dict(sparse=[0, 3], parts=[[5, 6, 7]]),
    dict(sparse=[1, 2], parts=[[8], [9, 10]]),
    dict(sparse=[4]),
]
ONE_GROUP = [dict(sparse=[0, 1, 2], parts=[[3, 4]])]


def make(groups=DENSE_GROUPS, **kwargs):
    settings = dict(
        arch=dict(embed_dims=64, stem_channels=16),
        img_size=(128, 96),  # 8 x 8 patches
        keep_rates=(1.0, 0.7, 0.5, 0.3),
        keypoint_groups=groups,
        depth=8,
        num_heads=4,
        qk_init_gain=4.0,  # attention that differs between patches
    )
    return GTPT(**(settings | kwargs)).eval()


@pytest.fixture
def img():
    return torch.randn(2, 3, 128, 96)


class PlainAttention:
    """Attention written down in full, which remembers its weights."""

    def __init__(self):
        self.weights = []

    def __call__(self, q, k, v, attn_mask=None, scale=None):
        logits = scale * torch.einsum('bhqc,bhkc->bhqk', q, k)
        if attn_mask is not None:
            logits = logits.masked_fill(~attn_mask, -torch.inf)
        weights = torch.exp(logits - logits.amax(-1, keepdim=True))
        weights = weights / weights.sum(-1, keepdim=True)
        self.weights.append(weights)
        return torch.einsum('bhqk,bhkc->bhqc', weights, v)


def place_in_group(model, keypoint):
    """Return group, row among the queries of the group in fine layers."""
    groups = model.groups
    slots = max(map(len, groups.group_sparse))
    for g, sparse in enumerate(groups.group_sparse):
        if keypoint in sparse:
            return g, sparse.index(keypoint)
        dense = [i for part in groups.group_parts[g] for i in part]
        if keypoint in dense:
            return g, slots + dense.index(keypoint)
    raise AssertionError(keypoint)


def row_in_coarse(model, layer, keypoint):
    groups = model.groups
    if model.introduction == 'human-sparse-dense' and layer <= 2:
        return 0
    if model.introduction == 'dense':
        return (groups.dense + groups.sparse).index(keypoint)
    if keypoint in groups.sparse:
        return groups.num_parts + groups.sparse.index(keypoint)
    return next(i for i, part in enumerate(groups.parts) if keypoint in part)


def patches_before(kept, layer, image, group):
    """Return the patch of each image row that a layer reads."""
    after = dict(layer2=3, transition=4, layer6=7)
    steps = [s.places for s in kept if after[s.stage] <= layer]
    return steps[-1][image, group].tolist() if steps else list(range(64))


@pytest.mark.parametrize('pruned', [True, False])
@pytest.mark.parametrize(
    'settings',
    [
        dict(groups=BODY_GROUPS),
        dict(),
        dict(groups=ONE_GROUP),
        dict(share_sparse=False),
        dict(displace=False),
        dict(introduction='sparse-dense'),
        dict(introduction='dense'),
        dict(with_shortcuts=False),
    ],
    ids=lambda settings: '-'.join(settings) or 'dense-keypoints',
)
def test_maps_are_what_the_model_applies(settings, pruned, img, monkeypatch):
    model = make(**settings)
    plain = PlainAttention()
    monkeypatch.setattr(nn.functional, 'scaled_dot_product_attention', plain)
    keypoints = list(range(model.groups.num_keypoints))
    maps = trace_attention(model, img, keypoints, pruned)
    assert maps.shape == (8, 2, len(keypoints), 8, 8)

    if not pruned:
        model.set_keep_rates((1, 1, 1, 1))
    kept = model.trace_pruning(img)[1]
    assert len(plain.weights) == 16  # of two runs
    for layer, weights in enumerate(plain.weights[:8]):
        torch.testing.assert_close(
            weights.sum(-1), torch.ones(weights.shape[:-1])
        )
        weights = weights.unflatten(0, (2, -1)).mean(2)  # (B, G, rows, keys)
        for image in range(2):
            for keypoint in keypoints:
                group, row = 0, row_in_coarse(model, layer, keypoint)
                if layer >= 4:
                    group, row = place_in_group(model, keypoint)
                patches = patches_before(kept, layer, image, group)
                expected = torch.full((64,), torch.nan)
                own = weights[image, group, row]
                num_others = len(own) - len(patches)
                for weight, patch in zip(
                    own[num_others:], patches, strict=True
                ):
                    if patch >= 0:
                        expected[patch] = weight
                torch.testing.assert_close(
                    maps[layer, image, keypoint].flatten(),
                    expected,
                    equal_nan=True,
                    msg=lambda m, at=(layer, image, keypoint): f'{at}: {m}',
                )


def test_patches_vanish_where_they_are_pruned(img):
    model = make()
    exists = ~trace_attention(model, img, [0, 4, 5, 8]).isnan()
    counts = exists.flatten(3).sum(3)  # (L, B, P)
    # The pruning layers 3 and 7 (counted from 1) read what they prune. Of 32
    # and 19 rows, 3 are dense keypoints in the groups of 0, 5 and 8.
    assert counts[:3].unique().tolist() == [64]
    assert counts[3].unique().tolist() == [44]
    for layer, num_rows in ((4, 32), (5, 32), (6, 32), (7, 19)):
        expected = torch.tensor([num_rows - 3, num_rows] + 2 * [num_rows - 3])
        assert torch.equal(counts[layer], expected.expand(2, -1)), layer
    for before, after in zip(exists[:-1], exists[1:], strict=True):
        assert (before | ~after).all()


def test_unpruned_maps_equal_those_of_a_model_that_never_prunes(img):
    model = make(BODY_GROUPS)
    maps = trace_attention(model, img, [0, 1, 4], pruned=False)
    assert not maps.isnan().any()
    full = make(BODY_GROUPS, keep_rates=(1, 1, 1, 1))
    full.load_state_dict(model.state_dict())
    torch.testing.assert_close(
        maps, trace_attention(full, img, [0, 1, 4]), rtol=0, atol=0
    )


def test_images_of_a_batch_are_independent(img):
    model = make()
    both = trace_attention(model, img, [1, 6])
    alone = trace_attention(model, img[1:], [1, 6])
    torch.testing.assert_close(
        both[:, 1:], alone, equal_nan=True, rtol=1e-4, atol=1e-6
    )


def test_tracing_leaves_the_model_as_it_was(img):
    model = make()
    keeps, before = model.num_keeps, model(img)[0]
    for pruned in (True, False):
        trace_attention(model, img, [0], pruned)
    assert model.num_keeps is keeps
    assert all(not layer.attn._forward_pre_hooks for layer in model.layers)
    torch.testing.assert_close(model(img)[0], before, rtol=0, atol=0)
    with pytest.raises(ValueError, match='128, 96'):
        trace_attention(model, img[..., :48], [0])
    assert all(not layer.attn._forward_pre_hooks for layer in model.layers)


def test_convention_a_keypoint_that_seeks_a_patch_shows_it_there():
    """Row y, column x: patches are one-hot tokens, keypoints ask for one."""
    model = make(with_group_mask=False)
    targets = {0: (1, 6), 2: (5, 0), 4: (7, 3), 6: (2, 2), 9: (6, 5)}
    spot = {p: 8 * y + x for p, (y, x) in targets.items()}
    eye = torch.eye(64)
    with torch.no_grad():
        for layer in model.layers:
            layer.attn.qkv.weight.copy_(torch.cat((eye, eye, 0 * eye)))
            for last in (layer.attn.proj, layer.mlp.fc2):
                nn.init.zeros_(last.weight)
                nn.init.zeros_(last.bias)
        nn.init.zeros_(model.patch_embed.proj.weight)
        nn.init.zeros_(model.patch_embed.proj.bias)
        model.pos_table.copy_(100 * eye)
        # The human token asks for all of them, so that they are kept.
        for token in (model.human_token, model.sparse_embed):
            nn.init.zeros_(token)
        nn.init.zeros_(model.part_embed)
        nn.init.zeros_(model.dense_embed)
        model.human_token[0, 0, list(spot.values())] = 1
        for row, keypoint in enumerate(model.groups.sparse):
            if keypoint in spot:
                model.sparse_embed[0, row, spot[keypoint]] = 9
        for keypoint in (6, 9):
            row = model.groups.dense.index(keypoint)
            part = model.part_of_dense[row]
            model.part_embed[0, part, spot[keypoint]] = 9
    maps = trace_attention(model, torch.zeros(1, 3, 128, 96), list(spot))
    human = maps[0, 0].flatten(1).topk(5).indices.sort(1).values
    assert human.tolist() == [sorted(spot.values())] * 5
    for layer in range(3, 8):
        best = maps[layer, 0].nan_to_num(-1).flatten(1).argmax(1)
        assert best.tolist() == list(spot.values()), layer


def test_half_precision_still_sums_to_at_most_one(img):
    model = make()
    with torch.autocast('cpu', torch.bfloat16):
        maps = trace_attention(model, img, [0, 7])
    assert maps.dtype == torch.float32
    assert (maps.nansum((3, 4)) <= 1 + 1e-5).all()


def test_errors_name_the_value(img):
    model = make()
    with pytest.raises(ValueError, match='no keypoint 11.*0..10'):
        trace_attention(model, img, [11])
    with pytest.raises(ValueError, match='training mode'):
        trace_attention(model.train(), img, [0])


def test_shading_shows_the_largest_weight_and_pruned_patches_in_grey():
    weights = torch.tensor([[0.02, 0.1], [0.0, torch.nan]])
    img = np.full((40, 20, 3), (200, 120, 90), np.uint8)
    shaded = shade_attention(img, weights).astype(int)
    assert shaded.shape == (40, 20, 3)
    patches = shaded.reshape(2, 20, 2, 10, 3).transpose(0, 2, 1, 3, 4)
    assert (patches.min((2, 3)) == patches.max((2, 3))).all()
    [[some, most], [nothing, pruned]] = patches[:, :, 0, 0]
    assert most.sum() > some.sum() > nothing.sum()
    assert most[2] > most[0] + 30  # yellow, in BGR
    assert np.ptp(nothing) < 10
    assert np.ptp(pruned) < 10
    assert pruned.min() > nothing.max() + 50
