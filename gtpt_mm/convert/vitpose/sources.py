"""Detect, import and export ViTPose checkpoint formats."""

from torch import Tensor

from . import huggingface, mmpose, official
from .mae import find_mae_layout
from .native import ConvertedViTPose, strip_module

#: Modules with ``MARKS`` (names to detect a format by), ``convert`` (to
#: native names) and ``export``.
LAYOUTS = {
    'official': official,
    'mmpose': mmpose,
    'huggingface': huggingface,
}


def find_vitpose_layout(state_dict: dict[str, Tensor]) -> str | None:
    """Return the key of ``LAYOUTS`` of a checkpoint, None if it has none."""
    keys = set(strip_module(state_dict))
    return next((n for n, m in LAYOUTS.items() if keys >= m.MARKS), None)


def convert_vitpose(state_dict: dict[str, Tensor]) -> ConvertedViTPose:
    """Return a ViTPose or ViTPose++ of another project under native names.

    Args:
        state_dict: Flat official state dict, or one of mmpose or
            transformers; a prefix ``module.`` is ignored.

    Returns:
        The weights, and the names that were left out.

    Raises:
        ValueError: If the format is unknown, or keys are unknown or missing.
    """
    name = find_vitpose_layout(state_dict)
    if name is None and find_mae_layout(state_dict):
        raise ValueError(
            'an encoder of MAE, which has no head; convert_mae makes it a '
            'backbone to start a training from'
        )
    if name is None:
        raise ValueError(
            'not an official ViTPose checkpoint, nor one of mmpose or '
            f'transformers; its first keys are {list(state_dict)[:5]}'
        )
    return LAYOUTS[name].convert(state_dict)


def export_vitpose(
    state_dict: dict[str, Tensor], layout: str = 'official'
) -> ConvertedViTPose:
    """Return a native ViTPose or ViTPose++ under names of another project.

    Args:
        state_dict: Native weights.
        layout: A key of ``LAYOUTS``.

    Returns:
        The weights, and the names that the other project lacks.

    Raises:
        ValueError: If the layout or a key is unknown, or the other project
            does not have such a model.
    """
    if layout not in LAYOUTS:
        raise ValueError(
            f'layout must be one of {sorted(LAYOUTS)}, got {layout!r}'
        )
    return LAYOUTS[layout].export(state_dict)
