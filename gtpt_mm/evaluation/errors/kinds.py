"""Errors of keypoints by kind, and the corrected keypoints.

Source: Ronchi and Perona, "Benchmarking and Error Diagnosis in Multi-Instance
Pose Estimation", ICCV 2017, Sec. 3.1. With ks the similarity of a predicted
keypoint with an annotated one:

    good       0.85 <= ks with its own annotation: within the human error
    jitter     0.5 <= ks < 0.85 with its own
    inversion  0.5 <= ks with the other side of the same instance
    swap       0.5 <= ks with the keypoint, or its other side, of another one
    miss       ks < 0.5 with all of these

If several kinds apply, a good keypoint is good, else the largest ks decides,
as in the official code. That code places corrected keypoints at half of these
distances (it lacks the factor 2 of 2 sigma); here ks after the correction
follows the definition.
"""

# G annotated instances, D predictions, K keypoints

import numpy as np

from .average_precision import compute_similarity
from .pairs import Pairs
from .poses import Poses

#: Lowest similarity near a keypoint, and within the human error.
PROXIMITY, HUMAN = 0.5, 0.85
#: Added to corrected similarities: 0.5 and 0.85 are also thresholds of AP, and
#: rounding must not decide on which side of them an OKS is.
MARGIN = 1e-9
#: Code of a kind in arrays; -1 where the keypoint is not labelled or its
#: instance not found.
KINDS = ('good', 'jitter', 'inversion', 'swap', 'miss')
GOOD, JITTER, INVERSION, SWAP, MISS = range(len(KINDS))


def classify(poses: Poses, pairs: Pairs) -> tuple[np.ndarray, np.ndarray]:
    """Find the kind of each predicted keypoint.

    Only predictions that are matched to an instance at OKS 0.1 have kinds.

    Returns:
        Kinds, (D, K), and the similarity that the keypoint has with its own
        annotation after the correction of its kind, (D, K).
    """
    shape = poses.predictions.keypoints.shape[:2]
    kinds, corrected = np.full(shape, -1), np.ones(shape)
    for gts, dts in _by_image(poses, pairs):
        similarities = _compare_all(poses, gts, dts)
        for row, d in enumerate(dts):
            own = int(np.flatnonzero(gts == pairs.matched[d])[0])
            kind, target = _classify_one(similarities[:, :, row], own)
            visible = poses.truth.visible[pairs.matched[d]]
            kinds[d, visible] = kind[visible]
            corrected[d, visible] = target[visible]
    return kinds, corrected


def correct(
    poses: Poses, pairs: Pairs, chosen: np.ndarray, similarity: np.ndarray
) -> np.ndarray:
    """Move keypoints towards their annotations.

    Args:
        poses: Annotations and predictions.
        pairs: The instance of each prediction.
        chosen: Keypoints to move, (D, K), bool.
        similarity: Their similarity afterwards, (D, K).

    Returns:
        Keypoints, (D, K, 2): on the line from the annotation to the
        prediction.
    """
    points = poses.predictions.keypoints.copy()
    d, k = chosen.nonzero()
    g = pairs.matched[d]
    target = poses.truth.keypoints[g, k]
    shift = points[d, k] - target
    length = np.linalg.norm(shift, axis=1, keepdims=True)
    area = poses.truth.areas[g] + np.spacing(1)
    radius = (
        2 * poses.sigmas[k] * np.sqrt(-2 * np.log(similarity[d, k]) * area)
    )
    points[d, k] = target + shift / length * radius[:, None]
    return points


def _by_image(
    poses: Poses, pairs: Pairs
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return the instances and the matched predictions of each image.

    They are of all categories: people and animals may also be confused.
    """
    truth, matched = poses.truth, pairs.matched
    is_found = (matched >= 0) & (truth.visible.sum(1) > 0)[matched]
    is_found &= ~truth.ignored[matched]
    found = np.flatnonzero(is_found)
    images = truth.images[matched[found]]
    return [
        (np.flatnonzero(truth.images == i), found[images == i])
        for i in np.unique(images)
    ]


def _compare_all(poses: Poses, gts: np.ndarray, dts: np.ndarray) -> np.ndarray:
    """Return similarities with each keypoint and with its other side.

    -1 if these are not labelled, or if a keypoint has no other side.

    Returns:
        (2, G, D, K).
    """
    truth, flip = poses.truth, poses.flip_indices
    points = poses.predictions.keypoints[dts]
    found = np.full((2, len(gts), *points.shape[:2]), -1.0)
    paired = flip != np.arange(len(flip))
    for row, g in enumerate(gts):
        visible = truth.visible[g]
        same = compute_similarity(points, truth, g, poses.sigmas)
        found[0, row][:, visible] = same[:, visible]
        mirrored = points[:, flip]
        other = compute_similarity(mirrored, truth, g, poses.sigmas)[:, flip]
        chosen = visible[flip] & paired
        found[1, row][:, chosen] = other[:, chosen]
    return found


def _classify_one(
    similarities: np.ndarray, own: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return kinds, (K,), and similarities after correction, (K,).

    Args:
        similarities: Similarities of one prediction, (2, G, K).
        own: Row of its instance.
    """
    with_own, with_other_side = similarities[:, own]
    others = np.delete(similarities, own, axis=1)
    with_others = others.max((0, 1), initial=-1.0)
    candidates = np.stack([with_own, with_others, with_other_side])
    best = candidates.max(0)
    kinds = np.array([JITTER, SWAP, INVERSION])[candidates.argmax(0)]
    kinds[best < PROXIMITY] = MISS
    kinds[with_own >= HUMAN] = GOOD
    corrected = np.where(kinds == JITTER, HUMAN, np.maximum(best, PROXIMITY))
    return kinds, np.minimum(corrected + MARGIN, 1)
