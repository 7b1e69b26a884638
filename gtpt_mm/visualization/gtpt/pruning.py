"""Image tokens that a GTPT keeps, drawn over its input."""

# M tokens, (h, w) token grid

import numpy as np
import torch
from torch import Tensor

from gtpt_mm.models.backbones import GTPT
from gtpt_mm.visualization.canvas import panel, tile

from .crops import Crop

GREY = 190


def fade_dropped(
    img: np.ndarray,
    indices: Tensor,
    grid_size: tuple[int, int],
    fade: float = 0.8,
) -> np.ndarray:
    """Return the image with the dropped patches faded to a light grey.

    They are grey, since dark or white patches could be part of the picture.

    Args:
        img: Image, (H, W, 3), uint8.
        indices: Numbers of the kept patches, (M,), row-major; -1 is skipped.
        grid_size: Token grid (h, w); divides the image evenly.
        fade: Share of grey in dropped patches, in [0, 1].

    Returns:
        Image, same shape.
    """
    h, w = grid_size
    kept = np.zeros(h * w, bool)
    kept[[index for index in indices.tolist() if index >= 0]] = True
    share = np.where(kept, 0, fade).reshape(h, w)
    share = np.kron(share, np.ones((img.shape[0] // h, img.shape[1] // w)))
    share = share[..., None]
    return (img * (1 - share) + GREY * share).astype(np.uint8)


@torch.no_grad()
def draw_pruning(backbone: GTPT, crop: Crop) -> np.ndarray:
    """Draw the input and, beside it, the tokens left by each pruning step.

    As in the paper's Fig. 8: one picture for a step in the coarse encoder, one
    for each keypoint group (g1, g2, ...) from the transition on. The number
    counts the image tokens that are left.

    Returns:
        One row of pictures, uint8, each enlarged to at least 128 pixels.
    """
    panels = [panel(crop.picture, 'input')]
    _, kept = backbone.trace_pruning(crop.inputs)
    for step, indices in kept:
        title = 'transition' if step.divides else f'layer {step.layer}'
        num_groups = indices.shape[1]
        for g in range(num_groups):
            count = int((indices[0, g] >= 0).sum())
            name = f'{title} g{g + 1}' if num_groups > 1 else title
            faded = fade_dropped(
                crop.picture, indices[0, g], backbone.grid_size
            )
            panels.append(panel(faded, f'{name}: {count}'))
    return tile(panels, len(panels))
