"""Filled and shaded shapes with exact edges, and the owner of each pixel.

A canvas is drawn twice as large as the image and then halved, which smooths
all edges. Its fourth channel holds the part of the figure that was drawn
last. Coordinates are those of the image, as in the annotations: (x, y) in
pixels whose centers lie at whole numbers. Colours are (blue, green, red).
"""

import math
from typing import Protocol

import cv2
import numpy as np

from .arrays import Array

ZOOM = 2  # pixels of the canvas per pixel of the image
_SHIFT = 4  # fractional bits that OpenCV reads
_FIXED = ZOOM * (1 << _SHIFT)
_OFFSET = (ZOOM - 1) / 2 * (1 << _SHIFT)

Color = Array | tuple[float, ...]


class Look(Protocol):
    """Attributes of a figure's look that shading reads."""

    light: Array  # direction to it, image (x, y), length at most 1
    contrast: float  # how dark the shaded side is, 0 to 1


def shrink(points: Array, factor: float) -> Array:
    """Scale points (N, 2) about their mean."""
    middle = points.mean(0)
    return middle + factor * (points - middle)


def _fixed(points: Array) -> Array:
    """Turn image coordinates (..., 2) into OpenCV's fixed-point numbers."""
    return np.rint(points * _FIXED + _OFFSET).astype(np.int32)


# Points of the unit circle.
RING = np.array(
    [
        (math.cos(2 * math.pi * i / 16), math.sin(2 * math.pi * i / 16))
        for i in range(16)
    ]
)
NUM_RADII = 5


def _capsule(num_cap: int = 6) -> tuple[Array, ...]:
    """Return the radius that each corner of a capsule uses, and its angle."""
    cap = [math.pi * (0.5 - i / num_cap) for i in range(1, num_cap)]
    corners = [(i, math.pi / 2) for i in range(NUM_RADII)]
    corners += [(NUM_RADII - 1, a) for a in cap]
    corners += [(i, -math.pi / 2) for i in reversed(range(NUM_RADII))]
    corners += [(0, a - math.pi) for a in cap]
    index = np.array([i for i, _ in corners])
    cos = np.array([math.cos(a) for _, a in corners])
    sin = np.array([math.sin(a) for _, a in corners])
    return index, np.linspace(0, 1, NUM_RADII)[index], cos, sin


_INDEX, _TS, _COS, _SIN = _capsule()


def limb_outlines(starts: Array, ends: Array, radii: Array) -> Array:
    """Return the outlines of tapered capsules, (N, 20, 2).

    Args:
        starts: First end of each limb, (N, 2).
        ends: Other end, (N, 2).
        radii: Half widths at equal steps from start to end, (N, 5).
    """
    step = ends - starts
    length = np.sqrt((step * step).sum(1, keepdims=True))
    axis = np.where(length > 1e-6, step / np.maximum(length, 1e-6), (0, 1.0))
    normal = np.stack([-axis[:, 1], axis[:, 0]], 1)
    radius = radii[:, _INDEX]
    along = (_TS * length + radius * _COS)[..., None] * axis[:, None]
    across = (radius * _SIN)[..., None] * normal[:, None]
    return starts[:, None] + along + across


class Canvas:
    """Colour and part of each pixel.

    Args:
        size: (w, h) of the image.

    Attributes:
        pixels: Blue, green, red, part; (2h, 2w, 4), uint8.
        part: Number of the part that is being drawn, 1 to 63; 0 for none.
    """

    def __init__(self, size: tuple[int, int]) -> None:
        w, h = size
        self.pixels = np.zeros((ZOOM * h, ZOOM * w, 4), np.uint8)
        self.part = 0

    def ink(self, color: Color, tone: float = 1.0) -> tuple[float, ...]:
        """Return a colour, darker (tone < 1) or lighter, with the part."""
        color = np.clip(np.asarray(color, float) * tone, 0, 255)
        return (*color.tolist(), int(self.part))

    def fill(self, points: Array, color: Color, tone: float = 1.0) -> None:
        """Fill one polygon with corners (N, 2)."""
        ink = self.ink(color, tone)
        cv2.fillPoly(self.pixels, [_fixed(points)], ink, shift=_SHIFT)

    def hull(self, points: Array, color: Color, tone: float = 1.0) -> None:
        """Fill the convex hull of points (N, 2)."""
        hull, ink = cv2.convexHull(_fixed(points)), self.ink(color, tone)
        cv2.fillConvexPoly(self.pixels, hull, ink, shift=_SHIFT)

    def lit_hull(
        self,
        points: Array,
        color: Color,
        tones: tuple[float, float],
        factor: float,
        offset: Array,
    ) -> None:
        """Fill a hull and, smaller by a factor and shifted, its lit side."""
        self.hull(points, color, tones[0])
        self.hull(shrink(points, factor) + offset, color, tones[1])

    def disc(
        self, center: Array, radius: float, color: Color, tone: float = 1.0
    ) -> None:
        """Fill a circle."""
        place, radius = _fixed(center).tolist(), max(int(radius * _FIXED), 1)
        ink = self.ink(color, tone)
        cv2.circle(self.pixels, place, radius, ink, -1, shift=_SHIFT)

    def line(
        self, points: Array, width: float, color: Color, tone: float = 1.0
    ) -> None:
        """Draw an open line of ``width`` image pixels."""
        ink, thick = self.ink(color, tone), max(int(width * ZOOM + 0.5), 1)
        lines = [_fixed(points)]
        cv2.polylines(self.pixels, lines, False, ink, thick, shift=_SHIFT)

    # Rounded shapes: the same outline smaller and lighter, several times.

    def limb(
        self, look: Look, ends: Array, radii: Array, color: Color
    ) -> None:
        """Fill a shaded capsule between two ends (2, 2), radii (5,)."""
        start, end = ends
        grow, tones = _layers(look)
        offset = (1 - grow) * 0.75 * float(radii.mean()) * look.light
        # Inner layers reach as far as the outer one, so that no dark rim
        # separates a limb from the next one.
        axis = end - start
        axis = axis / max(math.hypot(*axis), 1e-6)
        starts = start + offset - (1 - grow) * radii[0] * axis
        stops = end + offset + (1 - grow) * radii[-1] * axis
        outlines = limb_outlines(starts, stops, grow * radii)
        for outline, tone in zip(outlines, tones, strict=True):
            self.fill(outline, color, tone)

    def tube(
        self, look: Look, rings: Array, size: float, color: Color
    ) -> None:
        """Fill a shaded stack of rings (L, M, 2), ``size`` pixels thick."""
        middle = rings.mean(1, keepdims=True)
        for (grow,), tone in zip(*_layers(look), strict=True):
            offset = (1 - grow) * size * look.light
            layer = middle + grow * (rings - middle) + offset
            for pair in zip(layer[:-1], layer[1:], strict=True):
                self.hull(np.concatenate(pair), color, tone)


def _layers(look: Look) -> tuple[Array, tuple[float, ...]]:
    """Return sizes (3, 1) and tones of nested shapes, the largest first."""
    c = look.contrast
    return np.array([[1.0], [0.72], [0.38]]), (1 - c, 1.0, 1 + 0.4 * c)
