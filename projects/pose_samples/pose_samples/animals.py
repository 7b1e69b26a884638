"""Four-legged animals: skeleton, builds, gait, and how they are painted.

Lengths are in heights of the withers: a standing animal's shoulders are 1
high. The root of the skeleton is the back above the hips.

Where AP-10K puts a keypoint is not always what its name says. Its annotators
marked "shoulder" where the fore leg leaves the trunk (the anatomical elbow)
and "elbow" at the middle of the leg (the carpus); "hip" at the flank (the
anatomical knee) and "knee" at the hock. Here keypoints lie where they are in
that dataset, and joints have their anatomical names.
"""

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from enum import IntEnum
from functools import partial

import numpy as np

from .canvas import Canvas, Color, shrink
from .figure import Figure, Layer, Tube
from .parts import PARTS_PER_FIGURE
from .skeleton import SIDES, Skeleton, rot_x, rot_y

_DOWN = (0.0, -1.0, 0.0)
_FOOT = 0.04  # height of the middle of a foot

SKELETON = Skeleton(
    frames={
        'neck': ('root', ('y neck_turn 1', 'x neck -1')),
        'head': ('root', ('y neck_turn 1', 'y head_turn 1', 'x head -1')),
        'tail': ('root', ('y tail_turn 1', 'x tail 1')),
        'left_upper_arm': ('root', ('x left_shoulder -1',)),
        'left_forearm': ('left_upper_arm', ('x left_elbow -1',)),
        'left_fore_paw': ('left_forearm', ('x left_carpus 1',)),
        'left_thigh': ('root', ('x left_hip -1',)),
        'left_shin': ('left_thigh', ('x left_stifle 1',)),
        'left_hind_paw': ('left_shin', ('x left_hock -1',)),
    },
    joints={
        'withers': ('root', 'root', {'length': (0, 0, 1), 'rise': (0, 1, 0)}),
        'neck_base': ('withers', 'root', {'neck_base': (0, -1.05, 0)}),
        'neck': ('neck_base', 'neck', {'neck': (0, 0, 0.27)}),
        'skull': ('neck_base', 'neck', {'neck': (0, 0, 1)}),
        'nose': ('skull', 'head', {'head': (0, 0, 1), 'skull': (0, -0.3, 0)}),
        'left_eye': ('skull', 'head', {'skull': (0.66, 0.30, 0.62)}),
        'left_ear': ('skull', 'head', {'skull': (0.55, 0.70, -0.25)}),
        'left_ear_tip': ('left_ear', 'head', {'ear': (0.3, 0.95, 0)}),
        'tail_root': ('root', 'root', {'rump': (0, -0.35, -0.75)}),
        'tail_tip': ('tail_root', 'tail', {'tail': (0, 0, -1)}),
        'left_shoulder': ('withers', 'root', {'width': (0.7, 0, 0),
                                              'chest': (0, -1.25, 0)}),
        'left_elbow': ('left_shoulder', 'left_upper_arm',
                       {'upper_arm': _DOWN}),
        'left_carpus': ('left_elbow', 'left_forearm', {'forearm': _DOWN}),
        'left_fore_paw': ('left_carpus', 'left_fore_paw',
                          {'fore_cannon': _DOWN}),
        'left_fore_toe': ('left_fore_paw', 'left_fore_paw',
                          {'foot': (0, -0.1, 0.6)}),
        'left_hip': ('root', 'root', {'width': (0.62, 0, 0),
                                      'rump': (0, -0.55, 0)}),
        'left_stifle': ('left_hip', 'left_thigh', {'thigh': _DOWN}),
        'left_hock': ('left_stifle', 'left_shin', {'shin': _DOWN}),
        'left_hind_paw': ('left_hock', 'left_hind_paw',
                          {'hind_cannon': _DOWN}),
        'left_hind_toe': ('left_hind_paw', 'left_hind_paw',
                          {'foot': (0, -0.1, 0.6)}),
    },
    limits={
        'neck': (-70, 75),  # elevation
        'neck_turn': (-30, 30),
        'head': (-80, 25),  # elevation of the muzzle
        'head_turn': (-45, 45),
        'tail': (-85, 20),  # elevation
        'tail_turn': (-40, 40),
        'shoulder': (-65, 15),  # upper arm forward
        'elbow': (0, 75),
        'carpus': (-5, 80),
        'hip': (-15, 65),  # thigh forward
        'stifle': (10, 110),
        'hock': (0, 90),
    },
)  # fmt: skip
# Leg angles of a standing animal, degrees; the paws stand upright.
_UPPER_ARM, _THIGH, _SHIN = 32.0, 22.0, 32.0


