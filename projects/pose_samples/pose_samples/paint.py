"""Paint a placed figure, part by part from far to near."""

import math
from functools import partial

import numpy as np

from .canvas import NUM_RADII, fill
from .figure import BONES, RADII, Figure
from .hands_feet import draw_foot, draw_hand
from .parts import limb_part
from .poses import SIDES
from .shading import fill_limb
from .style import shade
from .trunk import (
    draw_chest,
    draw_hips,
    draw_long_hair,
    draw_neck,
    draw_skirt,
)


def draw_figure(canvas: np.ndarray, figure: Figure):
    """Paint a figure, its parts in the fourth channel.

    Args:
        canvas: (h, w, 4), twice the size of the image, changed in place.
        figure: Already placed.
    """
    joints, style = figure.joints, figure.style
    z = {name: float(point[2]) for name, point in joints.points.items()}
    # Depth of what to draw: (z, function); far parts first.
    items = [
        (z['pelvis'], draw_hips),
        (0.5 * (z['ribs'] + z['waist']) + 0.001, draw_chest),
        (0.5 * (z['neck'] + z['upper_neck']) + 0.01, draw_neck),
        (z['head'] + 0.05, _draw_head),
    ]
    if style.haircut in ('long', 'bob', 'tail'):
        back = 0.06 * float(joints.frames['head'][2, 2])
        items.append((z['head'] + 0.055 - 2 * back, draw_long_hair))
    if style.with_skirt:
        # Over both thighs, whichever is nearer.
        depth = 0.025 + max(
            0.5 * (z[f'{side}_hip'] + z[f'{side}_knee']) for side in SIDES
        )
        depth = max(depth, z['pelvis'] + 0.035)
        items.append((depth, draw_skirt))
    for side in SIDES:
        for bone, (start, end) in BONES.items():
            depth = 0.5 * (z[f'{side}_{start}'] + z[f'{side}_{end}'])
            depth += 0.03 if bone in ('upper_arm', 'forearm') else 0.02
            draw = partial(_draw_bone, side=side, bone=bone)
            items.append((depth, draw))
        items.append((
            z[f'{side}_ankle']
            + 0.03 * float(joints.frames[f'{side}_foot'][2, 2]),
            partial(draw_foot, side=side),
        ))  # fmt: skip
        items.append((
            float(joints.hands[side][:, 2].mean()) + 0.036,
            partial(draw_hand, side=side),
        ))  # fmt: skip
    # Rounded, so that the last bit of a float decides nothing.
    order = sorted(range(len(items)), key=lambda i: (round(items[i][0], 6), i))
    for i in order:
        items[i][1](canvas, figure)


def _draw_head(canvas: np.ndarray, figure: Figure):
    figure.head().draw(canvas)


def _draw_bone(canvas: np.ndarray, figure: Figure, side: str, bone: str):
    """Paint an upper or lower arm or leg, and the cloth that covers it."""
    style = figure.style
    is_arm = bone in ('upper_arm', 'forearm')
    length = style.sleeve if is_arm else style.trouser_leg
    if style.with_skirt and not is_arm:
        length = 0.0
    covered = min(max(length - (bone in ('forearm', 'shin')), 0.0), 1.0)
    color = style.shirt if is_arm else style.trousers
    if is_arm and style.pattern == 'yoke':
        color = style.accent

    names = [f'{side}_{joint}' for joint in BONES[bone]]
    ends = np.stack([figure.joints.points[name] for name in names])
    start, end = figure.project(ends)
    near = figure.distance / (figure.distance - ends[:, 2])
    unit = np.linspace(near[0], near[1], NUM_RADII) * figure.scale
    radii = np.array(RADII[bone]) * figure.body.girth * unit
    part = limb_part(side, bone)
    if covered < 1.0:
        fill_limb(canvas, style, start, end, radii, style.skin, part)
    if covered > 0.0:
        steps = np.linspace(0, 1, NUM_RADII)
        cloth = style.fit * np.interp(covered * steps, steps, radii)
        cloth = cloth + 0.003 * unit
        stop = start + covered * (end - start)
        fill_limb(canvas, style, start, stop, cloth, color, part)
        if is_arm and style.pattern == 'stripes':
            _band_limb(canvas, figure, start, stop, cloth, part)


def _band_limb(canvas, figure, start, stop, radii, part):
    """Draw stripes across a sleeve."""
    step = stop - start
    length = math.hypot(*step)
    if length < 2:
        return
    normal = np.array((-step[1], step[0])) / length
    count = max(int(length / (0.05 * figure.scale)), 1)
    steps = (np.arange(count)[:, None] + (0.2, 0.65)) / count
    widths = np.interp(steps, np.linspace(0, 1, NUM_RADII), radii)
    color = shade(figure.style.accent, 0.95)
    for (t0, t1), (r0, r1) in zip(steps, widths, strict=True):
        a, b = start + t0 * step, start + t1 * step
        band = [a + r0 * normal, b + r1 * normal,
                b - r1 * normal, a - r0 * normal]  # fmt: skip
        fill(canvas, np.stack(band), color, part)
