"""Self-attentions of the ablations of Group Pose."""

# B batch, N instances, S slots of an instance, C channels

import torch
from torch import Tensor, nn

from gtpt_mm.layers.instance_attention import (
    GroupSelfAttention,
    QueryAttention,
)


class PartialGroupSelfAttention(GroupSelfAttention):
    """Group self-attention without one of its attentions or some queries.

    Source: Liu et al., "Group Pose", ICCV 2023, Table 4e and appendix A.2.

    Args:
        embed_dims: Channels C.
        num_heads: Heads.
        with_within: Whether queries of an instance attend to each other.
        across_slots: Range (start, end) of the slots that attend across
            instances, None for all; (0, 0) for no such attention.
    """

    def __init__(
        self,
        embed_dims: int,
        num_heads: int,
        with_within: bool = True,
        across_slots: tuple[int, int | None] = (0, None),
    ) -> None:
        super().__init__(embed_dims, num_heads)
        self.with_within = with_within
        self.across_slots = slice(*across_slots)
        if not with_within:
            del self.within_attn, self.within_norm
        self.with_across = across_slots != (0, 0)
        if not self.with_across:
            del self.across_attn, self.across_norm

    def within(self, x: Tensor, pos: Tensor | None = None) -> Tensor:
        """Attend within instances, if it is part of the ablation."""
        return super().within(x, pos) if self.with_within else x

    def across(self, x: Tensor) -> Tensor:
        """Attend across instances in the chosen slots."""
        if not self.with_across:
            return x
        first, end, _ = self.across_slots.indices(x.shape[2])
        new = super().across(x[:, :, first:end])
        return torch.cat((x[:, :, :first], new, x[:, :, end:]), dim=2)


class SharedGroupSelfAttention(GroupSelfAttention):
    """Both attentions use the same projections but have separate norms.

    Source: Liu et al., "Group Pose", ICCV 2023, appendix A.3.

    Args:
        embed_dims: Channels C.
        num_heads: Heads.
    """

    def __init__(self, embed_dims: int, num_heads: int) -> None:
        super().__init__(embed_dims, num_heads)
        del self.across_attn

    def __getattr__(self, name: str) -> nn.Module:
        # A second name of a module would be saved twice.
        return super().__getattr__(
            'within_attn' if name == 'across_attn' else name
        )


class FlatSelfAttention(nn.Module):
    """One self-attention over all N * S queries, with or without a mask.

    With the mask, a query attends to its own instance, and to its own slot of
    the other instances: the same pairs as in ``GroupSelfAttention``, in one
    step.

    Source: Liu et al., "Group Pose", ICCV 2023, Fig. 3 and Table 4d.

    Args:
        embed_dims: Channels C.
        num_heads: Heads.
        masked: Whether different slots of different instances are masked.
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
        mask = None
        if self.masked:
            num, slots = x.shape[1:3]
            index = torch.arange(num * slots, device=x.device)
            instance, slot = index // slots, index % slots
            mask = (instance[:, None] == instance) | (slot[:, None] == slot)
        flat = x.flatten(1, 2)  # (B, N * S, C)
        pos = pos if pos is None else pos.flatten(1, 2)
        return self.norm(x + self.attn(flat, pos, mask).view_as(x))
