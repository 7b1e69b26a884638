"""Encoder, positions and attentions of Group Pose, most against mmpose's."""

import torch
from mmpose.models.heads.transformer_heads.transformers import (
    DeformableDetrTransformerEncoder,
    PositionEmbeddingSineHW,
)
from support.group_pose_small import SHAPES

from gtpt_mm.layers.deform_encoder import DeformableEncoder, TokenMaps
from gtpt_mm.layers.pos_embed import sine_point_embed, sine_pos_embed


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
