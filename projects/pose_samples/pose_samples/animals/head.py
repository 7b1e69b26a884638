"""Heads: skull, muzzle, ears, eyes, nose, horns and mane."""

import math

import numpy as np

from ..canvas import fill, fill_disc, fill_hull, stroke
from ..shading import fill_tube
from ..style import shade
from .parts import Part
from .species import Build

_WHITE = np.array((240.0, 242, 244))


def ear_tips(build: Build) -> np.ndarray:
    """Return the tips of both ears in the head's frame, (2, 3)."""
    return np.stack([_ear(build, side)[2] for side in (1, -1)])


def _ear(build: Build, side: int) -> np.ndarray:
    """Return the outline of an ear in the head's frame, (N, 3)."""
    skull, long = build.skull, build.ear
    shape = build.ear_shape
    if shape == 'pointed':
        root = skull * np.array((0.55 * side, 0.72, -0.25))
        wide = 0.62 * skull * np.array((0.62 * side, -0.25, 0.78))
        up = long * np.array((0.28 * side, 0.95, 0.05))
        outline = [(-1.0, 0), (-0.62, 0.55), (0.0, 1.0), (0.62, 0.5), (1, 0)]
    elif shape == 'leaf':
        root = skull * np.array((0.50 * side, 0.80, -0.35))
        wide = 0.27 * long * np.array((0.5 * side, -0.1, 0.86))
        up = long * np.array((0.55 * side, 0.80, -0.15))
        outline = [(-0.4, 0), (-1.0, 0.5), (0.0, 1.0), (1.0, 0.5), (0.4, 0)]
    elif shape == 'floppy':
        root = skull * np.array((0.72 * side, 0.62, -0.20))
        wide = 0.34 * long * np.array((0.25 * side, 0.2, 0.94))
        up = long * np.array((0.62 * side, -0.72, 0.10))
        outline = [(-0.8, 0), (-1.0, 0.6), (0.0, 1.05), (1.0, 0.6), (0.8, 0)]
    else:
        root = skull * np.array((0.66 * side, 0.72, -0.25))
        wide = 0.62 * long * np.array((0.66 * side, -0.3, 0.66))
        up = long * np.array((0.42 * side, 0.86, 0.0))
        outline = [(-1.0, 0.1), (-0.8, 0.75), (0.0, 1.0), (0.8, 0.75),
                   (1.0, 0.1)]  # fmt: skip
    return np.stack([root + a * wide + b * up for a, b in outline])


def _horn(build: Build, side: int) -> np.ndarray:
    """Return the line of a horn in the head's frame, (N, 3)."""
    skull = build.skull
    root = skull * np.array((0.38 * side, 0.85, 0.0))
    if build.horns == 'spiral':
        steps = [(0, 0, 0), (0.3, 1.2, -0.5), (0.5, 2.3, -0.7),
                 (0.4, 3.4, -0.5)]  # fmt: skip
    elif build.horns == 'cow':
        steps = [(0, 0, 0), (0.8, 0.1, 0.1), (1.2, 0.5, 0.35),
                 (1.15, 0.95, 0.5)]  # fmt: skip
    elif build.horns == 'knobs':
        steps = [(0, 0, -0.2), (0.1, 0.9, -0.4)]
    else:
        steps = [(0, 0, 0), (1.0, 1.1, -0.6), (1.7, 2.6, -0.4),
                 (1.4, 4.0, 0.5)]  # fmt: skip
    return root + skull * np.array(steps) * (side, 1, 1)


def horn_tips(build: Build) -> np.ndarray:
    """Return the corners of both horns in the head's frame, (N, 3)."""
    if build.horns == 'none':
        return np.zeros((0, 3))
    return np.concatenate([_horn(build, side) for side in (1, -1)])


