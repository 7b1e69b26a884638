"""The ``dataset_info`` of mmpose for a set: names, skeleton, swap, sigmas."""

# K keypoints

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from scipy.sparse.csgraph import minimum_spanning_tree

from gtpt_mm.compat.files.atomic_file import atomic_write
from gtpt_mm.datasets.keypoint_names import (
    SwapPairs,
    canonical,
    find_swap_pairs,
)

from .keypoint_set import Instance, KeypointSet
from .sigmas import find_sigmas

#: RGB of left, right and all others, as in mmpose's COCO.
COLORS = dict(left=[0, 255, 0], right=[255, 128, 0])
MIDDLE = [51, 153, 255]
#: Halves of a person, which half-body augmentation crops.
UPPER = {'shoulder', 'elbow', 'wrist', 'eye', 'ear'}
LOWER = {'hip', 'knee', 'ankle', 'heel', 'big_toe', 'small_toe'}
UPPER_MIDDLE = {'nose', 'neck', 'head_top', 'thorax', 'head'}
LOWER_MIDDLE = {'pelvis'}
LIMBS = {
    f'{side}_{part}'
    for side in COLORS
    for part in ('shoulder', 'elbow', 'wrist', 'hip', 'knee', 'ankle')
}
#: Largest number of instances used for the tree of a skeleton.
MOST_INSTANCES = 2000


def describe(
    keypoint_set: KeypointSet,
    swap: Mapping[str, str] | None = None,
    name: str = '',
) -> dict:
    """Return the ``dataset_info`` of a set, as mmpose reads it.

    Swap pairs are those given, else those of the source, else pairs found by
    name. Links are those of the source; without any, the minimum spanning tree
    over the mean distances of keypoints, see :func:`span_tree`, and the mirror
    image of each of its links. Every joint weight is 1. For sigmas see
    :func:`~gtpt_mm.datasets.exchange.sigmas.find_sigmas`.

    Args:
        keypoint_set: The set.
        swap: Partners that are given, see :func:`parse_swap`; others are
            found.
        name: ``dataset_name``; '' for the category of the set.

    Returns:
        The dict. Its extra entry ``notes`` is a list of lines on the source of
        each part and on what the user should check.
    """
    names = keypoint_set.names
    partners, pairs, notes = find_swap(keypoint_set, swap or {})
    links, note = _find_links(keypoint_set, partners)
    sigmas, sources = find_sigmas(keypoint_set, partners)
    sides = {n: side for p in pairs for n, side in zip(p, COLORS, strict=True)}
    types = _find_types(names)
    return dict(
        dataset_name=name or keypoint_set.category,
        keypoint_info={
            k: dict(
                name=point,
                id=k,
                color=COLORS.get(sides.get(point, ''), MIDDLE),
                type=types[point],
                swap=partners.get(point, ''),
            )
            for k, point in enumerate(names)
        },
        skeleton_info={
            k: dict(link=link, id=k, color=_link_color(link, sides))
            for k, link in enumerate(links)
        },
        joint_weights=[1.0] * len(names),
        sigmas=sigmas,
        notes=[*notes, note, *sources],
    )


def find_swap(
    keypoint_set: KeypointSet, asked: Mapping[str, str]
) -> tuple[dict[str, str], list[tuple[str, str]], list[str]]:
    """Return the mirror partners of a set.

    Args:
        keypoint_set: The set.
        asked: Partners that the user gave; '' for none.

    Returns:
        Partners by name, both ways; pairs (left, right); and lines to show.
    """
    by_names = find_swap_pairs(keypoint_set.names)
    named = {frozenset(pair): pair for pair in by_names.pairs}
    notes = []
    if keypoint_set.swap is None:
        chosen = {frozenset(pair) for pair in by_names.pairs}
    else:
        chosen = {frozenset(p) for p in keypoint_set.swap.items() if all(p)}
        chosen = {pair for pair in chosen if len(pair) == 2}
        if chosen != named.keys():
            notes.append(
                'swap: the source says other pairs than the names do; those '
                f'of the source are taken (by names: {_join(by_names.pairs)})'
            )
    chosen = {pair for pair in chosen if not pair & asked.keys()}
    chosen |= {frozenset(p) for p in asked.items() if all(p)}
    order = keypoint_set.names.index
    pairs = [
        named.get(pair) or _by_side(sorted(pair, key=order)) for pair in chosen
    ]
    pairs.sort(key=lambda pair: min(map(order, pair)))
    partners = {a: b for pair in pairs for a, b in (pair, pair[::-1])}
    notes.insert(0, f'swap: {_join(pairs)}')
    notes += _unsure(by_names, partners, asked)
    return partners, pairs, notes


def _by_side(pair: Sequence[str]) -> tuple[str, str]:
    """Return (left, right), in the given order where no name has a side."""
    a, b = pair
    is_right = 'right' in canonical(a).split('_')
    return (b, a) if is_right else (a, b)


def _unsure(
    found: SwapPairs, partners: Mapping[str, str], asked: Mapping[str, str]
) -> list[str]:
    """Return lines on what the user should check."""
    guessed = [
        (a, b)
        for a, b in found.guessed
        if partners.get(a) == b and a not in asked
    ]
    lines = [
        f'swap, please look: {_join(guessed)} agree only without their '
        'numbers; if wrong, give --swap LEFT=RIGHT, or NAME= for none'
    ] * bool(guessed)
    alone = [n for n in found.unsure if n not in partners and n not in asked]
    return lines + [
        f'swap, please look: {n} looks like one of a side and has no '
        f'partner; give --swap {n}=NAME, or --swap {n}= for none'
        for n in alone
    ]


def _join(pairs: Sequence[tuple[str, str]]) -> str:
    return ', '.join(f'{a} = {b}' for a, b in pairs) or 'none'


