"""Surroundings of the figures: walls, ground, furniture and clutter."""

import cv2
import numpy as np

from .arrays import Array, Rng
from .canvas import ZOOM, Canvas, Color, limb_outlines
from .style import random_color


def enlarge(small: Array, size: tuple[int, int]) -> Array:
    """Enlarge smoothly, bit by bit the same on any machine."""
    return cv2.resize(small, size, interpolation=cv2.INTER_LINEAR_EXACT)


def _corners(rng: Rng, size: tuple[int, ...]) -> Array:
    """Draw colours that are similar, to be enlarged to a gradient."""
    colors = random_color(rng, 0.45) + rng.uniform(-22, 22, size=(*size, 3))
    return np.clip(colors, 35, 245).astype(np.uint8)


def draw_background(rng: Rng, canvas: Canvas, clutter: float) -> None:
    """Paint sky or wall, ground, textures and things; parts stay 0."""
    h, w = canvas.pixels.shape[:2]
    canvas.pixels[..., :3] = enlarge(_corners(rng, (2, 2)), (w, h))
    row = h
    if rng.random() < 0.75:  # the ground
        row = int(rng.integers(int(0.4 * h), int(0.9 * h)))
        ground = _corners(rng, (2,))
        canvas.pixels[row:, :, :3] = enlarge(ground[:, None], (w, h - row))
    for _ in range(rng.poisson(1.2 * clutter)):
        _draw_frame(rng, canvas, row)
    _draw_texture(rng, canvas.pixels, row)
    for _ in range(rng.poisson(4 * clutter)):
        center = rng.uniform((-0.05 * w, 0), (0.55 * w, 0.55 * h))
        draw_thing(
            rng, canvas, center, rng.uniform(0.08, 0.45) * min(h, w) / ZOOM
        )


