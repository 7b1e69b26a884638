"""What is around the people: walls, ground, furniture and clutter."""

import cv2
import numpy as np

from .canvas import Color, fill, fill_disc, limb_outlines, stroke
from .style import random_color, shade


def enlarge(small: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Enlarge smoothly, bit by bit the same on any machine."""
    return cv2.resize(small, size, interpolation=cv2.INTER_LINEAR_EXACT)


def smooth_noise(
    rng: np.random.Generator, size: tuple[int, int], cells: int, height: float
) -> np.ndarray:
    """Return smooth noise of 0 to ``255 * height``; ``size`` is (w, h)."""
    top = max(int(255 * height), 1)
    return enlarge(rng.integers(0, top, (cells, cells), np.uint8), size)


def draw_background(
    rng: np.random.Generator, canvas: np.ndarray, clutter: float
):
    """Paint sky or wall, ground, textures and things; parts stay 0.

    Args:
        rng: Source of randomness.
        canvas: (h, w, 4), twice the size of the image, changed in place.
        clutter: About how many things, relative to the default.
    """
    h, w = canvas.shape[:2]
    # Colours of the four corners, enlarged to a gradient.
    corners = random_color(rng, 0.45) + rng.uniform(-22, 22, size=(2, 2, 3))
    corners = np.clip(corners, 35, 245).astype(np.uint8)
    canvas[..., :3] = enlarge(corners, (w, h))
    row = h
    if rng.random() < 0.75:  # the ground
        row = int(rng.integers(int(0.4 * h), int(0.9 * h)))
        ground = random_color(rng, 0.45) + rng.uniform(-22, 22, size=(2, 3))
        ground = np.clip(ground, 35, 245).astype(np.uint8)
        canvas[row:, :, :3] = enlarge(ground[:, None], (w, h - row))
    for _ in range(rng.poisson(1.2 * clutter)):
        _draw_frame(rng, canvas, row)
    _draw_texture(rng, canvas, row)
    for _ in range(rng.poisson(4 * clutter)):
        draw_thing(rng, canvas, 0)


def _draw_frame(rng: np.random.Generator, canvas: np.ndarray, row: int):
    """Draw a window, a door or a picture on the wall above a row."""
    h, w = canvas.shape[:2]
    width, height = (rng.uniform(0.12, 0.5, size=2) * (w, h)).astype(int)
    x = int(rng.integers(-width // 2, w - width // 2))
    y = int(rng.integers(-height // 4, max(row - height, 1)))
    low, high = (x, y), (x + width, y + height)
    edge = int(rng.integers(2, 8))
    inside, rim = random_color(rng, 0.4), random_color(rng, 0.4)
    cv2.rectangle(canvas, low, high, (*shade(inside, 1.0), 0), -1)
    if rng.random() < 0.6:  # the bars of a window
        middle = x + width // 2
        bar = (*shade(rim, 0.9), 0)
        cv2.line(canvas, (middle, y), (middle, high[1]), bar, edge)
        middle = y + height // 2
        cv2.line(canvas, (x, middle), (high[0], middle), bar, edge)
    cv2.rectangle(canvas, low, high, (*shade(rim, 1.0), 0), edge)


def _draw_texture(rng: np.random.Generator, canvas: np.ndarray, row: int):
    """Lay planks or tiles and noise of two sizes over the canvas."""
    h, w = canvas.shape[:2]
    kind = rng.integers(4)
    if kind < 2:  # planks or tiles, on the wall or on the ground
        top, bottom = ((0, row), (row, h))[kind]
        step = int(rng.integers(16, 80))
        tint = canvas[(top + bottom) // 2 % h, w // 2, :3].astype(float)
        color = (*shade(tint, rng.choice([0.7, 1.25])), 0)
        slant = int(rng.integers(-w // 2, w // 2)) if kind else 0
        for x in range(int(rng.integers(step)) - w // 2, w + w // 2, step):
            cv2.line(canvas, (x, top), (x + slant, bottom), color, 1)
        if rng.random() < 0.6:
            for y in range(top + int(rng.integers(step)), bottom, step):
                cv2.line(canvas, (0, y), (w, y), color, 1)
    size = (w // 2, h // 2)
    noise = cv2.add(
        smooth_noise(
            rng, size, int(rng.integers(3, 12)), rng.uniform(0.02, 0.22)
        ),
        smooth_noise(
            rng, size, int(rng.integers(24, 120)), rng.uniform(0.0, 0.12)
        ),
    )
    noise = cv2.resize(noise, (w, h), interpolation=cv2.INTER_NEAREST)
    noise = cv2.merge([noise, noise, noise, np.zeros_like(noise)])
    if rng.random() < 0.5:
        cv2.add(canvas, noise, dst=canvas)
    else:
        cv2.subtract(canvas, noise, dst=canvas)


def draw_thing(
    rng: np.random.Generator,
    canvas: np.ndarray,
    part: int,
    center: np.ndarray | None = None,
    size: float | None = None,
):
    """Paint one object.

    Args:
        rng: Source of randomness.
        canvas: (h, w, 4), twice the size of the image, changed in place.
        part: What to write in the fourth channel.
        center: Its middle in the image, (x, y); drawn when missing.
        size: About its size in pixels of the image; drawn when missing.
    """
    h, w = np.array(canvas.shape[:2]) / 2
    if center is None:
        center = rng.uniform((-0.1 * w, 0), (1.1 * w, 1.1 * h))
    if size is None:
        size = rng.uniform(0.08, 0.45) * min(h, w)
    color = random_color(rng)
    dark, light = shade(color, 0.75), shade(color, 1.12)
    color = shade(color, 1.0)
    kind = rng.integers(6)
    half = size * rng.uniform(0.3, 0.7, size=2)
    if kind == 0:  # a box with a lighter top and drawers
        _box(canvas, center, half, color, part)
        top = center - (0, half[1])
        _box(canvas, top, half * (1.05, 0.10), light, part)
        _box(canvas, center, half * (0.8, 0.06), dark, part)
    elif kind == 1:  # a chair or table
        _box(canvas, center, half * (1.0, 0.14), light, part)
        for x in (-0.9, 0.9):
            leg = center + half * (x, 0.6)
            _box(canvas, leg, half * (0.08, 0.6), dark, part)
        if rng.random() < 0.5:
            back = center + half * (-0.9 if rng.random() < 0.5 else 0.9, -0.7)
            _box(canvas, back, half * (0.10, 0.7), color, part)
    elif kind == 2:  # a ball or a bush
        for grow, tone in ((1.0, dark), (0.8, color), (0.35, light)):
            shift = -0.35 * (1 - grow) * half[0]
            fill_disc(canvas, center + shift, grow * half[0], tone, part)
    elif kind == 3:  # a post or a trunk
        thin = half * (0.16, 1.6)
        _box(canvas, center, thin, dark, part)
        _box(canvas, center - (0.3 * thin[0], 0), thin * (0.5, 1), color, part)
    elif kind == 4:  # something like an arm or a leg
        start = center - half * rng.uniform(-1, 1, size=2)
        middle = center + 0.3 * half * rng.uniform(-1, 1, size=2)
        end = center + half * rng.uniform(-1, 1, size=2)
        radii = np.linspace(0.15, 0.09, 5) * size
        starts, ends = np.stack([start, middle]), np.stack([middle, end])
        for grow, tone in ((1.0, dark), (0.65, color)):
            for outline in limb_outlines(
                starts, ends, grow * np.stack([radii, 0.75 * radii])
            ):
                fill(canvas, outline, tone, part)
    else:  # a plant: stems
        ends = center + half * rng.uniform((-1, -1.2), (1, -0.2), size=(5, 2))
        root = center + half * (0, 0.6)
        for end in ends:
            bow = 0.5 * (root + end) + half * (0, -0.25)
            line = np.stack([root, bow, end])
            stroke(canvas, line, 0.05 * size, color, part)
            fill_disc(canvas, end, 0.07 * size, light, part)
        _box(canvas, root, half * (0.35, 0.25), dark, part)


def draw_seat(
    rng: np.random.Generator,
    canvas: np.ndarray,
    part: int,
    low: np.ndarray,
    high: np.ndarray,
):
    """Paint a stool or a crate between two corners; see ``draw_thing``."""
    color = random_color(rng, 0.5)
    middle, half = 0.5 * (low + high), 0.5 * (high - low)
    if rng.random() < 0.5:
        _box(canvas, middle, half, shade(color, 0.8), part)
    else:
        for x in (-0.85, 0.85):
            leg = middle + half * (x, 0)
            _box(canvas, leg, half * (0.12, 1.0), shade(color, 0.7), part)
    top = np.array((middle[0], low[1]))
    _box(canvas, top, half * (1.08, 0.12), shade(color, 1.1), part)


def _box(canvas, center, half, color: Color, part: int):
    corners = np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)], float)
    fill(canvas, center + corners * half, color, part)


def finish(rng: np.random.Generator, canvas: np.ndarray) -> np.ndarray:
    """Halve a canvas and let a camera look at it.

    Args:
        rng: Source of randomness: light, colour cast, blur and noise.
        canvas: (h, w, 4).

    Returns:
        The image, blue, green, red, (h / 2, w / 2, 3), uint8.
    """
    h, w = canvas.shape[0] // 2, canvas.shape[1] // 2
    image = cv2.resize(canvas, (w, h), interpolation=cv2.INTER_AREA)
    image = cv2.cvtColor(image, cv2.COLOR_BGRA2BGR)
    gain = rng.uniform(0.8, 1.15) * rng.uniform(0.92, 1.08, size=3)
    offset = rng.uniform(-4, 24)
    table = np.arange(256)[:, None] * gain + offset
    table = np.clip(np.rint(table), 0, 255).astype(np.uint8)
    image = cv2.LUT(image, table[None])
    if rng.random() < 0.5:  # light from one side
        shadow = rng.integers(0, 45, (2, 2), np.uint8)
        shadow = enlarge(shadow, (w, h))
        image = cv2.subtract(image, cv2.merge([shadow, shadow, shadow]))
    if rng.random() < 0.25:
        image = cv2.GaussianBlur(image, (3, 3), 0)
    strength = int(rng.integers(0, 9))
    if strength:
        # Below the middle noise darkens, above it brightens.
        grain = rng.integers(0, 2 * strength + 1, (h, w), np.uint8)
        grain = cv2.merge([grain, grain, grain])
        image = cv2.add(image, grain)
        image = cv2.subtract(image, (strength,) * 3)
    return image
