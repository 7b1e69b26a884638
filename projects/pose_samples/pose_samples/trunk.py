"""Trunk and neck of a person, and the clothes around them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .canvas import NUM_RADII, RING, Canvas, Color, limb_outlines, shrink
from .figure import Tube
from .skeleton import SIDES

if TYPE_CHECKING:
    from .person import Person


def make_trunk(person: Person) -> tuple[Tube, Tube]:
    """Return the surfaces of chest (waist to neck) and hips (to the waist)."""
    body, points, frames = person.body, person.joints, person.frames
    girth, torso = body.girth, body.torso

    def tube(rows: list[tuple]) -> Tube:
        frame = [(points[at], frames[name], *row) for at, name, *row in rows]
        centers = np.stack([p + f @ (0, up, 0) for p, f, up, *_ in frame])
        across = np.stack([f[:, 0] * a for _, f, _, a, _ in frame])
        front = np.stack([f[:, 2] * b for _, f, _, _, b in frame])
        return Tube(centers, across, front)

    cloth = 0.96 + 0.06 * person.look.fit
    hip = (body.hip + 0.044 * girth) * cloth
    waist = 0.082 * body.waist * cloth
    depth = 0.058 * girth * cloth
    broad = body.shoulder * (0.85 + 0.15 * girth) * cloth
    # Joint, frame, height above the joint, half axes across and to the front.
    hips = tube([
        ('pelvis', 'pelvis', -0.060, 0.70 * hip, 0.85 * depth),
        ('pelvis', 'pelvis', -0.030, 0.96 * hip, 1.05 * depth),
        ('pelvis', 'pelvis', 0.010, 1.00 * hip, 1.10 * depth),
        ('pelvis', 'pelvis', 0.17 * torso, 0.5 * (hip + waist), 1.00 * depth),
        ('waist', 'spine', 0.0, waist, 0.93 * depth),
    ])  # fmt: skip
    chest = tube([
        ('waist', 'spine', -0.06 * torso, 1.02 * waist, 0.95 * depth),
        ('waist', 'spine', 0.08 * torso, 1.02 * waist, 0.94 * depth),
        ('ribs', 'chest', 0.02 * torso, 0.5 * (waist + 0.9 * broad),
         1.02 * depth),
        ('ribs', 'chest', 0.20 * torso, 0.92 * broad, 1.10 * depth),
        ('ribs', 'chest', 0.37 * torso, 0.98 * broad, 0.80 * depth),
        ('ribs', 'chest', 0.47 * torso, 0.50 * broad, 0.60 * depth),
    ])  # fmt: skip
    return chest, hips


Patch = list[tuple[float, float]]  # corners: (level, degrees)


def _draw_patch(
    canvas: Canvas, person: Person, tube: Tube, patch: Patch, color: Color
) -> None:
    """Fill a patch of the trunk's surface if it faces the camera."""
    levels, angles = np.array(patch, float).T
    angles = np.radians(angles)
    normal = tube.normals(levels, angles)
    if normal.mean() > 0 and (normal < 0).mean() <= 0.4:
        canvas.fill(person.project(tube.surface(levels, angles)), color)


def _box(low: float, high: float, left: float, right: float) -> Patch:
    """Return a patch between two levels and two angles."""
    return [(low, left), (low, right), (high, right), (high, left)]


# Pockets behind, a fly in front.
_SEAT = (_box(2, 3.2, -118, -98), _box(2, 3.2, -82, -62),
         _box(1.6, 3.6, 88, 92))  # fmt: skip
# Patches of the patterns in the accent's colour, and in the dark shirt's.
_ACCENTS = {
    'upright': [
        [(0, a), (2, a), (4.2, a), (4.2, a + 9), (2, a + 9), (0, a + 9)]
        for a in range(-180, 180, 24)
    ],
    'print': [[(1.7, 62), (1.7, 118), (3.3, 115), (3.3, 65)]],
    'yoke': [_box(3, 4.4, a, a + 31) for a in range(-180, 180, 30)],
    'jacket': [[(0, 68), (0, 112), (2.5, 108), (4.5, 96), (4.5, 84),
                (2.5, 72)]],
    'dots': [
        [(v, a), (v + 0.2, a + 6), (v, a + 12), (v - 0.2, a + 6)]
        for i, v in enumerate(np.arange(0.3, 4.0, 0.6))
        for a in range(-180 + 15 * (i % 2), 180, 30)
    ],
}  # fmt: skip
_DARKS = {
    'print': [_box(2.1, 2.8, 75, 105)],
    'buttons': [_box(0, 4.6, 85, 95), _box(2.6, 3.4, 40, 62)],
}
# Folds under the arms and at the waist.
_FOLDS = [[(0.6, a), (1.1, a + 9), (1.2, a + 7)] for a in (28, 152, -30, -150)]


