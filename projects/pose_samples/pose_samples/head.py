"""Heads: shape, face with 68 landmarks, hair.

The frame of a head has its origin in the middle between the ears, x to the
person's left, y to the crown, z out of the face; its unit is the height from
chin to crown. The chin is at y = -0.5.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from .arrays import Array, Rng
from .canvas import ZOOM, Canvas, shrink
from .parts import PARTS
from .style import Style


def _landmarks() -> Array:
    """Return the 68 landmarks of a neutral face, (68, 3).

    The order is that of COCO-WholeBody (and iBUG): jaw from the person's
    right to left, right brow, left brow, nose, right eye, left eye, lips.
    """
    jaw = [(-0.335, 0.03, 0.02), (-0.333, -0.06, 0.03), (-0.322, -0.15, 0.05),
           (-0.302, -0.235, 0.09), (-0.268, -0.315, 0.14),
           (-0.220, -0.385, 0.20), (-0.158, -0.44, 0.26),
           (-0.085, -0.485, 0.31), (0, -0.50, 0.33)]  # fmt: skip
    brow = [(-0.265, 0.115, 0.27), (-0.225, 0.150, 0.33),
            (-0.170, 0.160, 0.37), (-0.115, 0.150, 0.395),
            (-0.065, 0.130, 0.41)]  # fmt: skip
    ridge = [(0, 0.04, 0.41), (0, -0.02, 0.45), (0, -0.08, 0.49),
             (0, -0.14, 0.53)]  # fmt: skip
    nostrils = [(-0.075, -0.19, 0.42), (-0.04, -0.205, 0.445),
                (0, -0.215, 0.46)]  # fmt: skip
    # From the outer corner over the upper lid to the inner corner and back.
    eye = [(-0.205, 0.022, 0.31), (-0.170, 0.052, 0.345),
           (-0.120, 0.052, 0.36), (-0.085, 0.018, 0.355),
           (-0.120, -0.004, 0.36), (-0.170, -0.004, 0.345)]  # fmt: skip
    upper = [(-0.125, -0.32, 0.36), (-0.080, -0.297, 0.40),
             (-0.030, -0.284, 0.425), (0, -0.291, 0.43)]  # fmt: skip
    lower = [(-0.080, -0.352, 0.40), (-0.035, -0.374, 0.415),
             (0, -0.378, 0.42)]  # fmt: skip
    inside = [(-0.105, -0.32, 0.37), (-0.040, -0.314, 0.415),
              (0, -0.317, 0.42)]  # fmt: skip
    inside_low = [(-0.040, -0.328, 0.415), (0, -0.330, 0.42)]

    def other(points, order=None):
        points = [points[i] for i in order] if order else points[::-1]
        return [(-x, y, z) for x, y, z in points]

    points = jaw + other(jaw[:-1])
    points += brow + other(brow)
    points += ridge + nostrils + other(nostrils[:-1])
    points += eye + other(eye, order=(3, 2, 1, 0, 5, 4))
    points += upper + other(upper[:-1])
    points += other(lower, order=(0, 1)) + lower[::-1]
    points += inside + other(inside[:-1])
    points += other(inside_low[:-1]) + inside_low[::-1]
    return np.array(points)


FACE = _landmarks()
JAW, RIGHT_BROW, LEFT_BROW = slice(0, 17), slice(17, 22), slice(22, 27)
RIDGE, NOSTRILS = slice(27, 31), slice(31, 36)
RIGHT_EYE, LEFT_EYE = slice(36, 42), slice(42, 48)
LIPS, INNER_LIPS = slice(48, 60), slice(60, 68)
LOWER_LIP = (55, 56, 57, 58, 59, 65, 66, 67)
NOSE_TIP = 30
# From the nose to the upper lip, and from the lips to the chin.
_MUZZLE = ((27, 31, 35, 33, 48, 50, 51, 52, 54), (*range(48, 60), 6, 8, 10))

_EAR_SHAPE = np.array([
    (0.0, 0.085 * math.sin(a) - 0.03, -0.035 + 0.055 * math.cos(a))
    for a in np.linspace(0, 2 * math.pi, 9)[:-1]
])  # fmt: skip

# The cranium: an ellipsoid.
_CENTER = np.array((0.0, 0.09, -0.03))
_RADII = np.array((0.335, 0.41, 0.44))

# Outward directions of the landmarks, to find those that face the camera.
NORMALS = FACE / (0.335, 1.1, 0.42)
NORMALS = NORMALS / np.linalg.norm(NORMALS, axis=1, keepdims=True)


def face_points(rng: Rng) -> Array:
    """Draw a face: its 68 landmarks in the head's frame, (68, 3)."""
    wide, low, eyes, mouth = rng.uniform(-1, 1, size=4)
    points = FACE * (1 + 0.05 * wide, 1.0, 1.0)
    points[RIGHT_EYE, 0] += 0.012 * eyes
    points[LEFT_EYE, 0] -= 0.012 * eyes
    points[LIPS.start :, 1] += 0.015 * low
    points[LIPS.start :, 0] *= 1 + 0.15 * mouth
    smile = rng.uniform(-0.012, 0.04)
    points[[48, 54, 60, 64], 1] += smile
    if rng.random() < 0.35:  # an open mouth
        points[list(LOWER_LIP), 1] -= rng.uniform(0.01, 0.07)
    brows = rng.uniform(-0.012, 0.025)
    points[RIGHT_BROW.start : LEFT_BROW.stop, 1] += brows
    squint = rng.uniform(0.55, 1.15)
    for eye in (RIGHT_EYE, LEFT_EYE):
        middle = points[eye, 1].mean()
        points[eye, 1] = middle + squint * (points[eye, 1] - middle)
    return points