@dataclass(frozen=True)
class Build:
    """Proportions of a species, or of one animal; defaults are a dog's."""

    length: float = 0.90  # from the hips to the shoulders
    croup: float = 0.97  # height of the back over the hips
    chest: float = 0.215  # half the depth of the trunk at the shoulders
    waist: float = 0.145  # half its depth before the hips
    rump: float = 0.175  # half its depth at the hips
    width: float = 0.135  # half its width
    elbow: float = 0.50  # height of the elbow
    carpus: float = 0.235  # height of the "knee" of a fore leg
    stifle: float = 0.53  # height of the anatomical knee
    hock: float = 0.29  # height of the anatomical heel
    bone: float = 1.0  # factor on the thickness of the legs
    foot: float = 0.11
    neck: float = 0.44
    neck_rest: float = 38.0  # elevation at rest, degrees
    neck_base: float = 0.165  # half the depth of the neck at the trunk
    neck_top: float = 0.115  # half its depth behind the head
    head: float = 0.33  # from the middle of the skull to the nose
    skull: float = 0.125  # radius
    muzzle: float = 0.055  # radius
    head_rest: float = -14.0  # elevation of the muzzle at rest, degrees
    ear: float = 0.15
    tail: float = 0.50
    size: float = 1.0  # relative to other animals

    def lengths(self) -> dict[str, float]:
        """Return the lengths of the skeleton."""
        shoulder = 1 - 1.25 * self.chest
        hip = self.croup - 0.55 * self.rump
        upper_arm, thigh, shin = (
            height / math.cos(math.radians(angle))
            for height, angle in (
                (shoulder - self.elbow, _UPPER_ARM),
                (hip - self.stifle, _THIGH),
                (self.stifle - self.hock, _SHIN),
            )
        )
        return dict(
            asdict(self), rise=1 - self.croup, upper_arm=upper_arm,
            forearm=self.elbow - self.carpus, thigh=thigh, shin=shin,
            fore_cannon=self.carpus - _FOOT, hind_cannon=self.hock - _FOOT,
        )  # fmt: skip


@dataclass(frozen=True)
class Species:
    """A species with id, name and family as in AP-10K."""

    number: int
    family: str
    build: Build
    # Colours (blue, green, red) of trunk and lower legs.
    coats: tuple[tuple[tuple[int, ...], tuple[int, ...]], ...]


