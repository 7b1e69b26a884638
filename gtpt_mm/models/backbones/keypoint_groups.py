"""Which keypoints GTPT models together."""

# K sparse keypoints, P parts, D dense keypoints, G groups, S slots of a group

from collections.abc import Sequence
from itertools import accumulate

import torch
from torch import Tensor


class KeypointGroups:
    """The keypoints of a skeleton, divided into groups.

    Sparse keypoints (the body's joints) have a token of their own from the
    middle of the coarse encoder on. Dense keypoints (face, hands, feet) are
    born later, from the token of the part that they belong to.

    Source: Wang et al., "GTPT", ECCV 2024, Fig. 2 and Sec. 3.3.

    Args:
        groups: One dict for each group: ``sparse``, the indices of its sparse
            keypoints, and optionally ``parts``, a list of index lists, one
            for each part. Together they hold every keypoint 0..n-1 once.

    Raises:
        ValueError: If a key is unknown, a group has no sparse keypoint, or
            an index is missing or double.

    Example:
        >>> groups = KeypointGroups([
        ...     dict(sparse=[0, 1], parts=[[4, 5, 6]]), dict(sparse=[2, 3])])
        >>> groups.num_keypoints, groups.num_sparse, groups.num_dense
        (7, 4, (3, 0))
    """

    def __init__(self, groups: Sequence[dict]) -> None:
        if not groups:
            raise ValueError('keypoint_groups is empty')
        for group in groups:
            unknown = set(group) - {'sparse', 'parts'}
            if unknown:
                raise ValueError(
                    f'keypoint group has unknown keys {sorted(unknown)}; '
                    "use 'sparse' and 'parts'"
                )
            if not group.get('sparse'):
                raise ValueError(
                    f'keypoint group {group} has no sparse keypoint'
                )
        if any(not part for g in groups for part in g.get('parts', ())):
            raise ValueError(f'a part without keypoints in {list(groups)}')
        self.group_sparse = [list(group['sparse']) for group in groups]
        self.group_parts = [
            [list(part) for part in group.get('parts', ())] for group in groups
        ]
        self.sparse = sorted(sum(self.group_sparse, []))
        self.parts = sum(self.group_parts, [])
        self.dense = sum(self.parts, [])

        self.num_groups = len(groups)
        self.num_sparse = len(self.sparse)
        self.num_parts = len(self.parts)
        self.num_keypoints = self.num_sparse + len(self.dense)
        self.num_dense = tuple(
            sum(len(part) for part in parts) for parts in self.group_parts
        )
        if sorted(self.sparse + self.dense) != list(range(self.num_keypoints)):
            raise ValueError(
                'keypoint groups must hold each keypoint '
                f'0..{self.num_keypoints - 1} once, got sparse '
                f'{self.sparse} and dense {sorted(self.dense)}'
            )

    def slots(self) -> tuple[Tensor, Tensor, Tensor]:
        """Return the sparse rows of each group as tables.

        Returns:
            Rows, (G, S), short groups filled with row 0; True where a row is
            real, (G, S); and the place of each sparse row in the flattened
            first table, (K,).
        """
        row = {index: i for i, index in enumerate(self.sparse)}
        rows = [[row[i] for i in group] for group in self.group_sparse]
        slots, valid = _pad(rows)
        owner = torch.empty(self.num_sparse, dtype=torch.int64)
        owner[slots[valid]] = valid.flatten().nonzero().squeeze(1)
        return slots, valid, owner

    def transition_queries(
        self, per_part: bool = True
    ) -> tuple[Tensor, Tensor]:
        """Return the coarse rows that score tokens for each group.

        Args:
            per_part: Whether the coarse sequence begins with one token for
                each part; otherwise with one for each dense keypoint. The
                sparse tokens follow.

        Returns:
            Rows, (G, Q), and True where a row is real, (G, Q).
        """
        row = {index: i for i, index in enumerate(self.sparse)}
        counts = (
            [len(parts) for parts in self.group_parts]
            if per_part
            else self.num_dense
        )
        num_lead = sum(counts)
        rows = []
        for sparse, end, count in zip(
            self.group_sparse, accumulate(counts), counts, strict=True
        ):
            own = list(range(end - count, end))
            rows.append(own + [num_lead + row[i] for i in sparse])
        return _pad(rows)

    def part_of_dense(self) -> Tensor:
        """Return the part of each dense keypoint in group order, (D,)."""
        sizes = torch.tensor(
            [len(part) for part in self.parts], dtype=torch.int64
        )
        return torch.arange(self.num_parts).repeat_interleave(sizes)

    def output_rows(self) -> Tensor:
        """Return the row of every keypoint in the last sequence.

        That sequence holds the sparse tokens, then for each group as many
        rows as the largest group has dense tokens.

        Returns:
            Rows, (num_keypoints,), in the order of the skeleton.
        """
        rows = torch.empty(self.num_keypoints, dtype=torch.int64)
        rows[self.sparse] = torch.arange(self.num_sparse)
        width = max(self.num_dense)
        starts = accumulate(self.num_dense, initial=0)
        for g, (start, count) in enumerate(
            zip(starts, self.num_dense, strict=False)
        ):
            first = self.num_sparse + g * width
            own = self.dense[start : start + count]
            rows[own] = torch.arange(first, first + count)
        return rows


def _pad(rows: list[list[int]]) -> tuple[Tensor, Tensor]:
    """Return rows filled up to one length with 0, and which are real."""
    width = max(len(row) for row in rows)
    table = [row + [0] * (width - len(row)) for row in rows]
    real = [[i < len(row) for i in range(width)] for row in rows]
    return torch.tensor(table), torch.tensor(real)
