"""Hands with fingers, and feet with or without shoes."""

from functools import partial

import numpy as np

from .canvas import RING, ZOOM, fill_disc, fill_hull, stroke
from .figure import RADII, Figure
from .parts import FINGERS, limb_part
from .style import shade

# Corners of a foot (x outwards, y, z) and their radius, in lengths of the
# foot, from the ankle.
_FOOT = {
    'heel': ((0.00, -0.17, -0.19), 0.14),
    'ball': ((-0.07, -0.21, 0.46), 0.095),
    'outer_ball': ((0.12, -0.22, 0.36), 0.085),
    'toe': ((-0.06, -0.24, 0.64), 0.07),
    'outer_toe': ((0.13, -0.25, 0.50), 0.06),
}
_FOOT_CENTERS = np.array([center for center, _ in _FOOT.values()])
_FOOT_RADII = np.array([radius for _, radius in _FOOT.values()])
_TOES = np.array([(-0.07, -0.25, 0.66), (-0.01, -0.25, 0.64),
                  (0.04, -0.25, 0.61), (0.09, -0.25, 0.57),
                  (0.14, -0.25, 0.52)])  # fmt: skip


def draw_foot(canvas: np.ndarray, figure: Figure, side: str):
    """Paint a shoe, or a bare foot with its toes."""
    style, joints = figure.style, figure.joints
    length = figure.body.foot
    ankle, frame = (
        joints.points[f'{side}_ankle'],
        joints.frames[f'{side}_foot'],
    )
    part = limb_part(side, 'foot')
    centers = figure.project(ankle + length * _FOOT_CENTERS @ frame.T)
    radii = figure.pixels(length, ankle[2]) * _FOOT_RADII
    circles = centers[:, None] + radii[:, None, None] * RING
    middle = figure.project(ankle)
    bone = RADII['shin'][-1] * figure.body.girth + 0.002
    bone = figure.pixels(bone * (1.0 if style.is_barefoot else 1.12))
    around = middle + bone * RING
    upper = np.concatenate([circles.reshape(-1, 2), around])
    sole = circles.reshape(-1, 2)
    down = figure.project(ankle - 0.05 * length * frame[:, 1]) - middle
    color = style.shoes
    if not style.is_barefoot:
        rubber = 0.45 * color + 0.55 * np.array(
            (225.0, 225, 225) if color.sum() < 380 else (50.0, 50, 50)
        )
        fill_hull(canvas, sole + down, shade(rubber, 0.9), part)
    fill_hull(canvas, upper, shade(color, 1 - style.contrast), part)
    center = upper.mean(0)
    inner = center + 0.74 * (upper - center)
    inner = inner + 0.012 * figure.scale * style.light
    fill_hull(canvas, inner, shade(color, 1.02), part)
    if style.is_barefoot:
        toes = figure.project(ankle + length * _TOES @ frame.T)
        size = figure.pixels(length, ankle[2])
        for number, toe in enumerate(toes):
            radius = size * (0.062 if number == 0 else 0.042)
            fill_disc(canvas, toe, radius, shade(color, 1.0), part)
    elif frame[2, 2] > -0.3:
        # Laces: where the shoe opens in front of the ankle.
        laces = np.array([(0.0, 0.02, 0.16), (-0.02, -0.08, 0.34)])
        line = figure.project(ankle + length * laces @ frame.T)
        stroke(canvas, line, 0.014 * figure.scale, shade(color, 0.6), part)


def draw_hand(canvas: np.ndarray, figure: Figure, side: str):
    """Paint palm and fingers, the farthest first."""
    hand = figure.joints.hands[side]
    points = figure.project(hand)
    size = figure.pixels(figure.body.hand, hand[0, 2])
    skin = figure.style.skin
    palm_part = limb_part(side, 'palm')
    is_back = figure.joints.palms[side][2] < 0
    tone = 0.98 if is_back else 1.06

    def draw_palm():
        wrist = RADII['forearm'][-1] * figure.body.girth
        rim = points[0] + 0.95 * figure.pixels(wrist, hand[0, 2]) * RING
        shape = np.concatenate([
            rim,
            *(
                points[i] + radius * size * RING[::2]
                for i, radius in ((1, 0.07), (5, 0.055), (9, 0.055),
                                  (13, 0.055), (17, 0.055))
            ),
        ])  # fmt: skip
        edge = 1 - 0.8 * figure.style.contrast
        fill_hull(canvas, shape, shade(skin, edge), palm_part)
        middle = shape.mean(0)
        inner = middle + 0.78 * (shape - middle)
        inner = inner + 0.03 * size * figure.style.light
        fill_hull(canvas, inner, shade(skin, tone), palm_part)

    items = [(float(hand[[0, 5, 17], 2].mean()), 0, draw_palm)]
    for number, name in enumerate(FINGERS):
        joints = slice(1 + 4 * number, 5 + 4 * number)
        width = size * (0.105 if number == 0 else 0.088)

        draw = partial(
            _draw_finger,
            canvas,
            figure,
            points[joints],
            width,
            tone,
            limb_part(side, name),
        )
        depth = float(hand[joints][1:, 2].mean())
        items.append((depth, number + 1, draw))
    for _, _, draw in sorted(
        items, key=lambda item: (round(item[0], 6), item[1])
    ):
        draw()


def _draw_finger(canvas, figure, line, width, tone, part):
    skin = figure.style.skin
    edge = shade(skin, 1 - 1.5 * figure.style.contrast)
    stroke(canvas, line, width + 0.8 / ZOOM, edge, part)
    if width * ZOOM > 2:
        stroke(canvas, line, 0.62 * width, shade(skin, tone), part)