_HORSE = Build(
    length=0.93, croup=1.0, waist=0.185, rump=0.20, width=0.145, elbow=0.575,
    carpus=0.31, stifle=0.60, hock=0.375, bone=0.86, foot=0.075, neck=0.60,
    neck_rest=48, neck_base=0.185, head=0.40, skull=0.115, muzzle=0.066,
    head_rest=-44, ear=0.12, tail=0.62, size=1.9,
)  # fmt: skip
SPECIES = {
    'cow': Species(5, 'Bovidae', replace(
        _HORSE, length=1.08, croup=0.99, chest=0.27, waist=0.245, rump=0.235,
        width=0.18, elbow=0.49, carpus=0.265, stifle=0.53, hock=0.33,
        bone=0.94, neck=0.46, neck_rest=18, neck_base=0.215, neck_top=0.15,
        head=0.37, skull=0.125, muzzle=0.088, head_rest=-36, ear=0.16,
        tail=0.68, size=1.7,
    ), (((52, 80, 116), (34, 50, 72)), ((38, 36, 36), (60, 60, 64)),
        ((178, 208, 228), (120, 150, 170)))),
    'dog': Species(8, 'Canidae', Build(), (
        ((92, 158, 204), (178, 208, 228)), ((38, 36, 36), (104, 152, 196)),
        ((52, 80, 116), (34, 50, 72)), ((226, 232, 234), (200, 206, 210)),
    )),
    'horse': Species(21, 'Equidae', _HORSE, (
        ((42, 72, 132), (42, 72, 132)), ((52, 80, 116), (38, 36, 36)),
        ((196, 200, 202), (128, 132, 138)),
    )),
    'cat': Species(24, 'Felidae', Build(
        length=0.98, chest=0.20, waist=0.165, rump=0.185, width=0.12,
        elbow=0.47, carpus=0.21, stifle=0.52, foot=0.115, neck=0.34,
        neck_rest=32, neck_base=0.15, neck_top=0.125, head=0.235, skull=0.158,
        muzzle=0.066, head_rest=-12, ear=0.13, tail=0.85, size=0.55,
    ), (((62, 128, 208), (178, 208, 228)), ((128, 132, 138), (100, 104, 108)),
        ((38, 36, 36), (38, 36, 36)))),
}  # fmt: skip


def sample_build(rng: np.random.Generator, species: Species) -> Build:
    """Draw an individual: every measure a few percent off the species'."""
    values = np.array(tuple(asdict(species.build).values()))
    noise = np.clip(rng.normal(size=len(values)), -2, 2)
    return Build(*(values * (1 + 0.04 * noise)).tolist())


# ------------------------------------------------------------------- motion

POSTURES = ('stand', 'walk', 'graze')
_PACE = 0.06  # strides per frame of a clip
_STRIDE = 0.8  # way of the trunk per stride
# Moment of each leg in a stride.
_PHASES = {('left', 'front'): 0.25, ('left', 'back'): 0.0,
           ('right', 'front'): 0.75, ('right', 'back'): 0.5}  # fmt: skip


@dataclass
class Pose:
    """What one animal does."""

    name: str  # one of POSTURES
    phase: float  # moment in the stride at time 0
    angles: dict[str, float]  # of neck, head and tail, degrees
    stance: dict[tuple[str, str], float]  # turn of each standing leg, degrees

    def solve(self, strides: float) -> dict[str, float]:
        """Return the angles of the skeleton after some strides, radians."""
        angles = dict(self.angles)
        angles['tail_turn'] += 12 * math.sin(2 * math.pi * strides)
        angles['head'] += 3 * math.sin(2 * math.pi * strides)
        for (side, end), phase in _PHASES.items():
            turn, fold = self.stance[side, end], 0.0
            if self.name == 'walk':
                moment = 2 * math.pi * (self.phase + strides - phase)
                turn = 16 * math.sin(moment)
                fold = 34 * max(math.cos(moment), 0.0)  # swings forwards
            if end == 'front':
                leg = dict(shoulder=turn - _UPPER_ARM, elbow=_UPPER_ARM,
                           carpus=fold)  # fmt: skip
            else:
                leg = dict(hip=turn + _THIGH, stifle=_THIGH + _SHIN + fold,
                           hock=_SHIN + 0.6 * fold)  # fmt: skip
            angles |= {f'{side}_{name}': value for name, value in leg.items()}
        return {
            name: SKELETON.clip(name.removeprefix('right_'), value)
            for name, value in angles.items()
        }


def sample_pose(
    rng: np.random.Generator,
    build: Build,
    name: str | None = None,
    simple: bool = False,
) -> Pose:
    """Draw what an animal does.

    Args:
        rng: Source of randomness.
        build: Of the animal.
        name: One of ``POSTURES``; drawn when missing.
        simple: Whether it stands or walks and looks ahead.
    """
    if name is None:
        names = POSTURES[:2] if simple else (*POSTURES[:2], *POSTURES)
        name = names[rng.integers(len(names))]
    n = np.clip(rng.normal(size=5), -2, 2)
    turn, side = rng.random(), rng.choice([-1, 1])
    angles = dict(
        neck=build.neck_rest + 7 * n[0], head=build.head_rest + 6 * n[1],
        neck_turn=5 * n[2], head_turn=5 * n[3], tail=-62 + 14 * n[4],
        tail_turn=rng.uniform(-25, 25),
    )  # fmt: skip
    if name == 'graze':
        angles |= dict(neck=-58 + 5 * n[0], head=-62 + 8 * n[1])
    elif not simple and turn < 0.4:  # looks round
        angles |= dict(neck_turn=22 * side,
                       head_turn=side * rng.uniform(12, 38))  # fmt: skip
    stance = dict(zip(_PHASES, rng.uniform(-7, 7, size=4), strict=True))
    return Pose(name, rng.random(), angles, stance)


