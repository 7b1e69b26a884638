"""Self-attention of image tokens, over the whole map or in windows."""

# B batch, N image tokens, H heads, D channels of a head, C = H * D channels,
# W windows of n tokens, (h, w) token grid

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .rel_pos import DecomposedRelPos
from .windows import join_windows, pool_windows, split_windows, window_mask


class SelfAttention(nn.Module):
    """Multi-head self-attention, every token to every token.

    Args:
        embed_dims: Channels C of a token.
        num_heads: Heads; they divide C.
        rel_pos: Positions of tokens relative to each other; None: none.

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
        if num_heads < 1 or embed_dims % num_heads:
            raise ValueError(
                f'num_heads must divide embed_dims = {embed_dims}, got '
                f'{num_heads}'
            )
        self.num_heads = num_heads
        self.qkv = nn.Linear(embed_dims, 3 * embed_dims)
        self.proj = nn.Linear(embed_dims, embed_dims)
        self.rel_pos = rel_pos

    def forward(self, x: Tensor, grid_size: tuple[int, int]) -> Tensor:
        """Return the attended tokens.

        Args:
            x: Image tokens, (B, N, C).
            grid_size: Token grid (h, w); only windows and relative positions
                look at it.
        """
        q, k, v = self._heads(self.qkv(x), 3)
        scale = q.shape[-1] ** -0.5
        if self.rel_pos is not None:
            q, k = self.rel_pos(q, k, grid_size)
        x = F.scaled_dot_product_attention(q, k, v, scale=scale)
        return self.proj(x.transpose(1, 2).flatten(2))  # from (B, H, N, D)

    def _heads(self, x: Tensor, num_parts: int) -> tuple[Tensor, ...]:
        """Cut (B, N, parts * C) into parts of shape (B, H, N, D)."""
        x = x.unflatten(2, (num_parts, self.num_heads, -1))
        return x.permute(2, 0, 3, 1, 4).unbind()


class WindowAttention(SelfAttention):
    """Self-attention inside windows of the token map.

    Two means let windows exchange what they know, neither with weights of its
    own: a layer whose windows are shifted by half their size, and the mean
    key and value of every window of the map, appended to the keys and values
    of each. Means are taken over windows that are not shifted, so each is of
    one coherent region.

    Source: Xu et al., "ViTPose++", Sec. 3 and Table 7. There is no code of the
    authors for it. The paper pools tokens; pooling keys and values is the same
    (both are linear in the tokens) and gives the GFLOPs of the table.

    Args:
        embed_dims: Channels C of a token.
        num_heads: Heads; they divide C.
        window_size: Window (h, w) in tokens; what exceeds the map is cut.
        shifted: Whether the windows are shifted.
        with_pooled: Whether the means are appended.
        rel_pos: Positions relative to each other in a window of
            ``window_size``; None: none. Means have no position.
        grid_size: Token grid (h, w) whose mask is made once and kept; None
            keeps none. On another grid each forward pass makes it, on the
            device of the tokens.

    Raises:
        ValueError: If the window is empty.

    Example:
        >>> attention = WindowAttention(32, 4, (4, 3), shifted=True)
        >>> attention(torch.rand(2, 48, 32), (8, 6)).shape
        torch.Size([2, 48, 32])
    """

    def __init__(
        self,
        embed_dims: int,
        num_heads: int,
        window_size: tuple[int, int],
        shifted: bool = False,
        with_pooled: bool = False,
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
        self.shifted = shifted
        self.with_pooled = with_pooled
        self.grid_size = None if grid_size is None else tuple(grid_size)
        mask = None if grid_size is None else self._make_mask(self.grid_size)
        if mask is not None and mask.is_meta:
            # No checkpoint would fill it: it is made when it is needed.
            mask = self.grid_size = None
        # Moves with the layer, and is in no checkpoint.
        self.register_buffer('mask', mask, persistent=False)

    def forward(self, x: Tensor, grid_size: tuple[int, int]) -> Tensor:
        """Return the attended tokens, (B, N, C); N = h * w."""
        window, shift = self._fit(grid_size)
        maps = self.qkv(x).unflatten(1, grid_size)  # (B, h, w, 3C)
        q, k, v = self._heads(split_windows(maps, window, shift), 3)
        scale = q.shape[-1] ** -0.5
        if self.rel_pos is not None:
            q, k = self.rel_pos(q, k, window)
        if self.with_pooled:
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
        out = out.transpose(1, 2).flatten(2)  # (B * W, n, C)
        out = join_windows(out, window, grid_size, shift)
        return self.proj(out.flatten(1, 2))

    def _make_mask(
        self,
        grid_size: tuple[int, int],
        device: torch.device | None = None,
    ) -> Tensor | None:
        """Return who sees whom, (W, 1, n, n), or n + W with means; or None."""
        mask = window_mask(grid_size, *self._fit(grid_size), device)
        if mask is None:
            return None
        if self.with_pooled:
            mask = F.pad(mask, (0, len(mask)), value=True)
        return mask[:, None]

    def _fit(
        self, grid_size: tuple[int, int]
    ) -> tuple[tuple[int, int], tuple[int, int]]:
        """Return window and shift on a grid that may be the smaller one."""
        pairs = zip(self.window_size, grid_size, strict=True)
        window = tuple(min(pair) for pair in pairs)
        shift = tuple(
            size // 2 if self.shifted and size < length else 0
            for size, length in zip(window, grid_size, strict=True)
        )
        return window, shift
