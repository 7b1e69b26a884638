"""Windows of a token map, and attention in them."""

import pytest
import torch

from gtpt_mm.layers import attention
from gtpt_mm.layers.attention import SelfAttention, WindowAttention
from gtpt_mm.layers.windows import (
    join_windows,
    pool_windows,
    split_windows,
    window_mask,
)

GRIDS = [(8, 6), (7, 5), (4, 3), (3, 9)]


@pytest.mark.parametrize('shift', [(0, 0), (2, 1)])
@pytest.mark.parametrize('grid', GRIDS)
def test_join_undoes_split(grid, shift):
    x = torch.randn(2, *grid, 5)
    windows = split_windows(x, (4, 3), shift)
    joined = join_windows(windows, (4, 3), grid, shift)
    torch.testing.assert_close(joined, x, atol=0, rtol=0)


def test_windows_are_where_they_should_be():
    x = torch.arange(48).view(1, 8, 6, 1)
    windows = split_windows(x, (4, 3)).squeeze(-1)
    assert windows[1].tolist() == [3, 4, 5, 9, 10, 11, 15, 16, 17, 21, 22, 23]
    shifted = split_windows(x, (4, 3), (2, 1)).squeeze(-1)
    assert shifted[0, 0] == 2 * 6 + 1


def attend_by_definition(attn, x, grid, window, shift, with_pooled):
    """Each token attends to those of its window, found by coordinates."""
    h, w = grid
    place = [(i, j) for i in range(h) for j in range(w)]

    def window_of(i, j):
        return (
            (i - shift[0]) // window[0],
            (j - shift[1]) // window[1],
        )

    same = torch.tensor(
        [[window_of(*a) == window_of(*b) for b in place] for a in place]
    )
    q, k, v = attn._heads(attn.qkv(x), 3)
    if with_pooled:
        cells = [(i // window[0], j // window[1]) for i, j in place]
        means = torch.stack(
            [
                torch.tensor([c == cell for c in cells]).float()
                for cell in sorted(set(cells))
            ]
        )
        means = means / means.sum(1, keepdim=True)
        k, v = torch.cat((k, means @ k), 2), torch.cat((v, means @ v), 2)
        everyone = torch.ones(len(place), len(means), dtype=torch.bool)
        same = torch.cat((same, everyone), 1)
    logits = q @ k.transpose(2, 3) * q.shape[-1] ** -0.5
    weights = logits.masked_fill(~same, -torch.inf).softmax(-1)
    return attn.proj((weights @ v).transpose(1, 2).flatten(2))


@pytest.mark.parametrize('with_pooled', [False, True])
@pytest.mark.parametrize('shifted', [False, True])
@pytest.mark.parametrize('grid', GRIDS)
def test_window_attention_is_its_definition(grid, shifted, with_pooled):
    attn = WindowAttention(16, 2, (4, 3), shifted, with_pooled)
    x = torch.randn(2, grid[0] * grid[1], 16)
    window = (min(4, grid[0]), min(3, grid[1]))
    # Windows begin at minus the rest, so that a shift by s moves them by s.
    shift = tuple(
        s // 2 if shifted and s < n else 0
        for s, n in zip(window, grid, strict=True)
    )
    expected = attend_by_definition(attn, x, grid, window, shift, with_pooled)
    torch.testing.assert_close(attn(x, grid), expected, atol=1e-6, rtol=1e-5)


def test_a_window_as_large_as_the_map_is_global():
    attn = WindowAttention(16, 2, (99, 99), shift=True)
    plain = SelfAttention(16, 2)
    plain.load_state_dict(attn.state_dict())
    x = torch.randn(2, 12, 16)
    torch.testing.assert_close(attn(x, (4, 3)), plain(x, (4, 3)))


def test_means_count_tokens_of_the_map_only():
    x = torch.randn(1, 5, 4, 2)
    pooled = pool_windows(x, (4, 3))
    torch.testing.assert_close(pooled[0, 0], x[0, :4, :3].mean((0, 1)))
    torch.testing.assert_close(pooled[0, 3], x[0, 4, 3])


def test_no_mask_where_nothing_is_to_hide():
    assert window_mask((8, 6), (4, 3)) is None
    assert window_mask((8, 6), (4, 3), (2, 1)).shape == (4, 12, 12)


@pytest.mark.parametrize('with_pooled', [False, True])
@pytest.mark.parametrize('grid', [(8, 6), (7, 5)])
def test_mask_is_made_once(grid, with_pooled, monkeypatch):
    """For the grid that it is built for; on another, where the tokens are."""
    options = dict(shift=True, pool=with_pooled)
    attn = WindowAttention(16, 2, (4, 3), **options, grid_size=grid)
    plain = WindowAttention(16, 2, (4, 3), **options)
    plain.load_state_dict(attn.state_dict())  # it is no weight
    x = torch.randn(2, grid[0] * grid[1], 16)
    expected = plain(x, grid)
    devices = []

    def record(grid_size, window_size, shift, device):
        devices.append(device)
        return window_mask(grid_size, window_size, shift, device)

    monkeypatch.setattr(attention, 'window_mask', record)
    torch.testing.assert_close(attn(x, grid), expected, atol=0, rtol=0)
    attn.to('meta')
    assert attn(x.to('meta'), grid).shape == x.shape
    assert attn.mask.device.type == 'meta' and not devices
    attn(torch.randn(2, 54, 16, device='meta'), (9, 6))
    assert devices == [torch.device('meta')]


def test_layer_built_without_memory_makes_its_mask():
    """Weights are assigned to it; no checkpoint has the mask."""
    attn = WindowAttention(16, 2, (4, 3), shift=True, grid_size=(8, 6))
    with torch.device('meta'):
        empty = WindowAttention(16, 2, (4, 3), shift=True, grid_size=(8, 6))
    empty.load_state_dict(attn.state_dict(), assign=True)
    x = torch.randn(2, 48, 16)
    torch.testing.assert_close(empty(x, (8, 6)), attn(x, (8, 6)))


def test_bad_values_are_named():
    with pytest.raises(ValueError, match='5'):
        SelfAttention(16, 5)
    with pytest.raises(ValueError, match='0'):
        WindowAttention(16, 2, (4, 0))
