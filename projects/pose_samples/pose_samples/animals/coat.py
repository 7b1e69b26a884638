"""Coats: colours, and markings that stay where they are on a moving body.

A marking is a polygon on the surface of a ``Tube``, in (level, angle): the
number of the ring and an angle of 0 at the animal's left, 90 on its back.
"""

import math
from dataclasses import dataclass, field

import numpy as np

from ..canvas import Color, fill
from ..figure import Tube
from ..style import shade
from .species import Build, Coat, Species

# Rings of trunk and neck; see ``figure``.
_TRUNK_LEVELS, _NECK_LEVELS = 9, 6


@dataclass
class Mark:
    """Polygons of one colour on one tube, (M, P, 2) as (level, degrees)."""

    tube: str
    corners: np.ndarray
    color: np.ndarray


@dataclass
class Look:
    """How one animal looks.

    Args:
        coat: Colours of the kind.
        base: Own colour of the trunk, (3,).
        legs: Colour of the lower legs, (3,).
        belly: Colour of belly and muzzle, (3,).
        accent: Colour of the pattern, (3,).
        marks: Markings on trunk and neck.
        leg_marks: Along and across a leg, and size, (M, 3), in shares of
            its length and its half width; of spots or of bands.
        light: Where the light comes from, image (x, y), length at most 1.
        contrast: How dark the shaded side is, 0 to 1.
    """

    coat: Coat
    base: np.ndarray
    legs: np.ndarray
    belly: np.ndarray
    accent: np.ndarray
    light: np.ndarray
    contrast: float
    marks: list[Mark] = field(default_factory=list)
    leg_marks: np.ndarray | None = None


def sample_look(
    rng: np.random.Generator,
    species: Species,
    build: Build,
    light: np.ndarray,
) -> Look:
    """Draw a coat of the species, with its own markings."""
    coat = species.coats[rng.integers(len(species.coats))]
    tint = rng.uniform(0.9, 1.08) * rng.uniform(0.96, 1.04, size=3)
    base = np.clip(np.array(coat.base, float) * tint, 0, 250)
    legs = base if coat.legs is None else np.array(coat.legs, float) * tint
    belly = base * 1.06 if coat.belly is None else np.array(coat.belly) * tint
    accent = np.array(coat.accent, float) * rng.uniform(0.9, 1.15)
    look = Look(
        coat, base, legs, np.clip(belly, 0, 250), accent,
        # The sky lights a back from above, whatever else does.
        0.7 * light + (0.0, -0.3), rng.uniform(0.14, 0.24),
    )  # fmt: skip
    if coat.belly is not None:
        band = _band(np.linspace(0.8, 8.4, 9), -128, -52)
        look.marks.append(Mark('trunk', band, look.belly))
        throat = _band(np.linspace(1.0, 6.0, 6), -130, -50)
        look.marks.append(Mark('neck', throat, look.belly))
    _MARKINGS[coat.pattern](rng, look)
    return look


def _band(levels: np.ndarray, low: float, high: float) -> np.ndarray:
    """Return one polygon between two angles, (1, 2L, 2)."""
    there = np.stack([levels, np.full(len(levels), low)], 1)
    back = np.stack([levels, np.full(len(levels), high)], 1)[::-1]
    return np.concatenate([there, back])[None]


def _blobs(
    rng, count: int, top: float, size: tuple[float, float], ragged: float
) -> np.ndarray:
    """Return irregular blobs all over a tube, (M, 10, 2).

    Args:
        rng: Source of randomness.
        count: About how many.
        top: Highest level.
        size: Half axes in levels and degrees.
        ragged: Deviation of the radius, 0 to 1.
    """
    # A jittered grid over a spiral fills the surface evenly.
    i = np.arange(count)
    level = (i + rng.uniform(0, 1, count)) / count * top
    angle = i * 137.5 + rng.uniform(-25, 25, count)
    turn = np.linspace(0, 2 * math.pi, 10, endpoint=False)
    radius = 1 + ragged * rng.uniform(-1, 1, (count, 10))
    radius = radius * rng.uniform(0.75, 1.25, (count, 1))
    return np.stack(
        [
            level[:, None] + size[0] * radius * np.cos(turn),
            angle[:, None] + size[1] * radius * np.sin(turn),
        ],
        -1,
    )