# ---------------------------------------------------------- parts, keypoints


class Part(IntEnum):
    """What a pixel of an animal shows; 0 is nothing."""

    TRUNK = 1
    NECK = 2
    HEAD = 3
    EAR = 4
    TAIL = 5
    LEFT = 8  # the first of the left legs' parts
    RIGHT = 16


# Of each part of a leg: end, joints and half widths at them.
LEG_PARTS = {
    'upper_arm': ('front', ('shoulder', 'elbow'), (0.115, 0.068)),
    'forearm': ('front', ('elbow', 'carpus'), (0.066, 0.040)),
    'fore_paw': ('front', ('carpus', 'fore_paw', 'fore_toe'),
                 (0.039, 0.037, 0.034)),
    'thigh': ('back', ('hip', 'stifle'), (0.145, 0.088)),
    'shin': ('back', ('stifle', 'hock'), (0.088, 0.036)),
    'hind_paw': ('back', ('hock', 'hind_paw', 'hind_toe'),
                 (0.038, 0.037, 0.034)),
}  # fmt: skip


def leg_part(side: str, name: str) -> int:
    """Return the number of a leg's part.

    Example:
        >>> leg_part('right', 'thigh')
        19
    """
    first = Part.LEFT if side == 'left' else Part.RIGHT
    return int(first) + tuple(LEG_PARTS).index(name)


KEYPOINTS = (
    'left_eye', 'right_eye', 'nose', 'neck', 'root_of_tail',
    'left_shoulder', 'left_elbow', 'left_front_paw',
    'right_shoulder', 'right_elbow', 'right_front_paw',
    'left_hip', 'left_knee', 'left_back_paw',
    'right_hip', 'right_knee', 'right_back_paw',
)  # fmt: skip
KEYPOINT_INDEX = {name: i for i, name in enumerate(KEYPOINTS)}

# Keypoint: (joint, parts that show it on top).
_LEG_KEYPOINTS = {
    'shoulder': ('elbow', ('upper_arm', 'forearm')),
    'elbow': ('carpus', ('forearm', 'fore_paw')),
    'front_paw': ('fore_paw', ('fore_paw',)),
    'hip': ('stifle', ('thigh', 'shin')),
    'knee': ('hock', ('shin', 'hind_paw')),
    'back_paw': ('hind_paw', ('hind_paw',)),
}
_JOINTS = {'left_eye': 'left_eye', 'right_eye': 'right_eye', 'nose': 'nose',
           'neck': 'neck', 'root_of_tail': 'tail_root'}  # fmt: skip

HOSTS = np.zeros((len(KEYPOINTS), PARTS_PER_FIGURE), bool)
HOSTS[:3, Part.HEAD] = True
HOSTS[3, [Part.NECK, Part.TRUNK]] = True
HOSTS[4, [Part.TRUNK, Part.TAIL]] = True
for _side in SIDES:
    # The mass of shoulders and thighs rises to the line of the back.
    HOSTS[3, leg_part(_side, 'upper_arm')] = True
    HOSTS[4, leg_part(_side, 'thigh')] = True
    for _name, (_joint, _parts) in _LEG_KEYPOINTS.items():
        _JOINTS[f'{_side}_{_name}'] = f'{_side}_{_joint}'
        _columns = [leg_part(_side, part) for part in _parts]
        HOSTS[KEYPOINT_INDEX[f'{_side}_{_name}'], _columns] = True

