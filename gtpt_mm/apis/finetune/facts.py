"""Facts of an annotated set for a recipe: numbers, shapes, directions."""

# N instances, K keypoints, P pairs of keypoints, T triples of keypoints

import itertools
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from mmpose.datasets.datasets.utils import parse_pose_metainfo

from gtpt_mm.datasets.exchange.folder import OwnSet

#: A pair of keypoints is a body axis if it is labelled in half of the
#: instances and about as long as a quarter of the box.
MIN_LABELLED = 0.5
MIN_LENGTH = 0.25
#: With fewer instances no direction is measured; the set counts as upright.
MIN_INSTANCES = 10
#: Maximum number of triples, drawn with a fixed seed if there are more.
MAX_TRIPLES = 400


@dataclass(frozen=True)
class SetFacts:
    """Facts of a set that the rules read.

    Attributes:
        name: Name of the dataset.
        keypoints: Names of the K keypoints.
        links: Pairs of indices that are joined by a line.
        swap: Pairs of indices (left, right).
        num_train: Instances to train on.
        num_val: Instances to validate on.
        num_pictures: Pictures to train on.
        short_side: Median of the shorter sides of the pictures, in pixels.
        aspect: Median of width / height of the boxes.
        circular_variance: Circular variance of the most stable body axis, in
            [0, 1], see :func:`measure_circular_variance`.
        handedness: Value in [0, 1], see :func:`measure_handedness`.
    """

    name: str
    keypoints: tuple[str, ...]
    links: tuple[tuple[int, int], ...]
    swap: tuple[tuple[int, int], ...]
    num_train: int
    num_val: int
    num_pictures: int
    short_side: float
    aspect: float
    circular_variance: float
    handedness: float


def read_facts(own_set: OwnSet) -> SetFacts:
    """Measure the training split of a set.

    Args:
        own_set: The set, written by ``gtpt-mm data import``.

    Raises:
        ValueError: If a split is missing or has no labelled instance.
    """
    meta = parse_pose_metainfo(
        dict(from_file=str(own_set.folder / 'metainfo.py'))
    )
    names = tuple(
        meta['keypoint_id2name'][k] for k in range(len(meta['sigmas']))
    )
    train = _read(own_set, 'train', len(names))
    val = _read(own_set, 'val', len(names))
    keypoints, boxes = train['keypoints'], train['boxes']
    return SetFacts(
        name=meta['dataset_name'],
        keypoints=names,
        links=tuple(tuple(link) for link in meta['skeleton_links']),
        swap=_find_pairs(meta['flip_indices']),
        num_train=len(keypoints),
        num_val=len(val['keypoints']),
        num_pictures=len(train['sizes']),
        short_side=float(np.median(train['sizes'].min(axis=1))),
        aspect=float(np.median(boxes[:, 0] / boxes[:, 1])),
        circular_variance=measure_circular_variance(keypoints, boxes),
        handedness=measure_handedness(keypoints),
    )


def _find_pairs(flip_indices: list[int]) -> tuple[tuple[int, int], ...]:
    return tuple((i, j) for i, j in enumerate(flip_indices) if i < j)


def _read(own_set: OwnSet, split: str, num: int) -> dict[str, np.ndarray]:
    """Return keypoints (N, K, 3), boxes (N, 2) and pictures (M, 2)."""
    if split not in own_set.ann_files:
        raise ValueError(
            f'{own_set.folder} has no {split}.json, only '
            f'{sorted(own_set.ann_files)}; import the set again with --val 0.2'
        )
    path = Path(own_set.ann_files[split])
    content = json.loads(path.read_text('utf-8'))
    rows = [
        row
        for row in content['annotations']
        if not row.get('iscrowd') and any(row.get('keypoints', ())[2::3])
    ]
    if not rows:
        raise ValueError(f'{path} has no instance with a labelled keypoint')
    keypoints = np.array([row['keypoints'] for row in rows], float)
    pictures = content['images']
    return dict(
        keypoints=keypoints.reshape(len(rows), num, 3),
        boxes=np.array([row['bbox'][2:] for row in rows], float).clip(1),
        sizes=np.array([(p['width'], p['height']) for p in pictures], float),
    )


def measure_circular_variance(
    keypoints: np.ndarray, boxes: np.ndarray
) -> float:
    """Return how much the most stable body axis turns, in [0, 1].

    A body axis is a pair of keypoints far from each other. Over the N
    instances its directions phi have the circular variance

        V = 1 - |mean exp(i phi)|,

    0 if all are equal, 1 if they are uniform. The set has an upright direction
    if any axis has a small V: an animal that walks to both sides still has its
    feet below.

    Args:
        keypoints: (x, y, visible), (N, K, 3).
        boxes: Width and height of the boxes, (N, 2).

    Returns:
        The smallest V of all axes; 0 if there are too few instances.
    """
    if len(keypoints) < MIN_INSTANCES:
        return 0.0
    points = keypoints[..., 0] + 1j * keypoints[..., 1]
    labelled = keypoints[..., 2] > 0
    side = boxes.max(axis=1, keepdims=True)
    variances = []
    for k in range(points.shape[1] - 1):
        vector = points[:, k + 1 :] - points[:, k : k + 1]  # (N, P)
        both = labelled[:, k + 1 :] & labelled[:, k : k + 1]
        length = np.abs(vector)
        count = both.sum(axis=0)
        mean_length = (length / side * both).sum(0) / count.clip(1)
        axis = (count >= max(MIN_LABELLED * len(points), MIN_INSTANCES)) & (
            mean_length >= MIN_LENGTH
        )
        unit = vector / length.clip(1e-6) * both
        variances += list(1 - np.abs(unit.sum(0)[axis]) / count[axis])
    return float(min(variances, default=0.0))


def measure_handedness(keypoints: np.ndarray) -> float:
    """Return how clearly poses differ from their mirror images, in [0, 1].

    A triple of keypoints is oriented clockwise or counterclockwise, and a
    mirror reverses it. A set whose triples have both orientations (a side view
    of animals that walk to both sides) is symmetric: its mirrored pictures
    could belong to it.

    Args:
        keypoints: (x, y, visible), (N, K, 3).

    Returns:
        |mean sign of the triangle|, averaged over triples by their area; 1
        if there are no triples.
    """
    triples = list(itertools.combinations(range(keypoints.shape[1]), 3))
    if len(triples) > MAX_TRIPLES:
        rng = np.random.default_rng(0)
        chosen = rng.choice(len(triples), MAX_TRIPLES, replace=False)
        triples = [triples[i] for i in chosen]
    if not triples:
        return 1.0
    corners = keypoints[:, np.array(triples)]  # (N, T, 3, 3)
    all_three = (corners[..., 2] > 0).all(axis=2)
    (x1, y1), (x2, y2) = (
        np.moveaxis(corners[:, :, i, :2] - corners[:, :, 0, :2], 2, 0)
        for i in (1, 2)
    )
    area = (x1 * y2 - x2 * y1) * all_three
    count = all_three.sum(axis=0)
    sign = np.abs(np.sign(area).sum(axis=0)) / count.clip(1)
    weight = np.abs(area).sum(axis=0) / count.clip(1)
    return float((sign * weight).sum() / max(weight.sum(), 1e-9))
