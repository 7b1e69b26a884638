"""Cascaded group attention in windows, the attention of EfficientViT."""

# B batch, C channels, H heads, c = C / H channels of a head, K channels of a
# query, (h, w) feature map, s window side, W windows in all images

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .conv_bn import conv_bn


class CascadedWindowAttention(nn.Module):
    """Attention of heads in cascade, within windows.

    Every head reads its own share of the channels, plus the output of the
    head before. A depthwise convolution mixes its queries. Maps larger than
    a window are padded with zeros to whole windows, and cut.

    Source: Liu et al., "EfficientViT: Memory Efficient Vision Transformer
    with Cascaded Group Attention", CVPR 2023, Sec. 3.2: what HEViTPose
    replaces, the baseline of its Tables 1, 4 and 6.

    Args:
        embed_dims: Channels C.
        num_heads: Heads H; divides C.
        key_dims: Channels of queries and keys of a head.
        window_size: Side s of a window.
        query_kernels: Side of the depthwise kernel of each head's queries,
            odd.

    Raises:
        ValueError: If H does not divide C, or there is not one odd kernel
            for each head.

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
        if num_heads < 1 or embed_dims % num_heads:
            raise ValueError(
                f'num_heads={num_heads} does not divide '
                f'embed_dims={embed_dims}'
            )
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
            conv_bn(key_dims, key_dims, kernel, 1, kernel // 2, key_dims)
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
        s = self.window_size
        if h <= s and w <= s:
            return self._attend(x)
        num_rows, num_columns = -(-h // s), -(-w // s)
        x = F.pad(x, (0, num_columns * s - w, 0, num_rows * s - h))
        x = x.unflatten(3, (num_columns, s)).unflatten(2, (num_rows, s))
        x = x.permute(0, 2, 4, 1, 3, 5)  # (B, rows, columns, C, s, s)
        x = self._attend(x.flatten(0, 2))  # (W, C, s, s)
        x = x.unflatten(0, (-1, num_rows, num_columns))
        x = x.permute(0, 3, 1, 4, 2, 5).flatten(4, 5).flatten(2, 3)
        return x[:, :, :h, :w]

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
            out = F.scaled_dot_product_attention(
                *(part.flatten(2).transpose(1, 2) for part in (q, k, v)),
                attn_mask=biases[head],
            )
            outputs.append(out.transpose(1, 2).unflatten(2, grid_size))
        return self.proj(torch.cat(outputs, dim=1))

    def _biases(self, height: int, width: int) -> Tensor:
        """Return what is added to the logits, (H, h * w, h * w)."""
        device = self.position_bias.device
        y = torch.arange(height, device=device)
        x = torch.arange(width, device=device)
        dy = (y[:, None] - y).abs()[:, None, :, None]
        dx = (x[:, None] - x).abs()[None, :, None, :]
        places = (dy * self.window_size + dx).flatten(2).flatten(0, 1)
        return self.position_bias[:, places]
