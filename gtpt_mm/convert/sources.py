"""Identify the model and the project of a state dict."""

from typing import NamedTuple

from torch import Tensor

from .group_pose import is_native_group_pose, is_official_group_pose
from .gtpt import is_native_gtpt, is_official_gtpt
from .vitpose import find_mae_layout, find_vitpose_layout, is_native_vitpose


class Source(NamedTuple):
    """Where a checkpoint comes from.

    Attributes:
        model: ``'ViTPose'`` (also ++), ``'GTPT'``, ``'Group Pose'`` or
            ``'MAE encoder'``.
        project: Project that gave its tensors their names: ``'native'``,
            ``'official'``, ``'mmpose'`` and so on.
    """

    model: str
    project: str

    def __str__(self) -> str:
        return f'{self.model}, {self.project} names'


def find_source(state_dict: dict[str, Tensor]) -> Source | None:
    """Return the source of a checkpoint by its names, None if unknown."""
    if is_native_vitpose(state_dict):
        return Source('ViTPose', 'native')
    if layout := find_vitpose_layout(state_dict):
        return Source('ViTPose', layout)
    if layout := find_mae_layout(state_dict):
        return Source('MAE encoder', layout)
    for model, is_native, is_official in (
        ('GTPT', is_native_gtpt, is_official_gtpt),
        ('Group Pose', is_native_group_pose, is_official_group_pose),
    ):
        if is_native(state_dict):
            return Source(model, 'native')
        if is_official(state_dict):
            return Source(model, 'official')
    return None
