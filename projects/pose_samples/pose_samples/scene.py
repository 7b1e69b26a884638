"""One picture with figures: who stands where, who hides what.

People are meant wherever a name says so, and animals in the same way.
"""

import math
from contextlib import contextmanager
from dataclasses import dataclass

import cv2
import numpy as np

from .background import draw_background, draw_seat, draw_thing, finish
from .canvas import ZOOM
from .figure import Figure, sample_figure
from .paint import draw_figure
from .parts import HOSTS, NUM_WHOLEBODY, PARTS_PER_PERSON
from .subject import Drawable, Subject

_OBJECT = 1  # in the buffer of owners; people start at PARTS_PER_PERSON


def _sample_person(rng, light, simple, like) -> Figure:
    """Draw a person, whoever else is in the picture."""
    return sample_figure(rng, light, simple)


PEOPLE = Subject(
    sample=_sample_person,
    draw=draw_figure,
    hosts=HOSTS,
    unguessed=np.zeros(len(HOSTS), bool),
    background=draw_background,
    thing=draw_thing,
    with_seats=True,
)


@dataclass(frozen=True)
class Setting:
    """What the pictures of a data set are like.

    Args:
        sizes: Image sizes (w, h) for one person and for several.
        crowd: Probability of 1, 2, 3, ... people.
        height: Range of a person's height as a fraction of the image's, for
            one person and for several.
        truncate: Probability that somebody is cut by the border.
        occlude: Probability of an object in front of somebody.
        clutter: Amount of things in the background; 1 is the default.
        overlap: Share of a person's box that others may cover when placed.
        simple: Whether everybody stands or walks and faces the viewer.
        gather: Probability that a person is placed close to another one.
        subject: What the pictures show.
    """

    sizes: tuple[tuple[tuple[int, int], ...], tuple[tuple[int, int], ...]]
    crowd: tuple[float, ...]
    height: tuple[tuple[float, float], tuple[float, float]]
    truncate: float = 0.12
    occlude: float = 0.2
    clutter: float = 1.0
    overlap: float = 0.3
    simple: bool = False
    gather: float = 0.0
    subject: Subject = PEOPLE


@dataclass
class PersonLabel:
    """All that is known of one person or animal in a picture.

    Args:
        keypoints: (x, y, v) in the order of the subject's ``hosts``, (N, 3);
            v is 0 outside the image, 1 hidden, 2 visible.
        mask: Visible pixels of the person, in the box ``mask_box`` only.
        mask_box: Where the mask lies in the image, (x, y, w, h).
        head_box: Corners of the box around the head, (2, 2).
        stature: Height of the person if standing upright, in pixels.
        category: Category id in the annotations.
        track: Number of the figure, the same in all frames of a clip.
    """

    keypoints: np.ndarray
    mask: np.ndarray
    mask_box: tuple[int, int, int, int]
    head_box: np.ndarray
    stature: float
    category: int
    track: int


def draw_scene(
    rng: np.random.Generator, setting: Setting, time: float = 0.0
) -> tuple[np.ndarray, list[PersonLabel], np.ndarray]:
    """Draw one picture.

    Args:
        rng: Source of randomness; the same state gives the same picture.
        setting: What the picture is like.
        time: Frames before (negative) or after the moment in which the
            figures were placed. Nothing but them moves.

    Returns:
        The image (h, w, 3), blue, green, red; a label for everybody of whom
        something is visible, the nearest last; and who owns each pixel of
        the canvas (2h, 2w): 0 for the background, 1 for objects, else
        64 * (number of the label + 1) + part of the body.
    """
    subject = setting.subject
    count = 1 + int(rng.choice(len(setting.crowd), p=setting.crowd))
    several = int(count > 1)
    sizes = setting.sizes[several]
    w, h = sizes[rng.integers(len(sizes))]
    canvas = np.zeros((ZOOM * h, ZOOM * w, 4), np.uint8)
    subject.background(rng, canvas, setting.clutter)

    angle = rng.uniform(-math.pi, 0)  # the light comes from above
    light = np.array((math.cos(angle), math.sin(angle))) * rng.uniform(0.3, 1)
    figures = _place(rng, setting, (w, h), count, light)
    owners = np.zeros(canvas.shape[:2], np.uint16)
    for number, figure in enumerate(figures):
        low, high = _box(figure)
        if time:
            figure.advance(time)
        _draw_shadow(rng, canvas, figure)
        is_seated = subject.with_seats and figure.pose.name == 'sit'
        if is_seated and rng.random() < 0.7:
            with _drawing_object(canvas, owners):
                draw_seat(rng, canvas, _OBJECT, *_seat(figure))
        _draw_person(canvas, owners, figure, number, subject)
        if rng.random() < setting.occlude / count:
            center = rng.uniform(
                (low[0], 0.4 * low[1] + 0.6 * high[1]), high + (0, 10)
            )
            size = (high - low).max() * rng.uniform(0.12, 0.4)
            with _drawing_object(canvas, owners):
                subject.thing(rng, canvas, _OBJECT, center, size)
    labels = [
        label
        for number, figure in enumerate(figures)
        if (label := _label(figure, number, owners, subject)) is not None
    ]
    _renumber(owners, figures, labels)
    image = finish(rng, canvas)
    return image, [label for _, label in labels], owners


