"""Self-attention of image tokens, over the whole map or in windows."""

# B batch, N image tokens, H heads, D channels of a head, C = H * D channels,
# W windows of n tokens, (h, w) token grid

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .arch import check_divides
from .attention_heads import merge_heads, split_heads
from .rel_pos import DecomposedRelPos
from .windows import join_windows, pool_windows, split_windows, window_mask


class SelfAttention(nn.Module):
    """Multi-head self-attention of every token to every token.

    Args:
        embed_dims: Channels C of a token.
        num_heads: Heads; they divide C.
        rel_pos: Relative positions of the tokens; None: none.

    Raises:
        ValueError: If the heads do not divide the channels.

    Example:
        >>> SelfAttention(32, 4)(torch.rand(2, 12, 32), (4, 3)).shape
        torch.Size([2, 12, 32])
    """

    def __init__(
        self,
        embed_dims: int,
        num_heads: int,
        rel_pos: DecomposedRelPos | None = None,
    ) -> None:
        super().__init__()
        check_divides('num_heads', num_heads, 'embed_dims', embed_dims)
        self.num_heads = num_heads
        self.qkv = nn.Linear(embed_dims, 3 * embed_dims)
        self.proj = nn.Linear(embed_dims, embed_dims)
        self.rel_pos = rel_pos

    def forward(self, x: Tensor, grid_size: tuple[int, int]) -> Tensor:
        """Return the attended tokens.

        Args:
            x: Image tokens, (B, N, C).
            grid_size: Token grid (h, w); only windows and relative positions
                read it.
        """
        q, k, v = self._heads(self.qkv(x), 3)
        scale = q.shape[-1] ** -0.5
        if self.rel_pos is not None:
            q, k = self.rel_pos(q, k, grid_size)
        x = F.scaled_dot_product_attention(q, k, v, scale=scale)
        return self.proj(merge_heads(x))

    def _heads(self, x: Tensor, num_parts: int) -> list[Tensor]:
        """Cut (B, N, parts * C) into parts of shape (B, H, N, D)."""
        parts = x.chunk(num_parts, -1)
        return [split_heads(part, self.num_heads) for part in parts]


