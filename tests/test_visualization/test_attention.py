"""Attention maps: the weights that the model applies, on the right patch."""

import numpy as np
import pytest
import torch
from support.gtpt_attention import BODY_GROUPS, ONE_GROUP, check_maps, make
from torch import nn

from gtpt_mm.visualization import trace_attention
from gtpt_mm.visualization.gtpt.attention import shade_attention


@pytest.fixture
def img():
    return torch.randn(2, 3, 128, 96)


@pytest.mark.parametrize('pruned', [True, False])
@pytest.mark.parametrize(
    'settings',
    [dict(groups=BODY_GROUPS), dict(), dict(groups=ONE_GROUP)],
    ids=['body', 'dense-keypoints', 'one-group'],
)
def test_maps_are_what_the_model_applies(settings, pruned, img, monkeypatch):
    check_maps(make(**settings), img, pruned, monkeypatch)


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
    plan, before = model.plan, model(img)[0]
    for pruned in (True, False):
        trace_attention(model, img, [0], pruned)
    assert model.plan is plan
    torch.testing.assert_close(model(img)[0], before, rtol=0, atol=0)
    with pytest.raises(ValueError, match='128, 96'):
        trace_attention(model, img[..., :48], [0])


def test_convention_a_keypoint_that_seeks_a_patch_shows_it_there():
    """Row y, column x: patches are one-hot tokens, keypoints ask for one."""
    model = make()
    targets = {0: (1, 6), 2: (5, 0), 4: (7, 3), 6: (2, 2), 9: (6, 5)}
    spot = {p: 8 * y + x for p, (y, x) in targets.items()}
    eye = torch.eye(64)
    with torch.no_grad():
        for layer in model.layers:
            layer.attn.qkv.weight.copy_(torch.cat((eye, eye, 0 * eye)))
            for last in (layer.attn.proj, layer.mlp.fc2):
                nn.init.zeros_(last.weight)
                nn.init.zeros_(last.bias)
        for last in (model.group_mask[0], model.group_mask[2]):
            nn.init.zeros_(last.weight)
            nn.init.constant_(last.bias, 20.0)  # masks of 1
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
            part = model.groups.part_of_dense[row]
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