def draw_head(canvas: np.ndarray, animal):
    """Paint the head with all that is on it, far things first."""
    build, look = animal.build, animal.look

    def depth(point):
        return (animal.to_camera(animal.head_points(point)))[2]

    middle = depth((0.0, 0.0, 0.0))
    ears = sorted(
        (1, -1), key=lambda side: round(depth(_ear(build, side)[2]), 6)
    )
    for side in ears:
        if depth(_ear(build, side).mean(0)) < middle:
            _draw_ear(canvas, animal, side)
            _draw_horn(canvas, animal, side)
    _draw_skull(canvas, animal)
    for side in ears:
        if depth(_ear(build, side).mean(0)) >= middle:
            _draw_horn(canvas, animal, side)
            _draw_ear(canvas, animal, side)
    if build.mane in ('hair', 'brush'):
        _draw_forelock(canvas, animal, look)


def _size(animal, length: float) -> float:
    depth = animal.to_camera(animal.head_at)[2]
    return animal.pixels(length, depth)


def _draw_skull(canvas: np.ndarray, animal):
    build, look = animal.build, animal.look
    part = int(Part.HEAD)
    centers, radii = animal.muzzle()
    # The jaw, then skull and bridge of the nose over it.
    jaw = centers[1:].copy()
    jaw[:, 1] -= (0.35 * build.skull, *(0.55 * radii[2:4]), 0.45 * radii[4])
    jaw[-1, 2] -= 0.5 * build.muzzle
    rings = animal.rings(animal.head_points(jaw), 0.72 * radii[1:])
    size = _size(animal, build.skull)
    fill_tube(canvas, look, rings, 0.4 * size, 0.93 * look.base, part)
    rings = animal.rings(animal.head_points(centers), radii)
    fill_tube(canvas, look, rings, 0.5 * size, look.base, part)
    _draw_face(canvas, animal, size, part)


def _draw_face(canvas: np.ndarray, animal, size: float, part: int):
    """Paint muzzle, nose, mouth and eyes."""
    build, look = animal.build, animal.look
    centers, radii = animal.muzzle()
    to_image = _to_image(animal)
    frame = animal.root @ animal.head_turn
    if look.coat.belly is not None or look.coat.nose[2] > 150:
        # A muzzle of another colour.
        tone = look.belly if look.coat.belly is not None else look.coat.nose
        tone = 0.5 * (np.array(tone) + look.base)
        tip = centers[3:].copy()
        tip[0] = 0.4 * tip[0] + 0.6 * tip[1]
        tip[:, 1] -= 0.25 * build.muzzle
        rings = animal.rings(animal.head_points(tip), 0.84 * radii[3:])
        fill_hull(canvas, rings.reshape(-1, 2), shade(tone, 1.0), part)
    if look.coat.pattern == 'stripes':
        _draw_face_stripes(canvas, animal, part)
    _draw_mouth(canvas, animal, to_image, size, part)
    _draw_eyes(canvas, animal, frame, size, part)
    ahead = frame @ (0, 0.3, 1.0)
    nose = animal.nose()
    if ahead[2] > -0.45:
        color = shade(np.array(look.coat.nose, float), 1.0)
        wide = 0.52 * build.muzzle
        if build.is_hoofed:
            _draw_snout(canvas, animal, frame, color, part)
            return
        points = nose + wide * np.array([
            (-1, 0.35, -0.25), (1, 0.35, -0.25), (0.7, -0.35, 0.1),
            (0, -0.85, 0.15), (-0.7, -0.35, 0.1), (0, 0.3, -0.9),
        ])  # fmt: skip
        fill_hull(canvas, to_image(points), color, part)


def _to_image(animal):
    return lambda points: animal.project(
        animal.to_camera(animal.head_points(points))
    )


