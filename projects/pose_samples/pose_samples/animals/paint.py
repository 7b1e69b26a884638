"""Paint a placed animal, part by part from far to near."""

import math
from dataclasses import replace
from functools import partial

import numpy as np

from ..canvas import fill_disc, fill_hull, stroke
from ..shading import fill_tube
from ..style import shade
from .coat import paint_tube_marks
from .gaits import LEGS
from .head import draw_head, draw_mane
from .parts import Part, leg_part

# Chains of a leg: name of the part, its joints, and half widths at equal
# steps along it.
_FORE = (
    ('upper_arm', ('blade', 'shoulder', 'elbow'), (0.075, 0.112, 0.068)),
    ('forearm', ('elbow', 'carpus'), (0.066, 0.060, 0.047, 0.040)),
    ('fore_paw', ('carpus', 'fore_paw'), (0.039, 0.034, 0.031, 0.037)),
)
_HIND = (
    ('thigh', ('hip', 'stifle'), (0.125, 0.142, 0.122, 0.088)),
    ('shin', ('stifle', 'hock'), (0.088, 0.070, 0.048, 0.036)),
    ('hind_paw', ('hock', 'hind_paw'), (0.038, 0.032, 0.031, 0.037)),
)
_FAR_TONE = 0.72  # of the legs on the far side


def draw_animal(canvas: np.ndarray, animal):
    """Paint an animal, its parts in the fourth channel.

    Args:
        canvas: (h, w, 4), twice the size of the image, changed in place.
        animal: Already placed.
    """
    ahead, left = animal.root[2, 2], animal.root[2, 0]
    middle = float(animal.trunk.centers[3:7, 2].mean())
    neck = float(animal.neck.centers[3:, 2].mean())
    head = float(animal.to_camera(animal.head_at)[2])
    away = ahead < -0.12
    gap = 1e-3
    neck = min(neck, middle - gap) if away else max(neck, middle + 2 * gap)
    # A head turned back lies before the neck, one that looks away behind it.
    seen = animal.root[2] @ animal.head_turn[:, 2]
    head = neck - gap if seen < -0.55 else max(head, neck + gap)
    items = [
        (middle, _draw_trunk),
        (neck, _draw_neck),
        (head, draw_head),
        (middle + (gap if ahead < 0.35 else -0.3), _draw_tail),
    ]
    if animal.build.mane != 'none':
        items.append((0.5 * (head + neck), draw_mane))
    for number, (side, end) in enumerate(LEGS):
        joints = animal.legs[side, end]
        depth = np.mean([animal.to_camera(p)[2] for p in joints.values()])
        # On which side of the trunk's surface it hangs.
        sign = 1 if side == 'left' else -1
        along = 0.14 if end == 'front' else -0.14
        near = sign * animal.build.width * left + along * ahead
        if near < 0:
            depth = min(depth, middle - 2 * gap)
            if end == 'back':
                depth = min(depth, middle - 0.35)
        else:
            depth = max(depth, middle + 3 * gap)
        is_far = near < 0 or sign * left < -0.35
        draw = partial(_draw_leg, number=number, is_far=is_far)
        items.append((float(depth), draw))
    # Rounded, so that the last bit of a float decides nothing.
    order = sorted(range(len(items)), key=lambda i: (round(items[i][0], 6), i))
    for i in order:
        items[i][1](canvas, animal)


def _draw_trunk(canvas: np.ndarray, animal):
    look, part = animal.look, int(Part.TRUNK)
    rings = animal.project(animal.trunk.rings())
    if animal.build.wool:
        _draw_wool(canvas, animal, rings, part)
    size = animal.pixels(0.55 * animal.build.chest)
    fill_tube(canvas, look, rings, size, look.base, part)
    paint_tube_marks(canvas, animal, animal.trunk, 'trunk', part)


def _draw_wool(canvas, animal, rings, part):
    """Draw the curls that stand out of a fleece."""
    radius = animal.pixels(animal.build.wool)
    color = shade(animal.look.base, 0.9)
    between = 0.5 * (rings[:-1] + rings[1:])
    for point in np.concatenate([rings, between]).reshape(-1, 2):
        fill_disc(canvas, point, radius, color, part)


def _draw_neck(canvas: np.ndarray, animal):
    look, part = animal.look, int(Part.NECK)
    rings = animal.project(animal.neck.rings())
    if animal.build.wool:
        _draw_wool(canvas, animal, rings[1:5], part)
    size = animal.pixels(0.5 * animal.build.neck_top)
    fill_tube(canvas, look, rings, size, look.base, part)
    paint_tube_marks(canvas, animal, animal.neck, 'neck', part)


def _draw_tail(canvas: np.ndarray, animal):
    build, look, part = animal.build, animal.look, int(Part.TAIL)
    curve = animal.tail_curve
    count = len(curve)
    color, tip = look.base, None
    steps = np.linspace(0, 1, count)
    if build.tail_shape == 'bushy':
        radii = 0.028 + 0.055 * np.sin(math.pi * steps**0.8)
        tip = look.belly
    elif build.tail_shape == 'hair':
        radii = 0.03 + 0.045 * np.sin(math.pi * np.minimum(steps * 0.9, 1))
        color = look.accent
    elif build.tail_shape == 'short':
        radii = np.linspace(0.045, 0.025, count)
    elif build.tail_shape == 'curl':
        radii = np.linspace(0.020, 0.012, count)
    elif build.tail_shape == 'tuft':
        radii = np.linspace(0.022, 0.014, count)
        tip = look.accent
    else:
        radii = np.linspace(0.040, 0.026, count)
        tip = look.accent if look.coat.pattern != 'patches' else None
    rings = animal.rings(curve, radii)
    size = animal.pixels(0.02)
    fill_tube(canvas, look, rings, size, color, part)
    if look.coat.pattern in ('stripes', 'spots', 'rosettes'):
        for i in range(1, count - 1):
            line = rings[i, [4, 12]]
            stroke(canvas, line, size, shade(look.accent, 1.0), part)
    if tip is not None:
        end = rings[-2:]
        if build.tail_shape == 'tuft':
            end = animal.rings(curve[-2:], np.array((0.03, 0.045)))
        fill_tube(canvas, look, end, size, tip, part)


