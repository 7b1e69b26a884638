"""Errors by keypoint, size, number of labelled keypoints and crowding."""

# G annotated instances, K keypoints, T thresholds

import math

import numpy as np

from .average_precision import Matches
from .kinds import KINDS
from .pairs import Pairs, compute_overlaps
from .poses import Poses

#: Largest distance of PCK, in longer sides of the annotated box.
PCK_THRESHOLD = 0.1
#: Boundaries of the sizes of the paper, in pixels of sqrt(area).
SIZES = (32, 64, 96, 128)
#: Boundaries of the number of labelled keypoints, in shares of K. For 17
#: keypoints they are those of the paper: 1-5, 6-10, 11-15, 16-17.
LABELLED = (0.3, 0.6, 0.9)
#: Smallest IoU of boxes that crowd each other, and the boundaries of the
#: number of such boxes.
CROWDED, OTHERS = 0.1, (0, 2)


def measure_distances(poses: Poses, pairs: Pairs) -> np.ndarray:
    """Return distances of predicted from annotated keypoints, (G, K).

    They are in longer sides of the annotated box: NaN for keypoints that are
    not labelled and for instances that do not count, infinite if nothing was
    predicted.
    """
    truth = poses.truth
    distances = np.full(truth.visible.shape, np.inf)
    g = np.flatnonzero(pairs.prediction >= 0)
    points = poses.predictions.keypoints[pairs.prediction[g]]
    sides = np.maximum(truth.boxes[g, 2:].max(1), np.spacing(1))
    found = np.linalg.norm(points - truth.keypoints[g], axis=-1)
    distances[g] = found / sides[:, None]
    distances[~truth.visible | truth.ignored[:, None]] = np.nan
    return distances


def compute_pck(distances: np.ndarray, threshold: float) -> float:
    """Return the mean over keypoints of the share that is near enough.

    Equal to mmpose's PCKAccuracy with boxes. NaN if nothing is labelled.

    Args:
        distances: Result of :func:`measure_distances`, (G, K).
        threshold: In longer sides of the box.
    """
    labelled = ~np.isnan(distances)
    counts = labelled.sum(0)
    hits = (distances < threshold).sum(0)
    shares = hits[counts > 0] / counts[counts > 0]
    return float(shares.mean()) if len(shares) else math.nan


def arrange_kinds(pairs: Pairs, kinds: np.ndarray) -> np.ndarray:
    """Return the kinds of the keypoints of each instance, (G, K).

    -1 if a keypoint is not labelled or its instance not found at OKS 0.1.

    Args:
        pairs: The instance of each prediction.
        kinds: Kinds of the keypoints of each prediction, (D, K).
    """
    found = np.full((len(pairs.prediction), kinds.shape[1]), -1)
    for g, d in enumerate(pairs.prediction):
        if d >= 0 and pairs.matched[d] == g:
            found[g] = kinds[d]
    return found


def by_keypoint(
    poses: Poses, distances: np.ndarray, kinds: np.ndarray
) -> list[dict]:
    """Return a row for each keypoint.

    Args:
        poses: Annotations and predictions.
        distances: Result of :func:`measure_distances`, (G, K).
        kinds: Result of :func:`arrange_kinds`, (G, K).
    """
    return [
        dict(keypoint=name) | describe(distances[:, [k]], kinds[:, [k]])
        for k, name in enumerate(poses.names)
    ]


def describe(distances: np.ndarray, kinds: np.ndarray) -> dict:
    """Return the numbers for some keypoints.

    Args:
        distances: (N, K), NaN for those that are not labelled.
        kinds: (N, K).

    Returns:
        ``labelled`` and ``predicted``, the counts; ``error`` and
        ``median_error``, distances of the predicted ones in longer sides of
        the box, NaN for none; ``pck`` of all labelled ones; the count of each
        kind, and ``not_found`` at OKS 0.1.
    """
    labelled = ~np.isnan(distances)
    predicted = distances[np.isfinite(distances)]
    found = kinds[labelled]
    counts = {name: int((found == i).sum()) for i, name in enumerate(KINDS)}
    has_any = len(predicted) > 0
    return dict(
        labelled=int(labelled.sum()),
        predicted=len(predicted),
        error=float(predicted.mean()) if has_any else math.nan,
        median_error=float(np.median(predicted)) if has_any else math.nan,
        pck=compute_pck(distances, PCK_THRESHOLD),
        **counts,
        not_found=int((found < 0).sum()),
    )


