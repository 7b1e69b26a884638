"""People: keypoints in space, and arms and legs with their clothes."""

import math
from dataclasses import dataclass
from functools import partial

import numpy as np

from .arrays import Array, Rng
from .body import Body, hand_points, sample_body, sample_root
from .canvas import NUM_RADII, Canvas
from .figure import Figure, Layer
from .hands_feet import draw_foot, draw_hand
from .head import LEFT_EYE, NORMALS, NOSE_TIP, RIGHT_EYE, Head, face_points
from .parts import HAND_KEYPOINTS, HOSTS, KEYPOINT_INDEX, KEYPOINTS, PARTS
from .poses import SIMPLE_POSES, Pose, sample_pose
from .skeleton import SIDES
from .style import Style, sample_style
from .trunk import (
    draw_chest,
    draw_hips,
    draw_long_hair,
    draw_neck,
    draw_skirt,
    make_trunk,
)

# Ends, and half widths at equal steps, in statures.
BONES = {
    'upper_arm': (('shoulder', 'elbow'),
                  (0.0275, 0.0295, 0.0275, 0.024, 0.022)),
    'forearm': (('elbow', 'wrist'), (0.022, 0.024, 0.022, 0.018, 0.0145)),
    'thigh': (('hip', 'knee'), (0.046, 0.050, 0.046, 0.039, 0.033)),
    'shin': (('knee', 'ankle'), (0.033, 0.035, 0.032, 0.024, 0.019)),
}  # fmt: skip

# Keypoints on the surface: frame, outward direction (x outwards, y, z) in it,
# and how far they may turn away (cosine) before their own part hides them.
# Other joints are inside limbs and visible from all sides.
_LATERAL = {
    'shoulder': ('chest', (1.0, 0.0, 0.0), -0.6),
    'hip': ('pelvis', (1.0, 0.0, 0.0), -0.6),
    'ear': ('head', (1.0, 0.0, 0.15), -0.45),
    'eye': ('head', (0.5, 0.0, 1.0), 0.08),
    'big_toe': ('foot', (-0.4, 0.5, 1.0), -0.45),
    'small_toe': ('foot', (0.9, 0.5, 0.5), -0.45),
    'heel': ('foot', (0.0, 0.2, -1.0), -0.35),
}