def _draw_frame(rng: Rng, canvas: Canvas, row: int) -> None:
    """Draw a window, a door or a picture on the wall above a row."""
    pixels = canvas.pixels
    h, w = pixels.shape[:2]
    width, height = (rng.uniform(0.12, 0.5, size=2) * (w, h)).astype(int)
    x = int(rng.integers(-width // 2, w - width // 2))
    y = int(rng.integers(-height // 4, max(row - height, 1)))
    low, high = (x, y), (x + width, y + height)
    edge = int(rng.integers(2, 8))
    inside, rim = random_color(rng, 0.4), random_color(rng, 0.4)
    cv2.rectangle(pixels, low, high, canvas.ink(inside), -1)
    if rng.random() < 0.6:  # the bars of a window
        bar, middle = canvas.ink(rim, 0.9), x + width // 2
        cv2.line(pixels, (middle, y), (middle, high[1]), bar, edge)
        middle = y + height // 2
        cv2.line(pixels, (x, middle), (high[0], middle), bar, edge)
    cv2.rectangle(pixels, low, high, canvas.ink(rim), edge)


def _draw_texture(rng: Rng, pixels: Array, row: int) -> None:
    """Lay planks or tiles and noise of two sizes over the canvas."""
    h, w = pixels.shape[:2]
    kind = rng.integers(4)
    if kind < 2:  # planks or tiles, on the wall or on the ground
        top, bottom = ((0, row), (row, h))[kind]
        step = int(rng.integers(16, 80))
        tint = pixels[(top + bottom) // 2 % h, w // 2, :3].astype(float)
        tint = np.clip(tint * rng.choice([0.7, 1.25]), 0, 255)
        color = (*tint.tolist(), 0)
        slant = int(rng.integers(-w // 2, w // 2)) if kind else 0
        for x in range(int(rng.integers(step)) - w // 2, w + w // 2, step):
            cv2.line(pixels, (x, top), (x + slant, bottom), color, 1)
        if rng.random() < 0.6:
            for y in range(top + int(rng.integers(step)), bottom, step):
                cv2.line(pixels, (0, y), (w, y), color, 1)
    noise = np.zeros((h // 2, w // 2), np.uint8)
    for cells, height in (((3, 12), (0.02, 0.22)), ((24, 120), (0.0, 0.12))):
        count = int(rng.integers(*cells))
        top = max(int(255 * rng.uniform(*height)), 1)
        small = rng.integers(0, top, (count, count), np.uint8)
        noise = cv2.add(noise, enlarge(small, (w // 2, h // 2)))
    noise = cv2.resize(noise, (w, h), interpolation=cv2.INTER_NEAREST)
    noise = cv2.merge([noise, noise, noise, np.zeros_like(noise)])
    mix = cv2.add if rng.random() < 0.5 else cv2.subtract
    mix(pixels, noise, dst=pixels)


def draw_thing(rng: Rng, canvas: Canvas, center: Array, size: float) -> None:
    """Paint one object about ``size`` pixels large."""
    color = random_color(rng)
    dark, light = np.clip(0.75 * color, 0, 255), np.clip(1.12 * color, 0, 255)
    kind = rng.integers(6)
    half = size * rng.uniform(0.3, 0.7, size=2)

    def box(at: tuple[float, float], scale: tuple, color: Color) -> None:
        _box(canvas, center + half * at, half * scale, color)

    if kind == 0:  # a box with a lighter top and drawers
        box((0, 0), (1, 1), color)
        box((0, -1), (1.05, 0.10), light)
        box((0, 0), (0.8, 0.06), dark)
    elif kind == 1:  # a chair or table
        box((0, 0), (1.0, 0.14), light)
        for x in (-0.9, 0.9):
            box((x, 0.6), (0.08, 0.6), dark)
        if rng.random() < 0.5:
            x = -0.9 if rng.random() < 0.5 else 0.9
            box((x, -0.7), (0.10, 0.7), color)
    elif kind == 2:  # a ball or a bush
        for grow, tone in ((1.0, dark), (0.8, color), (0.35, light)):
            shift = -0.35 * (1 - grow) * half[0]
            canvas.disc(center + shift, grow * half[0], tone)
    elif kind == 3:  # a post or a trunk
        box((0, 0), (0.16, 1.6), dark)
        box((-0.048, 0), (0.08, 1.6), color)
    elif kind == 4:  # something like an arm or a leg
        start = center - half * rng.uniform(-1, 1, size=2)
        middle = center + 0.3 * half * rng.uniform(-1, 1, size=2)
        end = center + half * rng.uniform(-1, 1, size=2)
        radii = np.linspace(0.15, 0.09, 5) * size
        starts, ends = np.stack([start, middle]), np.stack([middle, end])
        radii = np.stack([radii, 0.75 * radii])
        for grow, tone in ((1.0, dark), (0.65, color)):
            for outline in limb_outlines(starts, ends, grow * radii):
                canvas.fill(outline, tone)
    else:  # a plant: stems
        ends = center + half * rng.uniform((-1, -1.2), (1, -0.2), size=(5, 2))
        root = center + half * (0, 0.6)
        for end in ends:
            bow = 0.5 * (root + end) + half * (0, -0.25)
            canvas.line(np.stack([root, bow, end]), 0.05 * size, color)
            canvas.disc(end, 0.07 * size, light)
        box((0, 0.6), (0.35, 0.25), dark)


def draw_seat(rng: Rng, canvas: Canvas, low: Array, high: Array) -> None:
    """Paint a stool or a crate between two corners."""
    color = random_color(rng, 0.5)
    middle, half = 0.5 * (low + high), 0.5 * (high - low)
    if rng.random() < 0.5:
        _box(canvas, middle, half, 0.8 * color)
    else:
        for x in (-0.85, 0.85):
            _box(canvas, middle + half * (x, 0), half * (0.12, 1), 0.7 * color)
    top = np.array((middle[0], low[1]))
    _box(canvas, top, half * (1.08, 0.12), 1.1 * color)


def _box(canvas: Canvas, center: Array, half: Array, color: Color) -> None:
    corners = np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)], float)
    canvas.fill(center + corners * half, color)


def finish(rng: Rng, canvas: Canvas) -> Array:
    """Halve a canvas and add light, colour cast, blur and noise.

    Returns:
        The image, blue, green, red, (h, w, 3), uint8.
    """
    h, w = (side // ZOOM for side in canvas.pixels.shape[:2])
    image = cv2.resize(canvas.pixels, (w, h), interpolation=cv2.INTER_AREA)
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
