"""Landscapes: grass, sand, snow, earth; trees, bushes and rocks."""

import math

import cv2
import numpy as np

from ..background import draw_background, enlarge, smooth_noise
from ..canvas import fill, fill_disc, fill_hull, limb_outlines, stroke
from ..style import shade

# Ground (blue, green, red) and whether grass grows on it.
_GROUNDS = {
    'grass': ((62, 128, 98), True),
    'steppe': ((96, 158, 176), True),
    'earth': ((72, 98, 128), True),
    'sand': ((142, 184, 208), False),
    'snow': ((240, 234, 228), False),
    'rock': ((134, 138, 142), False),
}
_SKIES = np.array([(222, 186, 142), (226, 214, 200), (196, 190, 186),
                   (176, 188, 218)], float)  # fmt: skip
_LEAVES = np.array([(44, 92, 62), (54, 122, 92), (70, 132, 140),
                    (46, 78, 84)], float)  # fmt: skip


def draw_field(rng: np.random.Generator, canvas: np.ndarray, clutter: float):
    """Paint sky, hills, ground and plants; sometimes a yard. Parts stay 0.

    Args:
        rng: Source of randomness.
        canvas: (h, w, 4), twice the size of the image, changed in place.
        clutter: About how many things, relative to the default.
    """
    if rng.random() < 0.15:  # by a house, in a stable
        draw_background(rng, canvas, clutter)
        return
    h, w = canvas.shape[:2]
    names = tuple(_GROUNDS)
    color, has_grass = _GROUNDS[names[rng.integers(len(names))]]
    ground = np.array(color) * rng.uniform(0.75, 1.1)
    ground = ground * rng.uniform(0.92, 1.08, size=3)
    sky = _SKIES[rng.integers(len(_SKIES))] * rng.uniform(0.8, 1.08)
    row = int(rng.uniform(0.04, 0.42) * h)
    colors = np.stack([sky, np.minimum(1.12 * sky, 250)])
    _gradient(canvas[:row], colors)
    for share in (0.5, 0.0)[: rng.integers(3)]:
        _draw_hills(rng, canvas, row, sky + (1 - share) * 0.5 * (ground - sky))
    if rng.random() < 0.5:
        _draw_wood(rng, canvas, row, sky)
    near = ground * rng.uniform(0.72, 1.0)
    _gradient(canvas[row:], np.stack([0.75 * ground + 0.25 * sky, near]))
    _draw_soil(rng, canvas[row:])
    if has_grass:
        _draw_grass(rng, canvas, row, ground, int(260 * min(clutter, 1.5)))
    for _ in range(rng.poisson(2.5 * clutter)):
        center = rng.uniform((0, row / 2), (w / 2, 0.55 * h))
        size = (0.06 + 0.3 * (center[1] - row / 2) / h) * h / 2
        draw_wild_thing(rng, canvas, 0, center, 1.5 * size)


def _gradient(canvas: np.ndarray, colors: np.ndarray):
    """Fill rows with a gradient between two colours (2, 3)."""
    h, w = canvas.shape[:2]
    if h:
        colors = np.clip(colors, 0, 250).astype(np.uint8)
        canvas[..., :3] = enlarge(colors[:, None], (w, h))


def _draw_hills(rng, canvas, row: int, color):
    """Draw a ridge at the horizon."""
    w = canvas.shape[1]
    x = np.linspace(0, w / 2, 24)
    waves = rng.uniform(0.5, 3.0, size=3) * 2 * math.pi / (w / 2)
    height = sum(np.sin(k * x + rng.uniform(0, 6)) for k in waves) + 3
    y = row / 2 - 0.035 * row * height - 1
    ridge = np.stack(
        [np.append(x, (w, 0)), np.append(y, (row / 2, row / 2))], 1
    )
    fill(canvas, ridge, shade(np.array(color), 0.95), 0)


def _draw_wood(rng, canvas, row: int, sky):
    """Draw the edge of a wood at the horizon."""
    w = canvas.shape[1]
    color = 0.75 * _LEAVES[rng.integers(len(_LEAVES))] + 0.25 * sky
    size = rng.uniform(0.06, 0.22) * (row / 2 + 20)
    for x in np.arange(0, w / 2 + size, 0.7 * size):
        center = np.array((x, row / 2 - 0.4 * size * rng.uniform(0.4, 1.5)))
        tone = shade(color, rng.uniform(0.8, 1.05))
        fill_disc(canvas, center, size * rng.uniform(0.7, 1.2), tone, 0)