class WindowAttention(SelfAttention):
    """Self-attention inside windows of the token map.

    Two options without weights pass information between windows: windows
    shifted by half their size, and the mean key and value of every window of
    the map, appended to the keys and values of each window. The means are
    taken over windows without a shift, so each covers one coherent region.

    Source: Xu et al., "ViTPose++", Sec. 3 and Table 7; no official
    code. The paper pools tokens; pooling keys and values is the same
    (both are linear in the tokens) and gives the GFLOPs of the table.

    Args:
        embed_dims: Channels C of a token.
        num_heads: Heads; they divide C.
        window_size: Window (h, w) in tokens, cut to the size of the map.
        shift: Whether the windows are shifted.
        pool: Whether the means of all windows are appended.
        rel_pos: Relative positions in a window of ``window_size``; None:
            none. Means have no position.
        grid_size: Token grid (h, w) whose mask is built once and kept; None
            keeps no mask. The mask of any other grid is built in each forward
            pass, on the device of the tokens.

    Raises:
        ValueError: If the window is empty.

    Example:
        >>> attention = WindowAttention(32, 4, (4, 3), shift=True)
        >>> attention(torch.rand(2, 48, 32), (8, 6)).shape
        torch.Size([2, 48, 32])
    """

    mask: Tensor | None

    def __init__(
        self,
        embed_dims: int,
        num_heads: int,
        window_size: tuple[int, int],
        shift: bool = False,
        pool: bool = False,
        rel_pos: DecomposedRelPos | None = None,
        grid_size: tuple[int, int] | None = None,
    ) -> None:
        super().__init__(embed_dims, num_heads, rel_pos)
        if len(window_size) != 2 or min(window_size) < 1:
            raise ValueError(
                'window_size must be (h, w) in tokens, both at least 1, got '
                f'{window_size}'
            )
        self.window_size = tuple(window_size)
        self.shift = shift
        self.pool = pool
        self.grid_size = None if grid_size is None else tuple(grid_size)
        mask = None if grid_size is None else self._make_mask(grid_size)
        if mask is not None and mask.is_meta:
            # On the meta device, and no checkpoint fills it: build it later.
            mask = self.grid_size = None
        # Moves with the layer, but is in no checkpoint.
        self.register_buffer('mask', mask, persistent=False)

    def forward(self, x: Tensor, grid_size: tuple[int, int]) -> Tensor:
        """Return the attended tokens, (B, N, C); N = h * w."""
        window, shift = self._fit(grid_size)
        maps = self.qkv(x).unflatten(1, grid_size)  # (B, h, w, 3C)
        q, k, v = self._heads(split_windows(maps, window, shift), 3)
        scale = q.shape[-1] ** -0.5
        if self.rel_pos is not None:
            q, k = self.rel_pos(q, k, window)
        if self.pool:
            pooled = pool_windows(maps[..., x.shape[2] :], window)
            num_windows = pooled.shape[1]
            pooled = pooled.repeat_interleave(num_windows, 0)
            mean_k, mean_v = self._heads(pooled, 2)  # (B * W, H, W, D)
            mean_k = F.pad(mean_k, (0, k.shape[-1] - mean_k.shape[-1]))
            k, v = torch.cat((k, mean_k), 2), torch.cat((v, mean_v), 2)
        mask = self.mask
        if tuple(grid_size) != self.grid_size:
            mask = self._make_mask(grid_size, x.device)
        if mask is not None:
            mask = mask.repeat(x.shape[0], 1, 1, 1)  # len() fixes a graph's B
        out = F.scaled_dot_product_attention(q, k, v, mask, scale=scale)
        out = join_windows(merge_heads(out), window, grid_size, shift)
        return self.proj(out.flatten(1, 2))

    def _make_mask(
        self,
        grid_size: tuple[int, int],
        device: torch.device | None = None,
    ) -> Tensor | None:
        """Return the attention mask, (W, 1, n, n), or n + W with means.

        None if every token of a window may attend to every other.
        """
        mask = window_mask(grid_size, *self._fit(grid_size), device)
        if mask is None:
            return None
        if self.pool:
            mask = F.pad(mask, (0, len(mask)), value=True)
        return mask[:, None]

    def _fit(
        self, grid_size: tuple[int, int]
    ) -> tuple[tuple[int, int], tuple[int, int]]:
        """Return window and shift on a grid that may be smaller than both."""
        height, width = map(min, self.window_size, grid_size)
        shift = (
            height // 2 if self.shift and height < grid_size[0] else 0,
            width // 2 if self.shift and width < grid_size[1] else 0,
        )
        return (height, width), shift


def build_attentions(
    depth: int,
    embed_dims: int,
    num_heads: int,
    grid_size: tuple[int, int],
    window_size: tuple[int, int] | None = None,
    shift: bool = False,
    pool: bool = False,
    global_interval: int | None = None,
    rel_pos: bool = False,
) -> list[SelfAttention]:
    """Return the attention of each layer, in windows or global.

    Args:
        depth: Number of layers.
        embed_dims: Channels C of a token.
        num_heads: Heads; they divide C.
        grid_size: Token grid (h, w) of the map.
        window_size: Window (h, w) in tokens; None: every layer is global.
        shift: Whether every second layer with windows shifts them by half
            their size.
        pool: Whether each window attends to the means of all windows.
        global_interval: Every n-th layer attends to the whole map; None: no
            layer does. In units of layers: 3 makes 4 of 12 global.
        rel_pos: Whether every layer has relative positions, see
            ``DecomposedRelPos``. They start at 0, so a checkpoint without
            them gives equal features.

    Raises:
        ValueError: If options of windows are given without windows, or
            ``global_interval`` is not positive.
    """
    if window_size is None and (shift or pool or global_interval):
        raise ValueError(
            f'{shift=}, {pool=}, {global_interval=} require windows; give '
            'window_size=(h, w) in tokens'
        )
    if global_interval is not None and global_interval < 1:
        raise ValueError(
            f'global_interval must be at least 1 or None, got '
            f'{global_interval}'
        )

    attentions: list[SelfAttention] = []
    with_shift = False
    for i in range(depth):
        window = window_size
        if global_interval is not None and (i + 1) % global_interval == 0:
            window = None
        positions = None
        if rel_pos:
            head_dims = embed_dims // num_heads
            positions = DecomposedRelPos(
                head_dims, window or grid_size, stretched=window is None
            )
        if window is None:
            attentions.append(SelfAttention(embed_dims, num_heads, positions))
            continue
        attentions.append(
            WindowAttention(
                embed_dims, num_heads, window, with_shift, pool, positions,
                grid_size,
            )
        )  # fmt: skip
        with_shift = shift and not with_shift
    return attentions
