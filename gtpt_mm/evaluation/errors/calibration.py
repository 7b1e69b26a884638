"""Agreement of scores with the quality of predictions."""

# N predictions

import math

import numpy as np

from .breakdown import PCK_THRESHOLD
from .corrections import Diagnosis

BINS = 10


def calibrate(scores: np.ndarray, outcomes: np.ndarray) -> dict:
    """Compare scores with outcomes.

    Args:
        scores: (N,); those outside of [0, 1] count as its ends.
        outcomes: In [0, 1], (N,).

    Returns:
        ``bins``, ten rows with ``low``, ``high``, ``count`` and the means
        ``score`` and ``outcome`` (NaN where empty); ``error``, the expected
        calibration error: the mean difference of the two over all
        predictions; ``correlation`` of the ranks; ``outside``, the number of
        scores that are not in [0, 1]. NaN without predictions.
    """
    outside = int(((scores < 0) | (scores > 1)).sum())
    clipped = np.clip(scores, 0, 1)
    places = np.minimum((clipped * BINS).astype(int), BINS - 1)
    rows, error = [], 0.0
    for number in range(BINS):
        members = places == number
        count = int(members.sum())
        means = [
            float(values[members].mean()) if count else math.nan
            for values in (clipped, outcomes)
        ]
        if count:
            error += count / len(scores) * abs(means[0] - means[1])
        low, high = number / BINS, (number + 1) / BINS
        rows.append(
            dict(
                low=low, high=high, count=count,
                score=means[0], outcome=means[1],
            )
        )  # fmt: skip
    return dict(
        bins=rows,
        error=error if len(scores) else math.nan,
        correlation=correlate_ranks(scores, outcomes),
        outside=outside,
    )


def calibrate_keypoints(diagnosis: Diagnosis, distances: np.ndarray) -> dict:
    """Compare keypoint scores with PCK at 0.1.

    Only labelled keypoints of instances with a prediction count.

    Args:
        diagnosis: The errors.
        distances: In longer sides of the box, (G, K).
    """
    g, k = np.isfinite(distances).nonzero()
    d = diagnosis.pairs.prediction[g]
    scores = diagnosis.poses.predictions.keypoint_scores[d, k]
    return calibrate(scores, (distances[g, k] < PCK_THRESHOLD).astype(float))


def calibrate_instances(diagnosis: Diagnosis) -> dict:
    """Compare scores of predictions with their OKS; 0 without a partner.

    Predictions of crowds and of instances without labels are left out.
    """
    pairs, truth = diagnosis.pairs, diagnosis.poses.truth
    scores = diagnosis.poses.predictions.scores
    oks = np.zeros(len(scores))
    g = np.flatnonzero(pairs.prediction >= 0)
    oks[pairs.prediction[g]] = pairs.oks[g]
    ignored = (pairs.matched >= 0) & truth.ignored[pairs.matched]
    chosen = pairs.ranked & ~ignored
    return calibrate(scores[chosen], oks[chosen])


def correlate_ranks(first: np.ndarray, second: np.ndarray) -> float:
    """Return Spearman's correlation; NaN if one side is constant."""
    ranks = [_rank(first), _rank(second)]
    if any(len(rank) < 2 or np.ptp(rank) == 0 for rank in ranks):
        return math.nan
    return float(np.corrcoef(ranks[0], ranks[1])[0, 1])


def _rank(values: np.ndarray) -> np.ndarray:
    """Return ranks; equal values get their mean rank."""
    _, places, counts = np.unique(
        values, return_inverse=True, return_counts=True
    )
    return (counts.cumsum() - (counts - 1) / 2)[places.ravel()]
