"""The kinds of token pictures, for those who choose one by name."""

from collections.abc import Sequence

import numpy as np

from gtpt_mm.models.backbones import GTPT

from .attention import draw_crop_attention, draw_crop_shallow
from .crops import Crop
from .keypoints import Keypoints
from .pruning import draw_crop_pruning

#: Figs. 8, 9 and 10 of the paper's supplement.
KINDS = ('pruning', 'attention', 'shallow')


def check_options(
    kind: str,
    keypoints: Keypoints | None = None,
    layers: Sequence[int] | None = None,
) -> None:
    """Raise a ValueError for an unknown kind, or options it would ignore."""
    if kind not in KINDS:
        raise ValueError(f'unknown kind {kind!r}, choose one of {KINDS}')
    if kind == 'pruning' and not (keypoints is None and layers is None):
        raise ValueError(
            "the kind 'pruning' draws all groups and stages; leave out "
            f'keypoints ({keypoints}) and layers ({layers}), or choose '
            "'attention' or 'shallow'"
        )
    if kind == 'shallow' and layers is not None and len(layers) != 1:
        raise ValueError(
            f"the kind 'shallow' draws one layer, got {list(layers)}; for "
            "several choose 'attention'"
        )


def draw_crop(
    kind: str,
    backbone: GTPT,
    crop: Crop,
    dataset_meta: dict,
    keypoints: Keypoints | None = None,
    layers: Sequence[int] | None = None,
) -> np.ndarray:
    """Draw one person.

    Args:
        kind: One of ``KINDS``.
        backbone: Backbone in evaluation mode.
        crop: Person to draw.
        dataset_meta: Meta information that names the keypoints.
        keypoints: Names or indices; None is the kind's default.
        layers: Layers, counted from 1; None is the kind's default.

    Returns:
        Picture, BGR, uint8.

    Raises:
        ValueError: If kind and options do not fit each other, or a keypoint
            or layer does not exist.
    """
    check_options(kind, keypoints, layers)
    if kind == 'pruning':
        return draw_crop_pruning(backbone, crop)
    if kind == 'attention':
        return draw_crop_attention(
            backbone, crop, dataset_meta, keypoints, layers
        )
    [layer] = layers or [None]
    return draw_crop_shallow(backbone, crop, dataset_meta, keypoints, layer)