def _leg_spots(rng, count: int, size: float) -> np.ndarray:
    along = (np.arange(count) + rng.uniform(0, 1, count)) / count
    across = rng.uniform(0.1, 0.85, count) * (-1) ** np.arange(count)
    return np.stack([along, across, np.full(count, size)], 1)


def _leg_bands(rng, count: int, size: float) -> np.ndarray:
    along = (np.arange(count) + rng.uniform(0.2, 0.8, count)) / count
    return np.stack([along, np.zeros(count), np.full(count, size)], 1)


def _plain(rng, look: Look):
    """Leave the coat as it is."""


def _spots(rng, look: Look):
    spot = (0.13, 7.0)
    for tube, top, count in (
        ('trunk', _TRUNK_LEVELS, 130), ('neck', _NECK_LEVELS, 34)
    ):  # fmt: skip
        blobs = _blobs(rng, count, top, spot, 0.3)
        look.marks.append(Mark(tube, blobs, look.accent))
    look.leg_marks = _leg_spots(rng, 18, 0.16)


def _rosettes(rng, look: Look):
    blobs = _blobs(rng, 74, _TRUNK_LEVELS, (0.26, 14.0), 0.28)
    look.marks.append(Mark('trunk', blobs, look.accent))
    middle = blobs.mean(1, keepdims=True)
    inner = middle + 0.52 * (blobs - middle)
    look.marks.append(Mark('trunk', inner, 0.86 * look.base))
    blobs = _blobs(rng, 30, _NECK_LEVELS, (0.22, 9.0), 0.3)
    look.marks.append(Mark('neck', blobs, look.accent))
    look.leg_marks = _leg_spots(rng, 14, 0.21)


def _stripes(rng, look: Look):
    """Lay stripes across back and flanks, closer on slim necks."""
    is_light = look.coat.base[0] > 150
    thick = 0.19 if is_light else 0.12
    for tube, top, count in (
        ('trunk', _TRUNK_LEVELS, 19), ('neck', _NECK_LEVELS, 9)
    ):  # fmt: skip
        angles = np.linspace(-62, 242, 17)
        # Thick on the back, pointed below.
        shape = np.sqrt(np.clip(np.sin(np.linspace(0.04, 3.1, 17)), 0, 1))
        polygons = []
        for i in range(count):
            level = (i + 0.5 + 0.2 * rng.uniform(-1, 1)) / count * top
            wave = 0.10 * np.sin(np.radians(angles) * 3 + rng.uniform(0, 6))
            lean = 0.0016 * (i - count / 2) * np.abs(angles - 90) / 6
            half = thick * top / _TRUNK_LEVELS * rng.uniform(0.8, 1.2) * shape
            there = np.stack([level + wave + lean - half, angles], 1)
            back = np.stack([level + wave + lean + half, angles], 1)[::-1]
            polygons.append(np.concatenate([there, back]))
        look.marks.append(Mark(tube, np.stack(polygons), look.accent))
    look.leg_marks = _leg_bands(rng, 7, 0.5 if is_light else 0.35)


def _patches(rng, look: Look):
    blobs = _blobs(rng, 9, _TRUNK_LEVELS, (1.0, 46.0), 0.32)
    look.marks.append(Mark('trunk', blobs, look.accent))
    blobs = _blobs(rng, 2, _NECK_LEVELS, (1.3, 60.0), 0.3)
    look.marks.append(Mark('neck', blobs, look.accent))
    # On upper legs, spots that run together.
    look.leg_marks = _leg_spots(rng, 4, 0.5) * (0.5, 0.6, 1)


