"""A small GTPT, and the check of its attention maps against its attention."""

import torch
from torch import nn

from gtpt_mm.models import GTPT
from gtpt_mm.visualization import trace_attention

BODY_GROUPS = [dict(sparse=[0, 3, 2]), dict(sparse=[1, 4])]
DENSE_GROUPS = [
    dict(sparse=[0, 3], parts=[[5, 6, 7]]),
    dict(sparse=[1, 2], parts=[[8], [9, 10]]),
    dict(sparse=[4]),
]
ONE_GROUP = [dict(sparse=[0, 1, 2], parts=[[3, 4]])]


def make(groups=DENSE_GROUPS, kind=GTPT, **kwargs):
    settings = dict(
        arch=dict(embed_dims=64, stem_channels=16),
        img_size=(128, 96),  # 8 x 8 patches
        keep_rates=(1.0, 0.7, 0.5, 0.3),
        keypoint_groups=groups,
        depth=8,
        num_heads=4,
        qk_init_gain=4.0,  # attention that differs between patches
    )
    return kind(**(settings | kwargs)).eval()


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


def _locate_fine(groups, keypoint):
    """Return group, row among the queries of the group in fine layers."""
    slots = max(map(len, groups.group_sparse))
    for g, sparse in enumerate(groups.group_sparse):
        if keypoint in sparse:
            return g, sparse.index(keypoint)
        dense = [i for part in groups.group_parts[g] for i in part]
        if keypoint in dense:
            return g, slots + dense.index(keypoint)
    raise AssertionError(keypoint)


def _locate_coarse(groups, keypoint):
    """Return the row of a keypoint or its part behind the human token."""
    if keypoint in groups.sparse:
        return groups.num_parts + groups.sparse.index(keypoint)
    return next(i for i, part in enumerate(groups.parts) if keypoint in part)


def _find_patches(kept, layer, image, group):
    """Return the patch of each image row that a layer, from 1, reads."""
    steps = [indices for step, indices in kept if step.layer < layer]
    return steps[-1][image, group].tolist() if steps else list(range(64))


def check_maps(model, img, pruned, monkeypatch, human_layers=3):
    """Compare traced maps with the weights that the model applies.

    Args:
        human_layers: First layers, which read the human token alone.
    """
    plain = PlainAttention()
    monkeypatch.setattr(nn.functional, 'scaled_dot_product_attention', plain)
    keypoints = list(range(model.groups.num_keypoints))
    maps = trace_attention(model, img, keypoints, pruned)
    assert maps.shape == (8, 2, len(keypoints), 8, 8)

    if not pruned:
        model.set_keep_rates((1, 1, 1, 1))
    kept = model.trace_pruning(img)[1]
    assert len(plain.weights) == 16  # of two runs
    for layer, weights in enumerate(plain.weights[:8], start=1):
        torch.testing.assert_close(
            weights.sum(-1), torch.ones(weights.shape[:-1])
        )
        weights = weights.unflatten(0, (2, -1)).mean(2)  # (B, G, rows, keys)
        for image in range(2):
            for keypoint in keypoints:
                group, row = 0, 0
                if layer > 4:
                    group, row = _locate_fine(model.groups, keypoint)
                elif layer > human_layers:
                    row = _locate_coarse(model.groups, keypoint)
                patches = _find_patches(kept, layer, image, group)
                expected = torch.full((64,), torch.nan)
                applied = weights[image, group, row]
                num_others = len(applied) - len(patches)
                for weight, patch in zip(
                    applied[num_others:], patches, strict=True
                ):
                    if patch >= 0:
                        expected[patch] = weight
                torch.testing.assert_close(
                    maps[layer - 1, image, keypoint].flatten(),
                    expected,
                    equal_nan=True,
                    msg=lambda m, at=(layer, image, keypoint): f'{at}: {m}',
                )