# ------------------------------------------------------------------- figure

# Along the trunk, in lengths of it from hips to shoulders: the share of waist
# and chest in the depth (the rest is the rump's), and factors on depth and
# width; how far the middle lies below, in depths.
_TRUNK = np.array((
    (-0.19, 0.0, 0.0, 0.42, 0.50, 0.60),
    (-0.10, 0.0, 0.0, 0.86, 0.84, 0.08),
    (0.06, 0.0, 0.0, 1.03, 1.00, 0.0),
    (0.24, 0.7, 0.0, 1.00, 0.98, 0.0),
    (0.42, 0.9, 0.1, 1.00, 1.03, 0.0),
    (0.60, 0.5, 0.5, 1.02, 1.08, 0.0),
    (0.78, 0.1, 0.9, 1.02, 1.04, 0.0),
    (0.96, 0.0, 1.0, 0.98, 0.94, 0.0),
    (1.09, 0.0, 1.0, 0.82, 0.76, 0.12),
    (1.19, 0.0, 1.0, 0.44, 0.48, 0.70),
))  # fmt: skip
_FAR_TONE = 0.72  # of the legs on the far side
_NOSE = np.array([(-1, 0.4, 0.5), (1, 0.4, 0.5), (0, -0.8, 0.8)])


@dataclass
class Coat:
    """Colours of one animal; see also ``canvas.Look``."""

    base: np.ndarray  # of trunk, neck, head and upper legs
    legs: np.ndarray  # of the lower legs
    light: np.ndarray
    contrast: float


