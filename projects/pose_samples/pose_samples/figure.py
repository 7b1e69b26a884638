"""One person as a drawing: keypoints in the image and painted parts.

A figure is built at the origin, measured, placed in the image and then drawn
part by part from far to near.
"""

import math
from dataclasses import dataclass

import numpy as np

from .canvas import RING
from .head import (
    EARS,
    LEFT_EYE,
    NORMALS,
    NOSE_TIP,
    RIGHT_EYE,
    Head,
    face_points,
)
from .parts import (
    HAND_KEYPOINTS,
    KEYPOINT_INDEX,
    KEYPOINTS,
)
from .poses import SIDES, SIMPLE_POSES, Pose, sample_pose
from .skeleton import Body, Joints, sample_body, sample_root, solve
from .style import Style, sample_style

# Half widths at equal steps along the bones, in statures.
RADII = {
    'upper_arm': (0.0275, 0.0295, 0.0275, 0.024, 0.022),
    'forearm': (0.022, 0.024, 0.022, 0.018, 0.0145),
    'thigh': (0.046, 0.050, 0.046, 0.039, 0.033),
    'shin': (0.033, 0.035, 0.032, 0.024, 0.019),
}
BONES = {
    'upper_arm': ('shoulder', 'elbow'),
    'forearm': ('elbow', 'wrist'),
    'thigh': ('hip', 'knee'),
    'shin': ('knee', 'ankle'),
}

# Keypoints on the surface: their outward direction (x outwards, y, z) in the
# frame named, and how far they may turn away (cosine) before the part that
# they lie on hides them. Other joints are inside limbs: seen from all sides.
_LATERAL = {
    'shoulder': ('chest', (1.0, 0.0, 0.0), -0.6),
    'hip': ('pelvis', (1.0, 0.0, 0.0), -0.6),
    'ear': ('head', (1.0, 0.0, 0.15), -0.45),
    'eye': ('head', (0.5, 0.0, 1.0), 0.08),
    'big_toe': ('foot', (-0.4, 0.5, 1.0), -0.45),
    'small_toe': ('foot', (0.9, 0.5, 0.5), -0.45),
    'heel': ('foot', (0.0, 0.2, -1.0), -0.35),
}

# From the ankle, (x outwards, y, z) in lengths of the foot.
_FOOT_POINTS = {
    'big_toe': (-0.06, -0.22, 0.69),
    'small_toe': (0.17, -0.24, 0.53),
    'heel': (0.00, -0.18, -0.30),
}


@dataclass
class Tube:
    """A stack of ellipses in space: the trunk.

    Args:
        centers: Middle of each ellipse, camera frame, (L, 3).
        across: Half axis towards the person's left, (L, 3).
        front: Half axis towards the front, (L, 3).
    """

    centers: np.ndarray
    across: np.ndarray
    front: np.ndarray

    def rings(self) -> np.ndarray:
        """Return 16 points of each ellipse, (L, 16, 3)."""
        return (
            self.centers[:, None]
            + RING[:, :1] * self.across[:, None]
            + RING[:, 1:] * self.front[:, None]
        )

    def surface(self, levels: np.ndarray, angles: np.ndarray) -> np.ndarray:
        """Return points of the surface, (N, 3).

        Args:
            levels: Number of the ellipse, fractions lie between two, (N,).
            angles: 0 at the person's left, pi / 2 at the front, (N,).
        """
        low = np.minimum(levels.astype(int), len(self.centers) - 2)
        part = (levels - low)[:, None]
        cos, sin = np.cos(angles)[:, None], np.sin(angles)[:, None]
        ring = self.centers + 0.0, self.across, self.front
        center, across, front = (
            values[low] + part * (values[low + 1] - values[low])
            for values in ring
        )
        return center + cos * across + sin * front

    def visible_arc(self, level: float, count: int) -> np.ndarray:
        """Return points along the half of a ring that faces us, (count, 3).

        Args:
            level: As in ``surface``.
            count: Number of points.
        """
        low = min(int(level), len(self.centers) - 1)
        across, front = self.across[low], self.front[low]
        middle = math.atan2(
            front[2] / (front @ front), across[2] / (across @ across)
        )
        angles = middle + np.linspace(-0.5, 0.5, count) * math.pi
        return self.surface(np.full(count, level), angles)