def _draw_snout(canvas, animal, frame, color, part):
    """Paint the nostrils of a hoofed animal, and the disc of a pig."""
    build = animal.build
    to_image = _to_image(animal)
    nose = animal.nose()
    dark = shade(0.5 * animal.look.base, 1.0)
    turn = np.linspace(0, 2 * math.pi, 12, endpoint=False)
    if animal.species.name in ('pig', 'cow'):
        disc = np.stack([np.cos(turn), 0.85 * np.sin(turn), np.zeros(12)], 1)
        disc = nose + 0.86 * build.muzzle * disc - (0, 0.2 * build.muzzle, 0)
        rim = disc - (0, 0, 0.5 * build.muzzle)
        fill_hull(canvas, to_image(np.concatenate([disc, rim])), color, part)
    for side in (1, -1):
        out = frame @ np.array((0.75 * side, 0.1, 0.65))
        if out[2] > 0.1:
            at = nose + build.muzzle * np.array((0.52 * side, -0.1, -0.12))
            size = animal.pixels(0.17 * build.muzzle)
            fill_disc(canvas, to_image(at), max(size, 0.5), dark, part)


def _draw_mouth(canvas, animal, to_image, size, part):
    """Draw the line of the mouth on the side that is seen."""
    build = animal.build
    centers, radii = animal.muzzle()
    frame = animal.root @ animal.head_turn
    side = 1 if frame[2, 0] > 0 else -1
    tip = centers[4] + radii[4] * np.array((0.25 * side, -0.55, 0.75))
    back = centers[3] + radii[3] * np.array((0.75 * side, -0.75, 0.1))
    line = to_image(np.stack([tip, 0.5 * (tip + back) - (0, 0.006, 0), back]))
    dark = shade(0.45 * animal.look.base + 6, 1.0)
    if abs(frame[2, 0]) > 0.25:
        stroke(canvas, line, max(0.05 * size, 0.5), dark, part)
    elif not build.is_hoofed and frame[2, 2] > 0:
        low = animal.nose() - (0, 1.1 * build.muzzle, 0.1 * build.muzzle)
        line = to_image(np.stack([animal.nose(), low]))
        stroke(canvas, line, max(0.05 * size, 0.5), dark, part)


def _draw_eyes(canvas, animal, frame, size, part):
    eyes, outs = animal.eyes()
    build, look = animal.build, animal.look
    places = _to_image(animal)(eyes)
    radius = size * (0.17 if build.is_hoofed else 0.15)
    if animal.species.family == 'Ursidae':
        radius = 0.10 * size
    is_cat = animal.species.family == 'Felidae'
    for place, out in zip(places, outs @ frame.T, strict=True):
        if out[2] <= 0.10:
            continue
        if look.coat.pattern == 'panda':
            low = place + (0, 0.10 * size)
            fill_disc(canvas, low, 0.30 * size, shade(look.accent, 1), part)
        rim = shade(0.45 * look.base, 1.0)
        fill_disc(canvas, place, 1.3 * radius, rim, part)
        iris = (70, 170, 190) if is_cat else (26, 34, 44)
        fill_disc(canvas, place, radius, iris, part)
        fill_disc(canvas, place, 0.55 * radius, (12, 12, 14), part)
        glint = place + 0.35 * radius * np.array((-1, -1))
        fill_disc(canvas, glint, 0.28 * radius, (245, 245, 245), part)


def _draw_face_stripes(canvas, animal, part):
    """Draw stripes over forehead and cheeks."""
    build, look = animal.build, animal.look
    to_image = _to_image(animal)
    frame = animal.root @ animal.head_turn
    width = max(_size(animal, 0.10 * build.skull), 0.6)
    angles = np.linspace(-0.5, 1.25, 6)
    for z in np.linspace(-0.55, 0.5, 4):
        for side in (1, -1):
            out = np.stack(
                [
                    side * np.cos(angles),
                    np.sin(angles),
                    np.full(6, 0.35 * z),
                ],
                1,
            )
            if (out @ frame.T)[:, 2].mean() > 0.25:
                ring = math.sqrt(max(1 - z * z, 0.2))
                points = build.skull * (ring * out * (1, 1, 0) + (0.0, 0.0, z))
                color = shade(look.accent, 1.0)
                stroke(canvas, to_image(points), width, color, part)