class Animal(Figure):
    """A four-legged animal with a build, a pose, a coat and a place.

    Args:
        species: One of the keys of ``SPECIES``.
        build: Its own proportions.
        pose: What it does.
        coat: Colours and light.
        yaw: 0 faces the camera, 90 degrees the right of the image; radians.
        tilt: How far the camera looks down, radians.
        distance: From the camera to the hips; above 3.
    """

    look: Coat
    hosts = HOSTS
    # Annotators of AP-10K leave out an eye on the far side of the head,
    # whereas they guess where other hidden keypoints are.
    unguessed = np.arange(len(KEYPOINTS)) < 2

    def __init__(
        self,
        species: str,
        build: Build,
        pose: Pose,
        coat: Coat,
        yaw: float,
        tilt: float,
        distance: float,
    ) -> None:
        super().__init__(coat, distance)
        self.species, self.build, self.pose = species, build, pose
        self.category = SPECIES[species].number
        self.size = min(build.size, 2.0) ** 0.7
        self.root = rot_x(tilt) @ rot_y(yaw)
        self.advance(0.0)

    def advance(self, time: float) -> None:
        """Move on to a time, in frames of a clip from the first pose."""
        strides = time * _PACE
        travel = _STRIDE * strides if self.pose.name == 'walk' else 0.0
        travel = travel * self.root[:, 2]
        joints, self.frames = SKELETON.solve(
            self.pose.solve(strides), self.build.lengths(), self.root
        )
        self.joints = {name: p + travel for name, p in joints.items()}
        self.trunk = self._trunk()
        self.points = np.stack([self.joints[_JOINTS[k]] for k in KEYPOINTS])
        self.facing = np.ones(len(KEYPOINTS), bool)
        head = self.frames['head'][2]
        outs = np.array([(0.66, 0.30, 0.62), (-0.66, 0.30, 0.62), (0, 0.3, 1)])
        self.facing[:3] = outs @ head > (0.10, 0.10, -0.45)
        self.facing[4] = self.root[2] @ (0, 0.45, -0.9) > -0.55
        self.measure(0.02)

    def _trunk(self) -> Tube:
        build = self.build
        along, waist, chest, deep, wide, drop = _TRUNK.T
        depth = (1 - waist - chest) * build.rump
        depth = (depth + waist * build.waist + chest * build.chest) * deep
        top = (1 - build.croup) * np.clip(along, 0, 1)
        centers = np.stack([
            np.zeros(len(along)),
            top - (1 + drop) * depth,
            along * build.length,
        ], 1)  # fmt: skip
        return Tube(
            self.joints['root'] + centers @ self.root.T,
            (build.width * wide)[:, None] * self.root[:, 0],
            depth[:, None] * self.root[:, 1],
        )

    def _chain(self, names: list[str], radii: tuple[float, ...]) -> np.ndarray:
        """Return balls along joints in the image, two in between, as rings."""
        points = np.stack([self.joints[name] for name in names])
        steps = np.linspace(0, len(names) - 1, 3 * len(names) - 2)
        index = np.arange(len(names))
        points = [np.interp(steps, index, column) for column in points.T]
        return self.balls(np.stack(points, 1), np.interp(steps, index, radii))

    def _neck(self) -> np.ndarray:
        build = self.build
        radii = build.neck_base, 0.5 * (build.neck_base + build.neck_top)
        names = ['neck_base', 'neck', 'skull']
        return self._chain(names, (*radii, build.neck_top))

    def _head(self) -> np.ndarray:
        build = self.build
        return self._chain(['skull', 'nose'], (build.skull, build.muzzle))

    def _tail(self) -> np.ndarray:
        return self._chain(['tail_root', 'tail_tip'], (0.045, 0.026))

    def _leg(self, side: str, name: str) -> np.ndarray:
        _, joints, radii = LEG_PARTS[name]
        return self._chain(
            [f'{side}_{joint}' for joint in joints],
            tuple(self.build.bone * radius for radius in radii),
        )

    def _ear(self, side: str) -> np.ndarray:
        """Return the outline of an ear in the image, (3, 2)."""
        root, tip = (self.joints[f'{side}_{n}'] for n in ('ear', 'ear_tip'))
        wide = 0.5 * self.build.skull * self.frames['head'] @ (0.5, 0, 0.8)
        return self.project(np.stack([root - wide, root + wide, tip]))

    def head_outline(self) -> np.ndarray:
        """Return points whose hull is the head without ears, (N, 2)."""
        return self._head().reshape(-1, 2)

    def outline(self) -> np.ndarray:
        """Return image points whose box holds the animal, (N, 2)."""
        trunk = self.project(self.trunk.rings())
        parts = [trunk, self._neck(), self._head(), self._tail()]
        for side in SIDES:
            parts.append(self._ear(side))
            parts += [self._leg(side, name) for name in LEG_PARTS]
        return np.concatenate([part.reshape(-1, 2) for part in parts])

    def shadow(self) -> tuple[np.ndarray, np.ndarray]:
        """Return middle and half axes of the shadow on the ground."""
        toes = [p for name, p in self.joints.items() if name.endswith('toe')]
        feet = self.project(np.stack(toes))
        low, high = feet.min(0), feet.max(0)
        half = 0.5 * (high - low) + self.scale * np.array((0.14, 0.03))
        return 0.5 * (low + high), half

    # ------------------------------------------------------------ painting

    def layers(self) -> list[Layer]:
        """Return (depth, part, function that paints) of all parts."""
        ahead, left, gap = self.root[2, 2], self.root[2, 0], 1e-3
        middle = float(self.trunk.centers[3:7, 2].mean())
        neck, head = (float(self.joints[n][2]) for n in ('neck', 'skull'))
        away = ahead < -0.12
        neck = min(neck, middle - gap) if away else max(neck, middle + gap)
        # A head turned back lies before the neck, one turned away behind it.
        turned = self.frames['head'][2, 2] < -0.55
        head = neck - gap if turned else max(head, neck + gap)
        tail = middle + (gap if ahead < 0.35 else -0.3)
        base, trunk = self.look.base, self.project(self.trunk.rings())
        items = [
            (middle, Part.TRUNK, self._painter(trunk, base)),
            (neck, Part.NECK, self._painter(self._neck(), base)),
            (head, Part.HEAD, self._draw_head),
            (tail, Part.TAIL, self._painter(self._tail(), base)),
        ]
        for side, sign in SIDES.items():
            for end, along in (('front', 0.14), ('back', -0.14)):
                # On which side of the trunk's surface it hangs.
                is_near = sign * self.build.width * left + along * ahead >= 0
                is_far = not is_near or sign * left < -0.35
                names = [n for n, row in LEG_PARTS.items() if row[0] == end]
                joints = [
                    f'{side}_{j}' for n in names for j in LEG_PARTS[n][1]
                ]
                depth = float(np.mean([self.joints[j][2] for j in joints]))
                depth = (
                    max(depth, middle + 2 * gap)
                    if is_near
                    else min(depth, middle - 2 * gap)
                )
                # Lower parts first: the upper leg's mass lies over them.
                for name in reversed(names):
                    is_upper = name in ('upper_arm', 'thigh')
                    color = self.look.base if is_upper else self.look.legs
                    color = color * (_FAR_TONE if is_far else 1.0)
                    paint = self._painter(self._leg(side, name), color)
                    items.append((depth, leg_part(side, name), paint))
        return items

    def _painter(
        self, rings: np.ndarray, color: Color
    ) -> Callable[[Canvas], None]:
        """Return a function that paints a stack of rings (L, 16, 2)."""
        size = 0.3 * float(np.ptp(rings, axis=1).min(1).mean())
        return partial(
            Canvas.tube, look=self.look, rings=rings, size=size, color=color
        )

    def _draw_head(self, canvas: Canvas) -> None:
        base, build = self.look.base, self.build
        ears = sorted(
            SIDES, key=lambda s: round(self.joints[f'{s}_ear'][2], 6)
        )
        self._draw_ear(canvas, ears[0])
        canvas.part = Part.HEAD
        self._painter(self._head(), base)(canvas)
        self._draw_ear(canvas, ears[1])
        canvas.part = Part.HEAD
        size = self.pixels(build.skull, self.joints['skull'][2])
        for index, side in enumerate(SIDES):
            if self.facing[index]:
                place = self.project(self.joints[f'{side}_eye'])
                canvas.disc(place, 0.22 * size, base, 0.45)
                canvas.disc(place, 0.15 * size, (26, 34, 44))
                canvas.disc(place - 0.05 * size, 0.05 * size, (245, 245, 245))
        if self.facing[2]:
            corners = 0.6 * build.muzzle * _NOSE @ self.frames['head'].T
            nose = self.project(self.joints['nose'] + corners)
            canvas.hull(nose, (38, 36, 40))

    def _draw_ear(self, canvas: Canvas, side: str) -> None:
        canvas.part, points = Part.EAR, self._ear(side)
        canvas.hull(points, self.look.base, 0.78)
        canvas.hull(shrink(points, 0.6), self.look.base, 0.95)


