"""Sequences of keypoint and image tokens, alone or in keypoint groups."""

# B batch, T tokens, G groups, K shared keypoint tokens, S keypoint slots of a
# group, M other tokens of a group, T = K + G * M, n rows taken, C channels

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor


class Tokens(NamedTuple):
    """A flat token sequence, which begins with a keypoint token.

    Attributes:
        x: Tokens, (B, T, C).
        pos: Position embedding of each token, zero at keypoints, (B, T, C).
        indices: Patch number of each token, row-major, -1 at keypoints,
            (B, T).
    """

    x: Tensor
    pos: Tensor
    indices: Tensor

    def with_x(self, x: Tensor) -> 'Tokens':
        """Return tokens of the same patches with other values."""
        return self._replace(x=x)

    def keypoints(self, x: Tensor) -> 'Tokens':
        """Return new keypoint tokens (B, n, C)."""
        num = x.shape[1]
        pos = self.pos[:, :1].expand(-1, num, -1)
        return Tokens(x, pos, self.indices[:, :1].expand(-1, num))

    def select(self, rows: Tensor) -> 'Tokens':
        """Return the tokens of ``rows``, see :func:`take_rows`."""
        x, pos = take_rows(rows, self.x, self.pos)
        if rows.dim() == 1:
            return Tokens(x, pos, self.indices[:, rows])
        return Tokens(x, pos, self.indices.gather(1, rows))

    def cut(self, start: int, stop: int | None = None) -> 'Tokens':
        """Return consecutive tokens."""
        return Tokens(*(field[:, start:stop] for field in self))

    @staticmethod
    def join(parts: Sequence['Tokens']) -> 'Tokens':
        """Join several sequences into one."""
        return Tokens(*(torch.cat(f, dim=1) for f in zip(*parts, strict=True)))


def take_rows(rows: Tensor, *sequences: Tensor) -> list[Tensor]:
    """Return rows of flat token sequences.

    Args:
        rows: Rows in 0..T-1, (B, n); or (n,), the same for all images.
        sequences: Tokens, each (B, T, C).

    Returns:
        Tokens, each (B, n, C).
    """
    if rows.dim() == 1:
        return [x.index_select(1, rows) for x in sequences]
    image = torch.arange(rows.shape[0], device=rows.device)
    # Whole rows of one flat table: several times as fast as a gather.
    flat = rows.add(image[:, None], alpha=sequences[0].shape[1]).flatten()
    return [
        x.flatten(0, 1).index_select(0, flat).unflatten(0, rows.shape)
        for x in sequences
    ]


@dataclass(frozen=True)
class TokenLayout:
    """The parts of a flat token sequence: keypoints and groups.

    The sequence is ``[K keypoint tokens | M tokens of group 0 | M of group 1
    | ...]``. The keypoint tokens exist once; every group reads all of them
    as keys and owns some of them as queries. Linear layers, norms and
    feed-forward networks see the flat sequence and need no padding.

    Args:
        num_keypoints: Number of shared keypoint tokens K.
        num_groups: Number of groups G.
        slots: The keypoints that each group owns, (G, S); shorter groups are
            filled up with any index. None if one group owns all in order.
        slot_of_keypoint: Index of keypoint k in the flattened slots, (K,), or
            None.
    """

    num_keypoints: int
    num_groups: int = 1
    slots: Tensor | None = None
    slot_of_keypoint: Tensor | None = None

    def split(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Split (B, T, ...) into (B, K, ...) and (B, G, M, ...)."""
        keypoints, rest = x.split(
            (self.num_keypoints, x.shape[1] - self.num_keypoints), dim=1
        )
        return keypoints, rest.unflatten(1, (self.num_groups, -1))

    def join(self, keypoints: Tensor, rest: Tensor) -> Tensor:
        """Join (B, K, C) and (B, G, M, C) to (B, T, C)."""
        return torch.cat((keypoints, rest.flatten(1, 2)), dim=1)

    def rows(self, kept: Tensor, length: int) -> Tensor:
        """Return the rows of some tokens of the groups in the flat sequence.

        Args:
            kept: Indices within each group's M tokens, (B, G, n).
            length: T.

        Returns:
            Rows of all keypoint tokens and of those kept, (B, K + G * n).
        """
        num_rest = (length - self.num_keypoints) // self.num_groups
        groups = torch.arange(self.num_groups, device=kept.device)
        starts = self.num_keypoints + num_rest * groups
        keypoints = torch.arange(self.num_keypoints, device=kept.device)
        return torch.cat(
            (
                keypoints.expand(kept.shape[0], -1),
                (kept + starts[:, None]).flatten(1),
            ),
            dim=1,
        )

    def queries(self, x: Tensor) -> Tensor:
        """Return the tokens that each group owns, (B, G, S + M, C)."""
        if self.slots is None:
            return x.unsqueeze(1)
        keypoints, rest = self.split(x)
        return torch.cat((keypoints[:, self.slots], rest), dim=2)

    def keys(self, x: Tensor) -> Tensor:
        """Return the tokens that each group attends to, (B, G, K + M, C)."""
        if self.slots is None:
            return self.queries(x)
        keypoints, rest = self.split(x)
        keypoints = keypoints.unsqueeze(1).expand(-1, self.num_groups, -1, -1)
        return torch.cat((keypoints, rest), dim=2)

    def key_mask(self, num_keys: int) -> Tensor | None:
        """Return True where a group attends to a key, (G, 1, 1, num_keys).

        None if all keys are real tokens, as in this class.
        """
        return None

    def ungroup(self, x: Tensor) -> Tensor:
        """Undo :meth:`queries`: (B, G, S + M, C) to (B, T, C)."""
        if self.slots is None:
            return x.squeeze(1)
        num_slots = self.slots.shape[1]
        keypoints, rest = x.split((num_slots, x.shape[2] - num_slots), dim=2)
        return self.join(
            keypoints.flatten(1, 2)[:, self.slot_of_keypoint], rest
        )
