"""Attention of keypoint and image tokens, alone or in keypoint groups."""

# B batch, G groups, M tokens of a group, T tokens in all, Q keypoint queries,
# H heads, C channels

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .arch import check_divides
from .attention_heads import merge_heads, split_heads
from .mlp import MLP
from .token_pruning import softmax_pool
from .tokens import TokenLayout


class GroupAttention(nn.Module):
    """Multi-head group attention (MHGA); with one group, self-attention.

    The tokens of a group attend to the tokens of the group and to the shared
    keypoint tokens of all groups. All groups use the same projections.

    Source: Wang et al., "GTPT", ECCV 2024, Sec. 3.4, Eqs. 7-9. The paper
    divides the logits by the root of the head's width; the official code,
    whose weights we load, by the root of C. We follow the code.

    Args:
        embed_dims: Channels C.
        num_heads: Number of heads H; divides C.

    Raises:
        ValueError: If ``num_heads`` does not divide ``embed_dims``.
    """

    def __init__(self, embed_dims: int, num_heads: int) -> None:
        super().__init__()
        check_divides('num_heads', num_heads, 'embed_dims', embed_dims)
        self.num_heads = num_heads
        self.scale = embed_dims**-0.5
        self.qkv = nn.Linear(embed_dims, 3 * embed_dims, bias=False)
        self.proj = nn.Linear(embed_dims, embed_dims)

    def logits(self, queries: Tensor, keys: Tensor) -> Tensor:
        """Return scaled attention logits before the softmax.

        Args:
            queries: Projected queries, (B, G, Q, C).
            keys: Projected keys, (B, G, M, C).

        Returns:
            Logits, (B, G, H, Q, M), in float32 or wider: they decide which
            tokens survive, and rounding would change the choice.
        """
        with torch.autocast(queries.device.type, enabled=False):
            if queries.dtype.itemsize < 4:
                queries, keys = queries.float(), keys.float()
            q = split_heads(queries, self.num_heads)
            k = split_heads(keys, self.num_heads)
            return (q * self.scale) @ k.mT

    @torch.no_grad()
    def score(
        self, queries: Tensor, keys: Tensor, mask: Tensor | None = None
    ) -> Tensor:
        """Return how much keys matter to queries, see ``softmax_pool``.

        Args:
            queries: Projected queries, (B, G, Q, C).
            keys: Projected keys, (B, G, M, C).
            mask: True where a query counts, (G, Q); None counts all.

        Returns:
            Scores, (B, G, M), without gradient.
        """
        return softmax_pool(self.logits(queries, keys), mask)

    def forward(
        self, q: Tensor, k: Tensor, v: Tensor, layout: TokenLayout
    ) -> Tensor:
        """Attend and project.

        Args:
            q: Projected queries in ``layout``, (B, T, C); may have fewer
                tokens than ``k``.
            k: Projected keys in ``layout``.
            v: Projected values, as ``k``.
            layout: The groups.

        Returns:
            New tokens for the rows of ``q``, (B, T, C).
        """
        batch = q.shape[0]
        queries, keys, values = (
            split_heads(x.flatten(0, 1), self.num_heads)
            for x in (layout.queries(q), layout.keys(k), layout.keys(v))
        )  # (B * G, H, L, C / H)
        mask = layout.key_mask(keys.shape[2])
        if mask is not None:
            mask = mask.repeat(batch, 1, 1, 1)
        out = F.scaled_dot_product_attention(
            queries, keys, values, attn_mask=mask, scale=self.scale
        )
        out = merge_heads(out).unflatten(0, (batch, -1))
        return self.proj(layout.ungroup(out))


class GroupTransformerLayer(nn.Module):
    """Pre-norm transformer layer, its steps callable one by one.

    Pruning happens between the projections and the attention, and new
    keypoints appear between the attention and the feed-forward network, so
    the owner of the layer calls :meth:`project`, :meth:`attend` and
    :meth:`feed_forward` itself.

    Args:
        embed_dims: Channels C.
        num_heads: Number of attention heads.
        mlp_ratio: Width of the feed-forward network in units of C.
    """

    def __init__(
        self, embed_dims: int, num_heads: int, mlp_ratio: float
    ) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(embed_dims)
        self.attn = GroupAttention(embed_dims, num_heads)
        self.norm2 = nn.LayerNorm(embed_dims)
        self.mlp = MLP(embed_dims, int(mlp_ratio * embed_dims))

    def project(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return projected queries, keys and values, each (B, T, C)."""
        return self.attn.qkv(self.norm1(x)).chunk(3, dim=-1)

    def attend(
        self, x: Tensor, q: Tensor, k: Tensor, v: Tensor, layout: TokenLayout
    ) -> Tensor:
        """Add the attention of the rows of ``q`` to ``x``, (B, T, C)."""
        return _add(x, self.attn(q, k, v, layout))

    def feed_forward(self, x: Tensor) -> Tensor:
        """Add the feed-forward network to ``x``, (B, T, C)."""
        return _add(x, self.mlp(self.norm2(x)))


def _add(x: Tensor, new: Tensor) -> Tensor:
    """Return the sum, written into ``new`` unless autocast halved its width.

    ``new`` is a fresh output of a linear layer, which nothing else holds.
    """
    return new.add_(x) if new.dtype == x.dtype else x + new
