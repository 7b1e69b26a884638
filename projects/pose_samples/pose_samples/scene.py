"""One picture with figures: their places, and which of them hides which."""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import cv2
import numpy as np

from .arrays import Array, Rng
from .background import draw_background, draw_seat, draw_thing, finish
from .canvas import ZOOM, Canvas
from .figure import Figure
from .parts import PARTS_PER_FIGURE
from .person import sample_person

_OBJECT = 1  # in the buffer of owners; figures start at PARTS_PER_FIGURE


@dataclass(frozen=True)
class Setting:
    """Settings of the pictures of a dataset."""

    # Image sizes (w, h) for one figure and for several.
    sizes: tuple[tuple[tuple[int, int], ...], tuple[tuple[int, int], ...]]
    crowd: tuple[float, ...]  # probability of 1, 2, 3, ... figures
    # Height of a figure as a fraction of the image's, for one and several.
    height: tuple[tuple[float, float], tuple[float, float]]
    truncate: float = 0.12  # probability that the border cuts a figure
    occlude: float = 0.2  # probability of an object in front of a figure
    clutter: float = 1.0  # amount of things in the background
    overlap: float = 0.3  # share of a box that others may cover when placed
    simple: bool = False  # see ``generate``'s difficulty ``easy``
    gather: float = 0.0  # probability that a figure is close to another one
    # Draws a figure from (rng, light, simple, first figure or None).
    sample: Callable[..., Figure] = sample_person


@dataclass
class Label:
    """The annotation of one figure in a picture."""

    # (x, y, v) in the order of the figure's ``hosts``, (N, 3); v is 0
    # outside the image, 1 hidden, 2 visible.
    keypoints: Array
    area: float  # number of visible pixels
    area_box: tuple[int, int, int, int]  # of these pixels, (x, y, w, h)
    segmentation: list[list[float]]  # polygons around them, x and y in turn
    head_box: Array  # corners, (2, 2)
    stature: float  # height when standing upright, in pixels
    category: int  # id in the annotations
    track: int  # number of the figure, the same in all frames of a clip

    def rounded(self) -> Array:
        """Return the keypoints as they are written; all 0 where v is 0."""
        keypoints = np.round(self.keypoints, 2)
        keypoints[keypoints[:, 2] == 0] = 0
        return keypoints

    def box(self) -> list[float]:
        """Return the box around what is visible, (x, y, w, h)."""
        # A visible keypoint at an edge may round to half a pixel beyond it.
        keypoints, (x, y, w, h) = self.rounded(), self.area_box
        visible = keypoints[keypoints[:, 2] == 2, :2]
        corners = np.concatenate([[(x, y), (x + w, y + h)], visible])
        low, high = corners.min(0), corners.max(0)
        return np.round([*low, *(high - low)], 2).tolist()


