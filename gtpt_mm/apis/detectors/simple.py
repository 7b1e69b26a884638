"""Detectors without a network: a function of the user, the whole image."""

from collections.abc import Callable
from typing import Any

import numpy as np

from .base import Boxes, Detector, DetectorOptions


class WholeImage(Detector):
    """One person in every image, as large as the image; for portraits."""

    unused = ('weights', 'class_ids', 'nms', 'max_people')

    def build(self) -> bool:
        """Nothing to build."""
        return True

    def detect(self, network: Any, images: list[np.ndarray]) -> list[Boxes]:
        """Return the frame of each image, with score 1."""
        return [
            (np.array([[0, 0, *image.shape[1::-1]]]), np.ones(1))
            for image in images
        ]


class FunctionDetector(Detector):
    """Boxes from a function of the user.

    Args:
        function: Called with one BGR image. It returns boxes
            (x1, y1, x2, y2), (n, 4), which get score 1; or boxes with scores
            in a fifth column; or (boxes, scores).
        options: Thresholds. The detector can be pickled if the function can.
    """

    unused = ('weights', 'class_ids')

    def __init__(self, function: Callable, options: DetectorOptions) -> None:
        super().__init__(
            getattr(function, '__name__', type(function).__name__), options
        )
        self.function = function

    def build(self) -> bool:
        """Nothing to build."""
        return True

    def detect(self, network: Any, images: list[np.ndarray]) -> list[Boxes]:
        """Call the function for each image."""
        return [self._boxes(self.function(image)) for image in images]

    def _boxes(self, result: Any) -> Boxes:
        boxes, scores = _split(result)
        if boxes.size == 0:
            return np.zeros((0, 4)), np.zeros(0)
        if boxes.shape != (*boxes.shape[:1], 4) or (
            scores.shape != boxes.shape[:1]
        ):
            raise ValueError(
                f'the detector {self.name} must return boxes (n, 4), boxes '
                'and scores (n, 5), or a pair of boxes (n, 4) and scores '
                f'(n,); it returned boxes of {boxes.shape} and scores of '
                f'{scores.shape}'
            )
        return boxes, scores


def _split(result: Any) -> Boxes:
    """Return boxes and scores from the result of a function."""
    if isinstance(result, tuple) and len(result) == 2:
        boxes, scores = (_to_array(part) for part in result)
        # A tuple of two boxes is not a pair.
        if boxes.ndim == 2 or boxes.size == scores.size == 0:
            return boxes, scores
    boxes = _to_array(result)
    if boxes.ndim == 2 and boxes.shape[1] == 5:
        return boxes[:, :4], boxes[:, 4]
    return boxes, np.ones(boxes.shape[:1], np.float32)


def _to_array(values: Any) -> np.ndarray:
    if hasattr(values, 'detach'):
        values = values.detach().cpu()
    return np.asarray(values, dtype=np.float32)
