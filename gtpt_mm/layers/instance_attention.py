"""Self-attention of the queries of an end-to-end pose decoder."""

# B batch, N instances, S slots of an instance, G groups of T queries,
# C channels, H heads

import torch.nn.functional as F
from torch import Tensor, nn

from .arch import check_divides
from .attention_heads import merge_heads, split_heads


class QueryAttention(nn.Module):
    """Multi-head self-attention of queries.

    Args:
        embed_dims: Channels C.
        num_heads: Heads H; divides C.

    Raises:
        ValueError: If the heads do not divide the channels.
    """

    def __init__(self, embed_dims: int, num_heads: int) -> None:
        super().__init__()
        check_divides('num_heads', num_heads, 'embed_dims', embed_dims)
        self.num_heads = num_heads
        self.qkv = nn.Linear(embed_dims, 3 * embed_dims)
        self.proj = nn.Linear(embed_dims, embed_dims)

    def init_weights(self) -> None:
        """Initialise as the official code: Xavier, biases zero."""
        for linear in (self.qkv, self.proj):
            nn.init.xavier_uniform_(linear.weight)
            nn.init.zeros_(linear.bias)

    def forward(
        self, x: Tensor, pos: Tensor | None = None, mask: Tensor | None = None
    ) -> Tensor:
        """Return the attention's output, (G, T, C), without the residual.

        Args:
            x: Groups of queries, (G, T, C).
            pos: Added to queries and keys, but not to values, (G, T, C).
            mask: True where a query (row) may attend to another, (T, T).
        """
        if pos is None:
            parts = self.qkv(x).chunk(3, dim=-1)
        else:
            weights, biases = self.qkv.weight.chunk(3), self.qkv.bias.chunk(3)
            parts = map(F.linear, (x + pos, x + pos, x), weights, biases)
        q, k, v = (split_heads(part, self.num_heads) for part in parts)
        out = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
        return self.proj(merge_heads(out))


class GroupSelfAttention(nn.Module):
    """Two subsequent group self-attentions: within and across instances.

    First each instance's queries attend to each other; then, for every slot,
    the queries of that slot of all instances. Both are folded into the batch
    of one fused attention.

    Source: Liu et al., "Group Pose", ICCV 2023, Sec. 3.3.

    Args:
        embed_dims: Channels C.
        num_heads: Heads.

    Example:
        >>> import torch
        >>> attention = GroupSelfAttention(32, 4)
        >>> attention(torch.rand(2, 10, 18, 32)).shape
        torch.Size([2, 10, 18, 32])
    """

    def __init__(self, embed_dims: int, num_heads: int) -> None:
        super().__init__()
        self.within_attn = QueryAttention(embed_dims, num_heads)
        self.within_norm = nn.LayerNorm(embed_dims)
        self.across_attn = QueryAttention(embed_dims, num_heads)
        self.across_norm = nn.LayerNorm(embed_dims)

    def forward(self, x: Tensor, pos: Tensor | None = None) -> Tensor:
        """Return new queries, (B, N, S, C).

        Args:
            x: Queries, (B, N, S, C).
            pos: Positions, added to keys and queries within instances; None
                where ``x`` already has them.
        """
        return self.across(self.within(x, pos))

    def within(self, x: Tensor, pos: Tensor | None = None) -> Tensor:
        """Let the queries of each instance attend to each other."""
        groups = x.flatten(0, 1)  # (B * N, S, C)
        pos = pos if pos is None else pos.flatten(0, 1)
        new = self.within_attn(groups, pos).unflatten(0, x.shape[:2])
        return self.within_norm(x + new)

    def across(self, x: Tensor) -> Tensor:
        """Let the queries of each slot attend to those of other instances."""
        slots = x.transpose(1, 2).contiguous()  # (B, S, N, C)
        new = self.across_attn(slots.flatten(0, 1))
        new = new.unflatten(0, slots.shape[:2])
        return self.across_norm(x + new.transpose(1, 2))
