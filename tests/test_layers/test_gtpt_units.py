"""Layers of GTPT against vectors recorded from the authors' code."""

import numpy as np
import pytest
import torch

from gtpt_mm.layers.group_attention import GroupAttention
from gtpt_mm.layers.pos_embed import sine_pos_embed
from gtpt_mm.layers.shuffle_stem import PatchEmbed, ShuffleUnit
from gtpt_mm.layers.token_pruning import (
    keep_top_tokens,
    softmax_pool,
)
from gtpt_mm.layers.tokens import TokenLayout, take_rows


@pytest.fixture
def units(gtpt_goldens):
    return {
        key: torch.from_numpy(value).double()
        for key, value in gtpt_goldens.npz('units').items()
        if value.dtype.kind == 'f'
    }


def make_attention(units, prefix):
    attention = GroupAttention(32, 8).double()
    attention.load_state_dict(
        {
            'qkv.weight': units[f'{prefix}_w_to_qkv.weight'],
            'proj.weight': units[f'{prefix}_w_to_out.0.weight'],
            'proj.bias': units[f'{prefix}_w_to_out.0.bias'],
        }
    )
    return attention


def test_self_attention(units):
    attention = make_attention(units, 'attn')
    x = units['attn_in']
    q, k, v = attention.qkv(x).chunk(3, dim=-1)
    out = attention(q, k, v, TokenLayout(1))
    torch.testing.assert_close(out, units['attn_out'], rtol=0, atol=1e-6)
    logits = attention.logits(q.unsqueeze(1), k.unsqueeze(1))[:, 0]
    torch.testing.assert_close(
        logits.squeeze(1), units['attn_logit'].squeeze(1), rtol=0, atol=1e-6
    )


def test_group_attention(units):
    """The authors copy the nose into an 18th slot; we leave it out."""
    attention = make_attention(units, 'gattn')
    x = units['gattn_in']  # (B, 3, 6 slots + 9, C), slot (0, 0) dead
    slots = torch.tensor(
        [[0, 0, 1, 2, 3, 4], [*range(5, 11)], [*range(11, 17)]]
    )
    owner = torch.tensor([*range(1, 6), *range(6, 12), *range(12, 18)])
    layout = TokenLayout(17, 3, slots, owner)
    flat = layout.join(x[:, :, :6].flatten(1, 2)[:, owner], x[:, :, 6:])
    q, k, v = attention.qkv(flat).chunk(3, dim=-1)
    out = attention(q, k, v, layout)
    expected = units['gattn_out']
    expected = layout.join(
        expected[:, :, :6].flatten(1, 2)[:, owner], expected[:, :, 6:]
    )
    torch.testing.assert_close(out, expected, rtol=0, atol=1e-6)


def test_softmax_pool(units):
    logits = units['pool_in'][:, None, None]  # 12 maps of 20 tokens
    scores = softmax_pool(logits)[:, 0]
    torch.testing.assert_close(scores, units['pool_out'], rtol=0, atol=1e-6)


def test_softmax_pool_ignores_masked_queries():
    logits = torch.randn(2, 3, 4, 5, 7)
    mask = torch.tensor([[True] * 5, [True, True, False, True, False]])
    mask = torch.cat((mask, mask[:1]))
    scores = softmax_pool(logits, mask)
    alone = softmax_pool(logits[:, 1:2][:, :, :, mask[1]])
    torch.testing.assert_close(scores[:, 1:2], alone)


@pytest.mark.parametrize(('name', 'stride'), [('ir1', 1), ('ir2', 2)])
def test_shuffle_unit(units, name, stride):
    unit = ShuffleUnit(8, 8 if stride == 1 else 12, stride).double().eval()
    prefix = f'{name}_w_'
    state = {
        key.removeprefix(prefix): value
        for key, value in units.items()
        if key.startswith(prefix)
    }
    missing = unit.load_state_dict(state, strict=False).missing_keys
    assert all(key.endswith('num_batches_tracked') for key in missing)
    torch.testing.assert_close(
        unit(units['ir_in']), units[f'{name}_out'], rtol=0, atol=1e-6
    )


def test_patch_order(units):
    x = units['patch_order_in']
    embed = PatchEmbed(3, 36, (4, 3)).double().eval()
    torch.nn.init.eye_(embed.proj.weight)
    torch.nn.init.zeros_(embed.proj.bias)
    embed.norm.eps = 0.0
    torch.testing.assert_close(
        embed(x), units['patch_order_out'], rtol=0, atol=1e-6
    )


def test_position_tables(gtpt_goldens):
    arrays = gtpt_goldens.npz('pos_embedding')
    for dims in (32, 48, 128, 192):
        np.testing.assert_allclose(
            sine_pos_embed((16, 16), dims), arrays[f'dim{dims}'], 0, 1e-6
        )


def test_position_table_refuses_odd_width():
    with pytest.raises(ValueError, match='30'):
        sine_pos_embed((4, 4), 30)


def test_kept_indices_rise_and_infinite_scores_stay_in_front():
    scores = torch.rand(2, 3, 20)
    scores[:, :, :4] = torch.inf
    best = keep_top_tokens(scores, 9)
    assert (best.diff(dim=-1) > 0).all()
    assert (best[..., :4] == torch.arange(4)).all()


def test_rows_are_taken_from_their_own_image_with_gradients():
    x = torch.rand(2, 20, 5, requires_grad=True)
    rows = torch.stack([torch.randperm(20)[:7] for _ in range(2)])
    taken = take_rows(x[..., 1:4], rows)  # not contiguous
    for own, image, order in zip(taken, x, rows, strict=True):
        torch.testing.assert_close(own, image[order, 1:4])
    taken.sum().backward()
    expected = torch.zeros(2, 20).scatter_(1, rows, 1.0)
    torch.testing.assert_close(x.grad[..., 2], expected)
    assert not x.grad[..., 0].any()


def test_rows_of_groups_skip_the_tokens_before():
    layout = TokenLayout(num_keypoints=3, num_groups=2)
    kept = torch.tensor([[[0, 2], [1, 3]]])
    rows = layout.rows(kept, length=3 + 2 * 4)
    assert rows.tolist() == [[0, 1, 2, 3, 5, 8, 10]]
