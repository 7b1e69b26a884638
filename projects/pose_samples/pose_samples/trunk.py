"""Trunk, neck and the clothes around them."""

import numpy as np

from .canvas import (
    NUM_RADII,
    RING,
    fill,
    fill_hull,
    limb_outlines,
    stroke,
)
from .figure import RADII, Figure
from .parts import Part
from .poses import SIDES
from .shading import fill_limb, fill_tube
from .style import shade


def _patch(canvas, figure, tube, corners, color, part):
    """Fill a patch of a trunk's surface if it faces the camera.

    Args:
        canvas: As in ``draw``.
        tube: Chest or hips.
        corners: (level, angle in degrees) of each corner, (N, 2).
        color: Blue, green, red.
        part: Number of the part.
    """
    corners = np.array(corners, float)
    angles = np.radians(corners[:, 1])
    points = tube.surface(corners[:, 0], angles)
    low = np.minimum(corners[:, 0].astype(int), len(tube.centers) - 1)
    # Normal of an ellipse, from its half axes.
    across, front = tube.across[low], tube.front[low]
    normal = np.cos(angles) * across[:, 2] / (across * across).sum(1)
    normal += np.sin(angles) * front[:, 2] / (front * front).sum(1)
    if normal.mean() <= 0 or (normal < 0).mean() > 0.4:
        return
    fill(canvas, figure.project(points), color, part)


def draw_hips(canvas: np.ndarray, figure: Figure):
    """Paint the pelvis: the seat of the trousers."""
    style = figure.style
    rings = figure.project(figure.hips.rings())
    part = int(Part.PELVIS)
    fill_tube(canvas, style, rings, 0.03 * figure.scale, style.trousers, part)
    dark = shade(style.trousers, 0.72)
    # Pockets behind, a fly in front.
    for left, right in ((-118, -98), (-82, -62)):
        pocket = [(2, left), (2, right), (3.2, right), (3.2, left)]
        _patch(canvas, figure, figure.hips, pocket, dark, part)
    fly = [(1.6, 88), (1.6, 92), (3.6, 92), (3.6, 88)]
    _patch(canvas, figure, figure.hips, fly, dark, part)


def draw_chest(canvas: np.ndarray, figure: Figure):
    """Paint the trunk above the waist with its clothes."""
    style, part = figure.style, int(Part.CHEST)
    rings = figure.project(figure.chest.rings())
    # Shoulders: from the neck to the joints.
    ends = np.stack(
        [figure.joints.points[f'{side}_shoulder'] for side in SIDES]
    )
    radius = 0.93 * RADII['upper_arm'][0] * figure.body.girth
    yoke = np.concatenate(
        [
            rings[-1],
            *(
                end + figure.pixels(radius) * RING
                for end in figure.project(ends)
            ),
        ]
    )
    top = style.accent if style.pattern == 'yoke' else style.shirt
    fill_hull(canvas, yoke, shade(top, 1 - 0.5 * style.contrast), part)
    fill_tube(canvas, style, rings, 0.03 * figure.scale, style.shirt, part)
    inner = yoke.mean(0) + 0.8 * (yoke - yoke.mean(0))
    inner = inner + 0.012 * figure.scale * style.light
    fill_hull(canvas, inner, shade(top, 1.02), part)
    _draw_pattern(canvas, figure, part)
    _draw_collar(canvas, figure, part)


