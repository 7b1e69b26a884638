"""Whose checkpoint of which model a state dict is."""

from typing import NamedTuple

from torch import Tensor

from .group_pose import is_authors_group_pose, is_our_group_pose
from .gtpt import is_authors_gtpt
from .vitpose import find_mae_layout, find_vitpose_layout, is_native_vitpose


class Source(NamedTuple):
    """Where a checkpoint comes from.

    Attributes:
        model: ``'ViTPose'`` (also ++), ``'GTPT'``, ``'Group Pose'`` or
            ``'MAE encoder'``.
        project: Whose names its tensors have.
    """

    model: str
    project: str

    def __str__(self) -> str:
        return f'{self.model} with the names of {self.project}'


def find_source(state_dict: dict[str, Tensor]) -> Source | None:
    """Return the source of a checkpoint by its names, None if unknown."""
    if is_native_vitpose(state_dict):
        return Source('ViTPose', 'native')
    if layout := find_vitpose_layout(state_dict):
        return Source('ViTPose', layout)
    if layout := find_mae_layout(state_dict):
        return Source('MAE encoder', layout)
    if 'backbone.human_token' in state_dict:
        return Source('GTPT', 'native')
    if is_authors_gtpt(state_dict):
        return Source('GTPT', 'official')
    if is_our_group_pose(state_dict):
        return Source('Group Pose', 'native')
    if is_authors_group_pose(state_dict):
        return Source('Group Pose', 'official')
    return None
