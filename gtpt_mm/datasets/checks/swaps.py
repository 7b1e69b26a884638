"""Which pairs of left and right may be exchanged together."""

from collections.abc import Iterable

import numpy as np

#: More pairs than these are exchanged as whole limbs only.
MAX_SINGLE = 40


def list_swaps(
    links: Iterable[tuple[int, int]], pairs: list[tuple[int, int]]
) -> list[tuple[int, ...]]:
    """Return sets of pairs that an annotator may exchange at once.

    They are: each pair; the pairs beyond each joint of a limb, such as knee
    and ankle; whole limbs; all pairs.

    Args:
        links: Pairs of keypoints that are joined.
        pairs: Pairs (left, right) of keypoints.

    Returns:
        Indices into ``pairs``, the smallest sets first.

    Example:
        >>> arms = [(0, 1), (2, 3)]  # elbows, wrists
        >>> list_swaps([(0, 2), (1, 3)], arms)
        [(0,), (1,), (0, 1)]
    """
    node = {k: i for i, pair in enumerate(pairs) for k in pair}
    edges = {
        (min(node[a], node[b]), max(node[a], node[b]))
        for a, b in links
        if a in node and b in node and node[a] != node[b]
    }
    nodes = range(len(pairs))
    found = {frozenset(nodes)} if pairs else set()
    if len(pairs) <= MAX_SINGLE:
        found |= {frozenset([i]) for i in nodes}
    found |= {_reach(i, edges) for i in nodes}
    for edge in edges:
        found |= {_reach(i, edges - {edge}) for i in edge}
    return sorted((tuple(sorted(s)) for s in found), key=lambda s: (len(s), s))


def _reach(start: int, edges: set[tuple[int, int]]) -> frozenset[int]:
    """Return the nodes that edges join with a node."""
    seen, waiting = {start}, [start]
    while waiting:
        here = waiting.pop()
        for a, b in edges:
            if here in (a, b) and (other := a + b - here) not in seen:
                seen.add(other)
                waiting.append(other)
    return frozenset(seen)


def find_context(
    keypoints: list[int],
    links: Iterable[tuple[int, int]],
    pairs: list[tuple[int, int]],
    num: int,
    steps: int,
) -> np.ndarray:
    """Return the keypoints within some links of others, as a mask (num,)."""
    near = np.eye(num, dtype=bool)
    for a, b in [*links, *pairs]:
        near[a, b] = near[b, a] = True
    mask: np.ndarray = np.zeros(num, bool)
    mask[keypoints] = True
    for _ in range(steps):
        mask = near[mask].any(axis=0)
    return mask