def sample_animal(
    rng: np.random.Generator,
    light: np.ndarray,
    simple: bool = False,
    like: Figure | None = None,
) -> Animal:
    """Draw an animal; still to be placed.

    Args:
        rng: Source of randomness.
        light: Direction to the light, image (x, y), length at most 1.
        simple: Whether it stands or walks and is seen from the side.
        like: An animal of the same picture; most often of the same species.
    """
    name = tuple(SPECIES)[rng.integers(len(SPECIES))]
    if isinstance(like, Animal) and rng.random() < 0.85:
        name = like.species
    species = SPECIES[name]
    build = sample_build(rng, species)
    pose = sample_pose(rng, build, simple=simple)
    colors = np.array(species.coats[rng.integers(len(species.coats))], float)
    base, legs = np.clip(colors * rng.uniform(0.88, 1.1, size=3), 0, 250)
    # The sky lights a back from above, whatever else does.
    light = 0.7 * light + (0.0, -0.3)
    coat = Coat(base, legs, light, rng.uniform(0.14, 0.24))
    # From the front (0) over the side (90) to a little from behind.
    low, high = (70, 105) if simple else (12, 125)
    yaw = math.radians(rng.triangular(low, 85, high))
    yaw = yaw if rng.random() < 0.5 else -yaw
    tilt = math.radians(rng.uniform(0, 5 if simple else 14))
    distance = rng.uniform(4.5, 9.0)
    return Animal(name, build, pose, coat, yaw, tilt, distance)