def _draw_pattern(canvas: np.ndarray, figure: Figure, part: int):
    style, chest = figure.style, figure.chest
    color, dark = shade(style.accent, 1.0), shade(style.shirt, 0.7)
    if style.pattern == 'stripes':
        levels = np.arange(0.1, 4.3, 0.55)[:, None] + (0.0, 0.26)
        for low, high in levels:
            rim = [chest.visible_arc(level, 9) for level in (low, high)]
            band = np.concatenate([rim[0], rim[1][::-1]])
            fill(canvas, figure.project(band), color, part)
    elif style.pattern == 'upright':
        for angle in range(-180, 180, 24):
            band = [(v, angle) for v in (0, 2, 4.2)]
            band += [(v, angle + 9) for v in (4.2, 2, 0)]
            _patch(canvas, figure, chest, band, color, part)
    elif style.pattern == 'print':
        logo = [(1.7, 62), (1.7, 118), (3.3, 115), (3.3, 65)]
        _patch(canvas, figure, chest, logo, color, part)
        badge = [(2.1, 75), (2.1, 105), (2.8, 105), (2.8, 75)]
        _patch(canvas, figure, chest, badge, dark, part)
    elif style.pattern == 'yoke':
        for angle in range(-180, 180, 30):
            edge = [(3, angle), (3, angle + 31), (4.4, angle + 31),
                    (4.4, angle)]  # fmt: skip
            _patch(canvas, figure, chest, edge, color, part)
    elif style.pattern == 'buttons':
        placket = [(0, 85), (0, 95), (4.6, 95), (4.6, 85)]
        _patch(canvas, figure, chest, placket, dark, part)
        pocket = [(2.6, 40), (2.6, 62), (3.4, 62), (3.4, 40)]
        _patch(canvas, figure, chest, pocket, dark, part)
    elif style.pattern == 'jacket':
        lining = [(0, 68), (0, 112), (2.5, 108), (4.5, 96), (4.5, 84),
                  (2.5, 72)]  # fmt: skip
        _patch(canvas, figure, chest, lining, color, part)
    elif style.pattern == 'dots':
        for number, level in enumerate(np.arange(0.3, 4.0, 0.6)):
            for angle in range(-180 + 15 * (number % 2), 180, 30):
                dot = [(level, angle), (level + 0.2, angle + 6),
                       (level, angle + 12),
                       (level - 0.2, angle + 6)]  # fmt: skip
                _patch(canvas, figure, chest, dot, color, part)
    # Folds under the arms and at the waist.
    for angle in (28, 152, -30, -150):
        fold = [(0.6, angle), (1.1, angle + 9), (1.2, angle + 7)]
        _patch(canvas, figure, chest, fold, dark, part)


def _draw_collar(canvas: np.ndarray, figure: Figure, part: int):
    """Draw the neckline, deep in front and high behind."""
    depth = 3.9 if figure.style.pattern in ('buttons', 'jacket') else 4.4
    neckline = [(5, 40), (4.6, 62), (depth, 90), (4.6, 118), (5, 140)]
    skin = shade(figure.style.skin, 0.92)
    _patch(canvas, figure, figure.chest, neckline, skin, part)


def draw_neck(canvas: np.ndarray, figure: Figure):
    """Paint the neck and the shadow of the chin."""
    points = figure.joints.points
    skull = figure.head_to_camera(np.array((0.0, -0.22, -0.10)))
    start, end = figure.project(np.stack([points['neck'], skull]))
    size = figure.pixels(0.024 + 0.006 * figure.body.girth, skull[2])
    radii = np.linspace(1.15, 0.95, NUM_RADII) * size
    skin = 0.90 * figure.style.skin
    part = int(Part.NECK)
    fill_limb(canvas, figure.style, start, end, radii, skin, part)
    # The shadow of the chin.
    chin = end + 0.35 * (start - end)
    shadow = limb_outlines(end[None], chin[None], 0.98 * radii[None])
    fill(canvas, shadow[0], shade(skin, 0.76), part)


def draw_long_hair(canvas: np.ndarray, figure: Figure):
    """Paint the hair that hangs behind the head."""
    points = figure.head().hanging_hair()
    hair, part = figure.style.hair, int(Part.HAIR)
    fill_hull(canvas, points, shade(hair, 0.75), part)
    middle = points.mean(0)
    inner = middle + 0.75 * (points - middle)
    inner = inner + 0.01 * figure.scale * figure.style.light
    fill_hull(canvas, inner, shade(hair, 0.95), part)


def draw_skirt(canvas: np.ndarray, figure: Figure):
    """Paint a skirt from the waist over both legs."""
    style, points = figure.style, figure.joints.points
    hem = []
    for side in SIDES:
        hip, knee, ankle = (
            points[f'{side}_{name}'] for name in ('hip', 'knee', 'ankle')
        )
        length = style.trouser_leg
        end = hip + min(length, 1.0) * (knee - hip)
        hem.append(end + max(length - 1.0, 0.0) * (ankle - knee))
    waist = figure.project(figure.hips.rings()[2:]).reshape(-1, 2)
    centers = figure.project(np.stack(hem))
    radius = figure.pixels(0.062 * figure.body.girth)
    shape = np.concatenate([waist, *(c + radius * RING for c in centers)])
    part = int(Part.SKIRT)
    color = style.trousers
    fill_hull(canvas, shape, shade(color, 1 - style.contrast), part)
    middle = shape.mean(0)
    inner = middle + 0.8 * (shape - middle)
    inner = inner + 0.015 * figure.scale * style.light
    fill_hull(canvas, inner, shade(color, 1.02), part)
    top = waist.reshape(-1, 16, 2)[1].mean(0)
    middle = centers.mean(0)
    for share in (-0.9, -0.3, 0.3, 0.9):
        end = middle + share * (centers[0] - middle)
        fold = np.stack([top + 0.45 * (end - top), end])
        width = max(0.006 * figure.scale, 0.5)
        stroke(canvas, fold, width, shade(color, 0.78), part)
