"""A prediction and its annotation on one picture."""

# K keypoints

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from .canvas import enlarge

#: Colors, BGR: the annotation, the prediction, and the lines between them.
TRUTH, PREDICTION, ERROR = (80, 220, 80), (60, 60, 235), (0, 200, 255)
#: Margin around the instance, in longer sides of its box.
MARGIN = 0.25
#: Longer side of the picture, in pixels.
SIZE = 480
_MISSING = (200, 200, 200)


def draw_errors(
    image: np.ndarray,
    box: Sequence[float],
    truth: np.ndarray,
    prediction: np.ndarray | None,
    links: Sequence[tuple[int, int]],
) -> np.ndarray:
    """Return a crop with the annotation in green and the prediction in red.

    Yellow lines join labelled keypoints of the two.

    Args:
        image: BGR, uint8.
        box: (x, y, width, height) of the annotation, in pixels.
        truth: x, y and visibility, (K, 3).
        prediction: x, y and score, (K, 3); None if there is none.
        links: Pairs of keypoints that are joined by a line.
    """
    corner, end = _frame(box, truth, prediction, image.shape)
    picture, move = enlarge(image, [*corner, *end], SIZE)
    gt = move(truth[:, :2])
    labelled = truth[:, 2] > 0
    _draw(picture, gt, labelled, links, TRUTH)
    if prediction is not None:
        found = move(prediction[:, :2])
        _draw(picture, found, np.ones(len(found), bool), links, PREDICTION)
        for k in np.flatnonzero(labelled):
            _line(picture, gt[k], found[k], ERROR, 1)
    return picture


def read_picture(path: Path, width: int, height: int) -> np.ndarray:
    """Return a picture, BGR; a grey one if there is no such file."""
    if path.is_file():
        content = np.fromfile(path, np.uint8)
        image = cv2.imdecode(content, cv2.IMREAD_COLOR)
        if image is not None:
            return image
    return np.full((max(1, height), max(1, width), 3), _MISSING, np.uint8)


def _frame(
    box: Sequence[float],
    truth: np.ndarray,
    prediction: np.ndarray | None,
    shape: tuple[int, ...],
) -> tuple[np.ndarray, np.ndarray]:
    """Return two corners around both poses, within the picture."""
    corner = np.array(box[:2], float)
    points = [corner, corner + box[2:], *truth[truth[:, 2] > 0, :2]]
    margin = MARGIN * max(box[2:])
    if prediction is not None:  # only the part that is near
        low, high = corner - 4 * margin, corner + box[2:] + 4 * margin
        points += [*np.clip(prediction[:, :2], low, high)]
    limits = np.array([shape[1], shape[0]])
    first = np.clip(np.min(points, 0) - margin, 0, limits - 1)
    last = np.clip(np.max(points, 0) + margin, first + 1, limits)
    return np.floor(first).astype(int), np.ceil(last).astype(int)


def _draw(
    picture: np.ndarray,
    points: np.ndarray,
    shown: np.ndarray,
    links: Sequence[tuple[int, int]],
    color: tuple[int, int, int],
) -> None:
    for a, b in links:
        if shown[a] and shown[b]:
            _line(picture, points[a], points[b], color, 2)
    for point in points[shown]:
        cv2.circle(picture, _fixed(point), 3, color, -1, cv2.LINE_AA)


def _line(
    picture: np.ndarray,
    a: np.ndarray,
    b: np.ndarray,
    color: tuple[int, int, int],
    width: int,
) -> None:
    cv2.line(picture, _fixed(a), _fixed(b), color, width, cv2.LINE_AA)


def _fixed(point: np.ndarray) -> tuple[int, int]:
    x, y = np.round(np.clip(point, -1e5, 1e5)).astype(int).tolist()
    return x, y
