"""Average precision of poses by object keypoint similarity (OKS).

Definitions: the keypoint evaluation of COCO (Lin et al., "Microsoft COCO:
Common Objects in Context"), its parts and whole bodies (Jin et al.,
"Whole-Body Human Pose Estimation in the Wild") and the crowd levels of
CrowdPose (Li et al., "CrowdPose: Efficient Crowded Scenes Pose Estimation
and A New Benchmark").
"""

# D detections, G annotated instances, K keypoints, T thresholds of OKS

import contextlib
import copy
import io
import time
import warnings
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import numpy as np
from pycocotools import cocoeval

AREA_OF_BOX = 0.53  # area of a person / area of the box, if not annotated
MAX_DETS = 20  # detections that count per image, for keypoints
_PARTS = ('foot', 'face', 'lefthand', 'righthand')
#: Kind of evaluation -> keys of the keypoints, key of the score.
KEYPOINT_KINDS: dict[str, tuple[tuple[str, ...], str]] = {
    'keypoints': (('keypoints',), 'score'),
    'keypoints_crowd': (('keypoints',), 'score'),
    'keypoints_body': (('keypoints',), 'score'),
    **{f'keypoints_{p}': ((f'{p}_kpts',), f'{p}_score') for p in _PARTS},
    'keypoints_wholebody': (
        ('keypoints', *(f'{part}_kpts' for part in _PARTS)),
        'wholebody_score',
    ),
}
#: Boundaries of crowdIndex between easy, medium and hard images.
CROWD_LEVELS = (0.2, 0.8)
_LINE = ' {:<18} ({}) @[ IoU={:<9} | {}={:>6s} | maxDets={:>3d} ] = {}'
_TITLES = dict(AP='Average Precision', AR='Average Recall')


class Params(cocoeval.Params):
    """Parameters of an evaluation.

    Args:
        iouType: One of :data:`KEYPOINT_KINDS`, or 'segm' or 'bbox'.
    """

    def __init__(self, iouType: str = 'segm') -> None:
        kinds = (*KEYPOINT_KINDS, 'segm', 'bbox')
        if iouType not in kinds:
            raise ValueError(
                f'iouType {iouType!r} is not one of {", ".join(kinds)}'
            )
        is_pose = iouType in KEYPOINT_KINDS
        super().__init__('keypoints' if is_pose else iouType)
        self.iouType = iouType


