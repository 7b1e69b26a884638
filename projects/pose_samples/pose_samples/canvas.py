"""Filled shapes with exact edges, and who owns each pixel.

A canvas is drawn twice as large as the image and then halved, which smooths
all edges. Its fourth channel holds the part of the body that was drawn last.
Coordinates are those of the image, as in the annotations: (x, y) in pixels
whose centers lie at whole numbers.
"""

import math

import cv2
import numpy as np

ZOOM = 2  # pixels of the canvas per pixel of the image
_SHIFT = 4  # fractional bits that OpenCV reads
_FIXED = ZOOM * (1 << _SHIFT)
_OFFSET = (ZOOM - 1) / 2 * (1 << _SHIFT)

Color = tuple[float, float, float]


def to_fixed(points: np.ndarray) -> np.ndarray:
    """Turn image coordinates (..., 2) into OpenCV's fixed-point numbers."""
    return np.rint(points * _FIXED + _OFFSET).astype(np.int32)


def fill(canvas: np.ndarray, points: np.ndarray, color: Color, part: int):
    """Fill one polygon.

    Args:
        canvas: Colour and part, (h, w, 4), changed in place.
        points: Corners in image coordinates, (N, 2).
        color: Blue, green, red.
        part: Number of the body's part, 1 to 63.
    """
    cv2.fillPoly(canvas, [to_fixed(points)], (*color, part), shift=_SHIFT)


def fill_hull(canvas: np.ndarray, points: np.ndarray, color: Color, part: int):
    """Fill the convex hull of points (N, 2); see ``fill``."""
    hull = cv2.convexHull(to_fixed(points))
    cv2.fillConvexPoly(canvas, hull, (*color, part), shift=_SHIFT)


def fill_disc(
    canvas: np.ndarray,
    center: np.ndarray,
    radius: float,
    color: Color,
    part: int,
):
    """Fill a circle; see ``fill``."""
    x, y = to_fixed(center).tolist()
    cv2.circle(
        canvas,
        (x, y),
        max(int(radius * _FIXED), 1),
        (*color, part),
        -1,
        shift=_SHIFT,
    )


def stroke(
    canvas: np.ndarray,
    points: np.ndarray,
    width: float,
    color: Color,
    part: int,
):
    """Draw an open line of ``width`` image pixels; see ``fill``."""
    cv2.polylines(
        canvas,
        [to_fixed(points)],
        False,
        (*color, part),
        max(int(width * ZOOM + 0.5), 1),
        shift=_SHIFT,
    )


# Points of the unit circle.
RING = np.array(
    [
        (math.cos(2 * math.pi * i / 16), math.sin(2 * math.pi * i / 16))
        for i in range(16)
    ]
)


def _limb_template(num_radii: int, num_cap: int = 6):
    """Return which radius each corner of a limb uses, and its angle."""
    ts = np.linspace(0, 1, num_radii)
    cap = [math.pi * (0.5 - i / num_cap) for i in range(1, num_cap)]
    corners = [(i, math.pi / 2) for i in range(num_radii)]
    corners += [(num_radii - 1, a) for a in cap]
    corners += [(i, -math.pi / 2) for i in reversed(range(num_radii))]
    corners += [(0, a - math.pi) for a in cap]
    index = np.array([i for i, _ in corners])
    cos = np.array([math.cos(a) for _, a in corners])
    sin = np.array([math.sin(a) for _, a in corners])
    return index, ts[index], cos, sin


NUM_RADII = 5
_INDEX, _TS, _COS, _SIN = _limb_template(NUM_RADII)


def limb_outlines(
    starts: np.ndarray, ends: np.ndarray, radii: np.ndarray
) -> np.ndarray:
    """Return tapered outlines with round ends.

    Args:
        starts: First end of each limb, (N, 2).
        ends: Other end, (N, 2).
        radii: Half widths at equal steps from start to end, (N, 5).

    Returns:
        Corners, (N, 20, 2).
    """
    step = ends - starts
    length = np.sqrt((step * step).sum(1, keepdims=True))
    axis = np.where(length > 1e-6, step / np.maximum(length, 1e-6), (0, 1.0))
    normal = np.stack([-axis[:, 1], axis[:, 0]], 1)
    radius = radii[:, _INDEX]
    along = _TS * length + radius * _COS
    across = radius * _SIN
    return (
        starts[:, None]
        + along[..., None] * axis[:, None]
        + across[..., None] * normal[:, None]
    )
