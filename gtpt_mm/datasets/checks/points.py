"""Keypoints against the picture, their box and each other."""

import numpy as np

from .findings import Finding
from .stack import Stack

#: A keypoint may lie beside its picture or box by this many pixels ...
SLACK = 2.0
#: ... or by this part of the longer side of the box: boxes around a mask end
#: at the skin, not at the label.
BOX_SLACK = 0.1
#: Joined keypoints at one place are a finding if they are this rare.
RARE = 0.02


def check_points(stack: Stack) -> list[Finding]:
    """Find labels at (0, 0), outside the picture, outside the box."""
    labelled = stack.labelled
    origin = labelled & (stack.points == 0).all(-1)
    found = [
        stack.finding('origin', row, stack.name(k), k)
        for row, k in _rows(origin)
    ]
    size = stack.sizes[:, None]
    beyond = _beyond(stack.points, np.zeros_like(size), size)
    outside = labelled & (beyond > SLACK) & ~origin
    for row, k in _rows(outside):
        worst = beyond[row, list(k)].max()
        w, h = stack.sizes[row]
        text = f'{stack.name(k)}: {worst:.0f} px beyond {w} x {h}'
        found.append(stack.finding('outside-picture', row, text, k, worst))
    low, high = stack.boxes[:, None, :2], stack.boxes[:, None, 2:]
    beyond = _beyond(stack.points, low, high)  # NaN without a box
    slack = np.maximum(SLACK, BOX_SLACK * stack.sides)[:, None]
    in_a_picture = labelled & ~origin & ~outside
    is_empty = np.any(high <= low, axis=(1, 2))
    beyond[is_empty] = 0  # an empty box: a finding of its own
    for row, k in _rows(in_a_picture & (beyond > slack)):
        part = beyond[row, list(k)].max() / stack.sides[row]
        text = f'{stack.name(k)}: {part:.0%} of the box beyond it'
        found.append(stack.finding('outside-box', row, text, k, part))
    return found + _same_place(stack, in_a_picture)


def _beyond(
    points: np.ndarray, low: np.ndarray, high: np.ndarray
) -> np.ndarray:
    """Return how far points lie outside limits, in pixels, (N, K)."""
    return np.maximum(low - points, points - high).max(-1)


def _same_place(stack: Stack, usable: np.ndarray) -> list[Finding]:
    """Find bones of length 0, if they are rare.

    A hip hides the other one in profile, so left and right may coincide.
    """
    together: dict[int, set[int]] = {}
    for a, b in stack.links:
        if (a, b) in stack.pairs or (b, a) in stack.pairs:
            continue
        both = usable[:, a] & usable[:, b]
        equal = both & (stack.points[:, a] == stack.points[:, b]).all(-1)
        if 0 < equal.sum() <= max(RARE * both.sum(), 1):
            for row in np.flatnonzero(equal).tolist():
                together.setdefault(row, set()).update((a, b))
    return [
        stack.finding(
            'same-place', row, stack.name(tuple(sorted(k))), tuple(sorted(k))
        )
        for row, k in together.items()
    ]


def _rows(mask: np.ndarray) -> list[tuple[int, tuple[int, ...]]]:
    """Return each row with a hit and the columns of its hits."""
    return [
        (int(row), tuple(np.flatnonzero(mask[row]).tolist()))
        for row in np.flatnonzero(mask.any(1))
    ]
