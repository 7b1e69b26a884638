"""Encoder and positions of Group Pose are those of mmpose."""

import pytest
import torch
from mmpose.models.heads.transformer_heads.transformers import (
    DeformableDetrTransformerEncoder,
    PositionEmbeddingSineHW,
)
from support.group_pose_small import SHAPES

from gtpt_mm.layers.deform_encoder import DeformableEncoder
from gtpt_mm.layers.pos_embed import sine_point_embed, sine_pos_embed
from gtpt_mm.layers.token_maps import TokenMaps


def test_encoder_is_mmposes():
    encoder = DeformableEncoder(32, 2, dict(num_heads=4), 64)
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
        key_padding_mask=maps.key_padding_mask,
        spatial_shapes=sizes,
        level_start_index=sizes.prod(1).cumsum(0) - sizes.prod(1),
        valid_ratios=maps.valid_ratios,
    )
    actual = encoder(x, pos, maps)
    torch.testing.assert_close(actual, expected, atol=2e-5, rtol=1e-5)


@pytest.mark.parametrize('padded', [False, True])
def test_positions_of_maps_are_mmposes(padded):
    """Also in the padding."""
    mask = torch.zeros(2, 5, 7, dtype=torch.bool)
    maps = TokenMaps.without_padding([(5, 7)], mask.device)
    if padded:
        mask[1, 3:] = mask[1, :, 4:] = True
        maps = TokenMaps.with_padding([mask])
    stock = PositionEmbeddingSineHW(16, 20, 20, normalize=True)
    expected = stock(mask).flatten(2).transpose(1, 2)
    level = torch.rand(1, 32)
    pos = maps.embed_positions(level, temperature=20) - level
    torch.testing.assert_close(
        pos.expand_as(expected), expected, atol=2e-6, rtol=0
    )


def test_positions_of_points_are_those_of_cells():
    """At the far corner the axes are at their end."""
    corner = sine_point_embed(torch.ones(2), 32, temperature=20)
    table = sine_pos_embed((5, 7), 32, temperature=20)
    torch.testing.assert_close(corner, table[-1], atol=1e-5, rtol=0)
