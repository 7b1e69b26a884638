"""Self-attention of the queries of an end-to-end pose decoder."""

# B batch, N instances (people that may be there), S slots of an instance,
# C channels, H heads

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class QueryAttention(nn.Module):
    """Multi-head self-attention of queries, added to them, then a norm.

    Args:
        embed_dims: Channels C.
        num_heads: Heads H; divides C.

    Raises:
        ValueError: If the heads do not divide the channels.
    """

    def __init__(self, embed_dims: int, num_heads: int) -> None:
        super().__init__()
        if num_heads < 1 or embed_dims % num_heads:
            raise ValueError(
                f'num_heads must divide embed_dims = {embed_dims}, got '
                f'{num_heads}'
            )
        self.num_heads = num_heads
        self.qkv = nn.Linear(embed_dims, 3 * embed_dims)
        self.proj = nn.Linear(embed_dims, embed_dims)

    def forward(
        self, x: Tensor, pos: Tensor | None = None, mask: Tensor | None = None
    ) -> Tensor:
        """Return what the queries learn, without the residual.

        Args:
            x: Groups of queries, (G, T, C).
            pos: Added to queries and keys, but not to values, (G, T, C).
            mask: True where a query (row) may read another, (T, T).
        """
        if pos is None:
            parts = self.qkv(x).chunk(3, dim=-1)
        else:
            weights, biases = self.qkv.weight.chunk(3), self.qkv.bias.chunk(3)
            inputs = (x + pos, x + pos, x)
            parts = map(F.linear, inputs, weights, biases)
        q, k, v = (
            part.unflatten(2, (self.num_heads, -1)).transpose(1, 2)
            for part in parts
        )  # (G, H, T, C / H)
        out = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
        return self.proj(out.transpose(1, 2).flatten(2))


class GroupSelfAttention(nn.Module):
    """Two subsequent group self-attentions: within and across instances.

    First each instance's queries attend to each other; then, for every slot,
    the queries of that slot of all instances. Both are folded into the batch
    of one fused attention.

    Source: Liu et al., "Group Pose", ICCV 2023, Sec. 3.3; the switches are
    those of Table 4e and of appendices A.2 and A.3.

    Args:
        embed_dims: Channels C.
        num_heads: Heads.
        with_within: Whether queries of an instance attend to each other.
        across_slots: First and end of the slots that attend across
            instances; None for no such attention.
        shared: Whether both attentions use the same projections (A.3).

    Raises:
        ValueError: If ``shared`` has nothing to share.

    Example:
        >>> attention = GroupSelfAttention(32, 4, across_slots=(0, 18))
        >>> attention(torch.rand(2, 10, 18, 32)).shape
        torch.Size([2, 10, 18, 32])
    """

    def __init__(
        self,
        embed_dims: int,
        num_heads: int,
        with_within: bool = True,
        across_slots: tuple[int, int] | None = None,
        shared: bool = False,
    ) -> None:
        super().__init__()
        if shared and not (with_within and across_slots):
            raise ValueError(
                'shared=True needs both attentions, within and across '
                f'instances, got with_within={with_within}, '
                f'across_slots={across_slots}'
            )
        self.across_slots = across_slots
        self.within_attn = self.across_attn = None
        if with_within:
            self.within_attn = QueryAttention(embed_dims, num_heads)
            self.within_norm = nn.LayerNorm(embed_dims)
        if across_slots:
            if not shared:
                self.across_attn = QueryAttention(embed_dims, num_heads)
            self.across_norm = nn.LayerNorm(embed_dims)

    def forward(self, x: Tensor, pos: Tensor | None = None) -> Tensor:
        """Return new queries, (B, N, S, C).

        Args:
            x: Queries, (B, N, S, C).
            pos: Positions that keys and queries of the first attention get,
                and values not; None where ``x`` already has them.
        """
        if self.within_attn is not None:
            x = self._within(x, pos)
        if self.across_slots:
            first, end = self.across_slots
            if (first, end) == (0, x.shape[2]):
                return self._across(x)
            own = self._across(x[:, :, first:end])
            x = torch.cat((x[:, :, :first], own, x[:, :, end:]), dim=2)
        return x

    def _within(self, x: Tensor, pos: Tensor | None) -> Tensor:
        groups = x.flatten(0, 1)  # (B * N, S, C)
        pos = pos if pos is None else pos.flatten(0, 1)
        new = self.within_attn(groups, pos).unflatten(0, x.shape[:2])
        return self.within_norm(x + new)

    def _across(self, x: Tensor) -> Tensor:
        attention = self.across_attn
        if attention is None:  # shared
            attention = self.within_attn
        slots = x.transpose(1, 2).contiguous()  # (B, S, N, C)
        new = attention(slots.flatten(0, 1)).unflatten(0, slots.shape[:2])
        return self.across_norm(x + new.transpose(1, 2))


class FlatSelfAttention(nn.Module):
    """One self-attention over all N * S queries, with or without a mask.

    With the mask, a query reads its own instance, and its own slot of the
    other instances: the same pairs as in ``GroupSelfAttention``, in one step.

    Source: Liu et al., "Group Pose", ICCV 2023, Fig. 3 and Table 4d.

    Args:
        embed_dims: Channels C.
        num_heads: Heads.
        masked: Whether different slots of different instances are hidden
            from each other.
    """

    def __init__(
        self, embed_dims: int, num_heads: int, masked: bool = False
    ) -> None:
        super().__init__()
        self.masked = masked
        self.attn = QueryAttention(embed_dims, num_heads)
        self.norm = nn.LayerNorm(embed_dims)

    def forward(self, x: Tensor, pos: Tensor | None = None) -> Tensor:
        """Return new queries; see ``GroupSelfAttention``."""
        mask = self._mask(*x.shape[1:3], x.device) if self.masked else None
        flat = x.flatten(1, 2)  # (B, N * S, C)
        pos = pos if pos is None else pos.flatten(1, 2)
        new = self.attn(flat, pos, mask)
        return self.norm(x + new.view_as(x))

    @staticmethod
    def _mask(num: int, slots: int, device: torch.device) -> Tensor:
        place = torch.arange(num * slots, device=device)
        instance, slot = place // slots, place % slots
        return (instance[:, None] == instance) | (slot[:, None] == slot)
