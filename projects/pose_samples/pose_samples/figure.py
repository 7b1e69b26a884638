"""A drawn figure: keypoints in space, a place in the image, painted parts."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from .arrays import Array
from .canvas import RING, Canvas, Look

Layer = tuple[float, str, Callable[[Canvas], None]]


@dataclass
class Tube:
    """A stack of ellipses in the camera's frame, such as a trunk."""

    centers: Array  # middle of each ellipse, (L, 3)
    across: Array  # half axis towards the figure's left, (L, 3)
    front: Array  # half axis to the front, of animals upwards, (L, 3)

    def rings(self) -> Array:
        """Return 16 points of each ellipse, (L, 16, 3)."""
        return (
            self.centers[:, None]
            + RING[:, :1] * self.across[:, None]
            + RING[:, 1:] * self.front[:, None]
        )

    def surface(self, levels: Array, angles: Array) -> Array:
        """Return points of the surface, (N, 3).

        Args:
            levels: Number of the ellipse, fractions lie between two, (N,).
            angles: 0 at the figure's left, pi / 2 at the front, (N,).
        """
        low = np.minimum(levels.astype(int), len(self.centers) - 2)
        part = (levels - low)[:, None]
        cos, sin = np.cos(angles)[:, None], np.sin(angles)[:, None]
        center, across, front = (
            values[low] + part * (values[low + 1] - values[low])
            for values in (self.centers, self.across, self.front)
        )
        return center + cos * across + sin * front

    def visible_arc(self, level: float, count: int) -> Array:
        """Return points along the half of a ring that faces us, (count, 3)."""
        low = min(int(level), len(self.centers) - 1)
        across, front = self.across[low], self.front[low]
        middle = math.atan2(
            front[2] / (front @ front), across[2] / (across @ across)
        )
        angles = middle + np.linspace(-0.5, 0.5, count) * math.pi
        return self.surface(np.full(count, level), angles)

    def normals(self, levels: Array, angles: Array) -> Array:
        """Return how far the surface turns to the camera, (N,); > 0 faces."""
        low = np.minimum(levels.astype(int), len(self.centers) - 1)
        across, front = self.across[low], self.front[low]
        normal = np.cos(angles) * across[:, 2] / (across * across).sum(1)
        return normal + np.sin(angles) * front[:, 2] / (front * front).sum(1)


class Figure:
    """A figure that is measured at the origin, placed and then painted.

    Subclasses set what is annotated here and define ``layers``, ``outline``
    and ``head_outline``.
    """

    look: Look
    distance: float  # from the camera to the origin; above 1.5
    parts: dict[str, int]  # numbers of the parts, below 64
    hosts: Array  # parts that show each keypoint on top, (N, 64)
    # Keypoints that annotators leave out (v = 0) where they face away, (N,).
    unguessed: Array
    category: int  # id in the annotations
    size: float  # relative to other figures of the same kind
    points: Array  # keypoints in the camera's frame, (N, 3)
    facing: Array  # keypoints that their part shows, (N,)
    # Corners of the box around the unplaced figure.
    extent: tuple[Array, Array]
    scale = 1.0  # pixels per unit of length
    shift = np.zeros(2)  # position of the origin in the image

    def layers(self) -> list[Layer]:
        """Return (depth, part, function that paints) of all parts."""
        raise NotImplementedError

    def outline(self) -> Array:
        """Return image points whose box holds all that is painted, (N, 2)."""
        raise NotImplementedError

    def head_outline(self) -> Array:
        """Return image points whose hull is the head, (N, 2)."""
        raise NotImplementedError

    def advance(self, time: float) -> None:
        """Move on to a time, in frames of a clip from the first pose."""
        raise NotImplementedError(f'{type(self).__name__} does not move')

    def seat(self) -> tuple[Array, Array] | None:
        """Return image corners of a seat below the figure; None: no seat."""
        return None

    def shadow(self) -> tuple[Array, Array]:
        """Return middle and half axes of the shadow on the ground."""
        low, high = self.box()
        center = np.array((0.5 * (low[0] + high[0]), high[1]))
        return center, np.array(
            (0.45 * (high[0] - low[0]), 0.035 * self.scale)
        )

    def measure(self, margin: float) -> None:
        """Set ``extent`` from the outline of the unplaced figure."""
        scale, shift = self.scale, self.shift
        self.place(1.0, np.zeros(2))
        points = self.outline()
        self.extent = points.min(0) - margin, points.max(0) + margin
        self.place(scale, shift)

    def place(self, scale: float, shift: Array) -> None:
        """Set ``scale`` and ``shift``."""
        self.scale, self.shift = scale, np.asarray(shift, float)

    def project(self, points: Array) -> Array:
        """Map points of the camera's frame (..., 3) to the image (..., 2)."""
        near = self.distance / (self.distance - points[..., 2:])
        return points[..., :2] * (1.0, -1.0) * near * self.scale + self.shift

    def pixels(self, length: float, depth: float = 0.0) -> float:
        """Return a length at a depth (z) in pixels."""
        near = self.distance / (self.distance - depth)
        return length * near * self.scale

    def balls(self, centers: Array, radii: Array) -> Array:
        """Return outlines of balls of the camera's frame, (L, 16, 2)."""
        near = self.distance / (self.distance - centers[:, 2])
        radii = near * self.scale * radii
        return self.project(centers)[:, None] + radii[:, None, None] * RING

    def keypoints(self) -> Array:
        """Return all keypoints in the image, (N, 2)."""
        return self.project(self.points)

    def box(self) -> tuple[Array, Array]:
        """Return the corners of the box around the placed figure."""
        low, high = self.extent
        return low * self.scale + self.shift, high * self.scale + self.shift

    def head_box(self) -> Array:
        """Return the corners of the box around the head, (2, 2)."""
        outline = self.head_outline()
        return np.stack([outline.min(0), outline.max(0)])

    def draw(self, canvas: Canvas) -> None:
        """Paint all parts from far to near."""
        layers = self.layers()
        # Rounded, so that the last bit of a float decides nothing.
        order = sorted(
            range(len(layers)), key=lambda i: (round(layers[i][0], 6), i)
        )
        for i in order:
            _, part, paint = layers[i]
            canvas.part = self.parts[part]
            paint(canvas)
