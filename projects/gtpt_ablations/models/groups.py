"""Keypoint groups that are isolated, or add their dense keypoints."""

# K sparse keypoints, G groups, S slots of a group, M other rows of a group

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from gtpt_mm.layers.tokens import TokenLayout
from gtpt_mm.models.backbones.keypoint_groups import KeypointGroups, Stage


@dataclass(frozen=True)
class PaddedLayout(TokenLayout):
    """Groups whose first keys may be padding.

    Args:
        share_sparse: Whether every group reads the keypoints of all groups.
        padding: True where one of the first keys of a group is padding,
            (G, any number of keys); None without padding.
    """

    share_sparse: bool = True
    padding: Tensor | None = None

    def keys(self, x: Tensor) -> Tensor:
        """Return the tokens that each group attends to, (B, G, keys, C)."""
        return super().keys(x) if self.share_sparse else self.queries(x)

    def key_mask(self, num_keys: int) -> Tensor | None:
        """Return True where a group attends to a key, (G, 1, 1, num_keys)."""
        if self.padding is None:
            return None
        rest = num_keys - self.padding.shape[1]
        return F.pad(~self.padding, (0, rest), value=True)[:, None, None]


class AblatedGroups(KeypointGroups):
    """Keypoint groups with two more options.

    Args:
        groups: See ``KeypointGroups``.
        share_sparse: Whether every group attends to the sparse keypoints of
            all groups (MHGA, Eqs. 7-9) or only to its own (MHSA, Table 4).
        displace: Whether dense keypoints displace image tokens (Eq. 11);
            otherwise they are added to them: every group gets as many rows as
            the largest group has dense keypoints.
    """

    def __init__(
        self,
        groups: Sequence[dict],
        share_sparse: bool = True,
        displace: bool = True,
    ) -> None:
        super().__init__(groups)
        self.share_sparse = share_sparse
        self.displace = displace
        if share_sparse:
            shape = self.num_groups, self.num_sparse
            padding = torch.zeros(shape, dtype=torch.bool)
        else:
            padding = ~self.slot_valid
        if not displace:
            rows = torch.arange(self.max_dense)
            fillers = rows >= self.num_front[:, None]
            padding = torch.cat((padding, fillers), dim=1)
            self.fronts = (self.max_dense,) * self.num_groups
            self.num_front = torch.tensor(self.fronts)
        padding = padding if padding.any() else None
        self.register_buffer('padding', padding, persistent=False)

    def count_rows(self, num_keep: int) -> int:
        """Return the number of rows M of a group with this many tokens."""
        return num_keep if self.displace else num_keep + self.max_dense

    def layout(self, stage: Stage) -> TokenLayout:
        """Return the layout of the sequence at a stage."""
        layout = super().layout(stage)
        if layout.slots is None:
            return layout
        return PaddedLayout(
            **vars(layout),
            share_sparse=self.share_sparse,
            padding=self.padding,
        )
