"""Which image tokens a GTPT keeps, drawn over its input."""

# B batch, G groups, M tokens, (h, w) token grid

from collections.abc import Sequence

import numpy as np
import torch
from mmpose.models import TopdownPoseEstimator
from torch import Tensor

from gtpt_mm.models.backbones import GTPT, KeptTokens

from .canvas import panel, stack, tile
from .crops import Crop, crop_people

GREY = 190


def fade_dropped(
    img: np.ndarray,
    places: Tensor,
    grid_size: tuple[int, int],
    fade: float = 0.8,
) -> np.ndarray:
    """Return the image with the dropped patches faded to a light grey.

    Grey, since dark or white patches could as well be part of a picture.

    Args:
        img: Image, (H, W, 3), uint8.
        places: Kept patch numbers, (M,), row-major; -1 is skipped.
        grid_size: Token grid (h, w); divides the image evenly.
        fade: Share of grey in dropped patches, in [0, 1].

    Returns:
        Image, same shape.
    """
    h, w = grid_size
    kept = np.zeros(h * w, bool)
    kept[[place for place in places.tolist() if place >= 0]] = True
    share = np.where(kept, 0, fade).reshape(h, w)
    share = np.kron(share, np.ones((img.shape[0] // h, img.shape[1] // w)))
    share = share[..., None]
    return (img * (1 - share) + GREY * share).astype(np.uint8)


def draw_kept_tokens(
    img: np.ndarray,
    kept: Sequence[KeptTokens],
    grid_size: tuple[int, int],
    index: int = 0,
) -> np.ndarray:
    """Draw the input and, beside it, what each pruning step left of it.

    As the paper's Fig. 8: one picture for a step in the coarse encoder, one
    for each keypoint group (g1, g2, ...) from the transition on. The number
    counts the image tokens that are left.

    Args:
        img: Input of the model, (H, W, 3), uint8.
        kept: Steps, from ``GTPT.trace_pruning``.
        grid_size: Token grid (h, w).
        index: Image of the batch.

    Returns:
        One row of pictures, uint8, each enlarged to at least 128 pixels.
    """
    panels = [panel(img, 'input')]
    for stage, places in kept:
        num_groups = places.shape[1]
        for g in range(num_groups):
            count = int((places[index, g] >= 0).sum())
            name = _stage_title(stage)
            if num_groups > 1:
                name += f' g{g + 1}'
            faded = fade_dropped(img, places[index, g], grid_size)
            panels.append(panel(faded, f'{name}: {count}'))
    return tile(panels, len(panels))


def _stage_title(stage: str) -> str:
    """Return a stage's title; layers count from 1, as in the paper."""
    if stage.startswith('layer'):
        return f'layer {int(stage.removeprefix("layer")) + 1}'
    return stage


def draw_pruning(
    model: TopdownPoseEstimator,
    img: np.ndarray,
    bboxes: np.ndarray | None = None,
) -> np.ndarray:
    """Crop people from an image and draw what the model keeps of each.

    Args:
        model: Estimator with a GTPT backbone, from ``mmpose.apis.init_model``.
        img: Image, (H, W, 3), uint8, BGR.
        bboxes: Boxes (x1, y1, x2, y2), (N, 4); None is the whole image.

    Returns:
        One row of pictures for each person, BGR, uint8.

    Raises:
        ValueError: If the backbone is not a GTPT, ``bboxes`` is empty, or a
            box is empty or does not touch the image.
    """
    return stack(
        [
            draw_crop_pruning(model.backbone, crop)
            for crop in crop_people(model, img, bboxes)
        ]
    )


def draw_crop_pruning(backbone: GTPT, crop: Crop) -> np.ndarray:
    """Draw what a backbone keeps of one person: one row of pictures."""
    with torch.no_grad():
        _, kept = backbone.trace_pruning(crop.inputs)
    return draw_kept_tokens(crop.picture, kept, backbone.grid_size)