def _renumber(owners, figures, labels):
    """Let owners count labelled people only; others become objects."""
    table = np.zeros(PARTS_PER_PERSON * (len(figures) + 1), np.uint16)
    table[: PARTS_PER_PERSON * (len(figures) + 1)] = _OBJECT
    table[0] = 0
    parts = np.arange(PARTS_PER_PERSON)
    for new, (number, _) in enumerate(labels):
        start = PARTS_PER_PERSON * (number + 1)
        table[start + parts] = PARTS_PER_PERSON * (new + 1) + parts
    if len(labels) < len(figures):
        owners[:] = table[owners]


def _box(figure: Drawable) -> tuple[np.ndarray, np.ndarray]:
    """Return the corners of the box around a placed figure."""
    low, high = figure.extent
    return (
        low * figure.scale + figure.shift,
        high * figure.scale + figure.shift,
    )


def _place(rng, setting, size, count, light) -> list[Drawable]:
    """Draw ``count`` figures and put them in the image, far ones first."""
    w, h = size
    several = int(count > 1)
    low, high = setting.height[several]
    common = rng.uniform(low, high)
    figures, boxes = [], []
    for _ in range(count):
        like = figures[0] if figures else None
        figure = setting.subject.sample(rng, light, setting.simple, like)
        start, end = figure.extent
        span = end - start
        # People of one picture are of similar size, but not crouching ones
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
    # Near people are large and stand low in the image.
    order = sorted(
        range(count), key=lambda i: (round(float(boxes[i][1][1]), 4), i)
    )
    return [figures[i] for i in order]


def _corner(rng, setting, size, box, boxes, cut, several) -> np.ndarray:
    """Draw where the upper left corner of a person's box goes."""
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
        apart = 0.6 * box[0] * rng.uniform(-1, 1)
        corner[0] = 0.5 * (low[0] + high[0] - box[0]) + apart
        corner[0] = min(max(corner[0], left[0]), left[1])
    return corner


def _covered(corner, box, others) -> float:
    """Return the largest share of a box that another one covers."""
    most = 0.0
    for low, high in others:
        side = np.minimum(high, corner + box) - np.maximum(low, corner)
        if (side > 0).all():
            area = min(box[0] * box[1], (high - low).prod())
            most = max(most, float(side.prod() / area))
    return most


def _draw_shadow(rng, canvas, figure: Drawable):
    """Darken the ground under the feet."""
    if rng.random() < 0.3:
        return
    center, half = figure.shadow()
    center = (ZOOM * center).astype(int)
    half = tuple(max(int(v), 1) for v in ZOOM * half)
    x0, y0 = np.maximum(center - half, 0)
    x1, y1 = np.minimum(center + half, canvas.shape[1::-1])
    if x0 >= x1 or y0 >= y1:
        return
    region = canvas[y0:y1, x0:x1, :3]
    dark = np.zeros_like(region)
    place = (int(center[0] - x0), int(center[1] - y0))
    cv2.ellipse(dark, place, half, 0, 0, 360, (40, 40, 40), -1)
    region[:] = cv2.subtract(region, dark)


def _canvas_region(figure: Drawable, shape) -> tuple[slice, slice]:
    """Return the rows and columns of the canvas that a figure may touch."""
    low, high = _box(figure)
    margin = 0.12 * figure.scale + 2
    x0, y0 = np.floor(ZOOM * (low - margin)).astype(int)
    x1, y1 = np.ceil(ZOOM * (high + margin)).astype(int)
    h, w = shape[:2]
    return (
        slice(min(max(y0, 0), h), min(max(y1, 0), h)),
        slice(min(max(x0, 0), w), min(max(x1, 0), w)),
    )


