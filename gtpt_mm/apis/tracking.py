"""Identities of people over the frames of a video."""

# T tracks, N people in a frame, K keypoints

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy.optimize import linear_sum_assignment

from .results import Frame, PoseResult

#: Trackers of boxes: names here -> classes of the ``trackers`` package.
BOX_TRACKERS = {
    'sort': 'SORTTracker',
    'bytetrack': 'ByteTrackTracker',
    'ocsort': 'OCSORTTracker',
    'botsort': 'BoTSORTTracker',
    'cbiou': 'CBIoUTracker',
}
#: Falloff of OKS for a skeleton without any: a hip or knee of COCO has more,
#: an eye less.
DEFAULT_SIGMA = 0.08

Matcher = Callable[[PoseResult], np.ndarray]


def track(
    results: Iterable[PoseResult],
    method: str = 'oks',
    **options: object,
) -> Iterator[PoseResult]:
    """Give people the same id in all frames of a video.

    Ids count from 0 and restart with each video. Images without a frame number
    (a folder, arrays) are one sequence.

    Args:
        results: Results in the order of the frames.
        method: ``'oks'`` compares keypoints (``OksMatcher``). ``'bytetrack'``,
            ``'sort'``, ``'ocsort'``, ``'botsort'``, ``'cbiou'`` compare boxes
            by the ``trackers`` package; a person whom they have not confirmed
            yet has id -1.
        **options: Arguments of ``OksMatcher``, or of the class in
            ``trackers``.

    Returns:
        An iterator over copies of the results with ``ids`` set.

    Raises:
        ValueError: If the method is unknown or does not know an option.
        ImportError: If the method requires ``trackers``, which is missing.
    """
    make = _matcher(method, options)
    make()  # raises for wrong options here, not at the first frame
    return _track(results, make)


def _track(
    results: Iterable[PoseResult], make: Callable[[], Matcher]
) -> Iterator[PoseResult]:
    matcher, before = make(), None
    for result in results:
        if begins_sequence(before, result.frame):
            matcher = make()
        before = result.frame
        yield replace(result, ids=matcher(result))


def begins_sequence(before: Frame | None, frame: Frame) -> bool:
    """Return whether a frame does not continue the one before it."""
    if before is None or (before.index is None) != (frame.index is None):
        return True
    if frame.index is None or before.index is None:
        return False
    return before.source != frame.source or frame.index <= before.index


def _matcher(method: str, options: dict) -> Callable[[], Matcher]:
    if method == 'oks':
        kind: Callable = OksMatcher
    elif method in BOX_TRACKERS:
        try:
            import trackers
        except ImportError as error:
            raise ImportError(
                f'track(method={method!r}) requires the package trackers: '
                'pip install "gtpt_mm[tracking]"; method=\'oks\' needs nothing'
            ) from error
        kind = getattr(trackers, BOX_TRACKERS[method])
    else:
        raise ValueError(
            f"no tracking method {method!r}; take 'oks' or one of "
            f'{", ".join(BOX_TRACKERS)}'
        )

    def make() -> Matcher:
        try:
            tracker = kind(**options)
        except TypeError as error:
            raise ValueError(
                f'track(method={method!r}): {error} (options {options})'
            ) from error
        return tracker if method == 'oks' else BoxMatcher(tracker)

    return make


@dataclass
class _Track:
    id: int
    keypoints: np.ndarray
    scores: np.ndarray
    area: float
    time: int
    velocity: np.ndarray


