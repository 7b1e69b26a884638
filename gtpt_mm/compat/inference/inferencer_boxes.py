"""Use the boxes given to mmpose's inferencers, or refuse them.

Broken: in mmpose (<= 1.3.2) the 2D inferencer accepts ``bboxes`` and ignores
it, with or without a detector, even if the boxes are NaN or have no area.

Here: the boxes are checked and used in place of the detector's.

Can go: when mmpose's inferencers use ``bboxes``.
"""

import functools
from collections.abc import Callable, Sized
from typing import Any

import numpy as np

from .inferencer_people import crop

#: Largest coordinate of a box, in pixels: no image is larger.
MAX_COORDINATE = 1e6


def missing() -> str:
    """Say what is missing."""
    return 'the inferencers of mmpose ignore bboxes'


def repair() -> None:
    """Check and use the boxes that the inferencers are given."""
    from mmpose.apis.inferencers import Hand3DInferencer, Pose2DInferencer
    from mmpose.apis.inferencers.base_mmpose_inferencer import (
        BaseMMPoseInferencer as Base,
    )

    Base.preprocess = check_boxes(Base.preprocess)
    # The 3D inferencer hands them to its 2D inferencer.
    for kind in (Pose2DInferencer, Hand3DInferencer):
        kind.preprocess_single = use_boxes(kind.preprocess_single)


def check_boxes(preprocess: Callable) -> Callable:
    """Return ``preprocess`` that takes boxes of each image, or raises."""

    @functools.wraps(preprocess)
    def checked(
        self: Any,
        inputs: Any,
        batch_size: int = 1,
        bboxes: Any = None,
        **options: Any,
    ) -> Any:
        boxes = as_boxes(bboxes, inputs)
        return preprocess(self, inputs, batch_size, boxes, **options)

    return checked


def as_boxes(bboxes: Any, inputs: Any) -> list[np.ndarray] | None:
    """Return the boxes (x1, y1, x2, y2, score) of each image, (n, 5).

    Args:
        bboxes: The boxes of each image, (n, 4) or with scores (n, 5), or a
            single box; for a single image, its boxes without a list around
            them. None or an empty list uses the detector.
        inputs: The images.
    """
    if bboxes is None:
        return None
    if not isinstance(bboxes, Sized) or not isinstance(inputs, Sized):
        raise TypeError(
            'bboxes takes the boxes of each image, and requires the images '
            f'in a list; got {str(bboxes)[:50]}'
        )
    if not len(bboxes):
        return None
    if len(inputs) == 1 and len(bboxes) != 1:
        bboxes = [bboxes]
    if len(bboxes) != len(inputs):
        raise ValueError(
            f'bboxes has {len(bboxes)} entries for {len(inputs)} images; it '
            'takes the boxes of each image'
        )
    return [_as_array(b, f'bboxes[{i}]') for i, b in enumerate(bboxes)]


def _as_array(boxes: Any, place: str) -> np.ndarray:
    """Return the checked boxes of one image with their scores, (n, 5)."""
    try:
        array = np.atleast_2d(np.asarray(boxes, dtype=np.float32))
    except (TypeError, ValueError) as error:
        raise ValueError(f'{place} are not boxes: {error}') from error
    if array.ndim != 2 or array.shape[1] not in (4, 5) or not array.size:
        raise ValueError(
            f'{place} has shape {np.shape(boxes)}; the shape of boxes is (n, '
            '4) or with scores (n, 5), n > 0'
        )
    for i, box in enumerate(array):
        if not (np.isfinite(box).all() and (box[2:4] > box[:2]).all()):
            raise ValueError(
                f'box {i} of {place} is not finite, empty or reversed: '
                f'{box}; (x1, y1, x2, y2) requires x2 > x1 and y2 > y1'
            )
        if not (np.abs(box[:4]) <= MAX_COORDINATE).all():
            raise ValueError(
                f'box {i} of {place} reaches beyond any image: {box}; '
                f'coordinates are pixels, at most {MAX_COORDINATE:g}'
            )
    return np.hstack([array, np.ones_like(array[:, :1])])[:, :5]


def use_boxes(preprocess_single: Callable) -> Callable:
    """Return ``preprocess_single`` that uses the boxes of its image."""

    @functools.wraps(preprocess_single)
    def single(
        self: Any, input: Any, index: int, *, bboxes: Any = (), **options: Any
    ) -> list[dict]:
        if not len(bboxes):
            return preprocess_single(self, input, index, **options)
        if not hasattr(self, 'detector'):
            raise ValueError('bboxes requires a top-down model')
        data = crop(self, input, index, bboxes)
        for box, sample in zip(bboxes, data, strict=True):
            size = sample['data_samples'].metainfo.get(
                'ori_shape', [np.inf] * 2
            )
            if (box[:2] >= size[::-1]).any() or (box[2:4] <= 0).any():
                raise ValueError(
                    f'box {box[:4]} in bboxes[{index}] lies outside of its '
                    f'image, (h, w) {tuple(size)}'
                )
        return data

    return single
