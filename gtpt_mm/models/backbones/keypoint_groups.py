"""Keypoints that GTPT models together, and their rows in its sequences."""

# K sparse keypoints, P parts, D dense keypoints, G groups, S slots of a group,
# Q scoring tokens of a group, M rows of a group behind the sparse keypoints

import enum
from collections.abc import Sequence
from itertools import accumulate

import torch
from torch import Tensor, nn

from gtpt_mm.layers.tokens import TokenLayout


class Stage(enum.Enum):
    """Which keypoint tokens a layer reads; the stages of the paper's Table 5.

    Attributes:
        HUMAN: One token for the whole body, then the image tokens.
        SPARSE: A token for each part, one for each sparse keypoint, then the
            image tokens.
        DENSE: The sparse keypoints; then for each group its dense keypoints
            and its image tokens.
        OUTPUT: All keypoints in the order of the skeleton; no layer reads
            them.
    """

    HUMAN = enum.auto()
    SPARSE = enum.auto()
    DENSE = enum.auto()
    OUTPUT = enum.auto()


class KeypointGroups(nn.Module):
    """The keypoints of a skeleton, divided into groups.

    Sparse keypoints (the body's joints) have a token of their own from the
    middle of the coarse encoder on. Dense keypoints (face, hands, feet)
    follow later, from the token of the part that they belong to.

    Index tables are buffers, so that they move with the model; they stay out
    of checkpoints.

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
        >>> groups.rows(Stage.SPARSE, 50).tolist()  # 5: its part's
        [1, 2, 3, 4, 0, 0, 0]
        >>> groups.rows(Stage.DENSE, 10).tolist()
        [0, 1, 2, 3, 4, 5, 6]
    """

    def __init__(self, groups: Sequence[dict]) -> None:
        super().__init__()
        _check_keys(groups)
        self.group_sparse = [list(group['sparse']) for group in groups]
        self.group_parts = [
            [list(part) for part in group.get('parts', ())] for group in groups
        ]
        self.group_dense: list[list[int]] = [
            sum(parts, []) for parts in self.group_parts
        ]
        self.sparse = sorted(sum(self.group_sparse, []))
        self.parts = sum(self.group_parts, [])
        self.dense = sum(self.parts, [])

        self.num_groups = len(groups)
        self.num_sparse = len(self.sparse)
        self.num_parts = len(self.parts)
        self.num_keypoints = self.num_sparse + len(self.dense)
        self.num_dense = tuple(map(len, self.group_dense))
        self.max_dense = max(self.num_dense)
        #: Rows of each group that are never dropped, in front.
        self.fronts = self.num_dense
        if sorted(self.sparse + self.dense) != list(range(self.num_keypoints)):
            raise ValueError(
                'keypoint groups must hold each keypoint '
                f'0..{self.num_keypoints - 1} once, got sparse '
                f'{self.sparse} and dense {sorted(self.dense)}'
            )
        for name, table in self._make_tables().items():
            self.register_buffer(name, table, persistent=False)

    def _make_tables(self) -> dict[str, Tensor]:
        """Return the index tables by name."""
        row_of = {index: k for k, index in enumerate(self.sparse)}
        slots, slot_valid = _pad(
            [[row_of[i] for i in sparse] for sparse in self.group_sparse]
        )
        slot_of_keypoint = torch.empty(self.num_sparse, dtype=torch.int64)
        slot_of_keypoint[slots[slot_valid]] = (
            slot_valid.flatten().nonzero().squeeze(1)
        )
        sizes = torch.tensor([len(part) for part in self.parts]).long()
        part_of_dense = torch.arange(self.num_parts).repeat_interleave(sizes)

        group_of = torch.empty(self.num_keypoints, dtype=torch.int64)
        coarse_rows, fine_rows = group_of.clone(), group_of.clone()
        coarse_rows[self.dense] = part_of_dense
        fine_rows[self.sparse] = torch.arange(self.num_sparse)
        coarse_rows[self.sparse] = self.num_parts + fine_rows[self.sparse]
        for g, dense in enumerate(self.group_dense):
            group_of[self.group_sparse[g] + dense] = g
            fine_rows[dense] = self.num_sparse + torch.arange(len(dense))
        is_dense = torch.zeros(self.num_keypoints, dtype=torch.int64)
        is_dense[self.dense] = 1

        ends = list(accumulate(len(parts) for parts in self.group_parts))
        coarse_scorers, coarse_valid = _pad(
            [
                [*range(end - len(parts), end)]
                + [self.num_parts + row_of[i] for i in sparse]
                for sparse, parts, end in zip(
                    self.group_sparse, self.group_parts, ends, strict=True
                )
            ]
        )
        dense, dense_valid = _pad(self.group_dense)
        return dict(
            slots=slots,
            slot_valid=slot_valid,
            slot_of_keypoint=slot_of_keypoint,
            part_of_dense=part_of_dense,
            group_of=group_of,
            coarse_rows=coarse_rows,
            fine_rows=fine_rows,
            # Factor on M in the row of a keypoint.
            fine_group=group_of * is_dense,
            coarse_scorers=coarse_scorers,
            coarse_valid=coarse_valid,
            members=torch.cat((_pad(self.group_sparse)[0], dense), dim=1),
            member_valid=torch.cat((slot_valid, dense_valid), dim=1),
            num_front=torch.tensor(self.fronts),
        )

    def count_rows(self, num_keep: int) -> int:
        """Return the rows M of a group that keeps so many tokens.

        Dense keypoints displace image tokens (Eq. 11).
        """
        return num_keep

    def layout(self, stage: Stage) -> TokenLayout:
        """Return the layout of the sequence at a stage."""
        if stage is Stage.HUMAN:
            return TokenLayout(1)
        if stage is Stage.SPARSE:
            return TokenLayout(self.num_parts + self.num_sparse)
        if self.num_groups == 1:
            return TokenLayout(self.num_sparse)
        return TokenLayout(
            self.num_sparse,
            self.num_groups,
            self.slots,
            self.slot_of_keypoint,
        )

    def rows(self, stage: Stage, num_rest: int) -> Tensor:
        """Return the row of every keypoint, (num_keypoints,).

        A keypoint without a token is represented by the one that it will
        follow from: its part or the human token.

        Args:
            stage: Stage of the sequence.
            num_rest: M.
        """
        if stage is Stage.HUMAN:
            return torch.zeros_like(self.coarse_rows)
        if stage is Stage.SPARSE:
            return self.coarse_rows
        return self.fine_rows + num_rest * self.fine_group

    def check_indices(self, keypoints: Sequence[int]) -> None:
        """Raise a ValueError if a keypoint does not exist."""
        for index in keypoints:
            if not 0 <= index < self.num_keypoints:
                raise ValueError(
                    f'no keypoint {index}; the model has the keypoints '
                    f'0..{self.num_keypoints - 1}'
                )

    def locate(
        self, keypoints: Sequence[int], stage: Stage, num_rest: int
    ) -> tuple[Tensor, Tensor]:
        """Return the rows of P keypoints, (P,), and their groups, (P,).

        Before stage DENSE there is but one group, 0.
        """
        index = torch.as_tensor(keypoints, device=self.group_of.device)
        group = self.group_of[index] * (stage is Stage.DENSE)
        return self.rows(stage, num_rest)[index], group

    def scorers(
        self, stage: Stage, next_stage: Stage, num_rest: int
    ) -> tuple[Tensor, Tensor | None]:
        """Return the rows whose attention decides which tokens are kept.

        Args:
            stage: Stage of the sequence.
            next_stage: DENSE if each group chooses its tokens.
            num_rest: M.

        Returns:
            Rows, (G, Q) or (1, Q); and True where a row is real, (G, Q), or
            None if all are.
        """
        if next_stage is not Stage.DENSE:
            num_rows = self.layout(stage).num_keypoints
            return torch.arange(num_rows, device=self.slots.device)[None], None
        if stage is Stage.SPARSE:
            return self.coarse_scorers, self.coarse_valid
        return self.rows(stage, num_rest)[self.members], self.member_valid

    def is_front(self, num_rest: int) -> Tensor:
        """Return True for the rows of a group that stay, (G, M)."""
        rows = torch.arange(num_rest, device=self.num_front.device)
        return rows < self.num_front[:, None]

    def front_rows(self, batch: int) -> Tensor:
        """Return the rows of dense keypoints in each group, (B, G, n)."""
        rows = torch.arange(self.max_dense, device=self.slots.device)
        return rows.expand(batch, self.num_groups, -1)


def _check_keys(groups: Sequence[dict]) -> None:
    """Raise a ValueError for groups with other keys or without keypoints."""
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
            raise ValueError(f'keypoint group {group} has no sparse keypoint')
    if any(not part for g in groups for part in g.get('parts', ())):
        raise ValueError(f'a part without keypoints in {list(groups)}')


def _pad(rows: list[list[int]]) -> tuple[Tensor, Tensor]:
    """Return rows filled up to one length with 0, and which are real."""
    width = max(map(len, rows))
    table = [row + [0] * (width - len(row)) for row in rows]
    real = [[i < len(row) for i in range(width)] for row in rows]
    return torch.tensor(table).long(), torch.tensor(real).bool()