class COCOeval(cocoeval.COCOeval):
    """Evaluate detections by COCO's rules.

    Attributes and printed lines are those of xtcocotools' ``COCOeval``:
    ``evalImgs`` with the matches of each image (-1 for none), ``eval`` with
    precision and recall, ``stats`` with the numbers that are printed, and
    their ``stats_names``.

    Args:
        cocoGt: The annotations, a ``COCO``.
        cocoDt: The detections, as returned by its ``loadRes``.
        iouType: One of :data:`KEYPOINT_KINDS`, or 'segm' or 'bbox'.
        sigmas: Spread of each keypoint, (K,); None takes COCO's 17.
        use_area: Whether to use the annotated ``area``. False uses 0.53 times
            the area of the box, for CrowdPose and AI Challenger, which have no
            areas.
    """

    evalImgs: list[dict | None]
    eval: dict[str, Any]
    _gts: dict[tuple, list[dict]]
    _dts: dict[tuple, list[dict]]

    def __init__(
        self,
        cocoGt: Any = None,
        cocoDt: Any = None,
        iouType: str = 'keypoints',
        sigmas: Sequence[float] | np.ndarray | None = None,
        use_area: bool = True,
    ) -> None:
        super().__init__(None, cocoDt, 'keypoints')
        self.params = Params(iouType)
        if sigmas is None:
            sigmas = self.params.kpt_oks_sigmas if self._is_pose else ()
        self.cocoGt = cocoGt
        self.sigmas = np.asarray(sigmas)
        self.use_area = use_area
        self.score_key = 'score'
        self.stats_names: list[str] = []
        if cocoGt is not None:
            self.params.imgIds = sorted(cocoGt.getImgIds())
            self.params.catIds = sorted(cocoGt.getCatIds())
            self.anno_file = getattr(cocoGt, 'anno_file', [])

    @property
    def _is_pose(self) -> bool:
        return self.params.iouType in KEYPOINT_KINDS

    def evaluate(self) -> None:
        """Match detections and annotations of each image."""
        tic = time.time()
        print('Running per image evaluation...')
        p = self.params
        if p.useSegm is not None:
            p.iouType = 'segm' if p.useSegm == 1 else 'bbox'
            print(
                'useSegm (deprecated) is not None. '
                f'Running {p.iouType} evaluation'
            )
        print(f'Evaluate annotation type *{p.iouType}*')
        p.imgIds = list(np.unique(p.imgIds))
        if p.useCats:
            p.catIds = list(np.unique(p.catIds))
        p.maxDets = sorted(p.maxDets)
        self._prepare()
        categories = p.catIds if p.useCats else [-1]
        compare = self.computeOks if self._is_pose else self.computeIoU
        self.ious = {
            (image, category): compare(image, category)
            for image in p.imgIds
            for category in categories
        }
        self.evalImgs = [
            self.evaluateImg(image, category, area_range, p.maxDets[-1])
            for category in categories
            for area_range in p.areaRng
            for image in p.imgIds
        ]
        self._paramsEval = copy.deepcopy(p)
        print(f'DONE (t={time.time() - tic:0.2f}s).')

    def _prepare(self) -> None:
        """Group by image and category; drop detections without keypoints."""
        p = self.params
        chosen = dict(imgIds=p.imgIds)
        if p.useCats:
            chosen['catIds'] = p.catIds
        gts, dts = (
            coco.loadAnns(coco.getAnnIds(**chosen))
            for coco in (self.cocoGt, self.cocoDt)
        )
        if p.iouType == 'segm':
            for coco, anns in ((self.cocoGt, gts), (self.cocoDt, dts)):
                for ann in anns:
                    ann['segmentation'] = coco.annToRLE(ann)
        for gt in gts:
            gt['ignore'] = 'iscrowd' in gt and gt['iscrowd']
            if self._is_pose:
                gt['ignore'] = not self._has_keypoints(gt) or gt['ignore']
        if self._is_pose:
            if gts:
                self.score_key = KEYPOINT_KINDS[p.iouType][1]
            self._complete_scores(dts)
            dts = [dt for dt in dts if self._count_visible(dt)]
        self._gts, self._dts = defaultdict(list), defaultdict(list)
        for groups, anns in ((self._gts, gts), (self._dts, dts)):
            for ann in anns:
                groups[ann['image_id'], ann['category_id']].append(ann)
        self.evalImgs, self.eval = [], {}

    def _has_keypoints(self, gt: dict) -> bool:
        """Return whether an instance has keypoints to evaluate.

        With ``keypoints_crowd``, the annotated ``num_keypoints`` decides, as
        in CrowdPose.
        """
        if self.params.iouType == 'keypoints_crowd':
            return gt['num_keypoints'] != 0
        return self._count_visible(gt) > 0

    def _complete_scores(self, dts: Sequence[dict]) -> None:
        """Use the score of the instance for parts without a score."""
        lacking = [dt for dt in dts if self.score_key not in dt]
        for dt in lacking:
            dt[self.score_key] = dt['score']
        if lacking:
            words = f"'{self.score_key}' not found, use 'score' instead."
            warnings.warn(words, stacklevel=4)

    def _count_visible(self, ann: dict) -> int:
        keys = KEYPOINT_KINDS[self.params.iouType][0]
        return sum(v > 0 for key in keys for v in ann[key][2::3])

    def _get_keypoints(self, ann: dict) -> Any:
        """Return x, y, visibility of each keypoint in turn, (3 K,)."""
        first, *others = KEYPOINT_KINDS[self.params.iouType][0]
        if not others:
            return ann[first]
        return np.concatenate([ann[first], *(ann[key] for key in others)])

    def computeOks(self, imgId: Any, catId: Any) -> Any:
        """Return OKS of the best detections and all instances, (D, G).

        An empty list if the image lacks either.
        """
        gts = self._gts[imgId, catId]
        dts = self._sort(self._dts[imgId, catId], self.params.maxDets[-1])
        if not gts or not dts:
            return []
        found = np.array([self._get_keypoints(dt) for dt in dts])
        x, y = found[:, 0::3], found[:, 1::3]
        columns = [self._compute_similarity(x, y, gt) for gt in gts]
        return np.stack(columns, axis=1)

    def _compute_similarity(
        self, x: np.ndarray, y: np.ndarray, gt: dict
    ) -> np.ndarray:
        """Return OKS of detections (D, K) and an instance, (D,).

        The mean over visible keypoints. If an instance has none, such as a
        crowd, the distance of a keypoint is that to its box, doubled.
        """
        keypoints = np.array(self._get_keypoints(gt))
        visible = keypoints[2::3] > 0
        left, top, width, height = gt['bbox'][:4]
        if visible.any():
            dx, dy = x - keypoints[0::3], y - keypoints[1::3]
        else:
            dx = _distance(x, left - width, left + width * 2)
            dy = _distance(y, top - height, top + height * 2)
        area = gt['area'] if self.use_area else width * height * AREA_OF_BOX
        variances = (self.sigmas * 2) ** 2
        e = (dx**2 + dy**2) / variances / (area + np.spacing(1)) / 2
        if visible.any():
            e = np.compress(visible, e, axis=1)
        return np.exp(-e).sum(axis=1) / e.shape[1]

    def _sort(self, dts: Sequence[dict], limit: int) -> list[dict]:
        """Return the best detections, best first."""
        order = _argsort([-dt[self.score_key] for dt in dts])
        return [dts[i] for i in order[:limit]]

    def evaluateImg(
        self, imgId: Any, catId: Any, aRng: Sequence[float], maxDet: int
    ) -> dict | None:
        """Match the detections of an image; None if there is nothing."""
        p = self.params
        categories = [catId] if p.useCats else p.catIds
        gts = [gt for c in categories for gt in self._gts[imgId, c]]
        dts = [dt for c in categories for dt in self._dts[imgId, c]]
        if not gts and not dts:
            return None
        for gt in gts:
            outside = _is_outside(self._get_area(gt), aRng)
            gt['_ignore'] = int(bool(gt['ignore'] or outside))
        order = _argsort([gt['_ignore'] for gt in gts])
        gts = [gts[i] for i in order]
        dts = self._sort(dts, maxDet)
        ious: Any = self.ious[imgId, catId]
        rows = ious[:, order].tolist() if len(ious) else [[]] * len(dts)
        return {
            'image_id': imgId,
            'category_id': catId,
            'aRng': aRng,
            'maxDet': maxDet,
            'dtIds': [dt['id'] for dt in dts],
            'gtIds': [gt['id'] for gt in gts],
            'dtScores': [dt[self.score_key] for dt in dts],
            'gtIgnore': np.array([gt['_ignore'] for gt in gts]),
            **self._match(gts, dts, rows, aRng),
        }

    def _match(
        self,
        gts: Sequence[dict],
        dts: Sequence[dict],
        rows: Sequence[Sequence[float]],
        limits: Sequence[float],
    ) -> dict[str, np.ndarray]:
        """Return ids of matches and the detections that do not count.

        Args:
            gts: The instances, ignored ones last.
            dts: The detections, best first.
            rows: Their similarities, (D, G).
            limits: The area range.
        """
        ignored = [gt['_ignore'] for gt in gts]
        crowds = [bool(gt['iscrowd']) for gt in gts]
        matches = [
            match_greedily(rows, threshold, ignored, crowds)
            for threshold in self.params.iouThrs
        ]
        indices = np.array(matches, np.int64)  # (T, D), -1 for none
        gt_ids, dt_ids = (
            np.array([*(ann['id'] for ann in anns), -1], np.int64)
            for anns in (gts, dts)
        )
        gt_matches = np.full((len(indices), len(gts)), -1, np.int64)
        t, d = (indices >= 0).nonzero()
        gt_matches[t, indices[t, d]] = dt_ids[d]
        # Unmatched detections outside the area range do not count in it.
        outer = np.array([_is_outside(dt['area'], limits) for dt in dts], bool)
        ignore = np.array([*ignored, 0], bool)[indices]
        return dict(
            dtMatches=gt_ids[indices],  # of index -1 the last, -1
            gtMatches=gt_matches,
            dtIgnore=ignore | ((indices < 0) & outer),
        )

    def _get_area(self, gt: dict) -> float:
        """Return the area that decides on small, medium and large."""
        if self.use_area and 'area' in gt:
            return gt['area']
        return gt['bbox'][2] * gt['bbox'][3] * AREA_OF_BOX

    def accumulate(self, p: Any = None) -> None:
        """Compute precision and recall over all images."""
        found = self.evalImgs
        # pycocotools expects a flag "matched"; we have the id, -1 for none.
        self.evalImgs = [
            e and {**e, 'dtMatches': e['dtMatches'] >= 0} for e in found
        ]
        try:
            super().accumulate(p)
        finally:
            self.evalImgs = found

    def summarize(self) -> None:
        """Print the numbers of the evaluation and keep them as ``stats``.

        With ``keypoints_crowd``, ``eval`` and ``params`` afterwards describe
        the hard images.
        """
        if not self.eval:
            raise RuntimeError('Please run accumulate() first')
        is_crowd = self.params.iouType == 'keypoints_crowd'
        rows = _list_pose_rows(is_crowd)
        if not self._is_pose:
            rows = _list_box_rows(self.params.maxDets)
        self.stats_names = [_name(*row[:3]) for row in rows]
        stats = [self._summarize(*row) for row in rows]
        if is_crowd:
            levels = self.get_type_result(*CROWD_LEVELS)
            stats += levels
            for name, value in zip(
                ('easy', 'medium', 'hard'), levels, strict=True
            ):
                self.stats_names.append(f'AP({name[0].upper()})')
                words = ('AP', self._range, 'type', name, MAX_DETS)
                title = _TITLES['AP']
                print(_LINE.format(title, *words, f'{value:0.3f}'))
        self.stats = np.array(stats, float)

    @property
    def _range(self) -> str:
        thresholds = self.params.iouThrs
        return f'{thresholds[0]:0.2f}:{thresholds[-1]:0.2f}'

    def _summarize(
        self, kind: str, threshold: float | None, area: str, max_dets: int
    ) -> float:
        """Print and return a mean of precision or recall, -1 for none."""
        p = self.params
        values = self.eval['precision' if kind == 'AP' else 'recall']
        words = self._range
        if threshold is not None:
            values = values[np.where(threshold == p.iouThrs)[0]]
            words = f'{threshold:0.2f}'
        areas = [i for i, name in enumerate(p.areaRngLbl) if name == area]
        limits = [i for i, limit in enumerate(p.maxDets) if limit == max_dets]
        values = values[..., areas, limits]
        values = values[values > -1]
        mean = np.mean(values) if len(values) else -1.0
        where = (kind, words, 'area', area, max_dets)
        print(_LINE.format(_TITLES[kind], *where, f'{mean: 0.3f}'))
        return mean

    def get_type_result(
        self, first: float = 0.01, second: float = 0.85
    ) -> list[float]:
        """Return the AP of easy, medium and hard images by their crowdIndex.

        Args:
            first: Images are easy if their crowdIndex is below.
            second: Images are medium if their crowdIndex is below.
        """
        levels: tuple[list, list, list] = ([], [], [])
        for image in self.cocoGt.dataset['images']:
            crowd = image['crowdIndex']
            level = 0 if crowd < first else 1 if crowd < second else 2
            levels[level].append(image['id'])
        found = []
        for self.params.imgIds in levels:
            with contextlib.redirect_stdout(io.StringIO()):
                self.evaluate()
                self.accumulate()
            found.append(round(self.eval['precision'][..., 0, :].mean(), 4))
        return found


