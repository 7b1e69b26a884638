"""Keypoint groups of a GTPT from a skeleton: limb chains."""

from collections.abc import Iterable, Sequence

#: More groups cost more: each has its own image tokens.
MAX_GROUPS = 4
#: Groups of a set without lines between its keypoints.
NUM_CHUNKS = 3

Group = set[int]


def find_groups(
    num_keypoints: int,
    links: Iterable[tuple[int, int]],
    swap: Iterable[tuple[int, int]],
) -> list[list[int]]:
    """Divide the keypoints of a skeleton into limb chains.

    A chain runs from an end of the skeleton to the first fork, which it
    includes if no other chain ends there. Connected parts of the rest are
    groups as well. Left and right chains form one group. Small groups join a
    neighbour until there are at most ``MAX_GROUPS``, none with a single
    keypoint. COCO's 17 keypoints give head, arms and legs, as in the paper.

    Args:
        num_keypoints: K.
        links: Pairs of indices that are joined by a line; without any, the
            keypoints are divided in their order.
        swap: Pairs of indices (left, right).

    Returns:
        Indices of each group, rising, each of 0..K-1 once.

    Example:
        >>> find_groups(5, [(0, 1), (1, 2), (2, 3), (2, 4)], [(3, 4)])
        [[0, 1, 2], [3, 4]]
    """
    near: list[Group] = [set() for _ in range(num_keypoints)]
    for i, j in links:
        near[i].add(j)
        near[j].add(i)
    if not any(near):
        return _chunks(num_keypoints)
    groups = _find_chains(near)
    rest = set(range(num_keypoints)).difference(*groups)
    groups += _components(rest, near)
    groups = _join_sides(groups, swap)
    _join_small(groups, near)
    return sorted(sorted(group) for group in groups)


def _chunks(num: int) -> list[list[int]]:
    size = -(-num // NUM_CHUNKS)
    starts = range(0, num, max(size, 2))
    chunks = [list(range(s, min(s + max(size, 2), num))) for s in starts]
    if len(chunks) > 1 and len(chunks[-1]) == 1:
        last = chunks.pop()
        chunks[-1] += last
    return chunks


def _find_chains(near: Sequence[Group]) -> list[Group]:
    """Return the chains from each end, with forks that only one reaches.

    A chain without a fork is a whole part of the skeleton.
    """
    chains: list[Group] = []
    forks: list[int | None] = []
    for end in range(len(near)):
        if len(near[end]) != 1 or any(end in chain for chain in chains):
            continue
        chain, fork, at = {end}, None, end
        while onward := near[at] - chain:
            at = min(onward)
            if len(near[at]) > 2:
                fork = at
                break
            chain.add(at)
        chains.append(chain)
        forks.append(fork)
    for chain, fork in zip(chains, forks, strict=True):
        if fork is not None and forks.count(fork) == 1:
            chain.add(fork)
    return chains


def _components(rest: Group, near: Sequence[Group]) -> list[Group]:
    """Return the connected parts of keypoints that are in no chain."""
    parts = []
    while rest:
        part, new = set(), {min(rest)}
        while new:
            part |= new
            new = set().union(*(near[i] for i in new)) & rest - part
        parts.append(part)
        rest = rest - part
    return parts


def _join_sides(
    groups: list[Group], swap: Iterable[tuple[int, int]]
) -> list[Group]:
    """Join groups that are mirror images of each other."""
    mirror = {i: j for pair in swap for i, j in (pair, pair[::-1])}
    joined: list[Group] = []
    for group in groups:
        image = {mirror.get(i, i) for i in group}
        same = next((g for g in joined if 2 * len(g & image) > len(g)), None)
        if same is None:
            joined.append(set(group))
        else:
            same |= group
    return joined


def _join_small(groups: list[Group], near: Sequence[Group]) -> None:
    """Join the smallest group with its smallest neighbour, in place."""
    while len(groups) > 1 and (
        len(groups) > MAX_GROUPS or min(map(len, groups)) == 1
    ):
        small = min(groups, key=lambda group: (len(group), -max(group)))
        groups.remove(small)
        border = set().union(*(near[i] for i in small))
        neighbours = [group for group in groups if group & border] or groups
        min(neighbours, key=len).update(small)
