"""Learned positions of tokens relative to each other."""

# B batch, N image tokens, H heads, D channels of a head, (h, w) token grid

import torch
import torch.nn.functional as F
from torch import Tensor, nn

#: Fused attention on a GPU needs a multiple of this many channels.
ALIGNMENT = 8


class DecomposedRelPos(nn.Module):
    """Add learned biases for the distances in rows and in columns.

    With q and k of the tokens i and j, at (row, column) of the grid,

        logit_ij = q_i . k_j / sqrt(D) + q_i . R_(row_i - row_j)
                                       + q_i . C_(column_i - column_j)

    The sum is one product of longer vectors: q_i, extended by its products
    with all rows and columns, and k_j, extended by a one at its row and a one
    at its column. So fused attention needs no N x N bias.

    Source: Li et al., "MViTv2", CVPR 2022, Sec. 4.1, Eq. 3 and 4, and Li et
    al., "ViTDet", 2022, which ViTPose++ (Sec. 3.3) cites; no official
    code. As in both, q is not scaled and the tables start at 0.

    Args:
        head_dims: Channels D of a head.
        size: Grid (h, w) that attention covers, the map or a window.
        stretched: How another grid is treated. True: as the same picture in
            more or fewer tokens; the tables are resized (linearly, as
            MViTv2). False: as a part of the grid, with the same distances; it
            cannot be larger.

    Raises:
        ValueError: In the forward pass, if a grid that may not be stretched
            is larger than ``size``.

    Example:
        >>> rel_pos = DecomposedRelPos(16, (8, 6))
        >>> q, k = rel_pos(*torch.rand(2, 1, 4, 48, 16), (8, 6))
        >>> q.shape, k.shape  # 16 + 8 + 6, filled up to a multiple of 8
        (torch.Size([1, 4, 48, 32]), torch.Size([1, 4, 48, 32]))
    """

    def __init__(
        self,
        head_dims: int,
        size: tuple[int, int],
        stretched: bool = False,
    ) -> None:
        super().__init__()
        self.stretched = stretched
        h, w = size
        self.rows = nn.Parameter(torch.zeros(2 * h - 1, head_dims))
        self.columns = nn.Parameter(torch.zeros(2 * w - 1, head_dims))

    def forward(
        self, q: Tensor, k: Tensor, size: tuple[int, int]
    ) -> tuple[Tensor, Tensor]:
        """Return queries and keys; their scaled product is the logit.

        Args:
            q: Queries, (B, H, N, D), not scaled.
            k: Keys, (B, H, N, D).
            size: Grid (h, w) of these tokens, with h * w == N.

        Returns:
            Both with more channels, (B, H, N, D'); their product is still to
            be divided by sqrt(D), not by sqrt(D').
        """
        h, w = size
        head_dims = q.shape[-1]
        rows = _pairs(self._fit(self.rows, h), h)  # (h, h, D)
        columns = _pairs(self._fit(self.columns, w), w)
        maps = q.unflatten(2, size)  # (B, H, h, w, D)
        by_row = torch.einsum('bnhwd,hkd->bnhwk', maps, rows)
        by_column = torch.einsum('bnhwd,wkd->bnhwk', maps, columns)
        bias = torch.cat((by_row, by_column), 4).flatten(2, 3)
        # The product will be scaled, but these terms must not be.
        bias = bias * head_dims**0.5
        indices = torch.arange(h * w, device=q.device)
        one_hot = torch.cat(
            (F.one_hot(indices // w, h), F.one_hot(indices % w, w)), 1
        ).to(k.dtype)
        one_hot = one_hot.expand(*k.shape[:2], -1, -1)
        fill = (0, -(head_dims + h + w) % ALIGNMENT)
        return (
            F.pad(torch.cat((q, bias.to(q.dtype)), 3), fill),
            F.pad(torch.cat((k, one_hot), 3), fill),
        )

    def _fit(self, table: Tensor, length: int) -> Tensor:
        """Return the 2 * length - 1 rows of a table for ``length`` tokens."""
        if self.stretched:
            return resize_rel_pos(table, 2 * length - 1)
        cut = len(table) // 2 + 1 - length
        if cut < 0:
            raise ValueError(
                f'relative positions reach {len(table) // 2 + 1} tokens, the '
                f'grid has {length}; build them for it or stretch them'
            )
        return table[cut : len(table) - cut]

    def _load_from_state_dict(
        self, state_dict: dict[str, Tensor], prefix: str, *args: object
    ) -> None:
        """Resize the tables of another window or map to this one."""
        for name in ('rows', 'columns'):
            table = state_dict.get(prefix + name)
            if table is not None and table.ndim == 2:
                state_dict[prefix + name] = resize_rel_pos(
                    table, len(getattr(self, name))
                )
        super()._load_from_state_dict(state_dict, prefix, *args)


def resize_rel_pos(table: Tensor, num_distances: int) -> Tensor:
    """Bring a table of distances to another number of them, linearly.

    Args:
        table: A row for each distance, from the most negative, (2n - 1, D).
        num_distances: Number of rows of the result.

    Returns:
        The new table; the old one if the numbers are equal.
    """
    if len(table) == num_distances:
        return table
    return F.interpolate(
        table.T[None], num_distances, mode='linear', align_corners=False
    )[0].T


def _pairs(table: Tensor, length: int) -> Tensor:
    """Return the row of the table for each pair of tokens, (n, n, D)."""
    index = torch.arange(length, device=table.device)
    return table[index[:, None] - index + length - 1]
