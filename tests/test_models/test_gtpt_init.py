"""Initial weights for short trainings: values, and what they are for."""

import copy

import pytest
import torch
from mmengine.model.weight_init import initialize
from torch import nn

from gtpt_mm.layers.group_attention import GroupTransformerLayer
from gtpt_mm.models import GTPT
from gtpt_mm.models.backbones import GTPTShortRun

INIT = dict(type='GTPTShortRun')
TOKENS = ('human_token', 'sparse_embed', 'part_embed', 'dense_embed')


def make(**kwargs):
    torch.manual_seed(0)
    settings = dict(
        arch=dict(embed_dims=64, stem_channels=32),
        img_size=(128, 96),
        patch_size=(4, 4),
        keypoint_groups=[
            dict(sparse=range(8), parts=[range(14, 20)]),
            dict(sparse=range(8, 14)),
        ],
        keep_rates=(1.0, 0.7, 0.5, 0.3),
        with_unpruned=False,
    )
    model = GTPT(**(settings | kwargs))
    model.init_weights()
    return model


def test_weights_have_the_documented_size():
    model = make(init_cfg=INIT)
    for name in TOKENS:
        assert 0.7 < getattr(model, name).std() < 1.3, name
    proj = model.patch_embed.proj  # PyTorch: uniform up to 1 / sqrt(inputs)
    bound = 8 * proj.in_features**-0.5
    assert 0.99 * bound < proj.weight.abs().max() <= bound
    for layer in model.layers:
        qk, v = layer.attn.qkv.weight.split((2 * 64, 64))
        assert 0.99 * 3 / 8 < qk.abs().max() <= 3 / 8
        assert 0.99 / 8 < v.abs().max() <= 1 / 8


def test_nothing_else_changes():
    plain, short = make(), make(init_cfg=INIT)
    drawn = (*TOKENS, 'qkv.weight', 'patch_embed.proj')
    state = short.state_dict()
    assert list(state) == list(plain.state_dict())
    for name, value in plain.state_dict().items():
        is_drawn = any(part in name for part in drawn)
        assert torch.equal(state[name], value) is not is_drawn, name
    plain.load_state_dict(state)
    img = torch.randn(2, 3, 128, 96)
    with torch.no_grad():
        assert torch.equal(plain.eval()(img)[0], short.eval()(img)[0])


def test_twice_is_not_twice_as_much():
    model = make(init_cfg=INIT)
    before = model.patch_embed.proj.weight.std()
    qk = model.layers[0].attn.qkv.weight.std()
    initialize(model, INIT)
    torch.testing.assert_close(
        model.patch_embed.proj.weight.std(), before, rtol=0.05, atol=0
    )
    torch.testing.assert_close(
        model.layers[0].attn.qkv.weight.std(), qk, rtol=0.05, atol=0
    )


@torch.no_grad()
def spread(model):
    """Return how much keypoints differ, and what images are of the tokens.

    The first is a share of the keypoint tokens' norm; the second one of the
    variance of the normalised image tokens that the last layer reads.
    """
    torch.manual_seed(1)
    read = []
    model = copy.deepcopy(model).train()  # BatchNorm of the batch
    tokens = model.trace(
        torch.randn(8, 3, 128, 96),
        lambda step, tokens, q, k: read.append(tokens),
        pruned=False,
    )
    keypoints = tokens - tokens.mean(1, keepdim=True)
    last = read[-1].x[:, 14:]
    normed = nn.functional.layer_norm(last, last.shape[-1:])
    content = normed - normed.mean(0)
    return (
        float(keypoints.norm() / tokens.norm()),
        float(content.square().mean()),
    )


def test_keypoints_and_images_differ_from_the_start():
    kaiming = dict(type='Kaiming', layer='Conv2d')
    official = spread(make(init_cfg=kaiming))
    short = spread(make(init_cfg=[kaiming, INIT]))
    print('official', official, 'short', short)
    assert official[0] < 0.25 and short[0] > 0.5
    assert official[1] < 0.2 and short[1] > 0.35


def test_errors_name_the_value():
    with pytest.raises(ValueError, match="'patch_gain': -1"):
        GTPTShortRun(patch_gain=-1)
    with pytest.raises(TypeError, match='GroupTransformerLayer'):
        GTPTShortRun()(GroupTransformerLayer(32, 4, 3.0))
