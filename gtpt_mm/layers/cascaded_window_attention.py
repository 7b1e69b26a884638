"""Cascaded group attention in windows, the attention of EfficientViT."""

# B batch, C channels, H heads, (h, w) feature map or window, n = h * w tokens,
# s window side, W windows in all images

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .arch import check_divides
from .cascaded_attention import to_map, to_tokens
from .conv_bn import conv_bn
from .windows import join_windows, split_windows


class CascadedWindowAttention(nn.Module):
    """Attention within windows, its heads in cascade.

    Every head reads a share of the channels, plus the output of the previous
    head. A depthwise convolution mixes its queries. Maps larger than a window
    are padded with zeros to whole windows and cut.

    Source: Liu et al., "EfficientViT: Memory Efficient Vision Transformer
    with Cascaded Group Attention", CVPR 2023, Sec. 3.2.

    Args:
        embed_dims: Channels C.
        num_heads: Heads H; divides C.
        key_dims: Channels of queries and keys of a head.
        window_size: Side s of a window.
        query_kernels: Side of the depthwise kernel of each head's queries,
            odd.

    Raises:
        ValueError: If H does not divide C, or ``query_kernels`` is not one odd
            number for each head.

    Example:
        >>> mixer = CascadedWindowAttention(32, 2, query_kernels=(5, 3))
        >>> mixer(torch.rand(1, 32, 16, 12)).shape
        torch.Size([1, 32, 16, 12])
    """

    def __init__(
        self,
        embed_dims: int,
        num_heads: int,
        key_dims: int = 16,
        window_size: int = 7,
        query_kernels: Sequence[int] = (7, 5, 3, 3),
    ) -> None:
        super().__init__()
        check_divides('num_heads', num_heads, 'embed_dims', embed_dims)
        if len(query_kernels) != num_heads or any(
            kernel % 2 == 0 for kernel in query_kernels
        ):
            raise ValueError(
                f'query_kernels must be {num_heads} odd numbers, one for '
                f'each head, got {tuple(query_kernels)}'
            )
        self.num_heads = num_heads
        self.key_dims = key_dims
        self.window_size = window_size
        width = embed_dims // num_heads
        self.qkvs = nn.ModuleList(
            conv_bn(width, 2 * key_dims + width) for _ in range(num_heads)
        )
        self.query_convs = nn.ModuleList(
            conv_bn(key_dims, key_dims, kernel, groups=key_dims)
            for kernel in query_kernels
        )
        self.proj = nn.Sequential(
            nn.ReLU(inplace=True), conv_bn(embed_dims, embed_dims, zero=True)
        )
        # One bias for each head and each distance (|dy|, |dx|).
        self.position_bias = nn.Parameter(
            torch.zeros(num_heads, window_size**2)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return a map like ``x``, (B, C, h, w)."""
        h, w = x.shape[2:]
        window_size = (self.window_size, self.window_size)
        if h <= self.window_size and w <= self.window_size:
            return self._attend(x)
        windows = split_windows(x.permute(0, 2, 3, 1), window_size)
        windows = to_tokens(self._attend(to_map(windows, window_size)))
        return join_windows(windows, window_size, (h, w)).permute(0, 3, 1, 2)

    def _attend(self, x: Tensor) -> Tensor:
        """Attend within maps no larger than a window, (W, C, h, w)."""
        grid_size = x.shape[2:]
        biases = self._biases(*grid_size)
        outputs: list[Tensor] = []
        for head, group in enumerate(x.chunk(self.num_heads, dim=1)):
            if outputs:
                group = group + outputs[-1]
            q, k, v = self.qkvs[head](group).split(
                (self.key_dims, self.key_dims, group.shape[1]), dim=1
            )
            q = self.query_convs[head](q)
            q, k, v = map(to_tokens, (q, k, v))
            bias = biases[head].to(q.dtype)  # old torch requires one type
            out = F.scaled_dot_product_attention(q, k, v, bias)
            outputs.append(to_map(out, grid_size))
        return self.proj(torch.cat(outputs, dim=1))

    def _biases(self, height: int, width: int) -> Tensor:
        """Return the terms added to the logits, (H, n, n)."""
        device = self.position_bias.device
        y = torch.arange(height, device=device)
        x = torch.arange(width, device=device)
        dy = (y[:, None] - y).abs()[:, None, :, None]
        dx = (x[:, None] - x).abs()[None, :, None, :]
        indices = (dy * self.window_size + dx).flatten(2).flatten(0, 1)
        return self.position_bias[:, indices]