def _draw_leg(canvas: np.ndarray, animal, number: int, is_far: bool):
    side, end = LEGS[number]
    joints = animal.legs[side, end]
    build, look = animal.build, animal.look
    tone = _FAR_TONE if is_far else 1.0
    chains = _FORE if end == 'front' else _HIND
    # Lower parts first: the mass of the upper leg lies over them.
    _draw_foot(canvas, animal, joints, end, leg_part(side, chains[2][0]), tone)
    for index in (2, 1, 0):
        name, names, radii = chains[index]
        color = look.base if index == 0 else look.legs
        if index == 1 and look.coat.legs is not None:
            color = 0.45 * look.base + 0.55 * look.legs
        if look.coat.pattern == 'panda':
            color = look.accent
        points = np.stack([joints[n] for n in names])
        bone = build.bone if index else _upper_bone(build, end)
        radii = np.array(radii) * bone
        # Muscle bulges out of the trunk, it has no rim of its own.
        flat = 1.0 if index else 0.4
        part = leg_part(side, name)
        _draw_chain(canvas, animal, points, radii, tone * color, part, flat)
        if look.leg_marks is not None and (
            index < 2 or look.coat.pattern == 'stripes'
        ):
            count = (len(look.leg_marks), 6, 4)[index]
            marks = look.leg_marks[:count] * (
                len(look.leg_marks) / count,
                1,
                1,
            )
            _mark_chain(canvas, animal, points, radii, marks, part, tone)


def _upper_bone(build, end: str) -> float:
    """Return the factor on the thickness of thigh or upper arm.

    They are as thick as the trunk demands, however slim the legs are.
    """
    deep = build.rump / 0.19 if end == 'back' else build.chest / 0.215
    return 0.5 * deep + 0.5 * min(build.bone, 1.3 * deep)


def _spread(points: np.ndarray, count: int) -> np.ndarray:
    """Return ``count`` points at equal steps of the index of a polyline."""
    steps = np.linspace(0, len(points) - 1, count)
    index = np.arange(len(points))
    return np.stack([np.interp(steps, index, c) for c in points.T], 1)


def _draw_chain(canvas, animal, points, radii, color, part, flat):
    rings = animal.rings(_spread(points, len(radii)), radii)
    size = animal.pixels(0.8 * float(radii.mean()))
    look = replace(animal.look, contrast=flat * animal.look.contrast)
    fill_tube(canvas, look, rings, size, color, part)


def _mark_chain(canvas, animal, points, radii, marks, part, tone):
    """Paint spots or bands on a part of a leg."""
    look = animal.look
    curve = _spread(points, 13)
    widths = np.interp(
        np.linspace(0, 1, 13), np.linspace(0, 1, len(radii)), radii
    )
    line = animal.project(animal.to_camera(curve))
    widths = animal.pixels(1.0) * widths
    step = line[-1] - line[0]
    length = math.hypot(*step)
    if length < 3:
        return
    normal = np.array((-step[1], step[0])) / length
    color = shade(tone * look.accent, 1.0)
    for along, across, size in marks:
        place = 12 * min(along, 0.99)
        low = min(int(place), 11)
        center = line[low] + (place - low) * (line[low + 1] - line[low])
        width = widths[low]
        if look.coat.pattern == 'stripes':
            ends = np.stack([center - 0.9 * width * normal,
                             center + 0.9 * width * normal])  # fmt: skip
            stroke(canvas, ends, max(0.045 * size * length + 0.4, 0.5), color,
                   part)  # fmt: skip
            continue
        center = center + across * (1 - size) * width * normal
        fill_disc(canvas, center, max(size * width, 0.5), color, part)


def _draw_foot(canvas, animal, joints, end, part, tone):
    build, look = animal.build, animal.look
    paw, toe = (
        joints['fore_paw' if end == 'front' else 'hind_paw'],
        joints['toe'],
    )
    if build.is_hoofed:
        # A hoof: from a narrow crown to a wide sole.
        size = 0.041 * build.bone
        way = (toe - paw) / max(math.dist(toe, paw), 1e-6)
        down = np.array((0.0, way[2], way[1])) * (1, -1, 1)
        sole = paw + 0.030 * down
        crown = animal.rings(np.stack([paw, sole + 0.5 * (toe - paw)]),
                             np.array((0.85, 0.78)) * size)  # fmt: skip
        dark = 0.42 * look.legs + np.array((12.0, 14, 16))
        hull = crown.reshape(-1, 2)
        fill_hull(canvas, hull, shade(tone * dark, 0.9), part)
        return
    size = 0.043 * (0.4 + 0.6 * build.bone)
    points = np.stack([paw, 0.4 * paw + 0.6 * toe, toe])
    radii = np.array((0.95, 1.05, 0.78)) * size
    color = look.accent if look.coat.pattern == 'panda' else look.legs
    rings = animal.rings(points, radii)
    fill_tube(canvas, look, rings, animal.pixels(size), tone * color, part)
    # Toes.
    base = animal.project(animal.to_camera(toe))
    radius = animal.pixels(size)
    dark = shade(tone * color, 0.6)
    for x in (-0.3, 0.3):
        line = base + radius * np.array([(x, 0.0), (x, 0.7)])
        stroke(canvas, line, max(0.12 * radius, 0.5), dark, part)
