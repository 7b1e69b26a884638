"""Encoder of Deformable DETR: tokens of several maps attend to each other."""

# B batch (1 where no image is padded), V tokens of all levels, C channels,
# L levels

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from .deform_attention import DeformableAttention
from .token_maps import TokenMaps


class PostNormFeedForward(nn.Module):
    """Two linear layers with a ReLU between them, a residual, then a norm.

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
        self_attn: Attention of the tokens to each other.
        feedforward_dims: Channels inside the feed-forward network.
    """

    def __init__(
        self, self_attn: DeformableAttention, feedforward_dims: int
    ) -> None:
        super().__init__()
        self.self_attn = self_attn
        self.norm = nn.LayerNorm(self_attn.embed_dims)
        self.ffn = PostNormFeedForward(self_attn.embed_dims, feedforward_dims)

    def forward(
        self, x: Tensor, pos: Tensor, reference_points: Tensor, maps: TokenMaps
    ) -> Tensor:
        """Return new tokens, (B, V, C).

        Args:
            x: Tokens, (B, V, C).
            pos: Their positions, (B or 1, V, C).
            reference_points: Their centers on each level, (B or 1, V, L, 2).
            maps: The layout of the tokens.
        """
        attended = self.self_attn(x + pos, x, reference_points, maps)
        return self.ffn(self.norm(x + attended))


class DeformableEncoder(nn.Module):
    """Stack of layers; a faster ``DeformableDetrTransformerEncoder``.

    mmpose's encoder samples with ``grid_sample`` on a CPU. It also loops over
    sizes that are tensors, which waits for the device and cannot be exported.

    Source: Zhu et al., "Deformable DETR", Sec. 4.1.

    Args:
        embed_dims: Channels C.
        num_layers: Number of layers.
        attention: More arguments of ``DeformableAttention``.
        feedforward_dims: Channels inside the feed-forward networks.
        with_cp: Whether training keeps only the tokens between layers and
            recomputes the rest, which saves memory and costs time.

    Example:
        >>> encoder = DeformableEncoder(32, 2, dict(num_levels=2))
        >>> x = torch.rand(1, 30, 32)
        >>> maps = TokenMaps.without_padding([(4, 6), (2, 3)], x.device)
        >>> encoder(x, torch.zeros_like(x), maps).shape
        torch.Size([1, 30, 32])
    """

    def __init__(
        self,
        embed_dims: int,
        num_layers: int = 6,
        attention: dict | None = None,
        feedforward_dims: int = 2048,
        with_cp: bool = False,
    ) -> None:
        super().__init__()
        self.with_cp = with_cp
        self.layers = nn.ModuleList(
            DeformableEncoderLayer(
                DeformableAttention(embed_dims, **(attention or {})),
                feedforward_dims,
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
        args = pos, maps.reference_points(maps.centers), maps
        for layer in self.layers:
            if self.with_cp and torch.is_grad_enabled():
                x = checkpoint(layer, x, *args, use_reentrant=False)
            else:
                x = layer(x, *args)
        return x