@contextmanager
def _drawing_object(canvas, owners):
    """Note the pixels that are drawn inside as those of an object."""
    canvas[..., 3] = 0
    yield
    owners[canvas[..., 3] > 0] = _OBJECT


def _seat(figure: Figure) -> tuple[np.ndarray, np.ndarray]:
    """Return two corners of what somebody sits on, in the image."""
    points = figure.joints.points
    ankles = 0.5 * (points['left_ankle'] + points['right_ankle'])
    top, foot = figure.project(np.stack([points['pelvis'], ankles]))
    low = top + figure.scale * np.array((-0.15, 0.045))
    high = np.array((top[0] + 0.15 * figure.scale, foot[1]))
    return low, np.maximum(high, low + 0.1 * figure.scale)


def _draw_person(canvas, owners, figure: Drawable, number: int, subject):
    """Draw a figure and note its pixels in the buffer of owners."""
    region = _canvas_region(figure, canvas.shape)
    canvas[..., 3] = 0
    subject.draw(canvas, figure)
    parts = canvas[region][..., 3]
    own = parts.astype(np.uint16) + PARTS_PER_PERSON * (number + 1)
    np.copyto(owners[region], own, where=parts > 0)


def _label(figure: Drawable, number: int, owners: np.ndarray, subject):
    """Return (number, label) of a figure, or None if nothing is seen."""
    rows, columns = _canvas_region(figure, owners.shape)
    # Whole pixels of the image.
    y0, x0 = rows.start // ZOOM, columns.start // ZOOM
    y1, x1 = -(-rows.stop // ZOOM), -(-columns.stop // ZOOM)
    if y0 >= y1 or x0 >= x1:
        return None
    first = PARTS_PER_PERSON * (number + 1)
    region = owners[ZOOM * y0 : ZOOM * y1, ZOOM * x0 : ZOOM * x1]
    own = (region >= first) & (region < first + PARTS_PER_PERSON)
    own = own.astype(np.uint8)
    # A pixel is the person's if at least half of it is.
    own = own[::2, ::2] + own[1::2, ::2] + own[::2, 1::2] + own[1::2, 1::2]
    mask = (own >= 2).astype(np.uint8)
    x, y, w, h = cv2.boundingRect(mask)
    if min(w, h) < 4 or cv2.countNonZero(mask) < 24:
        return None
    keypoints = np.zeros((len(subject.hosts), 3))
    keypoints[:, :2] = figure.keypoints()
    keypoints[:, 2] = _visibility(figure, number, keypoints, owners, subject)
    label = PersonLabel(
        keypoints=keypoints,
        mask=mask[y : y + h, x : x + w],
        mask_box=(x0 + x, y0 + y, w, h),
        head_box=figure.head_box(),
        stature=figure.scale,
        category=figure.category,
        track=number,
    )
    return number, label


def _visibility(figure, number, keypoints, owners, subject) -> np.ndarray:
    """Return 0, 1 or 2 for every keypoint, (N,).

    A keypoint is visible if it faces the camera and if one of the parts that
    it lies on was drawn last at its place or, since edges are rounded to
    whole pixels of the canvas, at one of the eight neighbours.
    """
    h, w = owners.shape
    place = np.rint(ZOOM * keypoints[:, :2] + (ZOOM - 1) / 2).astype(int)
    inside = (
        (keypoints[:, 0] >= 0)
        & (keypoints[:, 1] >= 0)
        & (keypoints[:, 0] <= w / ZOOM - 1)
        & (keypoints[:, 1] <= h / ZOOM - 1)
    )
    steps = np.array([(x, y) for y in (-1, 0, 1) for x in (-1, 0, 1)])
    around = place[:, None] + steps
    around = np.clip(around, 0, (w - 1, h - 1))
    owner = owners[around[..., 1], around[..., 0]].astype(int)
    part = owner - PARTS_PER_PERSON * (number + 1)
    own = (part > 0) & (part < PARTS_PER_PERSON)
    rows = np.arange(len(keypoints))[:, None]
    shown = subject.hosts[rows, np.where(own, part, 0)]
    visible = (shown & own).any(1) & figure.facing
    labelled = inside & (figure.facing | ~subject.unguessed)
    return labelled * (1 + visible)


def wholebody(label: PersonLabel) -> np.ndarray:
    """Return the 133 COCO-WholeBody keypoints of a label, (133, 3)."""
    return label.keypoints[:NUM_WHOLEBODY]
