"""Pairs of instances and predictions, for errors of single keypoints."""

# G annotated instances, D predictions

from dataclasses import dataclass

import numpy as np

from .average_precision import compute_oks, find_matches
from .poses import Poses

#: Lowest OKS of a prediction that belongs to an instance.
LOCALIZED = 0.1
#: Smallest IoU of boxes that belong together below that OKS.
NEAR = 0.3
#: Lowest OKS of a second prediction of an instance already found.
DUPLICATE = 0.5


@dataclass(frozen=True)
class Pairs:
    """Instances and predictions that belong together.

    Attributes:
        matched: Index of the instance that COCO's rules match to each
            prediction at OKS 0.1, -1 for none, (D,).
        prediction: Index of the prediction of each instance, -1 for none,
            (G,): the matched one, else an unmatched one with an IoU of boxes
            of 0.3 or more, so that even a hopeless prediction has a distance.
        oks: Their similarity, (G,); 0 without a prediction.
        nearest: The highest OKS of each prediction with an instance that
            counts, (D,).
        ranked: Predictions that count: the best 20 of an image, (D,), bool.
    """

    matched: np.ndarray
    prediction: np.ndarray
    oks: np.ndarray
    nearest: np.ndarray
    ranked: np.ndarray


def find_pairs(poses: Poses) -> Pairs:
    """Match at OKS 0.1, then match the rest by boxes."""
    truth, predictions = poses.truth, poses.predictions
    matches = find_matches(poses, np.array([LOCALIZED]))
    matched = matches.truth[0]
    prediction = np.full(len(truth), -1)
    found = np.flatnonzero((matched >= 0) & ~truth.ignored[matched])
    prediction[matched[found]] = found
    oks = np.zeros(len(truth))
    nearest = np.zeros(len(predictions))
    for gts, dts in poses.groups():
        if not len(gts) or not len(dts):
            continue
        similarities = compute_oks(poses, gts, dts)
        counted = ~truth.ignored[gts]
        nearest[dts] = similarities[:, counted].max(1, initial=0)
        free = dts[(matched[dts] < 0) & matches.ranked[dts]]
        lost = gts[(prediction[gts] < 0) & ~truth.ignored[gts]]
        overlaps = compute_overlaps(truth.boxes[lost], predictions.boxes[free])
        for g, d in pair_greedily(overlaps, NEAR):
            prediction[lost[g]] = free[d]
        row = {d: row for row, d in enumerate(dts.tolist())}
        for column, g in enumerate(gts):
            if prediction[g] >= 0:
                oks[g] = similarities[row[prediction[g]], column]
    return Pairs(matched, prediction, oks, nearest, matches.ranked)


def compute_overlaps(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return the intersection over union of boxes.

    Args:
        first: (x, y, width, height), (N, 4).
        second: The same, (M, 4).

    Returns:
        Values in [0, 1], (N, M).
    """
    a, b = first[:, None], second[None]
    corner = np.maximum(a[..., :2], b[..., :2])
    end = np.minimum(a[..., :2] + a[..., 2:], b[..., :2] + b[..., 2:])
    common = np.maximum(0, end - corner).prod(-1)
    union = a[..., 2:].prod(-1) + b[..., 2:].prod(-1) - common
    return common / np.maximum(union, np.spacing(1))


def pair_greedily(values: np.ndarray, least: float) -> list[tuple[int, int]]:
    """Return rows and columns that belong together, the greatest first.

    Each row and each column is in at most one pair.
    """
    pairs: list[tuple[int, int]] = []
    places = np.argwhere(values >= least)
    order = (-values[tuple(places.T)]).argsort(kind='stable')
    for row, column in places[order].tolist():
        if all(row != r and column != c for r, c in pairs):
            pairs.append((row, column))
    return pairs