def draw_scene(
    rng: Rng, setting: Setting, time: float = 0.0
) -> tuple[Array, list[Label], Array]:
    """Draw one picture.

    Args:
        rng: Source of randomness; the same state gives the same picture.
        setting: How the picture looks.
        time: Frames before (negative) or after the moment in which the
            figures were placed. Nothing but them moves.

    Returns:
        The image (h, w, 3), blue, green, red; a label for each figure of
        which something is visible, the nearest last; and the owner of each
        pixel of the canvas (2h, 2w): 0 for the background, 1 for objects,
        else 64 * (the figure's ``track`` + 1) + its part.
    """
    count = 1 + int(rng.choice(len(setting.crowd), p=setting.crowd))
    sizes = setting.sizes[int(count > 1)]
    w, h = sizes[rng.integers(len(sizes))]
    canvas = Canvas((w, h))
    draw_background(rng, canvas, setting.clutter)

    angle = rng.uniform(-math.pi, 0)  # the light comes from above
    light = np.array((math.cos(angle), math.sin(angle))) * rng.uniform(0.3, 1)
    figures = _place(rng, setting, (w, h), count, light)
    owners = np.zeros(canvas.pixels.shape[:2], np.uint16)
    for number, figure in enumerate(figures):
        low, high = figure.box()
        if time:
            figure.advance(time)
        _draw_shadow(rng, canvas, figure)
        seat = figure.seat()
        if seat is not None and rng.random() < 0.7:
            with _drawing_object(canvas, owners):
                draw_seat(rng, canvas, *seat)
        canvas.pixels[..., 3] = 0
        figure.draw(canvas)
        parts = canvas.pixels[..., 3]
        numbers = parts + np.uint16(PARTS_PER_FIGURE * (number + 1))
        np.copyto(owners, numbers, where=parts > 0)
        if rng.random() < setting.occlude / count:
            center = rng.uniform(
                (low[0], 0.4 * low[1] + 0.6 * high[1]), high + (0, 10)
            )
            size = (high - low).max() * rng.uniform(0.12, 0.4)
            with _drawing_object(canvas, owners):
                draw_thing(rng, canvas, center, size)
    labels = [_label(f, number, owners) for number, f in enumerate(figures)]
    image = finish(rng, canvas)
    return image, [label for label in labels if label is not None], owners


def _place(
    rng: Rng, setting: Setting, size: tuple[int, int], count: int, light: Array
) -> list[Figure]:
    """Draw ``count`` figures and put them in the image, far ones first."""
    w, h = size
    several = int(count > 1)
    low, high = setting.height[several]
    common = rng.uniform(low, high)
    figures, boxes = [], []
    for _ in range(count):
        like = figures[0] if figures else None
        figure = setting.sample(rng, light, setting.simple, like)
        start, end = figure.extent
        span = end - start
        # Figures of one picture are of similar size, but not crouching ones
        # as tall as standing ones.
        share = common * rng.uniform(0.75, 1.25) if several else common
        tall = share * h / max(span[1], 0.75 if several else 0.0)
        tall = tall * (figure.size**0.5 if several else 1)
        scale = min(tall, 0.96 * w / span[0])
        cut = rng.random() < setting.truncate
        if cut:
            scale *= rng.uniform(1.1, 1.7)
        box = scale * span
        tries = [
            _corner(rng, setting, size, box, boxes, cut, several)
            for _ in range(6 if several else 1)
        ]
        corner = next(
            (c for c in tries if _covered(c, box, boxes) <= setting.overlap),
            tries[-1],
        )
        boxes.append((corner, corner + box))
        figure.place(scale, corner - scale * start)
        figures.append(figure)
    # Near figures are large and stand low in the image.
    order = sorted(
        range(count), key=lambda i: (round(float(boxes[i][1][1]), 4), i)
    )
    return [figures[i] for i in order]


def _corner(rng, setting, size, box, boxes, cut, several) -> Array:
    """Draw the upper left corner of a figure's box."""
    w, _ = size
    room = np.array(size) - box
    if cut:
        corner = room / 2 + rng.uniform(-0.30, 0.30, size=2) * box
        # Feet are cut more often than heads.
        if corner[1] < 0 and rng.random() < 0.8:
            corner[1] = rng.uniform(0, 0.1) * size[1]
        return corner
    if not several:
        return rng.uniform(0, 1, size=2) * np.maximum(room, 0)
    left = -0.05 * box[0], max(w - 0.95 * box[0], 0.0)
    top = sorted((0.5 * room[1], room[1]))
    corner = rng.uniform((left[0], top[0]), (left[1], top[1]))
    if boxes and rng.random() < setting.gather:
        low, high = boxes[rng.integers(len(boxes))]
        gap = 0.6 * box[0] * rng.uniform(-1, 1)
        corner[0] = 0.5 * (low[0] + high[0] - box[0]) + gap
        corner[0] = min(max(corner[0], left[0]), left[1])
    return corner


