"""OKS, matches and average precision by COCO's rules, on arrays.

The numbers are those of :class:`gtpt_mm.ops.coco_evaluation.COCOeval` for all
areas, which mmpose prints. Here they are computed from arrays that can be
changed and evaluated many times.
"""

# G annotated instances, D predictions, K keypoints, T thresholds of OKS

from dataclasses import dataclass

import numpy as np

from gtpt_mm.ops.coco_evaluation import MAX_DETS, match_greedily

from .poses import LARGEST_AREA, Poses, Truth

#: Thresholds of OKS over which AP is the mean.
THRESHOLDS = np.linspace(0.5, 0.95, 10)
_RECALLS = np.linspace(0, 1, 101)


@dataclass(frozen=True)
class Matches:
    """Matches of predictions and instances.

    Attributes:
        truth: Index of the instance of each prediction, -1 for none, (T, D).
        oks: Their similarity, (T, D); 0 for none.
        ranked: Predictions that count: the best 20 of an image, (D,), bool.
    """

    truth: np.ndarray
    oks: np.ndarray
    ranked: np.ndarray


def compute_similarity(
    points: np.ndarray, truth: Truth, index: int, sigmas: np.ndarray
) -> np.ndarray:
    """Return the similarity of predicted keypoints with an instance's.

    ks = exp(-d^2 / (2 area (2 sigma)^2))

    Args:
        points: Pixels, (D, K, 2).
        truth: The instances.
        index: Number of the instance.
        sigmas: Falloff of each keypoint, (K,).

    Returns:
        Similarities in [0, 1], (D, K).
    """
    distances = ((points - truth.keypoints[index]) ** 2).sum(-1)
    area = truth.areas[index] + np.spacing(1)
    return np.exp(-distances / (2 * sigmas) ** 2 / area / 2)


def compute_oks(poses: Poses, gts: np.ndarray, dts: np.ndarray) -> np.ndarray:
    """Return OKS of predictions and instances of a group, (D, G).

    For an instance without labels, the distance of a keypoint is that to its
    box, doubled.
    """
    truth, points = poses.truth, poses.predictions.keypoints[dts]
    similarities = np.zeros((len(dts), len(gts)))
    for column, g in enumerate(gts):
        visible = truth.visible[g]
        if visible.any():
            found = compute_similarity(points, truth, g, poses.sigmas)
            similarities[:, column] = found[:, visible].mean(1)
        else:
            corner, size = truth.boxes[g, :2], truth.boxes[g, 2:]
            d = np.maximum(0, corner - size - points)
            d = d + np.maximum(0, points - corner - 2 * size)
            e = (d**2).sum(-1) / (2 * poses.sigmas) ** 2
            e = e / (truth.areas[g] + np.spacing(1)) / 2
            similarities[:, column] = np.exp(-e).mean(1)
    return similarities


def find_matches(poses: Poses, thresholds: np.ndarray) -> Matches:
    """Match predictions, best first, and instances of each image.

    Args:
        poses: Annotations and predictions.
        thresholds: Lowest OKS of a match, (T,).
    """
    truth, scores = poses.truth, poses.predictions.scores
    found = np.full((len(thresholds), len(scores)), -1, np.int64)
    oks = np.zeros(found.shape)
    ranked = np.zeros(len(scores), bool)
    for gts, dts in poses.groups():
        dts = dts[(-scores[dts]).argsort(kind='stable')][:MAX_DETS]
        gts = gts[truth.ignored[gts].argsort(kind='stable')]
        ranked[dts] = True
        if not len(gts) or not len(dts):
            continue
        similarities = compute_oks(poses, gts, dts)
        rows = similarities.tolist()
        ignored = truth.ignored[gts].tolist()
        crowds = truth.crowds[gts].tolist()
        numbers = np.array([*gts, -1])
        padded = np.pad(similarities, ((0, 0), (0, 1)))  # of -1 the last, 0
        for t, threshold in enumerate(thresholds):
            matched = match_greedily(rows, threshold, ignored, crowds)
            found[t, dts] = numbers[matched]
            oks[t, dts] = padded[np.arange(len(dts)), matched]
    return Matches(found, oks, ranked)


def compute_ap(poses: Poses, matches: Matches | None = None) -> np.ndarray:
    """Return the average precision at each threshold of OKS, (T,).

    Its mean is AP. It is -1 if nothing is annotated.

    Args:
        poses: Annotations and predictions.
        matches: Those at :data:`THRESHOLDS`, if they are known.
    """
    truth, predictions = poses.truth, poses.predictions
    matches = matches or find_matches(poses, THRESHOLDS)
    extents = np.ptp(predictions.keypoints, axis=1).prod(1)
    is_matched = matches.truth >= 0
    ignored = np.concatenate([truth.ignored, [False]])[matches.truth]
    ignored |= ~is_matched & (extents > LARGEST_AREA)
    rows = []
    for category in np.unique(truth.categories[~truth.ignored]):
        count = (~truth.ignored & (truth.categories == category)).sum()
        chosen = matches.ranked & (predictions.categories == category)
        order = np.flatnonzero(chosen)
        keys = predictions.images[order], -predictions.scores[order]
        order = order[np.lexsort(keys)]
        tp = is_matched[:, order] & ~ignored[:, order]
        fp = ~is_matched[:, order] & ~ignored[:, order]
        rows.append(
            [_average(hit, no, count) for hit, no in zip(tp, fp, strict=True)]
        )
    if not rows:
        return np.full(len(matches.truth), -1.0)
    return np.mean(rows, axis=0)


def _average(tp: np.ndarray, fp: np.ndarray, count: int) -> float:
    """Return the mean, over 101 recalls, of the best precision from there on.

    Args:
        tp: Whether each prediction, best first, found an instance, (D,).
        fp: Whether it found none, (D,).
        count: Number of instances.
    """
    found = tp.cumsum()
    precision = found / (fp.cumsum() + found + np.spacing(1))
    precision = np.maximum.accumulate(precision[::-1])[::-1]
    places = np.searchsorted(found / count, _RECALLS)
    return float(np.append(precision, 0.0)[places].mean())