_T = np.linspace(0, 2 * math.pi, 33)[:-1]
_RING = np.stack([np.cos(_T), np.sin(_T)], 1)


def _basis(direction: Array) -> tuple[Array, Array]:
    """Return two directions orthogonal to each other and to this one."""
    helper = np.array((1.0, 0, 0) if abs(direction[0]) < 0.8 else (0, 1.0, 0))
    first = np.cross(direction, helper)
    first = first / math.sqrt(first @ first)
    return first, np.cross(direction, first)


def _silhouette(view: Array) -> Array:
    """Return the outline of the cranium as points of it, (32, 3).

    Args:
        view: Direction towards the camera in the head's frame, (3,).
    """
    view = view / _RADII
    first, second = _basis(view / math.sqrt(view @ view))
    return _CENTER + _RADII * (_RING @ np.stack([first, second]))


def _arc(points: Array, keep: Array) -> Array:
    """Return the kept points of a ring as one run without a gap."""
    count = int(keep.sum())
    if count in (0, len(keep)):
        return points[keep]
    start = int(np.argmax(keep & ~np.roll(keep, 1)))
    return np.roll(points, -start, axis=0)[:count]


def _cap(view: Array, normal: Array, offset: float, grow: float) -> Array:
    """Return the visible part of the cranium above a plane, (N, 3).

    Args:
        view: Direction towards the camera in the head's frame, (3,).
        normal: Upper side of the plane; unit length on the unit sphere.
        offset: Where the plane cuts the unit sphere, -1 to 1.
        grow: Factor on the radii: thickness of the hair.
    """
    sphere_view = view / _RADII
    sphere_view = sphere_view / math.sqrt(sphere_view @ sphere_view)
    ring = _RING @ np.stack(_basis(sphere_view))
    outline = _arc(ring, ring @ normal > offset)
    rim = offset * normal + math.sqrt(1 - offset**2) * (
        _RING @ np.stack(_basis(normal))
    )
    rim = _arc(rim, rim @ sphere_view > 0)
    if len(outline) and len(rim):
        near = ((outline[-1] - rim[[0, -1]]) ** 2).sum(1)
        rim = rim if near[0] < near[1] else rim[::-1]
    points = np.concatenate([outline, rim])
    return _CENTER + grow * _RADII * points


