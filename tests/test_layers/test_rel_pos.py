"""Relative positions agree with their formula, token by token."""

import pytest
import torch

from gtpt_mm.layers.attention import SelfAttention, WindowAttention
from gtpt_mm.layers.rel_pos import DecomposedRelPos, resize_rel_pos


@pytest.fixture
def rel_pos():
    """Random tables for heads of 8 channels and a grid of 4 x 3."""
    module = DecomposedRelPos(8, (4, 3))
    for table in module.parameters():
        torch.nn.init.normal_(table)
    return module


def logits_by_formula(q, k, rows, columns, size):
    """MViTv2, Eq. 3 and 4, one pair of tokens after the other."""
    h, w = size
    logits = q @ k.transpose(-2, -1) * q.shape[-1] ** -0.5
    for i in range(h * w):
        for j in range(h * w):
            below, right = i // w - j // w, i % w - j % w
            row = rows[below + len(rows) // 2]
            column = columns[right + len(columns) // 2]
            logits[..., i, j] += q[..., i, :] @ (row + column)
    return logits


@pytest.mark.parametrize('size', [(4, 3), (2, 3), (1, 1)])
def test_folded_product_is_the_formula(rel_pos, size):
    """Also on a smaller grid, where distances stay what they are."""
    q, k = torch.randn(2, 2, 2, size[0] * size[1], 8)
    longer_q, longer_k = rel_pos(q, k, size)
    logits = longer_q @ longer_k.transpose(2, 3) * 8**-0.5
    expected = logits_by_formula(q, k, rel_pos.rows, rel_pos.columns, size)
    torch.testing.assert_close(logits, expected, atol=1e-5, rtol=1e-5)


def test_stretched_to_another_grid(rel_pos):
    """As with tables that were resized beforehand."""
    rel_pos.stretched = True
    q, k = torch.randn(2, 1, 2, 40, 8)
    longer_q, longer_k = rel_pos(q, k, (8, 5))
    rows = resize_rel_pos(rel_pos.rows, 15)
    columns = resize_rel_pos(rel_pos.columns, 9)
    expected = logits_by_formula(q, k, rows, columns, (8, 5))
    logits = longer_q @ longer_k.transpose(2, 3) * 8**-0.5
    torch.testing.assert_close(logits, expected, atol=1e-5, rtol=1e-5)


def test_resized_table_keeps_its_centre_and_order():
    table = torch.arange(-3.0, 4)[:, None].expand(7, 2)
    for num in (3, 7, 15):
        resized = resize_rel_pos(table, num)
        assert resized.shape == (num, 2)
        assert resized[num // 2, 0].abs() < 1e-6
        assert (resized[:, 0].diff() > 0).all()


def attend_by_formula(attn, x, grid, window, shift):
    """Attention over the whole map, other windows masked; with means."""
    h, w = grid
    q, k, v = attn._heads(attn.qkv(x), 3)
    reach = (attn.rel_pos.rows, attn.rel_pos.columns)
    # Tables as long as the map, of which windows use the middle only.
    rows, columns = (
        torch.nn.functional.pad(table.T, (n, n)).T
        for table, n in zip(reach, grid, strict=True)
    )
    logits = logits_by_formula(q, k, rows, columns, grid)
    place = [(i, j) for i in range(h) for j in range(w)]
    cell = [
        tuple((p - s) // n for p, s, n in zip(at, shift, window, strict=True))
        for at in place
    ]
    same = torch.tensor([[a == b for b in cell] for a in cell])
    logits = logits.masked_fill(~same, -torch.inf)
    if attn.pool:
        home = [(i // window[0], j // window[1]) for i, j in place]
        means = torch.tensor(
            [[a == b for b in home] for a in sorted(set(home))]
        ).float()
        means = means / means.sum(1, keepdim=True)
        to_means = q @ (means @ k).transpose(2, 3) * q.shape[-1] ** -0.5
        logits = torch.cat((logits, to_means), 3)
        v = torch.cat((v, means @ v), 2)
    out = logits.softmax(-1) @ v
    return attn.proj(out.transpose(1, 2).flatten(2))


@pytest.mark.parametrize('with_pooled', [False, True])
@pytest.mark.parametrize('shifted', [False, True])
@pytest.mark.parametrize('grid', [(8, 6), (7, 5), (3, 6)])
def test_window_attention_is_its_formula(rel_pos, grid, shifted, with_pooled):
    attn = WindowAttention(16, 2, (4, 3), shifted, with_pooled, rel_pos)
    x = torch.randn(2, grid[0] * grid[1], 16)
    window = (min(4, grid[0]), min(3, grid[1]))
    shift = tuple(
        s // 2 if shifted and s < n else 0
        for s, n in zip(window, grid, strict=True)
    )
    expected = attend_by_formula(attn, x, grid, window, shift)
    torch.testing.assert_close(attn(x, grid), expected, atol=1e-5, rtol=1e-5)


def test_a_window_as_large_as_the_map_is_global(rel_pos):
    windowed = WindowAttention(16, 2, (4, 3), rel_pos=rel_pos)
    plain = SelfAttention(16, 2, DecomposedRelPos(8, (4, 3), stretched=True))
    plain.load_state_dict(windowed.state_dict())
    x = torch.randn(2, 12, 16)
    torch.testing.assert_close(windowed(x, (4, 3)), plain(x, (4, 3)))


def test_tables_of_another_window_are_resized_when_loaded(rel_pos):
    larger = DecomposedRelPos(8, (8, 3))
    given = rel_pos.state_dict()
    larger.load_state_dict(given)
    torch.testing.assert_close(larger.rows, resize_rel_pos(rel_pos.rows, 15))
    torch.testing.assert_close(larger.columns, rel_pos.columns)
    assert len(given['rows']) == 7  # the caller's are untouched
    with pytest.raises(RuntimeError, match='columns'):
        larger.load_state_dict({'columns': torch.zeros(5, 9)})


def test_a_grid_that_cannot_be_a_part_is_named(rel_pos):
    with pytest.raises(ValueError, match='5'):
        rel_pos(*torch.randn(2, 1, 1, 15, 8), (5, 3))
