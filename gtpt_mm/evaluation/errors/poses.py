"""Annotated and predicted poses as arrays, read from COCO's dicts."""

# G annotated instances, D predictions, K keypoints

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from gtpt_mm.ops.coco_evaluation import AREA_OF_BOX, KEYPOINT_KINDS

#: Instances of a larger area, in square pixels, do not count in COCO.
LARGEST_AREA = 1e10


@dataclass(frozen=True)
class Truth:
    """The annotated instances of a file, in its order.

    Attributes:
        keypoints: Pixels (x, y), (G, K, 2).
        visible: Whether a keypoint is labelled, (G, K), bool.
        areas: Areas in square pixels, (G,).
        boxes: (x, y, width, height) in pixels, (G, 4).
        ignored: Crowds and instances without labels, which count neither as
            found nor as missed, (G,), bool.
        crowds: Regions that take any number of predictions, (G,), bool.
        images: Index of the image, by ascending id, (G,).
        categories: Index of the category, (G,).
        numbers: Index in the file, (G,).
    """

    keypoints: np.ndarray
    visible: np.ndarray
    areas: np.ndarray
    boxes: np.ndarray
    ignored: np.ndarray
    crowds: np.ndarray
    images: np.ndarray
    categories: np.ndarray
    numbers: np.ndarray

    def __len__(self) -> int:
        """Return the number of instances."""
        return len(self.keypoints)

    def take(self, chosen: np.ndarray) -> 'Truth':
        """Return the chosen instances."""
        return Truth(**{k: v[chosen] for k, v in vars(self).items()})


@dataclass(frozen=True)
class Predictions:
    """The predictions of a file, in its order.

    Attributes:
        keypoints: Pixels (x, y), (D, K, 2).
        keypoint_scores: Confidence of each keypoint, (D, K).
        scores: Confidence of each instance, (D,).
        boxes: (x, y, width, height) in pixels, (D, 4): those of the file,
            else the extent of the keypoints.
        images: Index of the image, (D,).
        categories: Index of the category, (D,).
        numbers: Index in the file, (D,).
    """

    keypoints: np.ndarray
    keypoint_scores: np.ndarray
    scores: np.ndarray
    boxes: np.ndarray
    images: np.ndarray
    categories: np.ndarray
    numbers: np.ndarray

    def __len__(self) -> int:
        """Return the number of predictions."""
        return len(self.keypoints)

    def take(self, chosen: np.ndarray) -> 'Predictions':
        """Return the chosen predictions."""
        return Predictions(**{k: v[chosen] for k, v in vars(self).items()})


