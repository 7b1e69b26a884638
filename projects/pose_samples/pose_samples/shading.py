"""Rounded shapes: the same outline smaller and lighter, several times."""

import math
from typing import Protocol

import numpy as np

from .canvas import fill, fill_hull, limb_outlines
from .style import shade


class Lit(Protocol):
    """Looks of a person or an animal, as far as they tell of light.

    Args:
        light: Where the light comes from, image (x, y), length at most 1.
        contrast: How dark the shaded side is, 0 to 1.
    """

    light: np.ndarray
    contrast: float


def _layers(style: Lit) -> tuple[tuple[float, float], ...]:
    """Return size and tone of the nested shapes, the largest first."""
    c = style.contrast
    return ((1.0, 1 - c), (0.72, 1.0), (0.38, 1 + 0.4 * c))


def fill_limb(canvas, style: Lit, start, end, radii, color, part: int):
    """Fill a limb in shaded layers; points and radii in pixels."""
    layers = _layers(style)
    light = style.light
    mean = float(radii.mean())
    grow = np.array([grow for grow, _ in layers])[:, None]
    offset = (1 - grow) * 0.75 * mean * light
    # Inner layers reach as far as the outer one, so that no dark rim
    # separates a limb from the next one.
    axis = end - start
    axis = axis / max(math.hypot(*axis), 1e-6)
    starts = start + offset - (1 - grow) * radii[0] * axis
    ends = end + offset + (1 - grow) * radii[-1] * axis
    outlines = limb_outlines(starts, ends, grow * radii)
    for outline, (_, tone) in zip(outlines, layers, strict=True):
        fill(canvas, outline, shade(color, tone), part)


def fill_tube(canvas, style: Lit, rings, size: float, color, part: int):
    """Fill a stack of rings (L, M, 2), about ``size`` pixels thick."""
    middle = rings.mean(1, keepdims=True)
    for grow, tone in _layers(style):
        offset = (1 - grow) * size * style.light
        layer = middle + grow * (rings - middle) + offset
        shaded = shade(color, tone)
        for pair in zip(layer[:-1], layer[1:], strict=True):
            fill_hull(canvas, np.concatenate(pair), shaded, part)