# Of each haircut, caps of the cranium: upper side of the plane that cuts it
# off, where that plane cuts the unit sphere, thickness.
_BACK = np.array((0.0, 0.62, -0.78)) / math.hypot(0.62, 0.78)
_HAIR = {'long': (_BACK, -0.16, 1.10), 'bob': (_BACK, -0.30, 1.13)}
_SHORT = (_BACK, -0.10, 1.06)
_HIGH = np.array((0.0, 0.93, -0.37))
_CAP = (_HIGH / math.sqrt(_HIGH @ _HIGH), 0.20, 1.12)
_VISOR = np.array([
    (-0.33, 0.26, 0.22), (-0.30, 0.24, 0.45), (-0.15, 0.22, 0.62),
    (0.15, 0.22, 0.62), (0.30, 0.24, 0.45), (0.33, 0.26, 0.22),
    (0.15, 0.30, 0.40), (-0.15, 0.30, 0.40),
])  # fmt: skip
# Balls (x, y, z, radius) whose hull is the hair behind the head.
_HANGING = {
    'long': [(-0.30, 0.15, -0.12, 0.10), (0.30, 0.15, -0.12, 0.10),
             (-0.33, -0.75, -0.20, 0.12), (0.33, -0.75, -0.20, 0.12),
             (0.0, -0.80, -0.30, 0.12)],
    'bob': [(-0.30, 0.15, -0.10, 0.12), (0.30, 0.15, -0.10, 0.12),
            (-0.33, -0.36, -0.05, 0.10), (0.33, -0.36, -0.05, 0.10),
            (0.0, -0.36, -0.35, 0.10)],
    'tail': [(0.0, 0.20, -0.47, 0.09), (0.0, -0.05, -0.60, 0.11),
             (0.0, -0.60, -0.52, 0.06)],
}  # fmt: skip