@dataclass(eq=False)
class Person(Figure):
    """A person with a body, a pose, clothes and a place in the image."""

    body: Body
    pose: Pose
    root: Array  # pelvis to camera, (3, 3)
    look: Style
    face: Array  # the 68 landmarks in the head's frame, (68, 3)
    distance: float  # from the camera to the pelvis in statures; > 1.5

    category = 1
    parts = PARTS
    hosts = HOSTS
    unguessed = np.zeros(len(HOSTS), bool)

    def __post_init__(self) -> None:
        body, angles = self.body, self.pose.angles
        self.size = body.stature
        self.joints, self.frames = body.solve(angles, self.root)
        shoulders = (self.joints[f'{side}_shoulder'] for side in SIDES)
        self.joints['thorax'] = sum(shoulders) / 2
        self.hands = {side: self._hand(side) for side in SIDES}
        self.chest, self.hips = make_trunk(self)
        self.points, self.facing = self._keypoints()
        self.measure(0.02)

    def _hand(self, side: str) -> Array:
        pose = self.pose
        points = hand_points(pose.fingers[side], pose.spread[side])
        points = self.body.hand * points * (SIDES[side], 1, 1)
        frame = self.frames[f'{side}_hand']
        return self.joints[f'{side}_wrist'] + points @ frame.T

    def palm(self, side: str) -> Array:
        """Return the direction out of a palm, (3,)."""
        return -SIDES[side] * self.frames[f'{side}_hand'][:, 0]

    def foot_frame(self, side: str) -> Array:
        """Return the axes of a foot, x outwards on both sides, (3, 3)."""
        return self.frames[f'{side}_foot'] * (SIDES[side], 1, 1)

    def radii(self, bone: str) -> Array:
        """Return half widths along a bone of ``BONES``, in statures, (5,)."""
        return np.array(BONES[bone][1]) * self.body.girth

    def head_to_camera(self, points: Array) -> Array:
        """Map points of the head's frame to the camera's frame."""
        frame = self.frames['head']
        return self.joints['head'] + self.body.head * (points @ frame.T)

    def head(self) -> Head:
        """Return the head at its present place in the image."""
        return Head(
            self.face,
            self.frames['head'],
            lambda points: self.project(self.head_to_camera(points)),
            self.pixels(self.body.head, self.joints['head'][2]),
            self.look,
        )

    def head_outline(self) -> Array:
        """Return points whose hull is the bald head, (N, 2)."""
        return self.head().outline()

    def outline(self) -> Array:
        """Return image points whose box, widened, holds the person."""
        rings = np.concatenate([self.hips.rings(), self.chest.rings()])
        rings = self.project(rings).reshape(-1, 2)
        return np.concatenate([self.keypoints(), rings, self.head_outline()])

    def seat(self) -> tuple[Array, Array] | None:
        """Return image corners of a seat; None for those who do not sit."""
        if self.pose.name != 'sit':
            return None
        ankles = (self.joints[f'{side}_ankle'] for side in SIDES)
        ends = np.stack([self.joints['pelvis'], 0.5 * sum(ankles)])
        top, foot = self.project(ends)
        low = top + self.scale * np.array((-0.15, 0.045))
        high = np.array((top[0] + 0.15 * self.scale, foot[1]))
        return low, np.maximum(high, low + 0.1 * self.scale)

    def _keypoints(self) -> tuple[Array, Array]:
        """Return keypoints (N, 3) and which ones their own part shows (N,)."""
        points = np.zeros((len(KEYPOINTS), 3))
        facing = np.ones(len(KEYPOINTS), bool)
        face = self.head_to_camera(self.face)
        normals = NORMALS @ self.frames['head'][2]
        first = KEYPOINT_INDEX['face_0']
        points[first : first + 68] = face
        facing[first : first + 68] = normals > -0.02
        points[0], facing[0] = face[NOSE_TIP], normals[NOSE_TIP] > -0.2
        named = dict(self.joints)
        for side, eye in (('left', LEFT_EYE), ('right', RIGHT_EYE)):
            named[f'{side}_eye'] = face[eye].mean(0)
            start = KEYPOINT_INDEX[HAND_KEYPOINTS[side][0]]
            points[start : start + 21] = self.hands[side]
            for name, (frame, direction, low) in _LATERAL.items():
                frame = frame.replace('foot', f'{side}_foot')
                mirror = np.array((SIDES[side], 1, 1))
                outward = self.frames[frame] @ (direction * mirror)
                cosine = outward[2] / math.sqrt(outward @ outward)
                facing[KEYPOINT_INDEX[f'{side}_{name}']] = cosine > low
        for name in KEYPOINT_INDEX.keys() & named.keys():
            points[KEYPOINT_INDEX[name]] = named[name]
        return points, facing

    # ------------------------------------------------------------ painting

    def layers(self) -> list[Layer]:
        """Return (depth, part, function that paints) of all parts."""
        style = self.look
        z = {name: float(point[2]) for name, point in self.joints.items()}
        items = [
            (z['pelvis'], 'pelvis', draw_hips),
            (0.5 * (z['ribs'] + z['waist']) + 0.001, 'chest', draw_chest),
            (0.5 * (z['neck'] + z['upper_neck']) + 0.01, 'neck', draw_neck),
            (z['head'] + 0.05, 'head', _draw_head),
        ]
        if style.haircut in ('long', 'bob', 'tail'):
            depth = z['head'] + 0.055 - 0.12 * float(self.frames['head'][2, 2])
            items.append((depth, 'hair', draw_long_hair))
        if style.with_skirt:
            # Over both thighs, whichever is nearer.
            depth = 0.025 + max(
                0.5 * (z[f'{side}_hip'] + z[f'{side}_knee']) for side in SIDES
            )
            depth = max(depth, z['pelvis'] + 0.035)
            items.append((depth, 'skirt', draw_skirt))
        for side in SIDES:
            limbs = {}
            for bone, ((start, end), _) in BONES.items():
                depth = 0.5 * (z[f'{side}_{start}'] + z[f'{side}_{end}'])
                depth += 0.03 if bone in ('upper_arm', 'forearm') else 0.02
                limbs[bone] = depth, partial(_draw_bone, bone=bone)
            turn = 0.03 * float(self.frames[f'{side}_foot'][2, 2])
            limbs['foot'] = z[f'{side}_ankle'] + turn, draw_foot
            hand = float(self.hands[side][:, 2].mean()) + 0.036
            limbs['palm'] = hand, draw_hand
            for name, (depth, draw) in limbs.items():
                paint = partial(draw, side=side)
                items.append((depth, f'{side}_{name}', paint))
        return [
            (z, part, partial(draw, person=self)) for z, part, draw in items
        ]


