"""Hands with fingers, and feet with or without shoes, of a person."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .arrays import Array
from .canvas import RING, ZOOM, Canvas
from .parts import FINGERS, PARTS

if TYPE_CHECKING:
    from .person import Person

# From the ankle, (x outwards, y, z) in lengths of the foot.
# Balls of heel, inner and outer ball, inner and outer toe.
_FOOT_CENTERS = np.array([
    (0.00, -0.17, -0.19), (-0.07, -0.21, 0.46), (0.12, -0.22, 0.36),
    (-0.06, -0.24, 0.64), (0.13, -0.25, 0.50),
])  # fmt: skip
_FOOT_RADII = np.array((0.14, 0.095, 0.085, 0.07, 0.06))
_TOES = np.array([(-0.07, -0.25, 0.66), (-0.01, -0.25, 0.64),
                  (0.04, -0.25, 0.61), (0.09, -0.25, 0.57),
                  (0.14, -0.25, 0.52)])  # fmt: skip


_KNUCKLES = {1: 0.07, 5: 0.055, 9: 0.055, 13: 0.055, 17: 0.055}  # radii


def draw_foot(canvas: Canvas, person: Person, side: str) -> None:
    """Paint a shoe, or a bare foot with its toes."""
    style, length = person.look, person.body.foot
    ankle, frame = person.joints[f'{side}_ankle'], person.foot_frame(side)
    size, color = person.pixels(length, ankle[2]), style.shoes

    def place(points: Array) -> Array:
        return person.project(ankle + length * points @ frame.T)

    radii = size * _FOOT_RADII
    sole = place(_FOOT_CENTERS)[:, None] + radii[:, None, None] * RING
    sole = sole.reshape(-1, 2)
    middle = person.project(ankle)
    bone = person.radii('shin')[-1] + 0.002
    bone = person.pixels(bone * (1.0 if style.is_barefoot else 1.12))
    upper = np.concatenate([sole, middle + bone * RING])
    if not style.is_barefoot:
        white = color.sum() < 380
        rubber = 0.45 * color + 0.55 * np.full(3, 225.0 if white else 50.0)
        down = person.project(ankle - 0.05 * length * frame[:, 1]) - middle
        canvas.hull(sole + down, rubber, 0.9)
    offset = 0.012 * person.scale * style.light
    canvas.lit_hull(upper, color, (1 - style.contrast, 1.02), 0.74, offset)
    if style.is_barefoot:
        for number, toe in enumerate(place(_TOES)):
            canvas.disc(toe, size * (0.042 if number else 0.062), color)
    elif frame[2, 2] > -0.3:
        # Laces: where the shoe opens in front of the ankle.
        line = place(np.array([(0.0, 0.02, 0.16), (-0.02, -0.08, 0.34)]))
        canvas.line(line, 0.014 * person.scale, color, 0.6)


def draw_hand(canvas: Canvas, person: Person, side: str) -> None:
    """Paint palm and fingers, the farthest first."""
    hand = person.hands[side]
    tone = 0.98 if person.palm(side)[2] < 0 else 1.06
    size = person.pixels(person.body.hand, hand[0, 2])
    items = [(float(hand[[0, 5, 17], 2].mean()), 0, 'palm')]
    for number, name in enumerate(FINGERS):
        depth = float(hand[2 + 4 * number : 5 + 4 * number, 2].mean())
        items.append((depth, number + 1, name))
    points = person.project(hand)
    for _, number, name in sorted(items, key=lambda i: (round(i[0], 6), i[1])):
        canvas.part = PARTS[f'{side}_{name}']
        if number == 0:
            wrist = person.pixels(person.radii('forearm')[-1], hand[0, 2])
            _draw_palm(canvas, person, points, 0.95 * wrist, size, tone)
        else:
            line = points[4 * number - 3 : 4 * number + 1]
            width = size * (0.105 if number == 1 else 0.088)
            _draw_finger(canvas, person, line, width, tone)


def _draw_palm(
    canvas: Canvas,
    person: Person,
    points: Array,
    wrist: float,
    size: float,
    tone: float,
) -> None:
    style = person.look
    rims = [points[i] + r * size * RING[::2] for i, r in _KNUCKLES.items()]
    shape = np.concatenate([points[0] + wrist * RING, *rims])
    tones = (1 - 0.8 * style.contrast, tone)
    canvas.lit_hull(shape, style.skin, tones, 0.78, 0.03 * size * style.light)


def _draw_finger(
    canvas: Canvas, person: Person, line: Array, width: float, tone: float
) -> None:
    skin, edge = person.look.skin, 1 - 1.5 * person.look.contrast
    canvas.line(line, width + 0.8 / ZOOM, skin, edge)
    if width * ZOOM > 2:
        canvas.line(line, 0.62 * width, skin, tone)