def by_group(
    poses: Poses,
    pairs: Pairs,
    matches: Matches,
    distances: np.ndarray,
    kinds: np.ndarray,
) -> dict[str, list[dict]]:
    """Return rows for the groups of sizes, labels and crowding.

    Args:
        poses: Annotations and predictions.
        pairs: The prediction of each instance.
        matches: Matches at the thresholds of AP.
        distances: Result of :func:`measure_distances`, (G, K).
        kinds: Result of :func:`arrange_kinds`, (G, K).

    Returns:
        ``size``, ``labelled_keypoints`` and ``crowding``: rows with
        ``group``, its name; ``instances``, how many; ``oks``, the mean, 0
        without a prediction; ``recall`` over the thresholds of AP; and the
        numbers of :func:`describe`. Empty groups are left out.
    """
    counted = ~poses.truth.ignored
    hits = np.zeros((len(matches.truth), len(counted)))
    t, d = (matches.truth >= 0).nonzero()
    hits[t, matches.truth[t, d]] = 1
    recall = hits.mean(0)
    found = {}
    for key, groups in (
        ('size', _group_by_size(poses)),
        ('labelled_keypoints', _group_by_labels(poses)),
        ('crowding', _group_by_crowding(poses)),
    ):
        named = [(name, members & counted) for name, members in groups]
        found[key] = [
            dict(
                group=name,
                instances=int(members.sum()),
                oks=float(pairs.oks[members].mean()),
                recall=float(recall[members].mean()),
            )
            | describe(distances[members], kinds[members])
            for name, members in named
            if members.any()
        ]
    return found


def _group_by_size(poses: Poses) -> list[tuple[str, np.ndarray]]:
    """Return names and members, (G,), of the groups of sizes."""
    return _cut(np.sqrt(poses.truth.areas), SIZES, '{} px')


def _group_by_labels(poses: Poses) -> list[tuple[str, np.ndarray]]:
    """Return names and members of the groups of labelled keypoints."""
    visible = poses.truth.visible
    most = visible.shape[1]
    limits = [1 + math.floor(share * most + 1e-9) for share in LABELLED]
    starts = [start for start in (1, *limits) if start <= most]
    return _cut_counts(visible.sum(1), starts, most)


def _group_by_crowding(poses: Poses) -> list[tuple[str, np.ndarray]]:
    """Return names and members of the groups by the number of overlaps."""
    truth = poses.truth
    others = np.zeros(len(truth), int)
    for image in np.unique(truth.images):
        members = np.flatnonzero((truth.images == image) & ~truth.crowds)
        overlaps = compute_overlaps(truth.boxes[members], truth.boxes[members])
        np.fill_diagonal(overlaps, 0)
        others[members] = (overlaps > CROWDED).sum(1)
    return _cut_counts(others, [0, *(n + 1 for n in OTHERS)])


def _cut(
    values: np.ndarray, limits: tuple, form: str
) -> list[tuple[str, np.ndarray]]:
    """Return groups of values below, between and from the limits."""
    bounds = (-math.inf, *limits, math.inf)
    groups = []
    for low, high in zip(bounds[:-1], bounds[1:], strict=True):
        name = f'{low} to {high}'
        if low == -math.inf:
            name = f'below {high}'
        if high == math.inf:
            name = f'from {low}'
        groups.append((form.format(name), (low <= values) & (values < high)))
    return groups


def _cut_counts(
    values: np.ndarray, starts: list[int], last: float = math.inf
) -> list[tuple[str, np.ndarray]]:
    """Return groups of whole numbers that begin at ``starts``."""
    starts = sorted(set(starts))
    ends: list[float] = [*(start - 1 for start in starts[1:]), last]
    groups = []
    for low, high in zip(starts, ends, strict=True):
        name = f'{low} to {high}' if high > low else str(low)
        name = f'{low} or more' if high == math.inf else name
        groups.append((name, (low <= values) & (values <= high)))
    return groups