@dataclass(frozen=True)
class Poses:
    """Annotations and predictions to compare.

    Attributes:
        truth: The annotated instances.
        predictions: The predictions.
        sigmas: Falloff of OKS for each keypoint, (K,).
        flip_indices: Index of the keypoint on the other side, (K,); its own
            where there is none.
        names: Names of the K keypoints.
    """

    truth: Truth
    predictions: Predictions
    sigmas: np.ndarray
    flip_indices: np.ndarray
    names: tuple[str, ...]

    def change(self, **parts: Any) -> 'Poses':
        """Return the same with another truth or other predictions."""
        return replace(self, **parts)

    def groups(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yield the instances and predictions that may match each other.

        One pair of indices, (G,) and (D,), for each image and category that
        has either; all images of a category before the next one.
        """
        parts = (self.truth, self.predictions)
        last = 1 + max(p.images.max(initial=0) for p in parts)
        keys = [part.categories * last + part.images for part in parts]
        orders = [key.argsort(kind='stable') for key in keys]
        values = np.unique(np.concatenate(keys))
        cuts = [
            np.searchsorted(key[order], values)[1:]
            for key, order in zip(keys, orders, strict=True)
        ]
        if len(values):
            pairs = map(np.split, orders, cuts)
            yield from zip(*pairs, strict=True)


def read_poses(
    truth: dict,
    results: Sequence[dict],
    metainfo: dict,
    iou_type: str = 'keypoints',
    use_area: bool = True,
) -> Poses:
    """Read COCO's annotations and results.

    Args:
        truth: Content of the annotation file; not changed.
        results: Content of the file of results; not changed. Those without
            any keypoint of a positive score are left out, as in mmpose.
        metainfo: Parsed metainfo of mmpose, or its ``keypoint_id2name``,
            ``sigmas`` and ``flip_indices``.
        iou_type: Kind of evaluation, such as ``keypoints_crowd``.
        use_area: Whether to use annotated areas; missing ones and those of 0
            are 0.53 of the box.

    Raises:
        ValueError: If an entry is missing, malformed or not finite, the
            number of keypoints is not that of the metainfo, or nothing is
            annotated.
    """
    sigmas = np.asarray(metainfo['sigmas'], np.float64)
    names = tuple(metainfo['keypoint_id2name'][k] for k in range(len(sigmas)))
    flip = metainfo.get('flip_indices')
    keys, score_key = KEYPOINT_KINDS[iou_type]
    images = _index([image['id'] for image in truth['images']])
    listed = [category['id'] for category in truth.get('categories') or ()]
    used = [ann.get('category_id', 1) for ann in truth['annotations']]
    categories = _index(listed or used)
    count = dict(num_keypoints=len(sigmas), keys=keys)
    annotated = _read_truth(
        truth['annotations'], images, categories, iou_type, use_area, count
    )
    if annotated.ignored.all():
        raise ValueError(
            f'none of the {len(annotated)} annotations has labelled keypoints '
            'and a box: there is nothing to compare with'
        )
    return Poses(
        truth=annotated,
        predictions=_read_predictions(
            results, images, categories, score_key, count
        ),
        sigmas=sigmas,
        flip_indices=np.arange(len(sigmas))
        if flip is None
        else np.array(flip),
        names=names,
    )


def _read_truth(
    annotations: Sequence[dict],
    images: dict,
    categories: dict,
    iou_type: str,
    use_area: bool,
    count: dict,
) -> Truth:
    keypoints = _read_keypoints(annotations, 'annotation', **count)
    visible = keypoints[..., 2] > 0
    usable = np.array([bool(ann.get('bbox')) for ann in annotations], bool)
    boxes = np.zeros((len(annotations), 4))
    boxed = [ann for ann in annotations if ann.get('bbox')]
    boxes[usable] = _read_numbers(boxed, 'bbox', 'annotation', 4)
    areas = boxes[:, 2] * boxes[:, 3] * AREA_OF_BOX
    if use_area:
        given = np.array([ann.get('area') or 0 for ann in annotations], float)
        areas = np.where(given > 0, given, areas)
    labelled = visible.any(1)
    if iou_type == 'keypoints_crowd':
        counts = [ann.get('num_keypoints', 1) for ann in annotations]
        labelled = np.array(counts, int) > 0
    # As mmpose's metric under compat: without a box, like a crowd.
    crowds = np.array([bool(ann.get('iscrowd')) for ann in annotations], bool)
    crowds |= ~usable
    return Truth(
        keypoints=keypoints[..., :2],
        visible=visible,
        areas=areas,
        boxes=boxes,
        ignored=crowds | ~labelled | (areas > LARGEST_AREA),
        crowds=crowds,
        images=_look_up(annotations, 'image_id', images, 'annotation'),
        categories=_look_up(
            annotations, 'category_id', categories, 'annotation'
        ),
        numbers=np.arange(len(annotations)),
    )


def _read_predictions(
    results: Sequence[dict],
    images: dict,
    categories: dict,
    score_key: str,
    count: dict,
) -> Predictions:
    if not isinstance(results, list):
        raise ValueError(
            f'results are a {type(results).__name__}; they should be a list '
            "of COCO's results: image_id, category_id, keypoints and score"
        )
    keypoints = _read_keypoints(results, 'result', **count)
    points = keypoints[..., :2]
    key = score_key if all(score_key in r for r in results) else 'score'
    found = Predictions(
        keypoints=points,
        keypoint_scores=keypoints[..., 2],
        scores=_read_numbers(results, key, 'result', 1)[:, 0],
        boxes=_read_boxes(results, points),
        images=_look_up(results, 'image_id', images, 'result'),
        categories=_look_up(results, 'category_id', categories, 'result'),
        numbers=np.arange(len(results)),
    )
    return found.take(found.keypoint_scores.max(1, initial=0) > 0)


def _read_keypoints(
    entries: Sequence[dict],
    kind: str,
    num_keypoints: int,
    keys: tuple[str, ...],
) -> np.ndarray:
    """Return x, y and visibility or score, (N, K, 3)."""
    rows = np.zeros((len(entries), num_keypoints * 3))
    for number, entry in enumerate(entries):
        values = [v for key in keys for v in entry.get(key) or ()]
        if not values and kind == 'annotation':
            continue  # a box without labels
        if len(values) != num_keypoints * 3:
            raise ValueError(
                f'{kind} {_name(entry, number)} has {len(values)} numbers in '
                f'{" + ".join(keys)}, but the metainfo has {num_keypoints} '
                f'keypoints of 3 numbers each: give the metainfo of the set'
            )
        rows[number] = values
    bad = np.flatnonzero(~np.isfinite(rows).all(1))
    if len(bad):
        raise ValueError(
            f'{kind} {_name(entries[bad[0]], bad[0])} has keypoints that are '
            f'not finite ({len(bad)} {kind}s in all); remove or mend them'
        )
    return rows.reshape(len(entries), num_keypoints, 3)


def _read_numbers(
    entries: Sequence[dict], key: str, kind: str, length: int
) -> np.ndarray:
    """Return an entry of each dict, (N, length)."""
    rows = np.zeros((len(entries), length))
    for number, entry in enumerate(entries):
        try:
            rows[number] = entry[key]
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(
                f'{kind} {_name(entry, number)} has {key} '
                f'{entry.get(key)!r}; it should be {length} number(s)'
            ) from error
        if not np.isfinite(rows[number]).all():
            raise ValueError(
                f'{kind} {_name(entry, number)} has {key} {entry[key]!r}, '
                'which is not finite'
            )
    return rows


def _read_boxes(results: Sequence[dict], points: np.ndarray) -> np.ndarray:
    """Return the boxes of the results, or the extent of their keypoints."""
    if results and all(len(r.get('bbox') or ()) == 4 for r in results):
        return _read_numbers(results, 'bbox', 'result', 4)
    corner, end = points.min(1, initial=np.inf), points.max(1, initial=-np.inf)
    return np.concatenate([corner, end - corner], axis=1)


def _look_up(
    entries: Sequence[dict], key: str, indices: dict, kind: str
) -> np.ndarray:
    first = 1 if key == 'category_id' else None
    found = [indices.get(entry.get(key, first), -1) for entry in entries]
    if -1 in found:
        number = found.index(-1)
        raise ValueError(
            f'{kind} {_name(entries[number], number)} has {key} '
            f'{entries[number].get(key)!r}, which the annotation file lacks '
            f'({found.count(-1)} {kind}s in all): do the two files belong '
            'together?'
        )
    return np.array(found, np.int64)


def _index(ids: Sequence) -> dict:
    return {one: index for index, one in enumerate(sorted(set(ids)))}


def _name(entry: dict, number: int) -> str:
    """Return the name of an entry of a file in messages."""
    return f'id {entry["id"]}' if 'id' in entry else f'number {number}'


def write_poses(
    poses: Poses,
    truth: dict,
    results: Sequence[dict],
    iou_type: str = 'keypoints',
) -> tuple[dict, list[dict]]:
    """Return annotations and results as COCO has them, with changed poses.

    Args:
        poses: Result of :func:`read_poses` for the same files, maybe changed.
        truth: Content of the annotation file.
        results: Content of the file of results.
        iou_type: As it was read.
    """
    keys, score_key = KEYPOINT_KINDS[iou_type]
    kept = [truth['annotations'][number] for number in poses.truth.numbers]
    found = []
    for points, scores, score, number in zip(
        poses.predictions.keypoints,
        poses.predictions.keypoint_scores,
        poses.predictions.scores,
        poses.predictions.numbers,
        strict=True,
    ):
        entry = results[number] | {score_key: float(score)}
        values = np.column_stack([points, scores]).ravel().tolist()
        for key in keys:
            length = len(entry[key])
            entry[key], values = values[:length], values[length:]
        found.append(entry)
    return truth | dict(annotations=kept), found
