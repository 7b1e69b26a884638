"""Four-legged animals: skeleton, builds, gait, and how they are painted.

Lengths are in heights of the withers: a standing animal's shoulders are 1
high. The root of the skeleton is the back above the hips.

AP-10K's keypoints do not always lie where their names suggest. Its annotators
marked "shoulder" where the fore leg leaves the trunk (the anatomical elbow)
and "elbow" at the middle of the leg (the carpus); "hip" at the flank
(the anatomical knee) and "knee" at the hock. Here keypoints lie where they are
in that dataset, and joints have their anatomical names.
"""

import math
from dataclasses import asdict, dataclass, replace
from functools import partial

import numpy as np

from .arrays import Array, Rng
from .canvas import Canvas, shrink
from .figure import Figure, Layer
from .parts import PARTS_PER_FIGURE
from .skeleton import SIDES, Skeleton, read_rows, rot_x, rot_y

_FOOT = 0.04  # height of the middle of a foot

SKELETON = Skeleton(
    frames="""
neck root: y neck_turn 1, x neck -1
head root: y neck_turn 1, y head_turn 1, x head -1
tail root: y tail_turn 1, x tail 1
left_upper_arm root: x left_shoulder -1
left_forearm left_upper_arm: x left_elbow -1
left_fore_paw left_forearm: x left_carpus 1
left_thigh root: x left_hip -1
left_shin left_thigh: x left_stifle 1
left_hind_paw left_shin: x left_hock -1
""",
    joints="""
rump root root: rump 0 -1 0
waist root root: length 0 0 0.4, waist 0 -1 0
withers root root: length 0 0 1, rise 0 1 0
chest withers root: chest 0 -1 0
neck_base withers root: neck_base 0 -1.05 0
neck neck_base neck: neck 0 0 0.27
skull neck_base neck: neck 0 0 1
nose skull head: head 0 0 1, skull 0 -0.3 0
left_eye skull head: skull 0.66 0.30 0.62
left_ear skull head: skull 0.55 0.70 -0.25
left_ear_tip left_ear head: skull 0.3 1.1 0
tail_root root root: rump 0 -0.35 -0.85
tail_tip tail_root tail: tail 0 0 -1
left_shoulder withers root: width 0.7 0 0, chest 0 -1.25 0
left_elbow left_shoulder left_upper_arm: upper_arm 0 -1 0
left_carpus left_elbow left_forearm: forearm 0 -1 0
left_fore_paw left_carpus left_fore_paw: fore_cannon 0 -1 0
left_hip root root: width 0.62 0 0, rump 0 -0.55 0
left_stifle left_hip left_thigh: thigh 0 -1 0
left_hock left_stifle left_shin: shin 0 -1 0
left_hind_paw left_hock left_hind_paw: hind_cannon 0 -1 0
""",
    # Elevations of neck, muzzle and tail; legs bend forwards, but for carpus
    # and stifle.
    limits="""
neck: neck -70 75, neck_turn -30 30
head: head -80 25, head_turn -45 45
tail: tail -85 20, tail_turn -40 40
fore: shoulder -65 15, elbow 0 75, carpus -5 80
hind: hip -15 65, stifle 10 110, hock 0 90
""",
)
# Leg angles of a standing animal, degrees; the paws stand upright.
_UPPER_ARM, _THIGH, _SHIN = 32.0, 22.0, 32.0


@dataclass(frozen=True)
class Build:
    """Proportions of a species, or of one animal; defaults are a dog's."""

    length: float = 0.90  # from the hips to the shoulders
    rise: float = 0.03  # withers above the back over the hips
    chest: float = 0.215  # half the depth of the trunk at the shoulders
    waist: float = 0.165  # half its depth before the hips
    rump: float = 0.175  # half its depth at the hips
    width: float = 0.135  # half its width
    elbow: float = 0.50  # height of the elbow
    carpus: float = 0.235  # height of the "knee" of a fore leg
    stifle: float = 0.53  # height of the anatomical knee
    hock: float = 0.29  # height of the anatomical heel
    bone: float = 1.0  # factor on the thickness of the legs
    neck: float = 0.44
    neck_rest: float = 38.0  # elevation at rest, degrees
    neck_base: float = 0.165  # half the depth of the neck at the trunk
    neck_top: float = 0.115  # half its depth behind the head
    head: float = 0.33  # from the middle of the skull to the nose
    skull: float = 0.125  # radius
    muzzle: float = 0.055  # radius
    head_rest: float = -14.0  # elevation of the muzzle at rest, degrees
    tail: float = 0.50
    size: float = 1.0  # relative to other animals

    def lengths(self) -> dict[str, float]:
        """Return the lengths of the skeleton, for a standing animal."""
        shoulder = 1 - 1.25 * self.chest
        hip = 1 - self.rise - 0.55 * self.rump
        heights = {
            'upper_arm': (shoulder - self.elbow, _UPPER_ARM),
            'forearm': (self.elbow - self.carpus, 0.0),
            'fore_cannon': (self.carpus - _FOOT, 0.0),
            'thigh': (hip - self.stifle, _THIGH),
            'shin': (self.stifle - self.hock, _SHIN),
            'hind_cannon': (self.hock - _FOOT, 0.0),
        }
        return asdict(self) | {
            name: height / math.cos(math.radians(angle))
            for name, (height, angle) in heights.items()
        }


