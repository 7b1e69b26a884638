"""Keypoints that GTPT models together, and their rows in its sequences."""

# K sparse keypoints, P parts, D dense keypoints, G groups, S slots of a group,
# Q scoring tokens of a group, T rows of a sequence, M of them in a group

import enum
from collections.abc import Sequence
from itertools import accumulate

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gtpt_mm.layers.tokens import TokenLayout

#: Head, upper body and lower body: groups of the 17 COCO keypoints.
COCO_BODY_GROUPS = (
    dict(sparse=range(0, 5)),
    dict(sparse=range(5, 11)),
    dict(sparse=range(11, 17)),
)


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

    Sparse keypoints (the joints of the body) have their own tokens from the
    middle of the coarse encoder on. Dense keypoints (face, hands, feet) are
    created later, from the token of their part.

    Index tables are non-persistent buffers: they move with the model, but are
    not saved in checkpoints.

    Source: Wang et al., "GTPT", ECCV 2024, Fig. 2 and Sec. 3.3.

    Args:
        groups: One dict for each group: ``sparse``, the indices of its sparse
            keypoints, and optionally ``parts``, a list of index lists, one
            for each part. Together they hold every keypoint 0..n-1 once.

    Raises:
        ValueError: If a key is unknown, a group has no sparse keypoint, or
            an index is missing or occurs twice.

    Example:
        >>> groups = KeypointGroups([
        ...     dict(sparse=[0, 1], parts=[[4, 5, 6]]), dict(sparse=[2, 3])])
        >>> groups.num_keypoints, groups.num_sparse, groups.num_dense
        (7, 4, (3, 0))
        >>> groups.rows(Stage.SPARSE, 50).tolist()  # parts first
        [1, 2, 3, 4, 0, 0, 0]
        >>> groups.rows(Stage.DENSE, 4 + 2 * 10).tolist()
        [0, 1, 2, 3, 4, 5, 6]
    """

    slots: Tensor
    slot_valid: Tensor
    slot_of_keypoint: Tensor
    part_of_dense: Tensor
    group_of: Tensor
    coarse_rows: Tensor
    fine_base: Tensor
    fine_factor: Tensor
    coarse_scorers: Tensor
    coarse_valid: Tensor
    members: Tensor
    member_valid: Tensor
    num_front: Tensor
    front_base: Tensor
    front_factor: Tensor

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
        tables = self._make_coarse_tables() | self._make_fine_tables()
        for name, table in tables.items():
            self.register_buffer(name, table, persistent=False)

    def _make_coarse_tables(self) -> dict[str, Tensor]:
        """Return index tables of stage SPARSE."""
        part_of_dense = torch.tensor(
            [p for p, part in enumerate(self.parts) for _ in part]
        ).long()
        rows = torch.empty(self.num_keypoints, dtype=torch.int64)
        rows[self.dense] = part_of_dense
        rows[self.sparse] = self.num_parts + torch.arange(self.num_sparse)
        ends = accumulate(len(parts) for parts in self.group_parts)
        scorers, valid = _pad(
            [
                [*range(end - len(parts), end), *rows[sparse].tolist()]
                for sparse, parts, end in zip(
                    self.group_sparse, self.group_parts, ends, strict=True
                )
            ]
        )
        return dict(
            part_of_dense=part_of_dense,
            coarse_rows=rows,
            coarse_scorers=scorers,
            coarse_valid=valid,
        )

    def _make_fine_tables(self) -> dict[str, Tensor]:
        """Return index tables of stage DENSE.

        A row in this stage is a base plus M times a group, which is 0 at
        sparse keypoints.
        """
        base = torch.zeros(self.num_keypoints, dtype=torch.int64)
        factor, group_of = base.clone(), base.clone()
        base[self.sparse] = torch.arange(self.num_sparse)
        for g, dense in enumerate(self.group_dense):
            group_of[self.group_sparse[g] + dense] = g
            base[dense] = self.num_sparse + torch.arange(len(dense))
            factor[dense] = g
        members, slot_valid = _pad(self.group_sparse)
        slots = base[members] * slot_valid
        slot_of_keypoint = torch.empty(self.num_sparse, dtype=torch.int64)
        slot_of_keypoint[slots[slot_valid]] = (
            slot_valid.flatten().nonzero().squeeze(1)
        )
        dense_members, dense_valid = _pad(self.group_dense)
        width, last = self.max_dense, self.num_sparse + self.max_dense
        fronts = torch.arange(self.num_sparse, last).repeat(self.num_groups)
        groups = torch.arange(self.num_groups).repeat_interleave(width)
        return dict(
            group_of=group_of,
            fine_base=base,
            fine_factor=factor,
            members=torch.cat((members, dense_members), dim=1),
            member_valid=torch.cat((slot_valid, dense_valid), dim=1),
            slots=slots,
            slot_valid=slot_valid,
            slot_of_keypoint=slot_of_keypoint,
            num_front=torch.tensor(self.fronts),
            front_base=torch.cat((torch.arange(self.num_sparse), fronts)),
            front_factor=F.pad(groups, (self.num_sparse, 0)),
        )

    def count_rows(self, num_keep: int) -> int:
        """Return the rows M of a group that keeps ``num_keep`` tokens.

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

    def rows(self, stage: Stage, num_rows: int) -> Tensor:
        """Return the row of every keypoint, (num_keypoints,).

        A keypoint without a token is represented by the token that it will be
        created from: its part or the human token.

        Args:
            stage: Stage of the sequence.
            num_rows: Its length T.
        """
        if stage is Stage.HUMAN:
            return torch.zeros_like(self.coarse_rows)
        if stage is Stage.SPARSE:
            return self.coarse_rows
        num_rest = self._count_rest(num_rows)
        return self.fine_base.add(self.fine_factor, alpha=num_rest)

    def _count_rest(self, num_rows: int) -> int:
        """Return the rows M of a group at stage DENSE."""
        return (num_rows - self.num_sparse) // self.num_groups

    def check_indices(self, keypoints: Sequence[int]) -> None:
        """Raise a ValueError if a keypoint does not exist."""
        for index in keypoints:
            if not 0 <= index < self.num_keypoints:
                raise ValueError(
                    f'no keypoint {index}; the model has the keypoints '
                    f'0..{self.num_keypoints - 1}'
                )

    def locate(
        self, keypoints: Sequence[int], stage: Stage, num_rows: int
    ) -> tuple[Tensor, Tensor]:
        """Return the rows of P keypoints, (P,), and their groups, (P,).

        Before stage DENSE there is only one group, 0.
        """
        index = torch.as_tensor(keypoints, device=self.group_of.device)
        group = self.group_of[index] * (stage is Stage.DENSE)
        return self.rows(stage, num_rows)[index], group

    def scoring_queries(
        self, q: Tensor, stage: Stage, next_stage: Stage
    ) -> tuple[Tensor, Tensor | None]:
        """Return the queries that decide which tokens are kept.

        Args:
            q: Projected queries of a layer, (B, T, C).
            stage: Stage of the sequence.
            next_stage: DENSE if each group chooses its tokens.

        Returns:
            Queries, (B, G, Q, C) or (B, 1, Q, C); and True where one is real,
            (G, Q), or None if all are.
        """
        if next_stage is not Stage.DENSE:
            return q[:, None, : self.layout(stage).num_keypoints], None
        if stage is Stage.SPARSE:
            return q[:, self.coarse_scorers], self.coarse_valid
        rows = self.rows(stage, q.shape[1])[self.members]
        return q[:, rows], self.member_valid

    def is_front(self, num_rest: int) -> Tensor:
        """Return True for the rows of a group that stay, (G, M)."""
        rows = torch.arange(num_rest, device=self.num_front.device)
        return rows < self.num_front[:, None]

    def front_rows(self, num_rows: int) -> Tensor:
        """Return the rows of all keypoints, equally many of each group, (n,).

        Args:
            num_rows: T, at stage DENSE.
        """
        return self.front_base.add(
            self.front_factor, alpha=self._count_rest(num_rows)
        )


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
    """Pad rows with 0 to one length; also return which are real."""
    width = max(map(len, rows))
    table = [row + [0] * (width - len(row)) for row in rows]
    real = [[i < len(row) for i in range(width)] for row in rows]
    return torch.tensor(table).long(), torch.tensor(real).bool()
