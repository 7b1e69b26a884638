"""Carry the weights of one skeleton over to another, by names of keypoints.

Rows of a checkpoint that belong to a keypoint (of the last layer of a head,
GTPT's tokens, Group Pose's queries) are put where a model has the keypoint of
that name; everything else of the checkpoint stays as it is.
"""

# K keypoints, G groups of keypoints, U units (keypoints, parts or groups)

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from mmpose.models.heads import AssociativeEmbeddingHead
from torch import Tensor, nn

from gtpt_mm.models.backbones.keypoint_groups import (
    COCO_BODY_GROUPS,
    KeypointGroups,
)

NEW = ('random', 'neighbours')
#: Tensors with a row, or several, for each keypoint: heads of heatmaps and of
#: SimCC, regression, Group Pose.
_HEADS = re.compile(
    r'head\.(deconv_head\.|simplebaseline_head\.)?final_layer2?\..+'
    r'|head\.fc\.(weight|bias)'
    r'|head\.decoder\.queries\.keypoints\.weight'
)
_PROPOSER = re.compile(r'head\.proposer\.mlp\.layers\.(\d+)\.(weight|bias)')
_GROUP_MASK = re.compile(r'backbone\.group_mask\.2\.(weight|bias)')


class Row(NamedTuple):
    """Where the rows of a keypoint come from.

    Attributes:
        keypoint: Name in the model.
        sources: Names in the checkpoint; several are averaged.
        how: ``'copied'``, ``'averaged'`` or ``'new'``.
    """

    keypoint: str
    sources: tuple[str, ...]
    how: str


class Transferred(NamedTuple):
    """Weights for another skeleton; as text, the table of its keypoints.

    Attributes:
        state_dict: All weights of the checkpoint, with the model's keypoints.
        rows: One for each keypoint of the model.
        tensors: Names of the tensors whose rows were rearranged.
    """

    state_dict: dict[str, Tensor]
    rows: list[Row]
    tensors: list[str]

    def __str__(self) -> str:
        cells = [
            ('keypoint', 'in the checkpoint', 'rows'),
            *((r.keypoint, ', '.join(r.sources) or '-', r.how)
              for r in self.rows),
        ]  # fmt: skip
        first, second = (max(len(c[i]) for c in cells) for i in (0, 1))
        return '\n'.join(
            f'{a:<{first}}  {b:<{second}}  {c}' for a, b, c in cells
        )


class _Rows(NamedTuple):
    """Rows of a tensor.

    Attributes:
        dim: Dimension of the rows.
        units: Keypoints of each unit; a unit has one row or several.
        by_block: Whether rows of a keypoint are U apart, not in succession.
    """

    dim: int
    units: list[tuple[str, ...]]
    by_block: bool = False

    def split(self, name: str, tensor: Tensor) -> Tensor:
        """Return the rows of each unit, (U, rows of a unit, ...)."""
        x, num = tensor.movedim(self.dim, 0), len(self.units)
        if len(x) % num:
            raise ValueError(
                f'{name} has {len(x)} rows, which are not those of {num} '
                'keypoints; are these the names of the checkpoint?'
            )
        if self.by_block:
            return x.unflatten(0, (-1, num)).transpose(0, 1)
        return x.unflatten(0, (num, -1))

    def join(self, x: Tensor) -> Tensor:
        """Undo :meth:`split`."""
        if self.by_block:
            x = x.transpose(0, 1)
        return x.flatten(0, 1).movedim(0, self.dim).contiguous()


def transfer(
    state_dict: Mapping[str, Tensor],
    source: Sequence[str],
    model: nn.Module,
    metainfo: Mapping,
    new: str = 'random',
    source_groups: Sequence[dict] | None = None,
) -> Transferred:
    """Return weights of one skeleton for a model of another.

    A keypoint whose name, or an alias of it, is in the checkpoint takes its
    rows; parts and groups of GTPT take those of the part or group with the
    most such keypoints. With ``new='neighbours'`` another keypoint takes the
    average of its neighbours: the keypoints at the other end of its links in
    the skeleton and its swap partner, as far as they are copied. Everything
    else keeps the value that it has in ``model``.

    Args:
        state_dict: Native weights, as trained or averaged.
        source: Names of their keypoints, in order.
        model: Pose estimator of the new skeleton, initialised; not changed.
        metainfo: Its parsed metainfo; ``keypoint_id2name``,
            ``skeleton_links`` and ``flip_indices`` are read.
        new: ``'random'`` or ``'neighbours'``, see above.
        source_groups: ``keypoint_groups`` of a GTPT that the weights are of;
            None for those of COCO.

    Raises:
        ValueError: If ``new`` is unknown, or the names are not those of the
            weights or the model.
    """
    raise NotImplementedError
