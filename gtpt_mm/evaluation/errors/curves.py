"""Shares of keypoints and instances found, over the threshold."""

# G annotated instances, K keypoints

import numpy as np

from .average_precision import THRESHOLDS
from .breakdown import compute_pck
from .pairs import Pairs
from .poses import Poses

#: Distances of the curve of PCK, in longer sides of the box.
DISTANCES = np.linspace(0, 0.5, 51)
#: Thresholds of the curve of OKS.
OKS = np.linspace(0, 1, 51)


def draw_curves(
    poses: Poses, pairs: Pairs, distances: np.ndarray, ap: np.ndarray
) -> dict[str, list[dict]]:
    """Return points of curves.

    Args:
        poses: Annotations and predictions.
        pairs: The prediction of each instance.
        distances: In longer sides of the box, (G, K).
        ap: AP at each of its thresholds, (10,).

    Returns:
        ``pck``: ``distance`` and ``pck``, the mean over the keypoints;
        ``oks``: ``oks`` and ``share`` of the instances that reach it with
        their prediction; ``ap``: ``oks`` and ``ap``.
    """
    oks = pairs.oks[~poses.truth.ignored]
    has_any = (pairs.prediction >= 0)[~poses.truth.ignored]
    return dict(
        pck=[
            dict(distance=float(d), pck=compute_pck(distances, d))
            for d in DISTANCES
        ],
        oks=[
            dict(oks=float(t), share=float(((oks >= t) & has_any).mean()))
            for t in OKS
        ],
        ap=[
            dict(oks=float(t), ap=float(value))
            for t, value in zip(THRESHOLDS, ap, strict=True)
        ],
    )
