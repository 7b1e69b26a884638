"""Which keypoints to draw, and which rows of the tokens they are."""

# P chosen keypoints, K sparse keypoints, D dense keypoints, G groups

from collections.abc import Sequence

import torch
from torch import Tensor

from gtpt_mm.layers.group_attention import TokenLayout
from gtpt_mm.models.backbones.keypoint_groups import KeypointGroups

#: Names of the data set, or indices.
Keypoints = Sequence[str | int]


def find_keypoints(
    keypoints: Keypoints | None, dataset_meta: dict, groups: KeypointGroups
) -> dict[str, int]:
    """Return chosen keypoints, index by name.

    Args:
        keypoints: Names or indices (also as digits); None is the first
            sparse keypoint of each group.
        dataset_meta: Meta information of the data set, with
            ``keypoint_name2id``.
        groups: Keypoints of the model.

    Raises:
        ValueError: If there is no keypoint of that name or index, or none
            is chosen.

    Example:
        >>> groups = KeypointGroups([dict(sparse=[0, 1])])
        >>> meta = dict(keypoint_name2id=dict(nose=0, left_wrist=1))
        >>> find_keypoints(['left_wrist', '0'], meta, groups)
        {'left_wrist': 1, 'nose': 0}
    """
    if keypoints is None:
        keypoints = [group[0] for group in groups.group_sparse]
    if not len(keypoints):
        raise ValueError('got no keypoints; name at least one')
    index_of = dataset_meta['keypoint_name2id']
    name_of = {index: name for name, index in index_of.items()}
    found = {}
    for keypoint in keypoints:
        if keypoint in index_of:
            index = index_of[keypoint]
        elif str(keypoint).isdigit():
            index = int(keypoint)
        else:
            raise ValueError(
                f'no keypoint {keypoint!r}; choose an index or one of '
                f'{_shorten(list(index_of))}'
            )
        _check_index(index, groups)
        found[name_of.get(index, str(index))] = index
    return found


def _shorten(names: list[str], most: int = 40) -> str:
    """Join names; of very many only the first."""
    rest = len(names) - most
    more = f', ... ({rest} more)' if rest > 0 else ''
    return ', '.join(names[:most]) + more


def _check_index(index: int, groups: KeypointGroups) -> None:
    if not 0 <= index < groups.num_keypoints:
        raise ValueError(
            f'no keypoint {index}; the model has the keypoints '
            f'0..{groups.num_keypoints - 1}'
        )


class KeypointRows:
    """Where the tokens of chosen keypoints stand in a GTPT's sequences.

    Args:
        groups: Keypoints of the model.
        keypoints: Indices of P keypoints.

    Raises:
        ValueError: If an index does not exist.

    Example:
        >>> groups = KeypointGroups([
        ...     dict(sparse=[0, 1], parts=[[4, 5, 6]]), dict(sparse=[2, 3])])
        >>> rows = KeypointRows(groups, [2, 5])
        >>> rows.coarse(TokenLayout(1), 50)[0].tolist()  # the human token
        [0, 0]
        >>> rows.coarse(TokenLayout(5), 54)[0].tolist()  # 5's part is row 0
        [3, 0]
        >>> fine, group = rows.fine(TokenLayout(4, 2), num_rows=4 + 2 * 10)
        >>> fine.tolist(), group.tolist()
        ([2, 5], [1, 0])
    """

    def __init__(
        self, groups: KeypointGroups, keypoints: Sequence[int]
    ) -> None:
        for index in keypoints:
            _check_index(index, groups)
        self.groups = groups
        self.keypoints = list(keypoints)

    def coarse(
        self, layout: TokenLayout, num_rows: int
    ) -> tuple[Tensor, Tensor]:
        """Return rows in the coarse encoder, (P,), and their group, 0.

        There the sequence begins with the human token alone; or with one
        token for each part, or for each dense keypoint, and then the sparse
        keypoints.

        Args:
            layout: Layout of the sequence.
            num_rows: Length of the sequence.
        """
        groups = self.groups
        group = torch.zeros(len(self.keypoints), dtype=torch.int64)
        if layout.num_keypoints == 1:
            return group, group
        num_lead = layout.num_keypoints - groups.num_sparse
        lead = list(range(num_lead))
        if num_lead == groups.num_parts:
            lead = groups.part_of_dense().tolist()
        rows = dict(zip(groups.dense, lead, strict=True))
        rows |= {index: num_lead + k for k, index in enumerate(groups.sparse)}
        return torch.tensor([rows[index] for index in self.keypoints]), group

    def fine(
        self, layout: TokenLayout, num_rows: int
    ) -> tuple[Tensor, Tensor]:
        """Return rows in the fine encoder, (P,), and their groups, (P,).

        There the sequence begins with the sparse keypoints, and the rows of
        each group with its dense ones.

        Args:
            layout: Layout of the sequence.
            num_rows: Length of the sequence.
        """
        groups = self.groups
        num_rest = (num_rows - layout.num_keypoints) // layout.num_groups
        rows = {index: k for k, index in enumerate(groups.sparse)}
        group_of = {}
        for g, (sparse, parts) in enumerate(
            zip(groups.group_sparse, groups.group_parts, strict=True)
        ):
            first = layout.num_keypoints + g * num_rest
            dense = sum(parts, [])
            rows |= {index: first + d for d, index in enumerate(dense)}
            group_of |= dict.fromkeys([*sparse, *dense], g)
        return (
            torch.tensor([rows[index] for index in self.keypoints]),
            torch.tensor([group_of[index] for index in self.keypoints]),
        )