def parse_swap(text: str, names: Sequence[str]) -> dict[str, str]:
    """Return the partners, both ways, that ``--swap`` asks for.

    Args:
        text: Such as ``'ear1=ear2,left_horn='``; the left one comes first, and
            nothing after '=' means that a keypoint has no partner.
        names: Names of the keypoints.

    Raises:
        ValueError: If a pair cannot be read, or a name is unknown or twice.

    Example:
        >>> parse_swap('ear1=ear2, horn=', ['ear1', 'ear2', 'horn'])
        {'ear1': 'ear2', 'ear2': 'ear1', 'horn': ''}
    """
    found: dict[str, str] = {}
    for part in filter(str.strip, text.split(',')):
        ends = [end.strip() for end in part.split('=')]
        if len(ends) != 2 or not ends[0] or ends[0] == ends[1]:
            raise ValueError(
                f'--swap {part.strip()!r}: write LEFT=RIGHT, or NAME= for a '
                'keypoint without a partner; several with commas'
            )
        for end in filter(None, ends):
            if end not in names:
                raise ValueError(
                    f'--swap {part.strip()!r}: {end!r} is none of the '
                    f'keypoints {", ".join(names)}'
                )
            if end in found:
                raise ValueError(f'--swap: {end!r} occurs twice')
        found[ends[0]] = ends[1]
        if ends[1]:
            found[ends[1]] = ends[0]
    return found


def _find_types(names: Sequence[str]) -> dict[str, str]:
    """Return 'upper' or 'lower' of a person's keypoints; '' otherwise."""
    meanings = {name: canonical(name) for name in names}
    if not set(meanings.values()) >= LIMBS:
        return dict.fromkeys(names, '')
    types = {}
    for name, meaning in meanings.items():
        part = meaning.removeprefix('left_').removeprefix('right_')
        is_upper = part in UPPER | UPPER_MIDDLE
        is_lower = part in LOWER | LOWER_MIDDLE
        types[name] = 'upper' if is_upper else 'lower' if is_lower else ''
    return types


def _link_color(link: Sequence[str], sides: Mapping[str, str]) -> list[int]:
    """Return the color of a side if both ends have it."""
    a, b = (sides.get(end) for end in link)
    return COLORS[a] if a == b and a is not None else MIDDLE


def _find_links(
    keypoint_set: KeypointSet, partners: Mapping[str, str]
) -> tuple[list, str]:
    """Return the links of the source, else a tree; and a line about it."""
    if keypoint_set.links:
        return keypoint_set.links, 'skeleton: from the source'
    links = span_tree(keypoint_set)
    known = {frozenset(link) for link in links}
    for a, b in list(links):
        mirrored = (partners.get(a, a), partners.get(b, b))
        if frozenset(mirrored) not in known:
            known.add(frozenset(mirrored))
            links.append(mirrored)
    if not links:
        return [], 'skeleton: none; no two keypoints are labelled together'
    return links, (
        'skeleton: the source has none; it is the minimum spanning tree over '
        'mean distances, with the mirror image of each link: edit '
        'skeleton_info as you like'
    )


def span_tree(keypoint_set: KeypointSet) -> list[tuple[str, str]]:
    """Return the minimum spanning tree over mean distances of keypoints.

    Distances are divided by the size of their instance, the diagonal of its
    labelled keypoints. Keypoints that are never labelled together are not
    joined.
    """
    names = keypoint_set.names
    sums = np.zeros((len(names), len(names)))
    counts = np.zeros_like(sums)
    instances = [i for p in keypoint_set.pictures for i in p.instances]
    for instance in instances[:MOST_INSTANCES]:
        seen = instance.visible > 0
        size = _diagonal(instance)
        if size <= 0:
            continue
        apart = instance.keypoints[:, None] - instance.keypoints[None]
        both = seen[:, None] & seen[None]
        sums += np.where(both, np.hypot(*np.moveaxis(apart, -1, 0)) / size, 0)
        counts += both
    # scipy takes 0 for no edge
    means = np.where(counts > 0, sums / np.maximum(counts, 1) + 1e-9, 0)
    tree = minimum_spanning_tree(np.triu(means, 1)).tocoo()
    ends = sorted(zip(tree.row.tolist(), tree.col.tolist(), strict=True))
    return [(names[a], names[b]) for a, b in ends]


def _diagonal(instance: Instance) -> float:
    points = instance.keypoints[instance.visible > 0]
    return float(np.hypot(*np.ptp(points, axis=0))) if len(points) else 0.0


def write_metainfo(info: dict, path: str | Path) -> None:
    """Write a ``dataset_info`` as a file for ``metainfo=dict(from_file=)``.

    Args:
        info: Result of :func:`describe`; its notes become comments.
        path: The file, ``metainfo.py``.
    """
    notes = [' '.join(str(note).split()) for note in info.get('notes', [])]
    lines = [
        '# Written by gtpt-mm data import; yours to edit.',
        *(f'# {note}' for note in notes),
        'dataset_info = dict(',
        f'    dataset_name={info["dataset_name"]!r},',
    ]
    for key in ('keypoint_info', 'skeleton_info'):
        lines.append(f'    {key}={{')
        for number, entry in info[key].items():
            inner = ', '.join(f'{k}={v!r}' for k, v in entry.items())
            lines.append(f'        {number}: dict({inner}),')
        lines.append('    },')
    for key in ('joint_weights', 'sigmas'):
        lines.append(f'    {key}={[float(v) for v in info[key]]!r},')
    with atomic_write(path) as temporary:
        text = '\n'.join([*lines, ')', ''])
        # mmengine substitutes text in double braces
        text = text.replace('{{', '{\\x7b')
        Path(temporary).write_text(text, encoding='utf-8')