@dataclass(frozen=True)
class Species:
    """A species with id, name and family as in AP-10K."""

    number: int
    family: str
    build: Build
    # Colours (blue, green, red) of trunk and lower legs.
    coats: tuple[tuple[tuple[int, ...], tuple[int, ...]], ...]


_HORSE = Build(
    length=0.93, rise=0.0, waist=0.195, rump=0.20, width=0.145, elbow=0.575,
    carpus=0.31, stifle=0.60, hock=0.375, bone=0.86, neck=0.60, neck_rest=48,
    neck_base=0.185, head=0.40, skull=0.115, muzzle=0.066, head_rest=-44,
    tail=0.62, size=1.9,
)  # fmt: skip
SPECIES = {
    'cow': Species(5, 'Bovidae', replace(
        _HORSE, length=1.08, rise=0.01, chest=0.27, waist=0.245, rump=0.235,
        width=0.18, elbow=0.49, carpus=0.265, stifle=0.53, hock=0.33,
        bone=0.94, neck=0.46, neck_rest=18, neck_base=0.215, neck_top=0.15,
        head=0.37, skull=0.125, muzzle=0.088, head_rest=-36, tail=0.68,
        size=1.7,
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
    'cat': Species(24, 'Felidae', replace(
        Build(), length=0.98, chest=0.20, rump=0.185, width=0.12, elbow=0.47,
        carpus=0.21, stifle=0.52, neck=0.34, neck_rest=32, neck_base=0.15,
        neck_top=0.125, head=0.235, skull=0.158, muzzle=0.066, head_rest=-12,
        tail=0.85, size=0.55,
    ), (((62, 128, 208), (178, 208, 228)), ((128, 132, 138), (100, 104, 108)),
        ((38, 36, 36), (38, 36, 36)))),
}  # fmt: skip


def sample_build(rng: Rng, species: Species) -> Build:
    """Draw an individual: every measure a few percent off the species'."""
    values = np.array(tuple(asdict(species.build).values()))
    noise = np.clip(rng.normal(size=len(values)), -2, 2)
    return Build(*(values * (1 + 0.04 * noise)).tolist())


# ------------------------------------------------------------------- motion

POSTURES = ('stand', 'walk', 'graze')
_PACE = 0.06  # strides per frame of a clip
_STRIDE = 0.8  # way of the trunk per stride
# Moment of each leg in a stride.
_PHASES = {('left', 'fore'): 0.25, ('left', 'hind'): 0.0,
           ('right', 'fore'): 0.75, ('right', 'hind'): 0.5}  # fmt: skip


@dataclass
class Pose:
    """Posture and gait of one animal."""

    name: str  # one of POSTURES
    phase: float  # moment in the stride at time 0
    angles: dict[str, float]  # of neck, head and tail, degrees
    stance: list[float]  # turn of each standing leg, degrees

    def solve(self, strides: float) -> dict[str, float]:
        """Return the angles of the skeleton after some strides, radians."""
        angles, wave = dict(self.angles), math.sin(2 * math.pi * strides)
        angles['tail_turn'] += 12 * wave
        angles['head'] += 3 * wave
        for leg, turn in zip(_PHASES, self.stance, strict=True):
            (side, end), fold = leg, 0.0
            if self.name == 'walk':
                moment = 2 * math.pi * (self.phase + strides - _PHASES[leg])
                turn = 16 * math.sin(moment)
                fold = 34 * max(math.cos(moment), 0.0)  # swings forwards
            if end == 'fore':
                joints = ('shoulder', 'elbow', 'carpus')
                values = (turn - _UPPER_ARM, _UPPER_ARM, fold)
            else:
                joints = ('hip', 'stifle', 'hock')
                values = (turn + _THIGH, _THIGH + _SHIN + fold,
                          _SHIN + 0.6 * fold)  # fmt: skip
            for joint, value in zip(joints, values, strict=True):
                angles[f'{side}_{joint}'] = value
        return {k: SKELETON.clip(k, value) for k, value in angles.items()}


def sample_pose(
    rng: Rng, build: Build, name: str | None = None, simple: bool = False
) -> Pose:
    """Draw what an animal does; if simple, it stands or walks."""
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
        head_turn = side * rng.uniform(12, 38)
        angles |= dict(neck_turn=22 * side, head_turn=head_turn)
    stance = rng.uniform(-7, 7, size=4).tolist()
    return Pose(name, rng.random(), angles, stance)


# --------------------------------------------------------- parts, keypoints

# Of each part, its joints and the half widths there: lengths of the build,
# or factors on its bones.
CHAINS = {
    'trunk': ('rump waist chest', ('rump', 'waist', 'chest')),
    'neck': ('neck_base neck skull', ('neck_base', 'neck_top', 'neck_top')),
    'head': ('skull nose', ('skull', 'muzzle')),
    'tail': ('tail_root tail_tip', (0.045, 0.026)),
    'left_upper_arm': ('left_shoulder left_elbow', (0.115, 0.068)),
    'left_forearm': ('left_elbow left_carpus', (0.066, 0.040)),
    'left_fore_paw': ('left_carpus left_fore_paw', (0.039, 0.042)),
    'left_thigh': ('left_hip left_stifle', (0.145, 0.088)),
    'left_shin': ('left_stifle left_hock', (0.088, 0.036)),
    'left_hind_paw': ('left_hock left_hind_paw', (0.038, 0.042)),
}
CHAINS |= {
    name.replace('left', 'right'): (joints.replace('left', 'right'), radii)
    for name, (joints, radii) in CHAINS.items()
    if name.startswith('left')
}
#: What a pixel of an animal shows; 0 is nothing.
PARTS = {name: number for number, name in enumerate((*CHAINS, 'ear'), start=1)}

# Keypoint, joint: parts that show it when they are on top. The mass of
# shoulders and thighs rises to the line of the back.
_KEYPOINTS = tuple(read_rows("""
left_eye left_eye: head
right_eye right_eye: head
nose nose: head
neck neck: neck, trunk, left_upper_arm, right_upper_arm
root_of_tail tail_root: trunk, tail, left_thigh, right_thigh
left_shoulder left_elbow: left_upper_arm, left_forearm
left_elbow left_carpus: left_forearm, left_fore_paw
left_front_paw left_fore_paw: left_fore_paw
right_shoulder right_elbow: right_upper_arm, right_forearm
right_elbow right_carpus: right_forearm, right_fore_paw
right_front_paw right_fore_paw: right_fore_paw
left_hip left_stifle: left_thigh, left_shin
left_knee left_hock: left_shin, left_hind_paw
left_back_paw left_hind_paw: left_hind_paw
right_hip right_stifle: right_thigh, right_shin
right_knee right_hock: right_shin, right_hind_paw
right_back_paw right_hind_paw: right_hind_paw
"""))  # fmt: skip
KEYPOINTS = tuple(name for (name, _), _ in _KEYPOINTS)
KEYPOINT_INDEX = {name: i for i, name in enumerate(KEYPOINTS)}
HOSTS = np.zeros((len(KEYPOINTS), PARTS_PER_FIGURE), bool)
for _row, (_, _parts) in enumerate(_KEYPOINTS):
    HOSTS[_row, [PARTS[name] for (name,) in _parts]] = True

# ------------------------------------------------------------------- figure

_FAR_TONE = 0.72  # of the legs on the far side
_NOSE = np.array([(-1, 0.4, 0.5), (1, 0.4, 0.5), (0, -0.8, 0.8)])
# Outward directions of eyes and nose in the head's frame, and how far they
# may turn away (cosine).
_OUTWARD = np.array([(0.66, 0.30, 0.62), (-0.66, 0.30, 0.62), (0, 0.3, 1)])
_MIN_FACING = np.array((0.10, 0.10, -0.45))


@dataclass
class Coat:
    """Colours of one animal; see also ``canvas.Look``."""

    base: Array  # of trunk, neck, head and upper legs
    legs: Array  # of the lower legs
    light: Array
    contrast: float


@dataclass(eq=False)
class Animal(Figure):
    """A four-legged animal with a build, a pose, a coat and a place."""

    species: str  # one of the keys of SPECIES
    build: Build
    pose: Pose
    look: Coat
    yaw: float  # 0 faces the camera, pi / 2 the right of the image
    tilt: float  # how far the camera looks down, radians
    distance: float  # from the camera to the hips; above 3

    parts = PARTS
    hosts = HOSTS
    # Annotators of AP-10K leave out an eye on the far side of the head,
    # whereas they guess where other hidden keypoints are.
    unguessed = np.arange(len(KEYPOINTS)) < 2

    def __post_init__(self) -> None:
        self.category = SPECIES[self.species].number
        self.size = min(self.build.size, 2.0) ** 0.7
        self.root = rot_x(self.tilt) @ rot_y(self.yaw)
        self.advance(0.0)

    def advance(self, time: float) -> None:
        """Move on to a time, in frames of a clip from the first pose."""
        strides = time * _PACE
        joints, self.frames = SKELETON.solve(
            self.pose.solve(strides), self.build.lengths(), self.root
        )
        way = _STRIDE * strides if self.pose.name == 'walk' else 0.0
        travel = way * self.root[:, 2]
        self.joints = {name: p + travel for name, p in joints.items()}
        points = [self.joints[joint] for (_, joint), _ in _KEYPOINTS]
        self.points = np.stack(points)
        self.facing = np.ones(len(KEYPOINTS), bool)
        self.facing[:3] = _OUTWARD @ self.frames['head'][2] > _MIN_FACING
        self.facing[4] = self.root[2] @ (0, 0.45, -0.9) > -0.55
        self.measure(0.02)

    def chain(self, part: str) -> Array:
        """Return a part in the image: rings of balls in a row, (L, 16, 2)."""
        joints, radii = CHAINS[part]
        points = np.stack([self.joints[name] for name in joints.split()])
        radii = [
            getattr(self.build, radius)
            if isinstance(radius, str)
            else radius * self.build.bone
            for radius in radii
        ]
        return self.balls(points, np.array(radii))

    def ear(self, side: str) -> Array:
        """Return the outline of an ear in the image, (3, 2)."""
        root, tip = (self.joints[f'{side}_{n}'] for n in ('ear', 'ear_tip'))
        wide = 0.5 * self.build.skull * self.frames['head'] @ (0.5, 0, 0.8)
        return self.project(np.stack([root - wide, root + wide, tip]))

    def head_outline(self) -> Array:
        """Return points whose hull is the head without ears, (N, 2)."""
        return self.chain('head').reshape(-1, 2)

    def outline(self) -> Array:
        """Return image points whose box holds the animal, (N, 2)."""
        parts = [self.chain(name).reshape(-1, 2) for name in CHAINS]
        return np.concatenate([*parts, *(self.ear(side) for side in SIDES)])

    def shadow(self) -> tuple[Array, Array]:
        """Return middle and half axes of the shadow on the ground."""
        paws = [p for name, p in self.joints.items() if name.endswith('paw')]
        feet = self.project(np.stack(paws))
        low, high = feet.min(0), feet.max(0)
        half = 0.5 * (high - low) + self.scale * np.array((0.14, 0.03))
        return 0.5 * (low + high), half

    # ------------------------------------------------------------ painting

    def layers(self) -> list[Layer]:
        """Return (depth, part, function that paints) of all parts."""
        z = {name: float(point[2]) for name, point in self.joints.items()}
        trunk, base = 0.5 * (z['waist'] + z['chest']), self.look.base
        turned = self.frames['head'][2, 2] < -0.55  # behind the neck
        head = z['neck'] if turned else max(z['skull'], z['neck'] + 0.02)
        items = [
            (head, 'head', self._draw_head),
            (trunk, 'trunk', self._painter('trunk', base)),
            (z['neck'] + 0.01, 'neck', self._painter('neck', base)),
            (z['tail_root'] + 0.01, 'tail', self._painter('tail', base)),
        ]
        # Lower parts first: the upper leg's mass lies over them.
        legs = {'shoulder': ('fore_paw', 'forearm', 'upper_arm'),
                'hip': ('hind_paw', 'shin', 'thigh')}  # fmt: skip
        for side in SIDES:
            for joint, parts in legs.items():
                depth = z[f'{side}_{joint}']
                tone = 1.0 if depth > trunk - 0.02 else _FAR_TONE
                for part in parts:
                    color = base if part == parts[-1] else self.look.legs
                    name = f'{side}_{part}'
                    paint = self._painter(name, tone * color)
                    items.append((depth, name, paint))
        return items

    def _painter(self, part: str, color: Array) -> partial:
        """Return a function that paints a part on a canvas."""
        rings = self.chain(part)
        size = 0.3 * float(np.ptp(rings, axis=1).mean())
        return partial(
            Canvas.tube, look=self.look, rings=rings, size=size, color=color
        )

    def _draw_head(self, canvas: Canvas) -> None:
        base, build = self.look.base, self.build
        far, near = sorted(
            SIDES, key=lambda side: round(self.joints[f'{side}_ear'][2], 6)
        )
        self._draw_ear(canvas, far)
        canvas.part = PARTS['head']
        self._painter('head', base)(canvas)
        self._draw_ear(canvas, near)
        canvas.part = PARTS['head']
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
        canvas.part, points = PARTS['ear'], self.ear(side)
        canvas.hull(points, self.look.base, 0.78)
        canvas.hull(shrink(points, 0.6), self.look.base, 0.95)


def sample_animal(
    rng: Rng, light: Array, simple: bool = False, like: Figure | None = None
) -> Animal:
    """Draw an animal that is not placed yet; see ``scene.Setting.sample``."""
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