class OksMatcher:
    """Match people to tracks by OKS between their keypoints (Hungarian).

    A track is compared at its expected position: its last keypoints, moved by
    its mean velocity. On drawn scenes of four people who cross, this gives 0.2
    identity changes per scene instead of 0.6, and at 12 pixels per frame 0
    instead of 1.1. Keypoints count by their scores in both frames, so the
    scale of the scores does not matter.

    Args:
        max_gap: Number of frames that a person may be missing and keep the id.
        min_oks: Lowest OKS of two poses of one person.
    """

    def __init__(self, max_gap: int = 30, min_oks: float = 0.1) -> None:
        if max_gap < 0:
            raise ValueError(f'max_gap {max_gap} must be >= 0 frames')
        if not 0 <= min_oks <= 1:
            raise ValueError(f'min_oks {min_oks} must lie in [0, 1]')
        self.max_gap, self.min_oks = max_gap, min_oks
        self._tracks: list[_Track] = []
        self._next_id = 0
        self._count = -1

    def __call__(self, result: PoseResult) -> np.ndarray:
        """Return the ids of the people in the next frame, (N,)."""
        index = result.frame.index
        self._count = self._count + 1 if index is None else index
        now = self._count
        self._tracks = [
            t for t in self._tracks if now - t.time - 1 <= self.max_gap
        ]
        ids = np.full(len(result), -1, np.int64)
        weights = _weights(result)
        areas = _areas(result)
        oks = np.array(
            [self._oks(t, result, weights, areas) for t in self._tracks]
        ).reshape(len(self._tracks), len(result))
        for row, person in zip(
            *linear_sum_assignment(oks, maximize=True), strict=True
        ):
            if oks[row, person] >= self.min_oks:
                known = self._tracks[row]
                ids[person] = known.id
                self._see(known, result, weights, areas, person)
        for person in np.flatnonzero(ids < 0):
            ids[person] = self._next_id
            self._next_id += 1
            self._tracks.append(
                _Track(
                    id=int(ids[person]),
                    keypoints=result.keypoints[person],
                    scores=weights[person],
                    area=areas[person],
                    time=now,
                    velocity=np.zeros(2),
                )
            )
        return ids

    def _oks(
        self,
        known: _Track,
        result: PoseResult,
        weights: np.ndarray,
        areas: np.ndarray,
    ) -> np.ndarray:
        """Return the OKS of one track and each person, (N,)."""
        sigmas = result.skeleton.sigmas
        variances = (2 * np.array(sigmas or DEFAULT_SIGMA)) ** 2
        steps = self._count - known.time
        expected = known.keypoints + steps * known.velocity
        square = ((result.keypoints - expected) ** 2).sum(-1)  # (N, K)
        area = ((known.area + areas) / 2)[:, None]
        similarity = np.exp(-square / (2 * variances * area))
        weight = weights * known.scores
        similarity = np.where(weight > 0, similarity, 0)
        total = weight.sum(1)
        return (weight * similarity).sum(1) / np.where(total > 0, total, 1)

    def _see(
        self,
        known: _Track,
        result: PoseResult,
        weights: np.ndarray,
        areas: np.ndarray,
        person: int,
    ) -> None:
        """Update a track with the person it was matched with."""
        weight = weights[person] * known.scores
        if weight.sum() > 0:
            moved = result.keypoints[person] - known.keypoints
            moved = np.where(weight[:, None] > 0, moved, 0)
            step = np.average(moved, axis=0, weights=weight)
            step = step / (self._count - known.time)
            known.velocity = 0.7 * known.velocity + 0.3 * step
        known.keypoints = result.keypoints[person]
        known.scores = weights[person]
        known.area = areas[person]
        known.time = self._count


def _weights(result: PoseResult) -> np.ndarray:
    """Return scores (N, K), 0 where a keypoint or score is NaN."""
    finite = np.isfinite(result.keypoints).all(-1)
    scores = np.where(finite, np.nan_to_num(result.scores), 0)
    return np.maximum(scores, 0)


def _areas(result: PoseResult) -> np.ndarray:
    """Return the areas of the boxes in square pixels, (N,)."""
    boxes = np.nan_to_num(result.boxes)
    sides = np.maximum(boxes[:, 2:4] - boxes[:, :2], 1)
    return sides.prod(1)


class BoxMatcher:
    """A tracker of the ``trackers`` package as a matcher of results."""

    def __init__(self, tracker: Any) -> None:
        self._tracker = tracker

    def __call__(self, result: PoseResult) -> np.ndarray:
        """Return the ids of the people in the next frame, (N,)."""
        import supervision

        num = len(result)
        detections = supervision.Detections(
            xyxy=np.asarray(result.boxes, np.float32).reshape(num, 4),
            confidence=np.asarray(result.box_scores, np.float32),
            class_id=np.zeros(num, int),
            data={'person': np.arange(num)},
        )
        arguments: dict[str, Any] = {'timestamp': result.frame.time}
        if getattr(self._tracker, 'enable_cmc', False):
            arguments['frame'] = result.frame.image  # motion of the camera
        found = self._tracker.update(detections, **arguments)
        ids = np.full(num, -1, np.int64)
        if len(found):
            ids[found.data['person']] = found.tracker_id
        return ids
