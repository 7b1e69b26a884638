"""Check what ``inference_topdown`` and ``inference_bottomup`` are given.

Broken: in mmpose (<= 1.3.2) these functions accept only strings and BGR
arrays. Without boxes they take the size of a file before its EXIF rotation,
but the pixels after it. An empty list of boxes, from a detector that found
nobody, becomes one person, the whole image. One flat box, five columns,
tensors and NaN fail deep inside or not at all. ``init_model`` uses a GPU by
default, even if there is none.

Here: they take what the inferencers take. ``bboxes=[]`` means nobody, ``None``
the whole image, rotated as its pixels are; a fifth column is the score of the
box. Without a GPU the default device of ``init_model`` is the CPU.

Can go: when mmpose does the same.
"""

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mmcv
import numpy as np
import torch

from ..replacement import replace_everywhere
from .inferencer_inputs import as_image, explain_unreadable

FORMATS = ('xyxy', 'xywh')


def missing() -> str:
    """Say what is missing."""
    return 'inference_topdown of mmpose takes no Path and no PIL image'


def repair() -> None:
    """Check images and boxes; choose a device that exists."""
    from mmpose.apis import inference as module

    for function, wrap in (
        (module.inference_topdown, check_topdown),
        (module.inference_bottomup, check_bottomup),
        (module.init_model, choose_device),
    ):
        replace_everywhere(function, wrap(function))


def choose_device(init_model: Callable) -> Callable:
    """Return ``init_model`` whose default device exists."""

    @functools.wraps(init_model)
    def init(
        config: Any,
        checkpoint: Any = None,
        device: Any = None,
        *args: Any,
        **options: Any,
    ) -> Any:
        if device is None:
            device = 'cuda:0' if torch.cuda.is_available() else 'cpu'
        if isinstance(checkpoint, Path):
            checkpoint = str(checkpoint)
        return init_model(config, checkpoint, device, *args, **options)

    return init


def check_bottomup(inference_bottomup: Callable) -> Callable:
    """Return ``inference_bottomup`` for images of all kinds."""

    @functools.wraps(inference_bottomup)
    def checked(model: Any, img: Any) -> list:
        image = as_image(img, 'img')
        with explain_unreadable(image):
            return inference_bottomup(model, image)

    return checked


def check_topdown(inference_topdown: Callable) -> Callable:
    """Return ``inference_topdown`` for images and boxes of all kinds."""

    @functools.wraps(inference_topdown)
    def checked(
        model: Any, img: Any, bboxes: Any = None, bbox_format: str = 'xyxy'
    ) -> list:
        if bbox_format not in FORMATS:
            raise ValueError(
                f'bbox_format must be one of {FORMATS}, got {bbox_format!r}'
            )
        image = as_image(img, 'img')
        with explain_unreadable(image):
            if bboxes is None:
                boxes = _whole(image)
            else:
                boxes = as_rows(bboxes, bbox_format)
            if not len(boxes):
                return []
            samples = inference_topdown(model, image, boxes[:, :4])
        if boxes.shape[1] == 5:
            for sample, score in zip(samples, boxes[:, 4:], strict=True):
                sample.pred_instances.bbox_scores = score
        return samples

    return checked


def _whole(image: str | np.ndarray) -> np.ndarray:
    """Return the box of the whole image, as its pixels are read."""
    pixels = mmcv.imread(image)
    if pixels is None:
        raise ValueError('no pixels')
    height, width = pixels.shape[:2]
    return np.array([[0, 0, width, height]], np.float32)


def as_rows(boxes: Any, bbox_format: str = 'xyxy') -> np.ndarray:
    """Return boxes as (x1, y1, x2, y2) or with scores, (n, 4) or (n, 5).

    Args:
        boxes: Array, tensor, list of either, or a single box.
        bbox_format: ``xyxy`` or ``xywh``.

    Raises:
        ValueError: If they are not boxes, or not finite.
    """
    try:
        if isinstance(boxes, torch.Tensor):
            boxes = boxes.detach().cpu().numpy()
        rows = np.array([np.asarray(box) for box in boxes], np.float32)
    except (TypeError, ValueError) as error:
        raise ValueError(f'bboxes are not boxes: {error}') from error
    if not rows.size:
        return np.zeros((0, 4), np.float32)
    rows = np.atleast_2d(rows)
    if rows.ndim != 2 or rows.shape[1] not in (4, 5):
        raise ValueError(
            f'bboxes have shape {rows.shape}; the shape of boxes is (n, 4), '
            'or (n, 5) with scores'
        )
    is_bad = ~np.isfinite(rows).all(axis=1)
    if is_bad.any():
        i = int(is_bad.argmax())
        raise ValueError(f'box {i} of bboxes is not finite: {rows[i]}')
    if bbox_format == 'xywh':
        rows[:, 2:4] += rows[:, :2]
    return rows
