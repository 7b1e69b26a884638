"""Encoder of Deformable DETR: tokens of several maps look at each other."""

# B batch (1 where all images are alike), V tokens of all levels, C channels,
# L levels, (h, w) map of a level

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from .deform_attention import DeformableAttention, level_sizes

#: Tokens at once on a CPU, so that intermediate results stay in its caches.
CHUNK_SIZE = 1024


@dataclass(frozen=True)
class TokenMaps:
    """How one token sequence is made of the maps of several levels.

    Images of different sizes are padded at the bottom and on the right;
    tokens of padding are hidden.

    Args:
        shapes: Size (h, w) of each level.
        sizes: The same as (w, h) on the device, (L, 2).
        valid_ratios: Part (x, y) of each map that is not padding, (B, L, 2).
        centers: Center (x, y) of each token in units of the part of its map
            that is not padding, (B, V, 2).
        hidden: True for tokens of padding, (B, V); None if there are none.
    """

    shapes: list[tuple[int, int]]
    sizes: Tensor
    valid_ratios: Tensor
    centers: Tensor
    hidden: Tensor | None = None

    @classmethod
    def without_padding(
        cls, shapes: Sequence[tuple[int, int]], device: torch.device
    ) -> 'TokenMaps':
        """Return the layout of images that all fill the batch."""
        sizes = level_sizes(shapes, device)
        ratios = torch.ones_like(sizes)[None]
        return cls(list(shapes), sizes, ratios, _centers(shapes, ratios))

    @classmethod
    def with_padding(cls, masks: Sequence[Tensor]) -> 'TokenMaps':
        """Return the layout for masks, (B, h, w) each, True at padding."""
        shapes = [tuple(mask.shape[1:]) for mask in masks]
        ratios = torch.stack(
            [
                torch.stack(
                    ((~mask[:, 0]).sum(1) / w, (~mask[:, :, 0]).sum(1) / h),
                    dim=-1,
                )
                for mask, (h, w) in zip(masks, shapes, strict=True)
            ],
            dim=1,
        )
        sizes = level_sizes(shapes, ratios.device)
        hidden = torch.cat([mask.flatten(1) for mask in masks], dim=1)
        return cls(shapes, sizes, ratios, _centers(shapes, ratios), hidden)

    def references(self, points: Tensor) -> Tensor:
        """Map points of the image to each padded map.

        Args:
            points: (x, y), or boxes (cx, cy, w, h), in units of the image
                without padding, (B, Q, 2 or 4).

        Returns:
            In units of the padded maps, (B, Q, L, 2 or 4).
        """
        ratios = self.valid_ratios.repeat(1, 1, points.shape[-1] // 2)
        return points[:, :, None] * ratios[:, None]


def _centers(shapes: Sequence[tuple[int, int]], ratios: Tensor) -> Tensor:
    centers = []
    for i, (h, w) in enumerate(shapes):
        y = torch.arange(h, device=ratios.device) + 0.5
        x = torch.arange(w, device=ratios.device) + 0.5
        x_ratio, y_ratio = ratios[:, i, :, None].unbind(1)  # (B, 1)
        x, y = x / (x_ratio * w), y / (y_ratio * h)  # without padding
        x, y = x[:, None].expand(-1, h, w), y[:, :, None].expand(-1, h, w)
        centers.append(torch.stack((x, y), dim=-1).flatten(1, 2))
    return torch.cat(centers, dim=1)


class PostNormFeedForward(nn.Module):
    """Two linear layers with ReLU between, added to the input, then a norm.

    Args:
        embed_dims: Channels C.
        feedforward_dims: Channels between the linear layers.
    """

    def __init__(self, embed_dims: int, feedforward_dims: int) -> None:
        super().__init__()
        self.linear1 = nn.Linear(embed_dims, feedforward_dims)
        self.linear2 = nn.Linear(feedforward_dims, embed_dims)
        self.norm = nn.LayerNorm(embed_dims)

    def forward(self, x: Tensor) -> Tensor:
        """Return tokens of the shape of ``x``, (..., C)."""
        hidden = F.relu(self.linear1(x), inplace=True)
        return self.norm(x + self.linear2(hidden))


class DeformableEncoderLayer(nn.Module):
    """Deformable self-attention and a feed-forward network, post-norm.

    Args:
        embed_dims: Channels C.
        feedforward_dims: Channels inside the feed-forward network.
        num_heads: Attention heads.
        num_levels: Levels L.
        num_points: Points per head and level.
        impl: See ``DeformableAttention``.
    """

    def __init__(
        self,
        embed_dims: int,
        feedforward_dims: int,
        num_heads: int,
        num_levels: int,
        num_points: int,
        impl: str = 'auto',
    ) -> None:
        super().__init__()
        self.self_attn = DeformableAttention(
            embed_dims, num_heads, num_levels, num_points, impl
        )
        self.norm = nn.LayerNorm(embed_dims)
        self.ffn = PostNormFeedForward(embed_dims, feedforward_dims)

    def forward(
        self, x: Tensor, pos: Tensor, references: Tensor, maps: TokenMaps
    ) -> Tensor:
        """Return new tokens, (B, V, C).

        Args:
            x: Tokens, (B, V, C).
            pos: Their positions, (B or 1, V, C).
            references: Their places on each level, (B or 1, V, L, 2).
            maps: The layout of the tokens.
        """
        sampler = self.self_attn.sampler(x, maps.shapes, maps.hidden)

        def step(x: Tensor, pos: Tensor, references: Tensor) -> Tensor:
            seen = self.self_attn.attend(
                x + pos, references, maps.sizes, sampler
            )
            return self.ffn(self.norm(x + seen))

        if not _works_in_chunks(x):
            return step(x, pos, references)
        size = max(1, CHUNK_SIZE // len(x))
        parts = zip(
            *(t.split(size, dim=1) for t in (x, pos, references)), strict=True
        )
        return torch.cat([step(*part) for part in parts], dim=1)


def _works_in_chunks(x: Tensor) -> bool:
    """Tell whether nothing but speed on a CPU depends on it."""
    return (
        x.device.type == 'cpu'
        and not torch.is_grad_enabled()
        and not torch.compiler.is_compiling()
        and not torch.onnx.is_in_onnx_export()
    )


class DeformableEncoder(nn.Module):
    """Layers in a row; mmpose's ``DeformableDetrTransformerEncoder``, faster.

    That one samples by ``grid_sample`` on a CPU, and loops over sizes that
    are tensors, which waits for the device and does not export.

    Source: Zhu et al., "Deformable DETR", Sec. 4.1.

    Args:
        embed_dims: Channels C.
        num_layers: Number of layers.
        feedforward_dims: Channels inside the feed-forward networks.
        num_heads: Attention heads.
        num_levels: Levels L.
        num_points: Points per head and level.
        impl: See ``DeformableAttention``.
        with_cp: Whether training keeps only the tokens between layers and
            computes the rest again, which saves memory and costs time.

    Example:
        >>> encoder = DeformableEncoder(32, 2, 64, num_levels=2)
        >>> shapes = [(4, 6), (2, 3)]
        >>> maps = TokenMaps.without_padding(shapes, torch.device('cpu'))
        >>> x = torch.rand(1, 30, 32)
        >>> encoder(x, torch.zeros_like(x), maps).shape
        torch.Size([1, 30, 32])
    """

    def __init__(
        self,
        embed_dims: int,
        num_layers: int = 6,
        feedforward_dims: int = 2048,
        num_heads: int = 8,
        num_levels: int = 4,
        num_points: int = 4,
        impl: str = 'auto',
        with_cp: bool = False,
    ) -> None:
        super().__init__()
        self.with_cp = with_cp
        self.layers = nn.ModuleList(
            DeformableEncoderLayer(
                embed_dims,
                feedforward_dims,
                num_heads,
                num_levels,
                num_points,
                impl,
            )
            for _ in range(num_layers)
        )

    def forward(self, x: Tensor, pos: Tensor, maps: TokenMaps) -> Tensor:
        """Return the memory, (B, V, C).

        Args:
            x: Tokens, (B, V, C).
            pos: Their positions, (B or 1, V, C).
            maps: The layout of the tokens.
        """
        references = maps.references(maps.centers)
        for layer in self.layers:
            if self.with_cp and torch.is_grad_enabled():
                x = checkpoint(
                    layer, x, pos, references, maps, use_reentrant=False
                )
            else:
                x = layer(x, pos, references, maps)
        return x