def _draw_soil(rng, ground: np.ndarray):
    """Lay noise of two sizes over the ground."""
    h, w = ground.shape[:2]
    if h < 4:
        return
    size = (w // 2, h // 2)
    for cells, high in ((int(rng.integers(4, 12)), 0.14), (90, 0.12)):
        noise = smooth_noise(rng, size, cells, rng.uniform(0.3, 1.0) * high)
        noise = cv2.resize(noise, (w, h), interpolation=cv2.INTER_NEAREST)
        noise = cv2.merge([noise, noise, noise, np.zeros_like(noise)])
        ground[:] = cv2.subtract(ground, noise)


def _draw_grass(rng, canvas, row: int, ground, count: int):
    """Draw blades that grow longer towards the viewer."""
    h, w = canvas.shape[:2]
    roots = rng.uniform((0, row / 2), (w / 2, h / 2), size=(count, 2))
    leans = rng.uniform(-0.5, 0.5, size=count)
    tones = rng.uniform(0.7, 1.25, size=count)
    near = (roots[:, 1] - row / 2) / (h / 2)
    lengths = 2 + 14 * near * rng.uniform(0.5, 1, size=count)
    tips = roots + np.stack([leans * lengths, -lengths], 1)
    for root, tip, tone in zip(roots, tips, tones, strict=True):
        stroke(canvas, np.stack([root, tip]), 0.5, shade(ground, tone), 0)


def draw_wild_thing(
    rng: np.random.Generator,
    canvas: np.ndarray,
    part: int,
    center: np.ndarray,
    size: float,
):
    """Paint a bush, a rock, a trunk, a tuft or a fence.

    Args:
        rng: Source of randomness.
        canvas: (h, w, 4), twice the size of the image, changed in place.
        part: What to write in the fourth channel.
        center: Its middle in the image, (x, y).
        size: About its size in pixels of the image.
    """
    kind = rng.integers(5)
    leaf = _LEAVES[rng.integers(len(_LEAVES))] * rng.uniform(0.8, 1.25)
    wood = np.array((62.0, 84, 108)) * rng.uniform(0.7, 1.3)
    if kind == 0:  # a bush
        places = rng.uniform(-1, 1, size=(14, 2)) * (0.42, 0.26) * size
        places = places[np.argsort(places[:, 1])]
        for number, place in enumerate(places):
            radius = 0.17 * size * (1.1 - 0.03 * number)
            tone = 0.72 + 0.5 * ((number * 7) % 5) / 5
            fill_disc(canvas, center + place, radius, shade(leaf, tone), part)
    elif kind == 1:  # a rock
        turn = np.linspace(0, 2 * math.pi, 9, endpoint=False)
        radius = rng.uniform(0.7, 1.0, size=9)[:, None] * size * (0.45, 0.28)
        rock = center + radius * np.stack([np.cos(turn), np.sin(turn)], 1)
        grey = np.array((118.0, 124, 130)) * rng.uniform(0.7, 1.2)
        fill_hull(canvas, rock, shade(grey, 0.75), part)
        top = center + 0.72 * (rock - center) + size * np.array((-0.04, -0.05))
        fill_hull(canvas, top, shade(grey, 1.05), part)
    elif kind == 2:  # a trunk
        lean = rng.uniform(-0.15, 0.15) * size
        ends = np.array([(-lean, -0.9 * size), (lean, 0.6 * size)]) + center
        radii = np.linspace(0.06, 0.085, 5)[None] * size
        for grow, tone in ((1.0, 0.75), (0.6, 1.05)):
            outline = limb_outlines(ends[:1], ends[1:], grow * radii)[0]
            fill(canvas, outline, shade(wood, tone), part)
    elif kind == 3:  # a tuft of grass
        root = center + (0, 0.35 * size)
        roots = rng.uniform(-0.3, 0.3, size=16) * size
        leans = rng.uniform(-0.25, 0.25, size=16) * size
        highs = rng.uniform(0.4, 0.9, size=16) * size
        for x, lean, high in zip(roots, leans, highs, strict=True):
            start = root + (x, 0)
            line = np.stack([start, start + (0.3 * lean, -0.6 * high),
                             start + (lean, -high)])  # fmt: skip
            tone = shade(leaf, 1.2 if x > 0 else 0.8)
            stroke(canvas, line, 0.028 * size, tone, part)
    else:  # a fence
        for x in (-0.5, 0.0, 0.5):
            post = center + size * np.array([(x, -0.35), (x, 0.4)])
            stroke(canvas, post, 0.06 * size, shade(wood, 0.8), part)
        for y in (-0.2, 0.1):
            rail = center + size * np.array([(-0.6, y), (0.6, y + 0.02)])
            stroke(canvas, rail, 0.045 * size, shade(wood, 1.1), part)
