"""Skeletons of two- and four-legged figures, and forward kinematics.

The camera's frame has x to the right of the image, y up and z towards the
viewer. A figure's root frame has x to its left, y up and z to its front. If a
figure faces the camera, both frames are equal, and its left is at the right of
the image.
"""

import math
from collections.abc import Iterator

import numpy as np

from .arrays import Array

# Direction of x for the limbs of a side.
SIDES = {'left': 1.0, 'right': -1.0}


def rot_x(angle: float) -> Array:
    """Return the turn that leads y towards z; ``angle`` in radians."""
    c, s = math.cos(angle), math.sin(angle)
    return np.array([[1.0, 0, 0], [0, c, -s], [0, s, c]])


def rot_y(angle: float) -> Array:
    """Return the turn that leads z towards x; ``angle`` in radians."""
    c, s = math.cos(angle), math.sin(angle)
    return np.array([[c, 0, s], [0, 1.0, 0], [-s, 0, c]])


def rot_z(angle: float) -> Array:
    """Return the turn that leads x towards y; ``angle`` in radians."""
    c, s = math.cos(angle), math.sin(angle)
    return np.array([[c, -s, 0], [s, c, 0], [0, 0, 1.0]])


_TURNS = {'x': rot_x, 'y': rot_y, 'z': rot_z}


def read_rows(text: str) -> Iterator[tuple[list[str], list[list[str]]]]:
    """Yield the words of lines such as ``name word: word word, word word``."""
    for line in text.strip().splitlines():
        head, _, terms = line.partition(':')
        yield head.split(), [t.split() for t in terms.split(',') if t.split()]


class Skeleton:
    """A tree of rigid frames and the joints that they carry.

    All tables have one row per line. Rows of limbs are written for the left
    side, with names ``left_*``; the right side is their mirror image.

    Args:
        frames: ``frame parent: axis angle factor, ...``, the turns from the
            parent to the frame. The root frame has no row.
        joints: ``joint parent frame: length x y z, ...``, the offset from the
            parent in axes of the frame, as directions in units of lengths.
        limits: ``group: angle low high, ...``, in degrees.
    """

    def __init__(self, frames: str, joints: str, limits: str) -> None:
        self._frames, self._joints = [], []
        for sign, text in _both_sides(frames):
            for names, turns in read_rows(text):
                # A mirror image keeps only the sense of turns about x.
                steps = [
                    (axis, angle, float(k) * (1.0 if axis == 'x' else sign))
                    for axis, angle, k in turns
                ]
                self._frames.append((*names, steps))
        for sign, text in _both_sides(joints):
            for names, offsets in read_rows(text):
                terms = [
                    (length, np.array(offset, float) * (sign, 1, 1))
                    for length, *offset in offsets
                ]
                self._joints.append((*names, terms))
        self.limits = {
            name: (float(low), float(high))
            for _, terms in read_rows(limits)
            for name, low, high in terms
        }

    def clip(self, name: str, degrees: float) -> float:
        """Return an angle within its limits, in radians."""
        name = name.removeprefix('left_').removeprefix('right_')
        low, high = self.limits[name]
        return math.radians(min(max(degrees, low), high))

    def solve(
        self, angles: dict[str, float], lengths: dict[str, float], root: Array
    ) -> tuple[dict[str, Array], dict[str, Array]]:
        """Walk along the tree from the root, which is the origin.

        Args:
            angles: In radians; those of limbs as ``left_*``, ``right_*``.
            lengths: By name.
            root: Root frame to camera, (3, 3).

        Returns:
            Position of each joint, (3,), and axes (columns) of each frame,
            (3, 3), in the camera's frame.
        """
        frames = {'root': root}
        for name, parent, turns in self._frames:
            frame = frames[parent]
            for axis, angle, factor in turns:
                frame = frame @ _TURNS[axis](factor * angles[angle])
            frames[name] = frame
        points = {'root': np.zeros(3)}
        for name, parent, frame, terms in self._joints:
            steps = (lengths[length] * step for length, step in terms)
            offset = sum(steps, start=np.zeros(3))
            points[name] = points[parent] + frames[frame] @ offset
        return points, frames


def _both_sides(text: str) -> Iterator[tuple[float, str]]:
    """Yield (sign, line); after a line of the left side its mirror image."""
    for line in text.strip().splitlines():
        for side, sign in SIDES.items():
            if side == 'left' or 'left_' in line:
                yield sign, line.replace('left_', f'{side}_')