def _covered(
    corner: Array, box: Array, others: list[tuple[Array, Array]]
) -> float:
    """Return the largest share of a box that another one covers."""
    most = 0.0
    for low, high in others:
        side = np.minimum(high, corner + box) - np.maximum(low, corner)
        if (side > 0).all():
            area = min(box[0] * box[1], (high - low).prod())
            most = max(most, float(side.prod() / area))
    return most


def _draw_shadow(rng: Rng, canvas: Canvas, figure: Figure) -> None:
    """Darken the ground under the feet."""
    if rng.random() < 0.3:
        return
    center, half = figure.shadow()
    center = (ZOOM * center).astype(int)
    half = tuple(max(int(v), 1) for v in ZOOM * half)
    x0, y0 = np.maximum(center - half, 0)
    x1, y1 = np.minimum(center + half, canvas.pixels.shape[1::-1])
    if x0 >= x1 or y0 >= y1:
        return
    region = canvas.pixels[y0:y1, x0:x1, :3]
    dark = np.zeros_like(region)
    place = (int(center[0] - x0), int(center[1] - y0))
    cv2.ellipse(dark, place, half, 0, 0, 360, (40, 40, 40), -1)
    region[:] = cv2.subtract(region, dark)


@contextmanager
def _drawing_object(canvas: Canvas, owners: Array) -> Iterator[None]:
    """Mark the pixels that are drawn inside as those of an object."""
    canvas.pixels[..., 3], canvas.part = 0, _OBJECT
    yield
    owners[canvas.pixels[..., 3] > 0] = _OBJECT


def _label(figure: Figure, number: int, owners: Array) -> Label | None:
    """Return the label of a figure, or None if nothing of it is visible."""
    hit = (owners // PARTS_PER_FIGURE == number + 1).astype(np.uint8)
    # A pixel belongs to the figure if at least half of it does.
    hit = hit[::2, ::2] + hit[1::2, ::2] + hit[::2, 1::2] + hit[1::2, 1::2]
    mask = (hit >= 2).astype(np.uint8)
    box, area = cv2.boundingRect(mask), cv2.countNonZero(mask)
    modes = cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_TC89_L1
    contours, _ = cv2.findContours(mask, *modes)
    polygons = [
        contour.reshape(-1).astype(float).tolist()
        for contour in contours
        if len(contour) >= 3
    ]
    if min(box[2:]) < 4 or area < 24 or not polygons:
        return None
    points = figure.keypoints()
    visibility = _visibility(figure, number, points, owners)
    return Label(
        np.concatenate([points, visibility[:, None]], 1), float(area), box,
        polygons, figure.head_box(), figure.scale, figure.category, number,
    )  # fmt: skip


def _visibility(
    figure: Figure, number: int, points: Array, owners: Array
) -> Array:
    """Return 0, 1 or 2 for every keypoint, (N,).

    A keypoint is visible if it faces the camera and one of its parts was drawn
    last at its pixel or, since edges are rounded to whole pixels of the
    canvas, at one of the eight neighbours.
    """
    h, w = owners.shape
    place = np.rint(ZOOM * points + (ZOOM - 1) / 2).astype(int)
    limit = np.array((w, h)) / ZOOM - 1
    inside = ((points >= 0) & (points <= limit)).all(1)
    steps = np.array([(x, y) for y in (-1, 0, 1) for x in (-1, 0, 1)])
    around = np.clip(place[:, None] + steps, 0, (w - 1, h - 1))
    owner = owners[around[..., 1], around[..., 0]].astype(int)
    part = owner - PARTS_PER_FIGURE * (number + 1)
    part[(part <= 0) | (part >= PARTS_PER_FIGURE)] = 0  # hosts nothing
    rows = np.arange(len(points))[:, None]
    visible = figure.hosts[rows, part].any(1) & figure.facing
    labelled = inside & (figure.facing | ~figure.unguessed)
    return labelled * (1.0 + visible)
