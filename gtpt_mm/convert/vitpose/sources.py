"""Which project's ViTPose a checkpoint is, and the way to and from ours."""

from collections.abc import Callable
from typing import NamedTuple

from torch import Tensor

from .authors import convert_authors, is_authors, revert_authors
from .huggingface import (
    convert_huggingface,
    is_huggingface,
    revert_huggingface,
)
from .mae import find_mae_layout
from .mmpose import convert_mmpose, is_mmpose, revert_mmpose
from .ours import ConvertedViTPose


class Layout(NamedTuple):
    """How to know, read and write the checkpoints of one project."""

    matches: Callable[[dict[str, Tensor]], bool]
    convert: Callable[[dict[str, Tensor]], ConvertedViTPose]
    revert: Callable[[dict[str, Tensor]], ConvertedViTPose]


LAYOUTS = {
    'authors': Layout(is_authors, convert_authors, revert_authors),
    'mmpose': Layout(is_mmpose, convert_mmpose, revert_mmpose),
    'huggingface': Layout(
        is_huggingface, convert_huggingface, revert_huggingface
    ),
}


def find_vitpose_layout(state_dict: dict[str, Tensor]) -> str | None:
    """Return the key of ``LAYOUTS`` that a checkpoint is in, None if none."""
    for name, layout in LAYOUTS.items():
        if layout.matches(state_dict):
            return name
    return None


def convert_vitpose(state_dict: dict[str, Tensor]) -> ConvertedViTPose:
    """Return a ViTPose or ViTPose++ of another project under our names.

    Args:
        state_dict: Flat state dict of the authors, mmpose or transformers; a
            prefix ``module.`` is ignored.

    Returns:
        The weights, and what was left out.

    Raises:
        ValueError: If it is of none of them, has keys of something else or
            lacks some.
    """
    name = find_vitpose_layout(state_dict)
    if name is None and find_mae_layout(state_dict):
        raise ValueError(
            'an encoder of MAE, which has no head; convert_mae makes it a '
            'backbone to start a training from'
        )
    if name is None:
        raise ValueError(
            'not a ViTPose checkpoint of its authors, of mmpose or of '
            f'transformers; its first keys are {list(state_dict)[:5]}'
        )
    return LAYOUTS[name].convert(state_dict)


def revert_vitpose(
    state_dict: dict[str, Tensor], layout: str = 'authors'
) -> ConvertedViTPose:
    """Return our ViTPose or ViTPose++ under the names of another project.

    Args:
        state_dict: Weights of ours.
        layout: A key of ``LAYOUTS``.

    Returns:
        The weights, and what the other project has no place for.

    Raises:
        ValueError: If the layout or a key is unknown, or the other project
            does not have such a model.
    """
    if layout not in LAYOUTS:
        raise ValueError(
            f'layout must be one of {sorted(LAYOUTS)}, got {layout!r}'
        )
    return LAYOUTS[layout].revert(state_dict)