def draw_hips(canvas: Canvas, person: Person) -> None:
    """Paint the pelvis: the seat of the trousers."""
    style, rings = person.look, person.project(person.hips.rings())
    canvas.tube(style, rings, 0.03 * person.scale, style.trousers)
    for patch in _SEAT:
        _draw_patch(canvas, person, person.hips, patch, 0.72 * style.trousers)


def draw_chest(canvas: Canvas, person: Person) -> None:
    """Paint the trunk above the waist with its clothes."""
    style, rings = person.look, person.project(person.chest.rings())
    # Shoulders: from the neck to the joints.
    ends = np.stack([person.joints[f'{side}_shoulder'] for side in SIDES])
    radius = person.pixels(0.93 * person.radii('upper_arm')[0])
    ends = [end + radius * RING for end in person.project(ends)]
    yoke = np.concatenate([rings[-1], *ends])
    top = style.accent if style.pattern == 'yoke' else style.shirt
    canvas.hull(yoke, top, 1 - 0.5 * style.contrast)
    canvas.tube(style, rings, 0.03 * person.scale, style.shirt)
    inner = shrink(yoke, 0.8) + 0.012 * person.scale * style.light
    canvas.hull(inner, top, 1.02)
    if style.pattern == 'stripes':
        _draw_stripes(canvas, person)
    accent, dark = style.accent, 0.7 * style.shirt
    patches = [(patch, accent) for patch in _ACCENTS.get(style.pattern, ())]
    patches += [(patch, dark) for patch in _DARKS.get(style.pattern, ())]
    patches += [(patch, dark) for patch in _FOLDS]
    # The neckline, deep in front and high behind.
    depth = 3.9 if style.pattern in ('buttons', 'jacket') else 4.4
    neckline = [(5, 40), (4.6, 62), (depth, 90), (4.6, 118), (5, 140)]
    patches.append((neckline, 0.92 * style.skin))
    for patch, color in patches:
        _draw_patch(canvas, person, person.chest, patch, color)


def _draw_stripes(canvas: Canvas, person: Person) -> None:
    levels = np.arange(0.1, 4.3, 0.55)[:, None] + (0.0, 0.26)
    for low, high in levels:
        rim = [person.chest.visible_arc(level, 9) for level in (low, high)]
        band = np.concatenate([rim[0], rim[1][::-1]])
        canvas.fill(person.project(band), person.look.accent)


def draw_neck(canvas: Canvas, person: Person) -> None:
    """Paint the neck and the shadow of the chin."""
    skull = person.head_to_camera(np.array((0.0, -0.22, -0.10)))
    start, end = person.project(np.stack([person.joints['neck'], skull]))
    size = person.pixels(0.024 + 0.006 * person.body.girth, skull[2])
    radii = np.linspace(1.15, 0.95, NUM_RADII) * size
    skin = 0.90 * person.look.skin
    canvas.limb(person.look, np.stack([start, end]), radii, skin)
    chin = end + 0.35 * (start - end)
    shadow = limb_outlines(end[None], chin[None], 0.98 * radii[None])
    canvas.fill(shadow[0], skin, 0.76)


def draw_long_hair(canvas: Canvas, person: Person) -> None:
    """Paint the hair that hangs behind the head."""
    offset = 0.01 * person.scale * person.look.light
    points, hair = person.head().hanging_hair(), person.look.hair
    canvas.lit_hull(points, hair, (0.75, 0.95), 0.75, offset)


def draw_skirt(canvas: Canvas, person: Person) -> None:
    """Paint a skirt from the waist over both legs."""
    style, length, hem = person.look, person.look.trouser_leg, []
    for side in SIDES:
        hip, knee, ankle = (
            person.joints[f'{side}_{name}']
            for name in ('hip', 'knee', 'ankle')
        )
        end = hip + min(length, 1.0) * (knee - hip)
        hem.append(end + max(length - 1.0, 0.0) * (ankle - knee))
    waist = person.project(person.hips.rings()[2:]).reshape(-1, 2)
    centers = person.project(np.stack(hem))
    radius = person.pixels(0.062 * person.body.girth)
    shape = np.concatenate([waist, *(c + radius * RING for c in centers)])
    tones = (1 - style.contrast, 1.02)
    offset = 0.015 * person.scale * style.light
    canvas.lit_hull(shape, style.trousers, tones, 0.8, offset)
    top, middle = waist.reshape(-1, 16, 2)[1].mean(0), centers.mean(0)
    for share in (-0.9, -0.3, 0.3, 0.9):
        end = middle + share * (centers[0] - middle)
        fold = np.stack([top + 0.45 * (end - top), end])
        canvas.line(fold, max(0.006 * person.scale, 0.5), style.trousers, 0.78)
