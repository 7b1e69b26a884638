"""Combine small pictures with titles into large ones."""

from collections.abc import Callable, Sequence

import cv2
import numpy as np

#: Narrowest panel in pixels: a title must fit above it.
MIN_WIDTH = 128
WHITE = (255, 255, 255)


def panel(img: np.ndarray, text: str) -> np.ndarray:
    """Put a line of text above a picture, and a margin around it.

    Args:
        img: Picture, (H, W, 3), uint8; enlarged by a whole number until it
            is ``MIN_WIDTH`` wide.
        text: Title; cut off if it is too long.

    Returns:
        Picture, (zoom * H + 24, zoom * W + 4, 3), uint8.
    """
    zoom = -(-MIN_WIDTH // img.shape[1])
    img = np.kron(img, np.ones((zoom, zoom, 1), np.uint8))
    img = cv2.copyMakeBorder(
        img, 20, 4, 2, 2, cv2.BORDER_CONSTANT, value=WHITE
    )
    return _write(img, text, 0.38)


def tile(panels: Sequence[np.ndarray], columns: int) -> np.ndarray:
    """Put panels of one size into rows; the last row is filled with white."""
    blank = np.full_like(panels[0], 255)
    rows = [
        list(panels[start : start + columns])
        for start in range(0, len(panels), columns)
    ]
    rows[-1] += [blank] * (columns - len(rows[-1]))
    return np.concatenate([np.concatenate(row, axis=1) for row in rows])


def with_heading(img: np.ndarray, text: str) -> np.ndarray:
    """Put a line of larger text above a picture."""
    strip = np.full((26, img.shape[1], 3), 255, np.uint8)
    return np.concatenate((_write(strip, text, 0.5), img))


def stack(pictures: Sequence[np.ndarray]) -> np.ndarray:
    """Put pictures below each other, narrow ones filled up with white."""
    width = max(picture.shape[1] for picture in pictures)
    return np.concatenate(
        [
            cv2.copyMakeBorder(
                picture,
                *(0, 0, 0, width - picture.shape[1]),
                cv2.BORDER_CONSTANT,
                value=WHITE,
            )
            for picture in pictures
        ]
    )


def _write(img: np.ndarray, text: str, size: float) -> np.ndarray:
    """Write at the upper left."""
    return cv2.putText(
        img,
        text,
        (4, round(8 + 16 * size)),
        cv2.FONT_HERSHEY_SIMPLEX,
        size,
        (0, 0, 0),
        lineType=cv2.LINE_AA,
    )


def enlarge(
    img: np.ndarray, window: Sequence[int], size: int
) -> tuple[np.ndarray, Callable[[np.ndarray], np.ndarray]]:
    """Return a resized part of a picture, and the mapping of its points.

    Args:
        img: Picture, (H, W, 3).
        window: The part, (x1, y1, x2, y2), whole pixels, the last excluded.
        size: Longer side of the result, in pixels.

    Returns:
        The resized part; and a function from pixels of ``img`` to its
        pixels, (..., 2). Centers of pixels are whole numbers in both.
    """
    x1, y1, x2, y2 = window
    scale = size / max(x2 - x1, y2 - y1, 1)
    shape = [max(1, round((b - a) * scale)) for a, b in ((x1, x2), (y1, y2))]
    part = cv2.resize(img[y1:y2, x1:x2], shape, interpolation=cv2.INTER_LINEAR)
    return part, lambda points: (points - (x1, y1) + 0.5) * scale - 0.5
