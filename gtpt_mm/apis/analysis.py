"""What a model gets wrong: errors by kind, curves, calibration, pictures."""

# G annotated instances, D predictions, K keypoints

import json
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from gtpt_mm.evaluation import errors

if TYPE_CHECKING:
    from gtpt_mm.visualization.html_report import Report


class Case(NamedTuple):
    """An instance and its prediction.

    Attributes:
        image: File of the picture.
        gt: The annotation, as its file has it.
        prediction: The result, as its file has it; None if there is none.
        oks: Their similarity; 0 if there is none.
    """

    image: Path
    gt: dict
    prediction: dict | None
    oks: float


class Analysis:
    """The errors of a model on an annotated set.

    Args:
        truth: Content of COCO's annotation file.
        results: Content of COCO's file of results.
        metainfo: Parsed metainfo of mmpose, with names, sigmas and flips.
        image_folder: Folder that the names of the pictures begin at.
        iou_type: Kind of evaluation, as in mmpose's CocoMetric.
        use_area: Whether areas are those of the annotations, as there.

    Raises:
        ValueError: If the files are malformed or do not belong together.
    """

    def __init__(
        self,
        truth: dict,
        results: list[dict],
        metainfo: dict,
        image_folder: str | Path = '',
        iou_type: str = 'keypoints',
        use_area: bool = True,
    ) -> None:
        self.truth, self.results = truth, results
        self.metainfo, self.image_folder = metainfo, Path(image_folder)
        self.poses = errors.read_poses(
            truth, results, metainfo, iou_type, use_area
        )
        self.pairs = errors.find_pairs(self.poses)
        self.kinds, self._corrected = errors.classify(self.poses, self.pairs)
        self.distances = errors.measure_distances(self.poses, self.pairs)
        self._images = {image['id']: image for image in truth['images']}

    @cached_property
    def ap_by_threshold(self) -> np.ndarray:
        """Average precision at OKS 0.5, 0.55 ... 0.95, (10,)."""
        return errors.compute_ap(self.poses)

    @property
    def ap(self) -> float:
        """AP as mmpose and pycocotools print it."""
        return float(self.ap_by_threshold.mean())

    @property
    def pck(self) -> float:
        """PCK at 0.1 of the longer side of the box, mean of the keypoints."""
        return errors.compute_pck(self.distances, errors.PCK_THRESHOLD)

    @cached_property
    def per_keypoint(self) -> list[dict]:
        """A row for each keypoint.

        ``keypoint``, its name; ``labelled`` and ``predicted``, how many;
        ``error`` and ``median_error``, distances in longer sides of the box;
        ``pck`` at 0.1; how many are ``good``, ``jitter``, ``inversion``,
        ``swap``, ``miss``, and ``not_found`` at OKS 0.1.
        """
        kinds = errors.arrange_kinds(self.pairs, self.kinds)
        return errors.by_keypoint(self.poses, self.distances, kinds)

    def worst(self, n: int = 20) -> list[Case]:
        """Return the instances with the lowest OKS, larger ones first."""
        truth = self.poses.truth
        counted = np.flatnonzero(~truth.ignored)
        keys = -truth.areas[counted], self.pairs.oks[counted]
        return [self._case(g) for g in counted[np.lexsort(keys)][:n]]

    def _case(self, g: int) -> Case:
        gt = self.truth['annotations'][self.poses.truth.numbers[g]]
        d = self.pairs.prediction[g]
        found = None
        if d >= 0:
            found = self.results[self.poses.predictions.numbers[d]]
        name = self._images[gt['image_id']].get('file_name', '')
        path = self.image_folder / name
        return Case(path, gt, found, float(self.pairs.oks[g]))

    def add_to(self, report: 'Report') -> None:
        """Add all tables, plots and the worst pictures to a page."""
        report.heading('Errors by keypoint')
        rows = self.per_keypoint
        report.table(list(rows[0]), [list(row.values()) for row in rows])

    def to_dict(self) -> dict[str, Any]:
        """Return all numbers as plain Python types, ready for JSON."""
        return dict(ap=self.ap, pck=self.pck, per_keypoint=self.per_keypoint)


def analyze_results(
    gt: str | Path | dict,
    results: str | Path | Sequence[dict],
    metainfo: dict,
    image_folder: str | Path = '',
    **options: Any,
) -> Analysis:
    """Analyze a file of results.

    Args:
        gt: COCO's annotation file, or its content.
        results: COCO's file of results, or its content.
        metainfo: Parsed metainfo of mmpose.
        image_folder: Folder that the names of the pictures begin at.
        **options: ``iou_type`` and ``use_area`` of :class:`Analysis`.
    """
    truth = gt if isinstance(gt, dict) else _read(gt)
    found = _read(results) if isinstance(results, str | Path) else results
    return Analysis(truth, list(found), metainfo, image_folder, **options)


def _read(path: str | Path) -> Any:
    try:
        return json.loads(Path(path).read_text(encoding='utf-8'))
    except ValueError as error:
        raise ValueError(f'{path} is not valid JSON: {error}') from error