def _draw_ear(canvas: np.ndarray, animal, side: int):
    build, look = animal.build, animal.look
    outline = _ear(build, side)
    points = _to_image(animal)(outline)
    color = look.base
    if look.coat.pattern == 'panda':
        color = look.accent
    elif look.coat.pattern == 'saddle' or animal.species.name == 'fox':
        color = 0.5 * (look.base + look.accent)
    elif build.ear_shape == 'floppy':
        color = 0.82 * look.base
    part = int(Part.EAR)
    fill_hull(canvas, points, shade(color, 0.80), part)
    middle = points.mean(0)
    inner = middle + 0.72 * (points - middle)
    fill_hull(canvas, inner, shade(color, 1.0), part)
    # The inside, where it is turned to us.
    frame = animal.root @ animal.head_turn
    if (frame @ (0.5 * side, 0.0, 0.86))[2] > 0.05 and (
        build.ear_shape != 'floppy'
    ):
        inner = middle + 0.5 * (points - middle)
        pink = 0.55 * look.base + 0.3 * np.array((150.0, 150, 210))
        fill_hull(canvas, inner, shade(pink, 0.9), part)


def _draw_horn(canvas: np.ndarray, animal, side: int):
    build = animal.build
    if build.horns == 'none':
        return
    part = int(Part.HORN)
    line = _horn(build, side)
    tint = np.array((90.0, 112, 128))
    if build.horns == 'spiral':
        tint = np.array((46.0, 50, 54))
    elif build.horns == 'cow':
        tint = np.array((150.0, 182, 196))
    elif build.horns == 'knobs':
        tint = 0.7 * animal.look.base
    thick = 0.19 * build.skull
    thin = 0.8 if build.horns == 'knobs' else 0.25
    radii = np.linspace(1.0, thin, len(line)) * thick
    rings = animal.rings(animal.head_points(line), radii)
    fill_tube(canvas, animal.look, rings, _size(animal, thick), tint, part)
    if build.horns == 'antlers':  # tines
        for start, way in ((1, (0.2, 0.9, 0.9)), (2, (0.1, 0.7, 1.0))):
            tip = line[start] + build.skull * np.array(way) * (side, 1, 1)
            tine = np.stack([line[start], tip])
            rings = animal.rings(
                animal.head_points(tine), thick * np.array((0.6, 0.25))
            )
            fill_tube(canvas, animal.look, rings, 1.0, tint, part)


def _draw_forelock(canvas, animal, look):
    skull = animal.build.skull
    lock = skull * np.array(
        [(-0.3, 0.95, -0.3), (0.3, 0.95, -0.3), (0.12, 0.75, 0.75),
         (0.0, 0.95, 0.2)]
    )  # fmt: skip
    fill(canvas, _to_image(animal)(lock), shade(look.accent, 1.0),
         int(Part.MANE))  # fmt: skip


def draw_mane(canvas: np.ndarray, animal):
    """Paint the hair of neck and head that the head is drawn over."""
    build, look = animal.build, animal.look
    part = int(Part.MANE)
    curve, radii = animal.neck_curve, animal.neck_radii
    if build.mane == 'lion':
        centers = np.concatenate([curve[1:], animal.head_at[None]])
        sizes = np.append(1.22 * radii[1:], 1.45 * build.skull)
        sizes[1:] *= 1.12
        rings = animal.rings(centers - (0, 0.02, 0), sizes)
        size = _size(animal, 0.6 * build.skull)
        fill_tube(canvas, look, rings, size, look.accent, part)
        return
    up = np.cross(np.gradient(curve, axis=0), (1.0, 0, 0))
    up /= np.sqrt((up * up).sum(1, keepdims=True))
    if build.mane == 'brush':
        top = curve + (0.96 * radii)[:, None] * up
        rings = animal.rings(top[1:], np.full(6, 0.026))
    else:
        # Hangs down one side.
        way = 0.85 * radii[:, None]
        top = curve + way * up
        rings = animal.rings(top[1:], 0.30 * radii[1:])
    fill_tube(canvas, look, rings, 2.0, look.accent, part)
