"""What a scene needs to know of the figures that it puts together."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np


class Drawable(Protocol):
    """A figure that can be placed in an image: a person or an animal.

    Args:
        category: Category id in the annotations.
        size: Size relative to other figures of the same kind.
        scale: Pixels per unit of length, set by ``place``.
        shift: Where the figure's origin is in the image, set by ``place``.
        extent: Corners of the box around the unplaced figure.
        facing: Which keypoints their own part shows, (N,).
    """

    category: int
    size: float
    scale: float
    shift: np.ndarray
    extent: tuple[np.ndarray, np.ndarray]
    facing: np.ndarray

    def place(self, scale: float, shift: np.ndarray):
        """Set ``scale`` and ``shift``."""

    def advance(self, time: float):
        """Move on to a time, in frames of a clip from the first pose."""

    def keypoints(self) -> np.ndarray:
        """Return the keypoints in the image, (N, 2)."""

    def head_box(self) -> np.ndarray:
        """Return the corners of the box around the head, (2, 2)."""

    def shadow(self) -> tuple[np.ndarray, np.ndarray]:
        """Return middle and half axes of the shadow on the ground."""


@dataclass(frozen=True)
class Subject:
    """What pictures show, and where.

    Args:
        sample: Draws a figure from (rng, light, simple, like), the last
            being the first figure of the picture, or None.
        draw: Paints a placed figure on (canvas, figure).
        hosts: Parts that show each keypoint on top, (N, 64).
        unguessed: Keypoints that annotators leave out (v = 0) where they do
            not face the camera, (N,).
        background: Paints what is around, from (rng, canvas, clutter).
        thing: Paints an object, from (rng, canvas, part, center, size).
        with_seats: Whether who sits may sit on something.
    """

    sample: Callable[..., Drawable]
    draw: Callable[[np.ndarray, Drawable], None]
    hosts: np.ndarray
    unguessed: np.ndarray
    background: Callable[[np.random.Generator, np.ndarray, float], None]
    thing: Callable
    with_seats: bool
