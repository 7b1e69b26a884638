"""Sigmas of OKS for a set: how far two labels of one point lie apart.

COCO (cocodataset.org, "Keypoint Evaluation", 1.3) takes a constant for each
keypoint from pictures that were labelled twice:

    sigma_i^2 = E[d_i^2 / s^2],   OKS_i = exp(-d_i^2 / (2 s^2 k_i^2)),
    k_i = 2 sigma_i

where d_i is the distance of two labels in pixels and s^2 the area of the
object. A sigma thus has the unit of COCO's, a part of sqrt(area), and OKS is
0.5 at a distance of 2.35 sigma sqrt(area). We do the same where a set has
enough such pictures, and otherwise take the values of COCO or a default.
"""

# K keypoints

import hashlib
from collections.abc import Iterator, Mapping
from itertools import combinations

import numpy as np
from scipy.optimize import linear_sum_assignment

from gtpt_mm.compat.data.annotation_checks import AREA_OF_BOX
from gtpt_mm.datasets.keypoint_names import match_names

from .boxes import find_box
from .keypoint_set import Instance, KeypointSet, Picture

#: Fewest pairs of labels of a keypoint (and its mirror partner) for a sigma
#: of its own: with ten its standard error is 16 %.
MIN_PAIRS = 10
#: Two labels farther apart, in sqrt(area), belong to two instances.
SAME_INSTANCE = 0.5
#: Lower limit of a measured sigma: below it, evaluation would count noise.
LEAST = 0.01
#: Default: OKS 0.5 at 0.118 sqrt(area), near PCK@0.1. Labels are seldom better
#: than a few pixels, so small objects get more, at most COCO's value for hips.
DEFAULT, PIXELS, MOST = 0.05, 2.0, 0.107
COCO_SIGMAS = dict(
    nose=0.026, left_eye=0.025, right_eye=0.025, left_ear=0.035,
    right_ear=0.035, left_shoulder=0.079, right_shoulder=0.079,
    left_elbow=0.072, right_elbow=0.072, left_wrist=0.062,
    right_wrist=0.062, left_hip=0.107, right_hip=0.107, left_knee=0.087,
    right_knee=0.087, left_ankle=0.089, right_ankle=0.089,
)  # fmt: skip


def find_sigmas(
    keypoint_set: KeypointSet, swap: Mapping[str, str]
) -> tuple[list[float], list[str]]:
    """Return the sigma of each keypoint, and lines about their sources.

    Args:
        keypoint_set: The set.
        swap: Mirror partners by name; partners share a measured sigma.
    """
    names = keypoint_set.names
    measured = measure_sigmas(keypoint_set, swap)
    coco = match_names(list(COCO_SIGMAS), names)
    size = typical_size(keypoint_set)
    default = round(float(np.clip(PIXELS / size, DEFAULT, MOST)), 4)
    why_default = (
        f'the default {default:g} (max of {DEFAULT} and {PIXELS:g} pixels / '
        f'{size:.0f}, the median of sqrt(area))'
    )
    sources: dict[str, list[str]] = {}
    sigmas = []
    for name in names:
        partner = coco[name]
        if name in measured:
            sigma, source = measured[name], 'from pictures labelled twice'
        elif partner is not None:
            sigma, source = COCO_SIGMAS[partner], "COCO's, by name"
        else:
            sigma, source = default, why_default
        sigmas.append(sigma)
        sources.setdefault(source, []).append(name)
    return sigmas, [
        f'sigmas of {_list(points, len(names))}: {source}'
        for source, points in sources.items()
    ]


def _list(names: list[str], num_all: int, most: int = 6) -> str:
    """Return a list of names, shortened if there are many."""
    if len(names) == num_all:
        return 'all keypoints'
    more = f' and {len(names) - most} more' if len(names) > most else ''
    return ', '.join(names[:most]) + more


def find_area(instance: Instance, picture: Picture) -> float:
    """Return the area in square pixels; without a mask a part of the box."""
    if instance.area is not None:
        return instance.area
    x1, y1, x2, y2 = find_box(instance, picture) or (0.0,) * 4
    return max((x2 - x1) * (y2 - y1) * AREA_OF_BOX, 1.0)


def typical_size(keypoint_set: KeypointSet) -> float:
    """Return the median of sqrt(area) in pixels; 100 without instances."""
    areas = [
        find_area(instance, picture)
        for picture in keypoint_set.pictures
        for instance in picture.instances
    ]
    return max(float(np.median(np.sqrt(areas))), 1.0) if areas else 100.0


def measure_sigmas(
    keypoint_set: KeypointSet, swap: Mapping[str, str]
) -> dict[str, float]:
    """Return sigmas of the keypoints that were labelled twice often enough.

    Labels that agree to the last digit in a whole instance are a copy and do
    not count, nor do predictions.
    """
    names = keypoint_set.names
    squares: dict[str, list[float]] = {name: [] for name in names}
    for same in find_doubles(keypoint_set):
        for one, other in combinations(same, 2):
            for a, b, area in _match(one, other):
                both = (a.visible > 0) & (b.visible > 0)
                errors = ((a.keypoints - b.keypoints) ** 2).sum(1) / area
                if not errors[both].any():
                    continue
                for k in np.flatnonzero(both):
                    squares[names[k]].append(float(errors[k]))
    found = {}
    for name in names:
        partner = swap.get(name) or name
        pooled = squares[name] + (squares[partner] if partner != name else [])
        if len(pooled) >= MIN_PAIRS:
            sigma = float(np.sqrt(np.mean(pooled)))
            found[name] = round(max(sigma, LEAST), 4)
    return found


def find_doubles(keypoint_set: KeypointSet) -> list[list[Picture]]:
    """Return the pictures that occur more than once, by their content."""
    sizes: dict[int | str, list[Picture]] = {}
    for picture in keypoint_set.pictures:
        key: int | str = picture.name
        if picture.content is not None:
            key = len(picture.content)
        elif picture.path is not None:
            key = picture.path.stat().st_size
        sizes.setdefault(key, []).append(picture)
    groups: dict[str, list[Picture]] = {}
    for same in sizes.values():
        for picture in same if len(same) > 1 else []:
            groups.setdefault(_content(picture), []).append(picture)
    return [group for group in groups.values() if len(group) > 1]


def _content(picture: Picture) -> str:
    """Return a key that equal pictures share."""
    if picture.content is not None:
        return hashlib.sha256(picture.content).hexdigest()
    if picture.path is not None:
        return hashlib.sha256(picture.path.read_bytes()).hexdigest()
    return picture.name


def _match(
    one: Picture, other: Picture
) -> Iterator[tuple[Instance, Instance, float]]:
    """Yield the instances that are in both, with their mean area."""
    sides = [
        [i for i in p.instances if i.score is None and not i.is_crowd]
        for p in (one, other)
    ]
    costs = np.full(tuple(map(len, sides)), 1e6)
    areas = np.ones_like(costs)
    for i, a in enumerate(sides[0]):
        for j, b in enumerate(sides[1]):
            both = (a.visible > 0) & (b.visible > 0)
            areas[i, j] = (find_area(a, one) + find_area(b, other)) / 2
            if both.any():
                apart = np.hypot(*(a.keypoints - b.keypoints)[both].T)
                costs[i, j] = apart.mean() / np.sqrt(areas[i, j])
    for i, j in zip(*linear_sum_assignment(costs), strict=True):
        if costs[i, j] < SAME_INSTANCE:
            yield sides[0][i], sides[1][j], float(areas[i, j])
