"""Draw one annotated instance: keypoints colored by side, box, faults."""

from collections.abc import Collection

import cv2
import numpy as np

from .canvas import enlarge

#: Colors, BGR: left, right, and keypoints of no side.
LEFT, RIGHT, MIDDLE = (60, 76, 231), (219, 152, 52), (96, 174, 39)
WHITE, BLACK = (255, 255, 255), (0, 0, 0)
#: Longer side of the drawing in pixels, and the margin around the instance.
SIZE, MARGIN = 420, 0.15
FONT, SHIFT = cv2.FONT_HERSHEY_SIMPLEX, 4


def draw_instance(
    image: np.ndarray,
    points: np.ndarray,
    labelled: np.ndarray,
    box: np.ndarray,
    *,
    names: list[str],
    links: list[tuple[int, int]],
    pairs: list[tuple[int, int]],
    marked: Collection[int] = (),
) -> np.ndarray:
    """Return an enlarged crop around an instance, with annotations drawn.

    Args:
        image: BGR, uint8, (H, W, 3).
        points: Pixels (x, y), (K, 2).
        labelled: Whether a keypoint is labelled, (K,).
        box: (x1, y1, x2, y2), NaN without a box.
        names: Names of the keypoints.
        links: Pairs of indices that are joined.
        pairs: Pairs (left, right) of indices: red and blue.
        marked: Keypoints whose names are written.
    """
    labelled = labelled & np.isfinite(points).all(-1)
    window = _window(image, points[labelled], box)
    drawn, move = enlarge(image, window, SIZE)
    places = np.clip(move(points), -1e4, 1e4)
    if np.isfinite(box).all():
        # A box ends at the edges of pixels, half a pixel from their centers.
        corners = move(box.reshape(2, 2) - 0.5) + 0.5
        corners = np.clip(corners, -1e4, 1e4)
        first, last = _fixed(corners[0]), _fixed(corners[1])
        cv2.rectangle(drawn, first, last, WHITE, 1, shift=SHIFT)
    for a, b in links:
        if labelled[a] and labelled[b]:
            ends = _fixed(places[a]), _fixed(places[b])
            for color, width in (BLACK, 3), (WHITE, 1):
                cv2.line(drawn, *ends, color, width, cv2.LINE_AA, SHIFT)
    colors = {a: LEFT for a, _ in pairs} | {b: RIGHT for _, b in pairs}
    for k in np.flatnonzero(labelled).tolist():
        center = _fixed(places[k])
        radius = (6 if k in marked else 4) << SHIFT
        color = colors.get(k, MIDDLE)
        cv2.circle(drawn, center, radius, color, -1, cv2.LINE_AA, SHIFT)
        cv2.circle(drawn, center, radius, WHITE, 1, cv2.LINE_AA, SHIFT)
    for k in marked:
        if labelled[k]:
            _write(drawn, names[k], places[k])
    return drawn


def _window(
    image: np.ndarray, points: np.ndarray, box: np.ndarray
) -> tuple[int, int, int, int]:
    """Return the part of the picture that is shown, (x1, y1, x2, y2)."""
    size = np.array(image.shape[1::-1])
    corners = box.reshape(2, 2)
    shown = np.concatenate([points, corners[np.isfinite(corners).all(1)]])
    if not len(shown):
        return 0, 0, int(size[0]), int(size[1])
    low, high = shown.min(0), shown.max(0)
    margin = MARGIN * (high - low).max() + 8
    low = np.clip(low - margin, 0, size - 1).astype(int)
    high = np.clip(high + margin, low + 1, size).astype(int)
    return int(low[0]), int(low[1]), int(high[0]), int(high[1])


def _fixed(point: np.ndarray) -> tuple[int, int]:
    """Return a point in the fractions of a pixel that OpenCV takes."""
    x, y = np.round(point * (1 << SHIFT))
    return int(x), int(y)


def _write(drawn: np.ndarray, text: str, place: np.ndarray) -> None:
    """Write a name beside a point, within the picture."""
    (width, height), below = cv2.getTextSize(text, FONT, 0.4, 1)
    right, low = drawn.shape[1] - width, drawn.shape[0] - below
    x = int(np.clip(place[0] + 8, 0, max(right, 0)))
    y = int(np.clip(place[1], height, max(low, height)))
    for color, thickness in (BLACK, 3), (WHITE, 1):
        cv2.putText(
            drawn, text, (x, y), FONT, 0.4, color, thickness, cv2.LINE_AA
        )