@dataclass(eq=False)
class Head:
    """A head that is turned and placed; draws itself."""

    face: Array  # the 68 landmarks in the head's frame, (68, 3)
    frame: Array  # axes of the head in the camera's frame, (3, 3)
    # Maps points of the head's frame (N, 3) to the image (N, 2).
    project: Callable[[Array], Array]
    size: float  # height of the head in pixels of the image
    style: Style

    def __post_init__(self) -> None:
        self.view = self.frame[2]  # towards the camera, seen from the head
        self.points = self.project(self.face)

    def facing(self, x: float, y: float, z: float) -> float:
        """Return the cosine between a direction of the head and the view."""
        dot = self.view[0] * x + self.view[1] * y + self.view[2] * z
        return dot / math.sqrt(x * x + y * y + z * z)

    def outline(self) -> Array:
        """Return points whose hull is the bald head, (N, 2)."""
        brows = self.points[RIGHT_BROW.start : LEFT_BROW.stop]
        skull = self.project(_silhouette(self.view))
        return np.concatenate([skull, self.points[JAW], brows])

    def hanging_hair(self) -> Array:
        """Return points (N, 2) whose hull is the hair behind the head."""
        balls = np.array(_HANGING[self.style.haircut])
        centers = self.project(balls[:, :3])
        rings = (balls[:, 3] * self.size)[:, None, None] * _RING[::3]
        return (centers[:, None] + rings).reshape(-1, 2)

    def draw(self, canvas: Canvas) -> None:
        """Draw everything but the hair that hangs behind the head."""
        style, skin, outline = self.style, self.style.skin, self.outline()
        if self.facing(0, 0, 1) > -0.3:
            # Seen from the side, lips and chin stick out of the outline.
            for corners in _MUZZLE:
                canvas.hull(self.points[list(corners)], skin, 0.97)
        canvas.hull(outline, skin, 1 - style.contrast)
        for grow, tone in ((0.86, 1 - 0.35 * style.contrast), (0.66, 1.04)):
            offset = style.light * ((1 - grow) * 0.42 * self.size)
            canvas.hull(shrink(outline, grow) + offset, skin, tone)
        if self.facing(0, 0, 1) >= -0.3:
            self._draw_beard_and_nose(canvas)
            if self.facing(0, 0, 1) > -0.1:
                self._draw_mouth(canvas)
            self._draw_eyes(canvas)
        # Long hair covers the ears.
        steps = [self._draw_hair, self._draw_ears]
        if style.haircut in ('long', 'bob'):
            steps.reverse()
        for step in steps:
            step(canvas)
        canvas.part = PARTS['head']
        if style.with_glasses:
            self._draw_glasses(canvas)

    def _draw_ears(self, canvas: Canvas) -> None:
        canvas.part, skin = PARTS['head'], self.style.skin
        for side in (1.0, -1.0):
            if self.facing(side, 0, 0.15) < -0.45:
                continue
            ear = self.project(_EAR_SHAPE + (0.35 * side, 0.01, 0.0))
            if self.facing(side, 0, 0.1) < 0.15:
                root = self.project(_EAR_SHAPE + (0.31 * side, 0.01, 0.0))
                canvas.hull(np.concatenate([ear, root]), skin, 0.9)
            else:
                canvas.hull(ear, skin, 0.93)
                canvas.hull(shrink(ear, 0.55), skin, 0.72)

    def _draw_beard_and_nose(self, canvas: Canvas) -> None:
        style, points, skin = self.style, self.points, self.style.skin
        if style.beard and self.facing(0, -0.3, 1) > -0.2:
            beard = style.beard * style.hair + (1 - style.beard) * skin
            inner = points[[1, 2, 3, 31, 51, 35, 13, 14, 15]]
            shape = np.concatenate([points[1:16], inner[::-1]])
            canvas.fill(shape, beard, 0.95)
        # The nose sticks out of the head's outline when seen from the side.
        nose, turn = (27, 29, 30, 31, 33, 35, 39, 42), self.facing(1, 0, 0)
        canvas.hull(
            points[list(nose[: 6 if abs(turn) < 0.7 else 8])], skin, 1.05
        )
        if abs(turn) < 0.85:
            side = (30, 31, 33) if style.light[0] > 0 else (30, 35, 33)
            shadow = points[[27, 28, 29, *side]]
            canvas.fill(shadow, skin, 1 - 0.6 * style.contrast)

    def _draw_mouth(self, canvas: Canvas) -> None:
        style, points, size = self.style, self.points, self.size
        canvas.line(points[NOSTRILS], 0.022 * size, style.skin, 0.62)
        canvas.hull(points[LIPS], style.lips)
        inside = points[INNER_LIPS]
        if np.ptp(self.face[INNER_LIPS, 1]) > 0.03:  # open
            canvas.fill(inside, (45, 35, 70))
            canvas.line(inside[:5], 0.02 * size, (225, 230, 232))
        else:
            canvas.line(inside[:5], 0.016 * size, style.lips, 0.6)

    def _draw_eyes(self, canvas: Canvas) -> None:
        style, points, size = self.style, self.points, self.size
        hair = style.hair if style.haircut != 'bald' else 0.4 * style.skin
        for eye, brow, sign in (
            (RIGHT_EYE, RIGHT_BROW, -1),
            (LEFT_EYE, LEFT_BROW, 1),
        ):
            if self.facing(0.5 * sign, 0, 1) < 0.08:
                continue
            shape = points[eye]
            canvas.hull(shrink(shape, 1.35), style.skin, 0.85)
            canvas.hull(shape, (232, 236, 238))
            iris = shape[[1, 2, 4, 5]].mean(0)
            canvas.disc(iris, 0.030 * size, (30, 34, 44))
            canvas.line(shape[:4], 0.018 * size, (38, 40, 52))
            canvas.line(points[brow], 0.035 * size, hair, 0.9)

    def _draw_hair(self, canvas: Canvas) -> None:
        style, canvas.part = self.style, PARTS['hair']
        if style.haircut == 'bald':
            return
        layers = [(style.hair, _HAIR.get(style.haircut, _SHORT))]
        if style.haircut == 'cap':
            layers.append((style.accent, _CAP))
        for color, cap in layers:
            shape = self.project(_cap(self.view, *cap))
            canvas.fill(shape, color, 0.85)
            offset = style.light * (0.06 * self.size)
            canvas.fill(shrink(shape, 0.72) + offset, color, 1.08)
        if style.haircut == 'cap' and self.facing(0, 0.5, 1) > -0.25:
            canvas.hull(self.project(_VISOR), style.accent, 0.65)
        if style.haircut == 'bun' and self.facing(0, 1, -1.2) > -0.75:
            knot = self.project(np.array([(0.0, 0.42, -0.40)]))[0]
            canvas.disc(knot, 0.15 * self.size, style.hair, 0.95)

    def _draw_glasses(self, canvas: Canvas) -> None:
        for eye, sign in ((RIGHT_EYE, -1), (LEFT_EYE, 1)):
            if self.facing(0.4 * sign, 0, 1) < 0.1:
                continue
            middle = self.face[eye].mean(0) + (0, -0.01, 0.03)
            x, y = _RING[::4].T
            ring = middle + 0.085 * np.stack([x, 0.8 * y, 0 * x], 1)
            rim = self.project(ring)
            rim = np.concatenate([rim, rim[:1]])
            canvas.line(rim, max(0.018 * self.size, 0.7 / ZOOM), (30, 30, 34))
