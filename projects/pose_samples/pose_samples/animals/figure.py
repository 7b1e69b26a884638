"""One animal as a drawing: joints, keypoints and surfaces in space.

The body's frame has its origin on the ground below the middle of the trunk, x
to the animal's left, y up and z to its front; the camera's frame has x to the
right of the image, y up and z towards the viewer. Lengths are in heights of
the withers.
"""

import math

import numpy as np

from ..canvas import RING
from ..figure import Tube
from ..poses import SIDES
from ..skeleton import rot_x, rot_y
from .coat import Look, sample_look
from .gaits import LEGS, Pose, sample_pose
from .head import ear_tips, horn_tips
from .parts import KEYPOINT_INDEX, KEYPOINTS, LEG_KEYPOINTS
from .species import SPECIES, Build, Species, sample_build

# Along the trunk, in lengths of it from hips to shoulders: the share of waist
# and chest in the depth (the rest is the rump's), and factors on depth and
# width.
_TRUNK = (
    (-0.19, 0.0, 0.0, 0.42, 0.50),
    (-0.10, 0.0, 0.0, 0.86, 0.84),
    (0.06, 0.0, 0.0, 1.03, 1.00),
    (0.24, 0.7, 0.0, 1.00, 0.98),
    (0.42, 0.9, 0.1, 1.00, 1.03),
    (0.60, 0.5, 0.5, 1.02, 1.08),
    (0.78, 0.1, 0.9, 1.02, 1.04),
    (0.96, 0.0, 1.0, 0.98, 0.94),
    (1.09, 0.0, 1.0, 0.82, 0.76),
    (1.19, 0.0, 1.0, 0.44, 0.48),
)
_FOOT = 0.04  # height of the middle of a foot