def _distance(x: np.ndarray, low: float, high: float) -> np.ndarray:
    """Return how far each position lies outside of a range."""
    return np.maximum(0, low - x) + np.maximum(0, x - high)


def _is_outside(area: float, limits: Sequence[float]) -> bool:
    return bool(area < limits[0] or area > limits[1])


def _argsort(values: Sequence[float]) -> list[int]:
    """Return the stable order of a few numbers, NaN last."""
    if len(values) < 2:
        return list(range(len(values)))
    return np.array(values).argsort(kind='stable').tolist()


def match_greedily(
    rows: Sequence[Sequence[float]],
    threshold: float,
    ignored: Sequence[int],
    crowds: Sequence[bool],
) -> list[int]:
    """Match each detection, best first, to the most similar instance left.

    Args:
        rows: OKS or IoU, (D, G); ignored instances last.
        threshold: The least similarity of a match.
        ignored: For each instance, whether it does not count; it is matched
            only by detections that match no other.
        crowds: For each instance, whether it takes any number of matches.

    Returns:
        Index of the instance of each detection, -1 for none.
    """
    matches = [-1] * len(rows)
    taken: set[int] = set()
    for d, row in enumerate(rows):
        best, match = min(threshold, 1 - 1e-10), -1
        for g, similarity in enumerate(row):
            if similarity < best or (g in taken and not crowds[g]):
                continue
            if match > -1 and ignored[g] and not ignored[match]:
                break
            best, match = similarity, g  # the last of equal ones
        if match > -1:
            matches[d] = match
            taken.add(match)
    return matches


def _list_pose_rows(is_crowd: bool) -> list[tuple]:
    """Return kind, threshold, area and number of detections of each row."""
    areas = () if is_crowd else ('medium', 'large')
    return [
        row
        for kind in _TITLES
        for row in (
            *((kind, t, 'all', MAX_DETS) for t in (None, 0.5, 0.75)),
            *((kind, None, area, MAX_DETS) for area in areas),
        )
    ]


def _list_box_rows(max_dets: Sequence[int]) -> list[tuple]:
    """Return kind, threshold, area and number of detections of each row."""
    most, sizes = max_dets[2], ('small', 'medium', 'large')
    return [
        ('AP', None, 'all', 100),
        *(('AP', t, 'all', most) for t in (0.5, 0.75)),
        *(('AP', None, area, most) for area in sizes),
        *(('AR', None, 'all', limit) for limit in max_dets),
        *(('AR', None, area, most) for area in sizes),
    ]


def _name(kind: str, threshold: float | None, area: str) -> str:
    """Return the name of a score as in mmpose: AP, AP .5, AP (M)."""
    if threshold is not None:
        return f'{kind} {threshold:g}'.replace(' 0', ' ')
    return kind if area == 'all' else f'{kind} ({area[0].upper()})'
