"""All labels of an instance exchanged, found by the orientation of triangles.

Exchanging all labels gives the same pose mirrored in depth: seen from behind
instead of from the front. If every keypoint is labelled in both views, as
joints of limbs are, their positions do not tell the two apart. But a face is
labelled only where it is visible. So some triangles, such as nose, left eye
and right eye, have the same orientation in all instances of a set, and an
exchange of the labels reverses it.
"""

# N instances, K keypoints, T triangles

from itertools import combinations

import numpy as np

from .stack import Stack

#: Pairs and single keypoints whose triangles are compared.
MAX_PAIRS, MAX_SINGLE = 14, 7
#: Twice the area over the square of the longest side; flatter triangles may
#: change their orientation.
FLAT = 0.03
#: A triangle counts if this many instances have it, and at most this part of
#: them, or one, has it reversed.
MIN_INSTANCES, FEW = 30, 0.04
#: Triangles that an instance needs, and the part that must be reversed.
MIN_TRIANGLES, TURNED = 4, 0.75


def find_mirrored(stack: Stack, trusted: np.ndarray) -> dict[int, float]:
    """Find instances whose labels of left and right are all exchanged.

    Args:
        stack: The instances.
        trusted: Keypoints that count, (N, K).

    Returns:
        Row and number of reversed triangles of each.
    """
    triangles = _list_triangles(stack)
    turns = [
        _turns(stack.points[rows], trusted[rows], triangles)
        for rows in np.array_split(
            np.arange(len(stack)), len(stack) // 256 + 1
        )
    ]
    turn = np.concatenate(turns)
    usual = _usual(turn, triangles, stack)
    counts = (turn != 0) & (usual != 0)
    turned = (turn * usual < 0).sum(1)
    num = counts.sum(1)
    hit = (num >= MIN_TRIANGLES) & (turned >= TURNED * num)
    return {int(row): float(turned[row]) for row in np.flatnonzero(hit)}


def _list_triangles(stack: Stack) -> np.ndarray:
    """Return triangles with a side, and all their mirror images, (T, 3)."""
    sided = {k for pair in stack.pairs for k in pair}
    single = [k for k in range(len(stack.names)) if k not in sided]
    pairs = stack.pairs[:: -(-len(stack.pairs) // MAX_PAIRS)]
    chosen = single[:: max(-(-len(single) // MAX_SINGLE), 1)]
    chosen = sorted([*chosen, *(k for pair in pairs for k in pair)])
    found = [t for t in combinations(chosen, 3) if sided.intersection(t)]
    return np.array(found, int).reshape(-1, 3)


def _turns(
    points: np.ndarray, known: np.ndarray, triangles: np.ndarray
) -> np.ndarray:
    """Return orientations, 1 or -1, or 0 if unknown or flat, (N, T)."""
    a, b, c = (points[:, triangles[:, i]] for i in range(3))
    u, v, w = b - a, c - a, c - b
    area = u[..., 0] * v[..., 1] - u[..., 1] * v[..., 0]
    longest = np.maximum.reduce([(x**2).sum(-1) for x in (u, v, w)])
    clear = np.abs(area) > FLAT * longest
    return np.where(
        known[:, triangles].all(-1) & clear, np.sign(area), 0
    ).astype(np.int8)


def _usual(
    turn: np.ndarray, triangles: np.ndarray, stack: Stack
) -> np.ndarray:
    """Return the usual orientation of each triangle, 0 for none, (T,)."""
    order = np.arange(len(stack.names))
    for a, b in stack.pairs:
        order[a], order[b] = b, a
    index = {tuple(t): i for i, t in enumerate(triangles.tolist())}
    image = order[triangles]  # of each triangle in a mirror
    mirror = np.array([index[tuple(sorted(t))] for t in image.tolist()], int)
    # A mirror reverses a triangle, and so does each exchange of two corners.
    a, b, c = image.T
    same = ((a > b) ^ (a > c) ^ (b > c))[None]
    seen = np.where(same, turn[:, mirror], -turn[:, mirror])
    seen[:, mirror == np.arange(len(triangles))] = 0
    first, second = (
        (turn == way).sum(0) + (seen == way).sum(0) for way in (1, -1)
    )
    total = first + second
    few = np.minimum(first, second) <= np.maximum(FEW * total, 1)
    return np.where((total >= MIN_INSTANCES) & few, np.sign(first - second), 0)