def bend(
    root: np.ndarray, end: np.ndarray, first: float, second: float, way: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return middle joint and end of a chain of two bones.

    The chain bends in the plane of (y, z); the end is moved towards the root
    where the bones are too short, and away from it where they are too long.

    Args:
        root: Where the chain hangs, (x, y, z).
        end: Where it should end.
        first: Length of the first bone.
        second: Length of the second bone.
        way: 1 if the middle joint points to the front, -1 to the back.
    """
    step = end - root
    length = max(math.hypot(step[1], step[2]), 1e-6)
    low, high = abs(first - second) + 1e-3, 0.995 * (first + second)
    reach = min(max(length, low), high)
    end = root + np.array((1, reach / length, reach / length)) * step
    cos = (first**2 + reach**2 - second**2) / (2 * first * reach)
    angle = way * math.acos(min(max(cos, -1.0), 1.0))
    y, z = step[1] / length, step[2] / length
    c, s = math.cos(angle), math.sin(angle)
    # From straight down, a positive turn leads to the front (z).
    turned = np.array((0.0, y * c + z * s, z * c - y * s))
    middle = root + first * turned
    middle[0] += (end[0] - root[0]) * first / (first + second)
    return middle, end


class Animal:
    """A four-legged animal with a build, a pose, a coat and a place.

    Args:
        species: What it is.
        build: Its own proportions.
        pose: What it does.
        look: Coat and light.
        yaw: 0 faces the camera, 90 degrees the right of the image; radians.
        tilt: How far the camera looks down, radians.
        distance: From the camera to the middle of the animal; above 3.
    """

    def __init__(
        self,
        species: Species,
        build: Build,
        pose: Pose,
        look: Look,
        yaw: float,
        tilt: float,
        distance: float,
    ) -> None:
        self.species, self.build, self.pose = species, build, pose
        self.look, self.distance = look, distance
        self.root = rot_x(tilt) @ rot_y(yaw)
        self.scale, self.shift = 1.0, np.zeros(2)
        self.advance(0.0)

    @property
    def category(self) -> int:
        """Id of the species."""
        return self.species.number

    @property
    def size(self) -> float:
        """Size relative to other animals; a giraffe is no larger here."""
        return min(self.build.size, 2.0) ** 0.7

    def advance(self, time: float):
        """Move on to a time, in frames of a clip from the first pose."""
        strides = time * self.pose.pace
        self.travel = np.array((0.0, 0.0, self.pose.travel(strides)))
        # Slow motion of head and tail, none at time 0.
        self._wave = self.pose.restless * math.sin(2 * math.pi * strides)
        self._solve_trunk(strides)
        self.legs = {leg: self._leg(i, strides) for i, leg in enumerate(LEGS)}
        self._solve_head()
        self._solve_tail()
        self.points, self.facing = self._keypoints()
        self.extent = self._extent()

    # ---------------------------------------------------------- the camera

    def to_camera(self, points: np.ndarray) -> np.ndarray:
        """Map points of the body's frame (..., 3) to the camera's frame."""
        return (points + self.travel - (0, 0.5, 0)) @ self.root.T

    def project(self, points: np.ndarray) -> np.ndarray:
        """Map points of the camera's frame (..., 3) to the image (..., 2)."""
        near = self.distance / (self.distance - points[..., 2:])
        return points[..., :2] * (1.0, -1.0) * near * self.scale + self.shift

    def pixels(self, length: float, depth: float = 0.0) -> float:
        """Return a length at a depth (z in the camera's frame) in pixels."""
        return length * self.distance / (self.distance - depth) * self.scale

    def place(self, scale: float, shift: np.ndarray):
        """Set pixels per height of the withers and the place."""
        self.scale, self.shift = scale, np.asarray(shift, float)

    def keypoints(self) -> np.ndarray:
        """Return the keypoints in the image, in the order of ``KEYPOINTS``."""
        return self.project(self.points)

    def rings(self, centers: np.ndarray, radii: np.ndarray) -> np.ndarray:
        """Return outlines of balls in the image, (L, 16, 2).

        Args:
            centers: In the body's frame, (L, 3).
            radii: Of the balls, (L,).
        """
        points = self.to_camera(centers)
        near = self.distance / (self.distance - points[:, 2])
        radii = near * self.scale * radii
        return self.project(points)[:, None] + radii[:, None, None] * RING

    # ------------------------------------------------------------ the body

    def _solve_trunk(self, strides: float):
        """Set the trunk's frame and its surface."""
        build, pose = self.build, self.pose
        rise, pitch, arch = pose.trunk(strides)
        hip = build.croup + rise
        if pose.name == 'sit':
            hip = 2 * build.rump + 0.03
            # As steep as straight fore legs allow.
            high = 1.04 - hip - 0.5 * (1 - build.croup)
            pitch = math.asin(min(high / (1.05 * build.length), 0.72))
        elif pose.name == 'graze':
            pitch = -0.06
        self.arch = arch
        self.turn = rot_x(-pitch)
        self.start = np.array((0.0, hip, -0.5 * build.length))
        levels = np.array(_TRUNK)
        rump = 1 - levels[:, 1] - levels[:, 2]
        depth = rump * build.rump + levels[:, 1] * build.waist
        depth = (depth + levels[:, 2] * build.chest) * levels[:, 3]
        # Ends taper towards a place below the back.
        drop = np.array((0.42, 0.07, *[0.0] * 6, 0.10, 0.45))
        drop = drop * np.where(levels[:, 0] < 0.5, build.rump, build.chest)
        width = build.width * levels[:, 4]
        centers = self._on_back(levels[:, 0], -depth - drop)
        self.trunk = self._tube(centers, width, depth, self.turn[:, 1])

    def _tube(self, centers, widths, depths, up) -> Tube:
        """Return a tube in the camera's frame from one in the body's."""
        up = np.broadcast_to(up, centers.shape) * depths[:, None]
        side = np.array((1.0, 0, 0)) * widths[:, None]
        return Tube(
            self.to_camera(centers), side @ self.root.T, up @ self.root.T
        )

    def _on_back(self, along, up, side=0.0) -> np.ndarray:
        """Return points at a height relative to the line of the back.

        Args:
            along: 0 at the hips, 1 at the shoulders, (N,).
            up: Above the line of the back, (N,).
            side: To the left, (N,).
        """
        build = self.build
        along = np.asarray(along, float)
        inner = np.clip(along, 0, 1)
        line = (1 - build.croup) * inner * inner * (3 - 2 * inner)
        line = line + (self.arch - 0.018) * np.sin(math.pi * inner)
        points = np.stack(
            np.broadcast_arrays(side, up + line, along * build.length), -1
        )
        return self.start + points @ self.turn.T

    def _leg(self, index: int, strides: float) -> dict[str, np.ndarray]:
        """Return the joints of a leg, from the trunk to the toes."""
        side, end = LEGS[index]
        sign, build, pose = SIDES[side], self.build, self.pose
        forward, lift, fold = pose.foot(index, strides)
        if end == 'front':
            return self._fore_leg(sign * build.width, forward, lift, fold)
        if pose.name == 'sit':
            return self._sitting_leg(sign * build.width)
        return self._hind_leg(sign * build.width, forward, lift, fold)

    def _fore_leg(self, width, forward, lift, fold):
        build = self.build
        blade, shoulder = self._on_back(
            np.array((0.90, 1.06)),
            np.array((-0.35, -1.25)) * build.chest,
            np.array((0.70, 0.74)) * width,
        )
        rest = 1.0 - 1.25 * build.chest  # height of the shoulder
        back = 0.115
        upper = math.hypot(rest - build.elbow, back)
        lower = build.elbow - build.carpus
        cannon = build.carpus - _FOOT
        standing = 0.5 * build.length + 0.06 * build.length - back
        if self.pose.name == 'sit':
            standing = shoulder[2] - 0.04
            forward = 0.4 * forward
        paw = np.array((0.70 * width, _FOOT + lift, standing + forward))
        # The cannon leans with the leg, and folds back in the air.
        lean = -0.55 * forward + 1.15 * fold
        carpus = paw + cannon * np.array((0, math.cos(lean), math.sin(lean)))
        elbow, reached = bend(shoulder, carpus, upper, lower, -1.0)
        paw = paw + reached - carpus
        toe = self._toe(paw, 0.5 * forward - 1.0 * fold)
        return dict(
            blade=blade, shoulder=shoulder, elbow=elbow, carpus=reached,
            fore_paw=paw, toe=toe,
        )  # fmt: skip

    def _toe(self, paw, pitch):
        """Return the tip of a foot whose sole is turned by a pitch."""
        pitch = min(pitch, 0.0)
        way = np.array((0.0, math.sin(pitch), math.cos(pitch)))
        toe = paw + 0.62 * self.build.foot * way
        if not self.build.is_hoofed:
            toe[1] -= 0.008
        return toe

    def _hind_lengths(self):
        """Return lengths of femur, tibia and metatarsus."""
        build = self.build
        rest = build.croup - 0.55 * build.rump
        cannon = (build.hock - _FOOT) / math.cos(build.heel)
        return (
            math.hypot(rest - build.stifle, 0.13),
            math.hypot(build.stifle - build.hock, 0.26),
            cannon,
        )

    def _hind_leg(self, width, forward, lift, fold):
        build = self.build
        hip = self._on_back(0.03, -0.55 * build.rump, 0.62 * width)
        femur, tibia, cannon = self._hind_lengths()
        behind = 0.13 - cannon * math.sin(build.heel)
        paw = np.array((
            0.68 * width,
            _FOOT + lift,
            -0.5 * build.length + 0.03 * build.length - behind + forward,
        ))  # fmt: skip
        lean = -build.heel - 0.75 * forward + 0.65 * fold
        hock = paw + cannon * np.array((0, math.cos(lean), math.sin(lean)))
        stifle, reached = bend(hip, hock, femur, tibia, 1.0)
        paw = paw + reached - hock
        toe = self._toe(paw, 0.5 * forward - 0.8 * fold)
        return dict(
            hip=hip, stifle=stifle, hock=reached, hind_paw=paw, toe=toe
        )

    def _sitting_leg(self, width):
        """Return a hind leg whose metatarsus lies on the ground."""
        build = self.build
        hip = self._on_back(0.05, -0.75 * build.rump, 0.72 * width)
        femur, tibia, cannon = self._hind_lengths()
        hock = np.array((1.05 * width, _FOOT + 0.025, hip[2] + 0.12))
        stifle, hock = bend(hip, hock, femur, tibia, 1.0)
        stifle = stifle + (0.25 * width, 0, 0)
        paw = hock + (0, 0, cannon)
        paw[1] = _FOOT
        toe = self._toe(paw, 0.0)
        return dict(hip=hip, stifle=stifle, hock=hock, hind_paw=paw, toe=toe)

    def _solve_head(self):
        """Set the neck's surface and the head's frame."""
        build, pose = self.build, self.pose
        deep = min(0.95 * build.neck_base, 0.95 * build.chest)
        base = self._on_back(0.97, -deep)
        turn = math.radians(pose.neck_turn + 0.3 * self._wave)
        rise = math.radians(pose.neck + 0.3 * self._wave)
        if pose.name == 'graze':
            rise = self._grazing(base)
        ahead = np.array((
            math.sin(turn) * math.cos(rise),
            math.sin(rise),
            math.cos(turn) * math.cos(rise),
        ))  # fmt: skip
        length = self._neck_length()
        end = base + length * ahead
        control = base + length * (0.42 * ahead + (0, 0.02, 0.10))
        t = np.linspace(0, 1, 7)[:, None]
        curve = (1 - t) ** 2 * base + 2 * t * (1 - t) * control + t * t * end
        self.neck_curve = curve
        tangent = np.gradient(curve, axis=0)
        across = np.array((math.cos(turn), 0, -math.sin(turn)))
        up = np.cross(tangent, across)
        up /= np.sqrt((up * up).sum(1, keepdims=True))
        share = (1 - t[:, 0]) ** 1.5
        self.neck_radii = build.neck_top + share * (
            build.neck_base - build.neck_top
        )
        wide = self.neck_radii * (0.62 + 0.2 * t[:, 0])
        self.neck = Tube(
            self.to_camera(curve),
            (across * wide[:, None]) @ self.root.T,
            (up * self.neck_radii[:, None]) @ self.root.T,
        )
        turn += math.radians(pose.head_turn + 0.7 * self._wave)
        down = math.radians(pose.head + 0.4 * self._wave)
        self.head_turn = rot_y(turn) @ rot_x(-down)
        self.head_at = end + self.head_turn @ (0, 0.02, 0.25 * build.skull)

    def _neck_length(self) -> float:
        """Return the length from inside the trunk to the skull."""
        stretch = 1.18 if self.pose.name == 'graze' else 1.0
        return stretch * (self.build.neck + 0.10)

    def _grazing(self, base) -> float:
        """Return the elevation of the neck that puts the nose to grass."""
        build = self.build
        down = -build.head * math.sin(math.radians(self.pose.head))
        low = 0.05 + down + 0.5 * build.muzzle - base[1]
        return math.asin(min(max(low / self._neck_length(), -0.93), 0.2))

    def head_points(self, points) -> np.ndarray:
        """Map points of the head's frame to the body's frame."""
        return self.head_at + np.asarray(points, float) @ self.head_turn.T

    def muzzle(self) -> tuple[np.ndarray, np.ndarray]:
        """Return balls from skull to nose in the head's frame."""
        build = self.build
        drop = build.forehead * build.skull
        tip = build.head - build.muzzle
        centers = np.array([
            (0, 0, -0.30 * build.skull),
            (0, 0, 0),
            (0, -0.55 * drop, 0.42 * tip),
            (0, -0.92 * drop, 0.74 * tip),
            (0, -drop, tip),
        ])  # fmt: skip
        skull, end = build.skull, build.muzzle
        radii = np.array((
            0.90 * skull, skull, 0.42 * skull + 0.52 * end,
            0.10 * skull + 0.95 * end, end,
        ))  # fmt: skip
        return centers, radii

    def eyes(self) -> tuple[np.ndarray, np.ndarray]:
        """Return places and outward directions in the head's frame.

        Returns:
            Two arrays (2, 3), the left eye first.
        """
        build = self.build
        front = min(max(build.eye_forward, 0.0), 1.0)
        out = np.array((0.86 - 0.40 * front, 0.28, 0.42 + 0.40 * front))
        out /= math.sqrt(out @ out)
        outs = out * [(1, 1, 1), (-1, 1, 1)]
        return 0.97 * build.skull * outs, outs

    def nose(self) -> np.ndarray:
        """Return the tip of the nose in the head's frame."""
        build = self.build
        drop = build.forehead * build.skull
        return np.array((0, 0.30 * build.muzzle - drop, 0.985 * build.head))

    def _solve_tail(self):
        """Set the tail's curve in the body's frame."""
        build, pose = self.build, self.pose
        self.tail_root = self._on_back(-0.13, -0.42 * build.rump)
        rise = math.radians(pose.tail)
        if pose.name == 'sit':
            rise = math.radians(-75)
        elif build.tail_shape in ('tuft', 'hair', 'short'):
            rise -= 0.3
        turn = math.radians(pose.tail_turn + 2.5 * self._wave)
        points = [self.tail_root]
        for _ in range(6):
            way = np.array((
                math.sin(turn) * math.cos(rise),
                math.sin(rise),
                -math.cos(turn) * math.cos(rise),
            ))  # fmt: skip
            point = points[-1] + build.tail / 6 * way
            point[1] = max(point[1], 0.03)
            points.append(point)
            long = build.tail > 0.45 and build.tail_shape == 'thin'
            rise += 0.26 if long else -0.06
            if build.tail_shape == 'curl':
                rise += 1.0
        self.tail_curve = np.stack(points)

    # ----------------------------------------------------------- keypoints

    def _keypoints(self) -> tuple[np.ndarray, np.ndarray]:
        """Return keypoints (N, 3) and which ones their own part shows (N,)."""
        points = np.zeros((len(KEYPOINTS), 3))
        facing = np.ones(len(KEYPOINTS), bool)
        eyes, outs = self.eyes()
        outs = outs @ (self.root @ self.head_turn).T
        points[:2], facing[:2] = self.head_points(eyes), outs[:, 2] > 0.10
        points[2] = self.head_points(self.nose())
        ahead = self.root @ self.head_turn @ (0, 0.3, 1.0)
        facing[2] = ahead[2] > -0.45
        points[3] = 0.6 * self.neck_curve[1] + 0.4 * self.neck_curve[2]
        points[4] = self.tail_root
        back = self.root @ self.turn @ (0, 0.45, -0.9)
        facing[4] = back[2] > -0.55
        for side in SIDES:
            joints = {
                **self.legs[side, 'front'],
                **self.legs[side, 'back'],
            }
            for name, (joint, _) in LEG_KEYPOINTS.items():
                points[KEYPOINT_INDEX[f'{side}_{name}']] = joints[joint]
        return self.to_camera(points), facing

    def _surface(self) -> np.ndarray:
        """Return image points on the outline of all that is drawn, (N, 2)."""
        build = self.build
        scale, shift = self.scale, self.shift
        self.scale, self.shift = 1.0, np.zeros(2)
        legs = np.stack(
            [p for leg in self.legs.values() for p in leg.values()]
        )
        centers, radii = self.muzzle()
        parts = [
            self.project(self.trunk.rings()).reshape(-1, 2),
            self.project(self.neck.rings()).reshape(-1, 2),
            self.rings(legs, np.full(len(legs), 0.05 * build.bone)),
            self.rings(self.head_points(centers), radii),
            self.rings(self.tail_curve, np.full(len(self.tail_curve), 0.06)),
            self.project(self.to_camera(self._tips())),
            self.project(self.points),
        ]
        self.place(scale, shift)
        return np.concatenate([part.reshape(-1, 2) for part in parts])

    def _tips(self) -> np.ndarray:
        """Return the ends of ears and horns in the body's frame."""
        return self.head_points(
            np.concatenate([ear_tips(self.build), horn_tips(self.build)])
        )

    def _extent(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the corners of the box around the unplaced animal."""
        margin = 0.02 + self.build.wool
        points = self._surface()
        return points.min(0) - margin, points.max(0) + margin

    def shadow(self) -> tuple[np.ndarray, np.ndarray]:
        """Return middle and half axes of the shadow on the ground."""
        feet = np.stack([leg['toe'] for leg in self.legs.values()])
        feet = self.project(self.to_camera(feet * (1, 0, 1)))
        low, high = feet.min(0), feet.max(0)
        half = 0.5 * (high - low) + self.scale * np.array((0.14, 0.03))
        return 0.5 * (low + high), half

    def head_box(self) -> np.ndarray:
        """Return the corners of the box around the head, (2, 2)."""
        centers, radii = self.muzzle()
        outline = self.rings(self.head_points(centers), radii).reshape(-1, 2)
        return np.stack([outline.min(0), outline.max(0)])


def sample_animal(
    rng: np.random.Generator,
    light: np.ndarray,
    simple: bool = False,
    like: Animal | None = None,
) -> Animal:
    """Draw an animal; still to be placed.

    Args:
        rng: Source of randomness.
        light: Where the light comes from, image (x, y), length at most 1.
        simple: Whether it stands or walks and is seen from the side.
        like: An animal of the same picture; most often of the same species.
    """
    names = tuple(SPECIES)
    species = SPECIES[names[rng.integers(len(names))]]
    if like is not None and rng.random() < 0.85:
        species = like.species
    build = sample_build(rng, species)
    pose = sample_pose(rng, species, build, simple=simple)
    look = sample_look(rng, species, build, light)
    # From the front (0) over the side (90) to a little from behind.
    low, high = (70, 105) if simple else (12, 125)
    yaw = math.radians(rng.triangular(low, 85, high))
    yaw = yaw if rng.random() < 0.5 else -yaw
    tilt = math.radians(rng.uniform(0, 5 if simple else 14))
    return Animal(species, build, pose, look, yaw, tilt, rng.uniform(4.5, 9.0))
