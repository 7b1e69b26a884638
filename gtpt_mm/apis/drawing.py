"""Draw people on an image."""

from typing import TYPE_CHECKING

import cv2
import numpy as np

if TYPE_CHECKING:
    from .results import PoseResult

#: Colors of boxes and ids, BGR; a person keeps the color of its id.
PALETTE = (
    (75, 180, 60), (75, 25, 230), (25, 225, 255), (200, 130, 0),
    (48, 130, 245), (180, 30, 145), (240, 240, 70), (230, 50, 240),
)  # fmt: skip
#: Color of keypoints and links without one in the dataset, RGB.
PLAIN = (0, 255, 0)
#: Bits of the fraction of a pixel, as OpenCV's drawing functions take it.
SHIFT = 4
#: Points farther away, in pixels, are not drawn: OpenCV's integers overflow.
FARTHEST = 1e6


def draw_people(
    result: 'PoseResult',
    image: np.ndarray,
    threshold: float,
    *,
    boxes: bool,
    ids: bool,
    line_width: int | None,
) -> np.ndarray:
    """Return a copy of an image with the people; see ``PoseResult.draw``."""
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
        raise ValueError(
            f'an image of shape {image.shape} and {image.dtype} cannot be '
            'drawn on; give BGR of uint8, (H, W, 3)'
        )
    picture = np.ascontiguousarray(image).copy()
    height, width = picture.shape[:2]
    line_width = line_width or max(1, round((height * width) ** 0.5 / 300))
    for number in range(len(result)):
        name = None if result.ids is None else int(result.ids[number])
        color = PALETTE[(number if name is None else name) % len(PALETTE)]
        box = result.boxes[number]
        if _is_near(box).all():
            if boxes:
                a, b = _fixed(box[:2]), _fixed(box[2:])
                cv2.rectangle(
                    picture, a, b, color, line_width, cv2.LINE_AA, SHIFT
                )
            if ids and name is not None and name >= 0:  # -1: none yet
                _write(picture, str(name), box[:2], color, line_width)
        _draw_skeleton(result, number, picture, threshold, line_width)
    return picture


def _draw_skeleton(
    result: 'PoseResult',
    number: int,
    picture: np.ndarray,
    threshold: float,
    line_width: int,
) -> None:
    """Draw links, then keypoints, of one person."""
    skeleton = result.skeleton
    points = result.keypoints[number]
    scores = np.clip(result.scores[number], 0, 1)  # NaN stays: not drawn
    drawn = (scores >= threshold) & _is_near(points).all(-1)
    for i, (a, b) in enumerate(skeleton.links):
        if drawn[a] and drawn[b]:
            ends = _fixed(points[a]), _fixed(points[b])
            color = _color(skeleton.link_colors, i)
            cv2.line(picture, *ends, color, line_width, cv2.LINE_AA, SHIFT)
    radius = max(2, round(1.5 * line_width)) << SHIFT
    for k in np.flatnonzero(drawn).tolist():
        color = _color(skeleton.keypoint_colors, k)
        center = _fixed(points[k])
        cv2.circle(picture, center, radius, color, -1, cv2.LINE_AA, SHIFT)


def _write(
    picture: np.ndarray,
    text: str,
    corner: np.ndarray,
    color: tuple[int, int, int],
    line_width: int,
) -> None:
    """Write a text above a corner, within the picture."""
    font, scale = cv2.FONT_HERSHEY_SIMPLEX, 0.3 + 0.2 * line_width
    (width, height), below = cv2.getTextSize(text, font, scale, line_width)
    x = int(np.clip(corner[0], 0, max(0, picture.shape[1] - width)))
    y = int(np.clip(corner[1], height + below, picture.shape[0] - 1))
    cv2.rectangle(picture, (x, y - height - below), (x + width, y), color, -1)
    place = x, y - below // 2
    white = (255, 255, 255)
    cv2.putText(
        picture, text, place, font, scale, white, line_width, cv2.LINE_AA
    )


def _is_near(values: np.ndarray) -> np.ndarray:
    return np.abs(values) < FARTHEST  # False for NaN


def _fixed(point: np.ndarray) -> tuple[int, int]:
    """Return a point in the fractions of a pixel that OpenCV takes."""
    x, y = np.round(np.asarray(point, np.float64) * (1 << SHIFT))
    return int(x), int(y)


def _color(
    colors: tuple[tuple[int, int, int], ...], index: int
) -> tuple[int, int, int]:
    """Return the color of a keypoint or link as BGR."""
    red, green, blue = colors[index] if index < len(colors) else PLAIN
    return blue, green, red