def _net(rng, look: Look):
    """Cover the surface with plates that leave light lines between them."""
    for tube, rows, top, columns in (
        ('trunk', 9, _TRUNK_LEVELS, 11), ('neck', 9, _NECK_LEVELS, 7)
    ):  # fmt: skip
        plates = []
        for row in range(rows):
            for column in range(columns):
                level = (row + 0.5) / rows * top
                angle = (column + 0.5 * (row % 2)) / columns * 360
                radius = rng.uniform(0.38, 0.47, size=6)
                turn = np.linspace(0, 2 * math.pi, 6, endpoint=False) + 0.5
                plates.append(np.stack([
                    level + 1.08 * radius * np.cos(turn) * top / rows,
                    angle + 1.08 * radius * np.sin(turn) * 360 / columns,
                ], 1))  # fmt: skip
        look.marks.append(Mark(tube, np.stack(plates), look.accent))
    look.leg_marks = _leg_spots(rng, 8, 0.42)


def _saddle(rng, look: Look):
    """Darken the back; a dark stripe along the flank where it is light."""
    levels = np.linspace(0.4, 8.6, 12)
    if look.coat.belly is not None and look.coat.base[0] < 110:
        for low in (-38, 194):
            band = _band(np.linspace(2.4, 7.2, 8), low, low + 24)
            look.marks.append(Mark('trunk', band, look.accent))
        return
    ragged = rng.uniform(-8, 8, size=24)
    band = _band(levels, 28, 152)
    band[0, :, 1] += ragged
    look.marks.append(Mark('trunk', band, look.accent))
    cape = _band(np.linspace(0, 5.4, 7), 35, 145)
    look.marks.append(Mark('neck', cape, look.accent))


def _panda(rng, look: Look):
    band = _band(np.linspace(6.5, 8.0, 5), -180, 180)
    look.marks.append(Mark('trunk', band, look.accent))


_MARKINGS = {
    'plain': _plain,
    'spots': _spots,
    'rosettes': _rosettes,
    'stripes': _stripes,
    'patches': _patches,
    'net': _net,
    'saddle': _saddle,
    'panda': _panda,
}
_EDGE = math.radians(86)


def draw_mark(
    canvas: np.ndarray, project, tube: Tube, mark: Mark, color: Color, part
):
    """Paint the polygons of a marking as far as they face the camera.

    Args:
        canvas: (h, w, 4), twice the size of the image, changed in place.
        project: Maps points of the camera's frame to the image.
        tube: That lies below, in the camera's frame.
        mark: What to paint.
        color: Blue, green, red.
        part: Number of the part.
    """
    across = tube.across[:, 2] / (tube.across**2).sum(1)
    front = tube.front[:, 2] / (tube.front**2).sum(1)
    levels = np.clip(mark.corners[..., 0], 0, len(tube.centers) - 1.001)
    low = levels.mean(1).astype(int)
    # Seen from its end, a tube hides its own surface.
    slope = np.hypot(
        tube.across[:, 2] / np.sqrt((tube.across**2).sum(1)),
        tube.front[:, 2] / np.sqrt((tube.front**2).sum(1)),
    )
    middle = np.arctan2(front, across)[low][:, None]
    angles = np.radians(mark.corners[..., 1]) - middle
    turns = np.round(angles.mean(1, keepdims=True) / (2 * math.pi))
    angles = angles - 2 * math.pi * turns
    shown = (angles.min(1) < _EDGE) & (angles.max(1) > -_EDGE)
    shown &= slope[low] > 0.45
    angles = np.clip(angles, -_EDGE, _EDGE) + middle
    if not shown.any():
        return
    levels, angles = levels[shown], angles[shown]
    points = tube.surface(levels.reshape(-1), angles.reshape(-1))
    for polygon in project(points).reshape(*levels.shape, 2):
        fill(canvas, polygon, color, part)


def paint_tube_marks(canvas, animal, tube: Tube, name: str, part: int):
    """Paint all markings of the trunk or the neck."""
    for mark in animal.look.marks:
        if mark.tube == name:
            color = shade(mark.color, 1.0)
            draw_mark(canvas, animal.project, tube, mark, color, part)