def _draw_head(canvas: Canvas, person: Person) -> None:
    person.head().draw(canvas)


def _draw_bone(canvas: Canvas, person: Person, side: str, bone: str) -> None:
    """Paint an upper or lower arm or leg, and the cloth that covers it."""
    style = person.look
    is_arm = bone in ('upper_arm', 'forearm')
    length = style.sleeve if is_arm else style.trouser_leg
    if style.with_skirt and not is_arm:
        length = 0.0
    covered = min(max(length - (bone in ('forearm', 'shin')), 0.0), 1.0)
    color = style.shirt if is_arm else style.trousers
    if is_arm and style.pattern == 'yoke':
        color = style.accent
    names = [f'{side}_{joint}' for joint in BONES[bone][0]]
    points = np.stack([person.joints[name] for name in names])
    start, end = ends = person.project(points)
    near = person.distance / (person.distance - points[:, 2])
    unit = np.linspace(near[0], near[1], NUM_RADII) * person.scale
    radii = person.radii(bone) * unit
    if covered < 1.0:
        canvas.limb(style, ends, radii, style.skin)
    if covered > 0.0:
        steps = np.linspace(0, 1, NUM_RADII)
        cloth = style.fit * np.interp(covered * steps, steps, radii)
        cloth = cloth + 0.003 * unit
        ends = np.stack([start, start + covered * (end - start)])
        canvas.limb(style, ends, cloth, color)
        if is_arm and style.pattern == 'stripes':
            _band_limb(canvas, person, ends, cloth)


def _band_limb(
    canvas: Canvas, person: Person, ends: Array, radii: Array
) -> None:
    """Draw stripes across a sleeve."""
    start, step = ends[0], ends[1] - ends[0]
    length = math.hypot(*step)
    if length < 2:
        return
    normal = np.array((-step[1], step[0])) / length
    count = max(int(length / (0.05 * person.scale)), 1)
    steps = (np.arange(count)[:, None] + (0.2, 0.65)) / count
    widths = np.interp(steps, np.linspace(0, 1, NUM_RADII), radii)
    for (t0, t1), (r0, r1) in zip(steps, widths, strict=True):
        a, b = start + t0 * step, start + t1 * step
        band = [a + r0 * normal, b + r1 * normal,
                b - r1 * normal, a - r0 * normal]  # fmt: skip
        canvas.fill(np.stack(band), person.look.accent, 0.95)


def sample_person(
    rng: Rng, light: Array, simple: bool = False, like: Figure | None = None
) -> Person:
    """Draw a person that is not placed yet; see ``scene.Setting.sample``."""
    body = sample_body(rng)
    pose = sample_pose(rng, SIMPLE_POSES[rng.integers(4)] if simple else None)
    root = sample_root(rng, pose.name, frontal=simple)
    style = sample_style(rng, light)
    face = face_points(rng)
    return Person(body, pose, root, style, face, rng.uniform(3.2, 8.0))