class Figure:
    """A person with a body, a pose, clothes and a place in the image.

    Args:
        body: Build of the body.
        pose: Angles of the joints.
        root: Pelvis to camera, (3, 3).
        style: Looks.
        face: The 68 landmarks in the head's frame, (68, 3).
        distance: From the camera to the pelvis in statures; > 1.5.
    """

    def __init__(
        self,
        body: Body,
        pose: Pose,
        root: np.ndarray,
        style: Style,
        face: np.ndarray,
        distance: float,
    ) -> None:
        self.body, self.pose, self.style, self.face = body, pose, style, face
        self.distance = distance
        self.joints: Joints = solve(body, pose, root)
        self.scale, self.shift = 1.0, np.zeros(2)
        self.chest, self.hips = self._trunk()
        self.points, self.facing = self._keypoints()
        self.extent = self._extent()

    def project(self, points: np.ndarray) -> np.ndarray:
        """Map points of the camera's frame (..., 3) to the image (..., 2)."""
        near = self.distance / (self.distance - points[..., 2:])
        return points[..., :2] * (1.0, -1.0) * near * self.scale + self.shift

    def pixels(self, length: float, depth: float = 0.0) -> float:
        """Return a length in statures at a depth (z) in pixels."""
        near = self.distance / (self.distance - depth)
        return length * near * self.scale

    def place(self, scale: float, shift: np.ndarray):
        """Set pixels per stature and where the pelvis is in the image."""
        self.scale, self.shift = scale, np.asarray(shift, float)

    def keypoints(self) -> np.ndarray:
        """Return all keypoints in the image, in the order of ``KEYPOINTS``."""
        return self.project(self.points)

    @property
    def category(self) -> int:
        """Category id: 1 is a person in all data sets."""
        return 1

    @property
    def size(self) -> float:
        """Height relative to that of an average adult."""
        return self.body.stature

    def advance(self, time: float):
        """People are drawn in single pictures only."""
        raise NotImplementedError('people do not move')

    def shadow(self) -> tuple[np.ndarray, np.ndarray]:
        """Return middle and half axes of the shadow on the ground."""
        low, high = (end * self.scale + self.shift for end in self.extent)
        center = np.array((0.5 * (low[0] + high[0]), high[1]))
        return center, np.array(
            (0.45 * (high[0] - low[0]), 0.035 * self.scale)
        )

    def _trunk(self) -> tuple[Tube, Tube]:
        """Return chest (waist to neck) and hips (crotch to waist)."""
        body, joints = self.body, self.joints
        girth, torso = body.girth, body.torso
        points, frames = joints.points, joints.frames

        def tube(rows):
            centers = np.stack([p + f @ (0, up, 0) for p, f, up, *_ in rows])
            across = np.stack([f[:, 0] * a for _, f, _, a, _ in rows])
            front = np.stack([f[:, 2] * b for _, f, _, _, b in rows])
            return Tube(centers, across, front)

        cloth = 0.96 + 0.06 * self.style.fit
        hip = (body.hip + 0.044 * girth) * cloth
        waist = 0.082 * body.waist * cloth
        depth = 0.058 * girth * cloth
        pelvis, spine, chest = (
            frames[name] for name in ('pelvis', 'spine', 'chest')
        )
        ribs = points['ribs']
        hips = tube([
            (points['pelvis'], pelvis, -0.060, 0.70 * hip, 0.85 * depth),
            (points['pelvis'], pelvis, -0.030, 0.96 * hip, 1.05 * depth),
            (points['pelvis'], pelvis, 0.010, 1.00 * hip, 1.10 * depth),
            (points['pelvis'], pelvis, 0.17 * torso, 0.5 * (hip + waist),
             1.00 * depth),
            (points['waist'], spine, 0.0, waist, 0.93 * depth),
        ])  # fmt: skip
        broad = body.shoulder * (0.85 + 0.15 * girth) * cloth
        chest = tube([
            (points['waist'], spine, -0.06 * torso, 1.02 * waist,
             0.95 * depth),
            (points['waist'], spine, 0.08 * torso, 1.02 * waist,
             0.94 * depth),
            (ribs, chest, 0.02 * torso, 0.5 * (waist + 0.9 * broad),
             1.02 * depth),
            (ribs, chest, 0.20 * torso, 0.92 * broad, 1.10 * depth),
            (ribs, chest, 0.37 * torso, 0.98 * broad, 0.80 * depth),
            (ribs, chest, 0.47 * torso, 0.50 * broad, 0.60 * depth),
        ])  # fmt: skip
        return chest, hips

    def _keypoints(self) -> tuple[np.ndarray, np.ndarray]:
        """Return keypoints (N, 3) and which ones their own part shows (N,)."""
        joints = self.joints
        points = np.zeros((len(KEYPOINTS), 3))
        facing = np.ones(len(KEYPOINTS), bool)
        face = self.head_to_camera(self.face)
        first = KEYPOINT_INDEX['face_0']
        points[first : first + 68] = face
        normals = NORMALS @ joints.frames['head'][2]
        facing[first : first + 68] = normals > -0.02
        points[0] = face[NOSE_TIP]
        facing[0] = normals[NOSE_TIP] > -0.2
        named = dict(joints.points)
        for side, eye in (('left', LEFT_EYE), ('right', RIGHT_EYE)):
            named[f'{side}_eye'] = face[eye].mean(0)
            named[f'{side}_ear'] = self.head_to_camera(np.array(EARS[side]))
            ankle, frame = (
                named[f'{side}_ankle'],
                joints.frames[f'{side}_foot'],
            )
            for name, place in _FOOT_POINTS.items():
                offset = self.body.foot * (frame @ place)
                named[f'{side}_{name}'] = ankle + offset
            start = KEYPOINT_INDEX[HAND_KEYPOINTS[side][0]]
            points[start : start + 21] = joints.hands[side]
            for name, (part, direction, low) in _LATERAL.items():
                part = f'{side}_foot' if part == 'foot' else part
                outward = np.array(direction)
                if not part.endswith('foot'):
                    outward[0] *= SIDES[side]
                outward = joints.frames[part] @ outward
                cosine = outward[2] / math.sqrt(outward @ outward)
                facing[KEYPOINT_INDEX[f'{side}_{name}']] = cosine > low
        for name, point in named.items():
            if name in KEYPOINT_INDEX:
                points[KEYPOINT_INDEX[name]] = point
        return points, facing

    def head_to_camera(self, points: np.ndarray) -> np.ndarray:
        """Map points of the head's frame to the camera's frame."""
        head = self.joints.frames['head']
        return self.joints.points['head'] + self.body.head * (points @ head.T)

    def head(self) -> Head:
        """Return the head at its present place in the image."""
        depth = self.joints.points['head'][2]
        return Head(
            self.face,
            self.joints.frames['head'],
            lambda points: self.project(self.head_to_camera(points)),
            self.pixels(self.body.head, depth),
            self.style,
        )

    def _extent(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the corners of the box around the unplaced figure."""
        margin = 0.02
        rings = np.concatenate([self.hips.rings(), self.chest.rings()])
        points = np.concatenate(
            [
                self.project(self.points),
                self.project(rings).reshape(-1, 2),
                self.head().outline(),
            ]
        )
        return points.min(0) - margin, points.max(0) + margin

    def head_box(self) -> np.ndarray:
        """Return the corners of the box around the head, (2, 2)."""
        outline = self.head().outline()
        return np.stack([outline.min(0), outline.max(0)])


def sample_figure(
    rng: np.random.Generator, light: np.ndarray, simple: bool = False
) -> Figure:
    """Draw a person; still to be placed.

    Args:
        rng: Source of randomness.
        light: Where the light comes from, image (x, y), length at most 1.
        simple: Whether the person stands or walks and faces the viewer.
    """
    body = sample_body(rng)
    pose = sample_pose(rng, SIMPLE_POSES[rng.integers(4)] if simple else None)
    root = sample_root(rng, pose, frontal=simple)
    style = sample_style(rng, light)
    face = face_points(rng)
    return Figure(body, pose, root, style, face, rng.uniform(3.2, 8.0))
