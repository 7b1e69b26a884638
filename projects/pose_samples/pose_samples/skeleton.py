"""Skeletons of two- and four-legged figures, and forward kinematics.

The camera's frame has x to the right of the image, y up and z towards the
viewer. A figure's root frame has x to its left, y up and z to its front; a
figure that faces the camera has both frames equal, hence shows its left at
the right of the image.
"""

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np

# Direction of x for the limbs of a side.
SIDES = {'left': 1.0, 'right': -1.0}


def rot_x(angle: float) -> np.ndarray:
    """Return the turn that leads y towards z; ``angle`` in radians."""
    c, s = math.cos(angle), math.sin(angle)
    return np.array([[1.0, 0, 0], [0, c, -s], [0, s, c]])


def rot_y(angle: float) -> np.ndarray:
    """Return the turn that leads z towards x; ``angle`` in radians."""
    c, s = math.cos(angle), math.sin(angle)
    return np.array([[c, 0, s], [0, 1.0, 0], [-s, 0, c]])


def rot_z(angle: float) -> np.ndarray:
    """Return the turn that leads x towards y; ``angle`` in radians."""
    c, s = math.cos(angle), math.sin(angle)
    return np.array([[c, -s, 0], [s, c, 0], [0, 0, 1.0]])


_TURNS = {'x': rot_x, 'y': rot_y, 'z': rot_z}


@dataclass(frozen=True)
class Skeleton:
    """A tree of rigid frames and the joints that they carry.

    Rows of limbs are written for the left side, with names ``left_*``; the
    right side is their mirror image.

    Args:
        frames: Of each frame, its parent and turns such as 'x bend 0.5':
            axis, angle, factor. The root frame has no row.
        joints: Of each joint, its parent, the frame that it is fixed to and
            its offset there: direction in units of each length named.
        limits: Range of each angle in degrees.
    """

    frames: dict[str, tuple[str, tuple[str, ...]]]
    joints: dict[str, tuple[str, str, dict[str, tuple[float, ...]]]]
    limits: dict[str, tuple[float, float]]

    def clip(self, name: str, degrees: float) -> float:
        """Return an angle within its limits, in radians."""
        name = name.removeprefix('left_').removeprefix('right_')
        low, high = self.limits[name]
        return math.radians(min(max(degrees, low), high))

    @cached_property
    def _frame_rows(self) -> list[tuple]:
        """Return (frame, parent, ((axis, angle, factor), ...))."""
        rows = []
        for name, (parent, turns) in self.frames.items():
            for side, sign in SIDES.items():
                if side == 'right' and not name.startswith('left_'):
                    continue
                steps = []
                for axis, angle, factor in map(str.split, turns):
                    # Mirrored, only turns about x keep their sense.
                    mirror = 1.0 if axis == 'x' else sign
                    angle = angle.replace('left_', f'{side}_')
                    steps.append((axis, angle, mirror * float(factor)))
                names = (
                    n.replace('left_', f'{side}_') for n in (name, parent)
                )
                rows.append((*names, tuple(steps)))
        return rows

    @cached_property
    def _joint_rows(self) -> list[tuple]:
        """Return (joint, parent, frame, ((length, offset), ...))."""
        rows = []
        for name, (parent, frame, offsets) in self.joints.items():
            for side, sign in SIDES.items():
                if side == 'right' and not name.startswith('left_'):
                    continue
                terms = tuple(
                    (length.replace('left_', f'{side}_'),
                     np.array(offset) * (sign, 1, 1))
                    for length, offset in offsets.items()
                )  # fmt: skip
                names = (
                    n.replace('left_', f'{side}_')
                    for n in (name, parent, frame)
                )
                rows.append((*names, terms))
        return rows

    def solve(
        self,
        angles: dict[str, float],
        lengths: dict[str, float],
        root: np.ndarray,
    ) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
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
        for name, parent, turns in self._frame_rows:
            frame = frames[parent]
            for axis, angle, factor in turns:
                frame = frame @ _TURNS[axis](factor * angles[angle])
            frames[name] = frame
        points = {'root': np.zeros(3)}
        for name, parent, frame, terms in self._joint_rows:
            offset = sum(lengths[length] * step for length, step in terms)
            points[name] = points[parent] + frames[frame] @ offset
        return points, frames
