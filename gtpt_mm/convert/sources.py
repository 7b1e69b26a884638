"""Identify the model and the project of a state dict."""

from typing import NamedTuple

from torch import Tensor

from .vitpose import find_mae_layout, find_vitpose_layout, is_native_vitpose


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
