"""Which image tokens a GTPT keeps, drawn over its input."""

# B batch, G groups, M tokens, (h, w) token grid

from collections.abc import Sequence

import cv2
import numpy as np
import torch
from mmengine.dataset import Compose, pseudo_collate
from mmpose.models import TopdownPoseEstimator
from torch import Tensor

from gtpt_mm.models.backbones import GTPT, KeptTokens


def shade_dropped(
    img: np.ndarray,
    places: Tensor,
    grid_size: tuple[int, int],
    dim: float = 0.2,
) -> np.ndarray:
    """Return the image with the dropped patches dark.

    Args:
        img: Image, (H, W, 3), uint8.
        places: Kept patch numbers, (M,), row-major; -1 is skipped.
        grid_size: Token grid (h, w); divides the image evenly.
        dim: Brightness of dropped patches, in [0, 1].

    Returns:
        Image, same shape.
    """
    h, w = grid_size
    kept = np.zeros(h * w, bool)
    kept[[place for place in places.tolist() if place >= 0]] = True
    brightness = np.where(kept, 1.0, dim).reshape(h, w)
    brightness = np.kron(
        brightness, np.ones((img.shape[0] // h, img.shape[1] // w))
    )
    return (img * brightness[..., None]).astype(np.uint8)


def draw_kept_tokens(
    img: np.ndarray,
    kept: Sequence[KeptTokens],
    grid_size: tuple[int, int],
    index: int = 0,
) -> np.ndarray:
    """Draw the input and, beside it, what each pruning step left of it.

    As the paper's Fig. 8: one picture for a step in the coarse encoder, one
    for each keypoint group after the transition.

    Args:
        img: Input of the model, (H, W, 3), uint8.
        kept: Steps, from ``GTPT.trace_pruning``.
        grid_size: Token grid (h, w).
        index: Image of the batch.

    Returns:
        One row of pictures, uint8, each enlarged to at least 128 pixels.
    """
    panels = [_title(img, 'input')]
    for stage, places in kept:
        num_groups = places.shape[1]
        for g in range(num_groups):
            count = int((places[index, g] >= 0).sum())
            name = stage if num_groups == 1 else f'{stage} g{g}'
            shaded = shade_dropped(img, places[index, g], grid_size)
            panels.append(_title(shaded, f'{name}: {count}'))
    return np.concatenate(panels, axis=1)


def _title(img: np.ndarray, text: str) -> np.ndarray:
    """Put a line of text above a picture, and a margin around it."""
    zoom = -(-128 // img.shape[1])  # wide enough for the text
    img = np.kron(img, np.ones((zoom, zoom, 1), np.uint8))
    img = cv2.copyMakeBorder(
        img, 20, 4, 2, 2, cv2.BORDER_CONSTANT, value=(255, 255, 255)
    )
    return cv2.putText(
        img, text, (4, 14), cv2.FONT_HERSHEY_SIMPLEX, 0.38, (0, 0, 0)
    )


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
        ValueError: If the backbone is not a GTPT or ``bboxes`` is empty.
    """
    if not isinstance(model.backbone, GTPT):
        raise ValueError(
            'draw_pruning needs a model with a GTPT backbone, got '
            f'{type(model.backbone).__name__}'
        )
    if bboxes is None:
        bboxes = np.array([[0, 0, img.shape[1], img.shape[0]]])
    if not len(bboxes):
        raise ValueError('draw_pruning got no boxes; None is the whole image')
    pipeline = Compose(model.cfg.test_dataloader.dataset.pipeline)
    rows = []
    for bbox in np.asarray(bboxes, np.float32):
        data = pipeline(
            dict(
                img=img,
                bbox=bbox[None],
                bbox_score=np.ones(1, np.float32),
                **model.dataset_meta,
            )
        )
        crop = data['inputs'].permute(1, 2, 0).numpy()
        batch = model.data_preprocessor(pseudo_collate([data]), False)
        with torch.no_grad():
            _, kept = model.backbone.trace_pruning(batch['inputs'])
        rows.append(
            draw_kept_tokens(
                np.ascontiguousarray(crop), kept, model.backbone.grid_size
            )
        )
    return np.concatenate(rows, axis=0)
