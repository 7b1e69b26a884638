"""AP without the errors of a kind.

Each kind of error is corrected as by Ronchi and Perona (ICCV 2017, Sec. 3):
keypoints move to where their error ends (:mod:`.kinds`), scores become those
of an oracle, and predictions or instances without a partner are left out. Each
correction gives one changed file, which pycocotools can evaluate. A partner
here is a match at OKS 0.1. The official code instead leaves out, at each
threshold, everything without a partner at that threshold, which cannot be
written to one file.
"""

# G annotated instances, D predictions

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

import numpy as np

from .average_precision import compute_ap, compute_oks, find_matches
from .kinds import KINDS, classify, correct
from .pairs import DUPLICATE, Pairs, find_pairs, pair_greedily
from .poses import Poses

#: The lowest OKS threshold of AP: the lowest OKS of a match.
LOWEST = 0.5
#: Kinds of errors in the order in which they are corrected one after another.
ERRORS = (
    'miss',
    'swap',
    'inversion',
    'jitter',
    'score',
    'duplicate',
    'background_false_positive',
    'false_negative',
)
LOCALIZATION, UNMATCHED = ERRORS[:4], ERRORS[5:]


@dataclass(frozen=True)
class Diagnosis:
    """All errors of a set.

    Attributes:
        poses: Annotations and predictions.
        pairs: The prediction of each instance.
        kinds: Index in :data:`~.kinds.KINDS` of each keypoint of a
            prediction, -1 for none, (D, K).
        similarity: Similarity of each keypoint after the correction of its
            kind, (D, K).
        scores_wrong: Instances that the metric gives to a prediction, or to
            none, although one that is more similar exists, (G,), bool.
        unmatched: ``duplicate``, further predictions of an instance already
            found: without a partner, but with OKS 0.5 or more, (D,), bool;
            ``background_false_positive``, other predictions without a
            partner, (D,), bool; ``false_negative``, instances without a
            partner, (G,), bool.
    """

    poses: Poses
    pairs: Pairs
    kinds: np.ndarray
    similarity: np.ndarray
    scores_wrong: np.ndarray
    unmatched: dict[str, np.ndarray]

    def count(self) -> dict[str, int]:
        """Return the number of errors of each kind."""
        counts = {
            name: int((self.kinds == KINDS.index(name)).sum())
            for name in LOCALIZATION
        }
        counts['score'] = int(self.scores_wrong.sum())
        return counts | {k: int(v.sum()) for k, v in self.unmatched.items()}

    def correct(self, errors: Collection[str]) -> Poses:
        """Return annotations and predictions without errors of these kinds."""
        poses = self.poses
        codes = [KINDS.index(name) for name in LOCALIZATION if name in errors]
        chosen = np.isin(self.kinds, codes)
        points = correct(poses, self.pairs, chosen, self.similarity)
        predictions = replace(poses.predictions, keypoints=points)
        changed = poses.change(predictions=predictions)
        if 'score' in errors:
            scores, _ = find_best_scores(changed)
            predictions = replace(predictions, scores=scores)
            changed = poses.change(predictions=predictions)
        if not set(errors) & set(UNMATCHED):
            return changed
        # Only those that are still without a partner.
        lonely = _find_unmatched(changed, find_pairs(changed))
        dropped = np.zeros(len(predictions), bool)
        for name in ('duplicate', 'background_false_positive'):
            if name in errors:
                dropped |= lonely[name]
        truth = poses.truth
        if 'false_negative' in errors:
            truth = truth.take(~lonely['false_negative'])
        return changed.change(
            truth=truth, predictions=predictions.take(~dropped)
        )

    def measure_impact(self) -> list[dict]:
        """Return a row for each kind of error.

        ``error``, its name; ``count``; ``ap_without``, AP without this kind
        alone; and ``ap_cumulative``, AP without it and the kinds of all
        previous rows. NaN if no instance is left.
        """
        counts = self.count()
        rows = []
        known: dict[tuple[str, ...], float] = {}

        def measure(names: Sequence[str]) -> float:
            real = tuple(
                n for n in names if counts[n] or n not in LOCALIZATION
            )
            if real not in known:
                ap = float(compute_ap(self.correct(real)).mean())
                known[real] = ap if ap >= 0 else math.nan
            return known[real]

        for number, name in enumerate(ERRORS):
            rows.append(
                dict(
                    error=name,
                    count=counts[name],
                    ap_without=measure([name]),
                    ap_cumulative=measure(ERRORS[: number + 1]),
                )
            )
        return rows


def diagnose(poses: Poses) -> Diagnosis:
    """Find all errors."""
    pairs = find_pairs(poses)
    kinds, similarity = classify(poses, pairs)
    return Diagnosis(
        poses=poses,
        pairs=pairs,
        kinds=kinds,
        similarity=similarity,
        scores_wrong=_find_wrong_scores(poses),
        unmatched=_find_unmatched(poses, pairs),
    )


def _find_unmatched(poses: Poses, pairs: Pairs) -> dict[str, np.ndarray]:
    """Return everything without a partner, by kind; see :class:`Diagnosis`."""
    alone = (pairs.matched < 0) & pairs.ranked
    is_near = pairs.nearest >= DUPLICATE
    missed = ~poses.truth.ignored
    missed[pairs.matched[pairs.matched >= 0]] = False
    return dict(
        duplicate=alone & is_near,
        background_false_positive=alone & ~is_near,
        false_negative=missed,
    )


def find_best_scores(poses: Poses) -> tuple[np.ndarray, np.ndarray]:
    """Return the scores of an oracle, and the instances that they lead to.

    The most similar instance and prediction are paired first, then the most
    similar of the rest, and so on. The score is their OKS, and 0 for
    predictions that are left over (Sec. 3.2: scores that increase with OKS).

    Returns:
        Scores, (D,), and indices of instances, -1 for none, (D,).
    """
    ignored = poses.truth.ignored
    scores = np.zeros(len(poses.predictions))
    partners = np.full(len(scores), -1)
    for gts, dts in poses.groups():
        gts = gts[~ignored[gts]]
        similarities = compute_oks(poses, gts, dts)
        for d, g in pair_greedily(similarities, np.spacing(1)):
            scores[dts[d]], partners[dts[d]] = similarities[d, g], gts[g]
    return scores, partners


def _find_wrong_scores(poses: Poses) -> np.ndarray:
    """Return the instances that a worse prediction takes, (G,), bool."""
    matches = find_matches(poses, np.array([LOWEST]))
    scores, partners = find_best_scores(poses)
    best, taken = np.zeros((2, len(poses.truth)))
    best[partners[partners >= 0]] = scores[partners >= 0]
    found = matches.truth[0] >= 0
    taken[matches.truth[0, found]] = matches.oks[0, found]
    return ~poses.truth.ignored & (best >= LOWEST) & (best > taken)
