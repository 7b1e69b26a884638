"""Identify the model and the project of a state dict."""

from typing import NamedTuple

from torch import Tensor

from .group_pose import convert_group_pose
from .gtpt import convert_gtpt
from .vitpose import (
    convert_vitpose,
    find_mae_layout,
    find_vitpose_layout,
    is_native_vitpose,
)


class Source(NamedTuple):
    """Model and project of a checkpoint.

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


#: Names that only one kind of checkpoint contains.
MARKS = {
    'backbone.human_token': Source('GTPT', 'native'),
    'features.human_token': Source('GTPT', 'official'),
    'ema_features.human_token': Source('GTPT', 'official'),
    'head.selector.fc_cls.weight': Source('Group Pose', 'native'),
    'transformer.instance_embedding.weight': Source('Group Pose', 'official'),
}


def find_source(state_dict: dict[str, Tensor]) -> Source | None:
    """Return the source of a checkpoint by its names, None if unknown."""
    if is_native_vitpose(state_dict):
        return Source('ViTPose', 'native')
    if layout := find_vitpose_layout(state_dict):
        return Source('ViTPose', layout)
    if layout := find_mae_layout(state_dict):
        return Source('MAE encoder', layout)
    names = {key.removeprefix('module.') for key in state_dict}
    return next((s for mark, s in MARKS.items() if mark in names), None)


def convert_to_native(state_dict: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return the weights of a model under native names.

    Weights with native or unknown names, and an encoder of MAE, which has no
    model yet, are returned as they are. For an official GTPT the average is
    used, as in the paper.
    """
    source = find_source(state_dict)
    if source is None or source.project == 'native':
        return state_dict
    if source.model == 'ViTPose':
        return convert_vitpose(state_dict).state_dict
    if source.model == 'GTPT':
        return convert_gtpt(state_dict, 'ema')
    if source.model == 'Group Pose':
        return convert_group_pose(state_dict)
    return state_dict
