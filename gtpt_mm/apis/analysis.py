"""Errors of a model: by kind, with curves, calibration and pictures."""

# G annotated instances, D predictions, K keypoints

import csv
import io
import json
from collections.abc import Collection, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from gtpt_mm.compat.files.atomic_file import atomic_write
from gtpt_mm.evaluation import errors

if TYPE_CHECKING:
    from gtpt_mm.visualization.html_report import Report

#: Files that :meth:`Analysis.write` writes.
PAGE, NUMBERS = 'report.html', 'analysis.json'


class Case(NamedTuple):
    """An instance and its prediction.

    Attributes:
        image: File of the picture.
        gt: The annotation, as in its file.
        prediction: The result, as in its file; None if there is none.
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
        image_folder: Folder that the names of the pictures are relative to.
        iou_type: Kind of evaluation, as in mmpose's CocoMetric.
        use_area: Whether to use annotated areas, as in CocoMetric.

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
        self.iou_type = iou_type
        if iou_type == 'keypoints' and _is_whole_body(truth, metainfo):
            self.iou_type = 'keypoints_wholebody'
        self.poses = errors.read_poses(
            truth, results, metainfo, self.iou_type, use_area
        )
        self.diagnosis = errors.diagnose(self.poses)
        self.pairs = self.diagnosis.pairs
        self.distances = errors.measure_distances(self.poses, self.pairs)
        #: Indices of :data:`errors.KINDS` for each instance, (G, K).
        self.kinds = errors.arrange_kinds(self.pairs, self.diagnosis.kinds)
        self._images = {image['id']: image for image in truth['images']}

    @cached_property
    def _matches(self) -> errors.Matches:
        return errors.find_matches(self.poses, errors.THRESHOLDS)

    @cached_property
    def ap_by_threshold(self) -> np.ndarray:
        """Average precision at OKS 0.5, 0.55 ... 0.95, (10,)."""
        return errors.compute_ap(self.poses, self._matches)

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

        ``keypoint``, its name; ``labelled`` and ``predicted``, the counts;
        ``error`` and ``median_error``, distances in longer sides of the box;
        ``pck`` at 0.1; the counts of ``good``, ``jitter``, ``inversion``,
        ``swap``, ``miss``, and ``not_found`` at OKS 0.1.
        """
        return errors.by_keypoint(self.poses, self.distances, self.kinds)

    @cached_property
    def per_group(self) -> dict[str, list[dict]]:
        """Rows of instances by size, labelled keypoints and crowding."""
        return errors.by_group(
            self.poses, self.pairs, self._matches, self.distances, self.kinds
        )

    @cached_property
    def per_error(self) -> list[dict]:
        """A row for each kind of error.

        ``error``, its name; ``count``; ``ap_without``, AP without this kind;
        ``ap_cumulative``, AP without it and the kinds of the previous rows.
        """
        return self.diagnosis.measure_impact()

    @cached_property
    def curves(self) -> dict[str, list[dict]]:
        """Curves: ``pck`` over distances, ``oks`` over thresholds of OKS."""
        return errors.draw_curves(
            self.poses, self.pairs, self.distances, self.ap_by_threshold
        )

    @cached_property
    def calibration(self) -> dict[str, dict]:
        """Reliability of ``keypoint_scores`` and ``instance_scores``."""
        return dict(
            keypoint_scores=errors.calibrate_keypoints(
                self.diagnosis, self.distances
            ),
            instance_scores=errors.calibrate_instances(self.diagnosis),
        )

    def worst(self, n: int = 20) -> list[Case]:
        """Return the instances with the lowest OKS, larger ones first."""
        truth = self.poses.truth
        counted = np.flatnonzero(~truth.ignored)
        keys = -truth.areas[counted], self.pairs.oks[counted]
        return [self._case(g) for g in counted[np.lexsort(keys)][:n].tolist()]

    def _case(self, g: int) -> Case:
        gt = self.truth['annotations'][self.poses.truth.numbers[g]]
        d = self.pairs.prediction[g]
        found = None
        if d >= 0:
            found = self.results[self.poses.predictions.numbers[d]]
        path = self.image_folder / self.find_image(gt).get('file_name', '')
        return Case(path, gt, found, float(self.pairs.oks[g]))

    def find_image(self, entry: dict) -> dict:
        """Return the entry of the picture of an annotation or a result."""
        return self._images[entry['image_id']]

    @property
    def per_instance(self) -> list[dict]:
        """A row for each annotated instance that counts."""
        truth, rows = self.poses.truth, []
        for g in np.flatnonzero(~truth.ignored).tolist():
            case = self._case(g)
            kinds = self.kinds[g][truth.visible[g]]
            rows.append(
                dict(
                    image=self.find_image(case.gt).get('file_name'),
                    image_id=case.gt['image_id'],
                    id=case.gt.get('id'),
                    oks=case.oks,
                    score=case.prediction and case.prediction['score'],
                    area=float(truth.areas[g]),
                    labelled=len(kinds),
                )
                | {
                    n: int((kinds == i).sum())
                    for i, n in enumerate(errors.KINDS)
                }
            )
        return rows

    def correct(self, kinds: Collection[str]) -> tuple[dict, list[dict]]:
        """Return annotations and results without some kinds of errors.

        Args:
            kinds: Names of :data:`~gtpt_mm.evaluation.errors.ERRORS`.

        Returns:
            Content of the two files, as pycocotools evaluates them.
        """
        changed = self.diagnosis.correct(kinds)
        return errors.write_poses(
            changed, self.truth, self.results, self.iou_type
        )

    def add_to(self, report: 'Report', pictures: int = 20) -> None:
        """Add all tables, plots and the worst pictures to a page.

        Args:
            report: The page.
            pictures: Number of the worst instances to draw.
        """
        from .analysis_page import add_analysis

        add_analysis(self, report, pictures)

    def to_dict(self) -> dict[str, Any]:
        """Return all numbers as plain Python types, ready for JSON.

        An undefined number, such as the mean of nothing, is None.
        """
        truth = self.poses.truth
        found = dict(
            images=len(self.truth['images']),
            instances=int((~truth.ignored).sum()),
            predictions=len(self.results),
            ap=self.ap,
            ap_by_threshold={
                f'{t:.2f}': float(ap)
                for t, ap in zip(
                    errors.THRESHOLDS, self.ap_by_threshold, strict=True
                )
            },
            pck=self.pck,
            errors=self.per_error,
            per_keypoint=self.per_keypoint,
            per_group=self.per_group,
            curves=self.curves,
            calibration=self.calibration,
        )
        return _without_nan(found)

    def write(
        self, folder: str | Path, title: str = 'Analysis', pictures: int = 20
    ) -> list[Path]:
        """Write the page, the numbers and their tables.

        Args:
            folder: Folder to write; created if it does not exist.
            title: Heading of the page.
            pictures: Number of the worst instances to draw.

        Returns:
            ``report.html``, ``analysis.json``, and ``errors.csv``,
            ``keypoints.csv``, ``groups.csv``, ``instances.csv``.
        """
        from gtpt_mm.visualization.html_report import Report

        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        report = Report(title)
        self.add_to(report, pictures)
        report.write(folder / PAGE)
        text = json.dumps(self.to_dict(), indent=2, allow_nan=False)
        with atomic_write(folder / NUMBERS) as file:
            Path(file).write_text(text + '\n')
        groups = [
            dict(by=key) | row
            for key, rows in self.per_group.items()
            for row in rows
        ]
        tables = dict(
            errors=self.per_error,
            keypoints=self.per_keypoint,
            groups=groups,
            instances=self.per_instance,
        )
        paths = [folder / f'{name}.csv' for name in tables]
        for path, rows in zip(paths, tables.values(), strict=True):
            _write_csv(path, rows)
        return [folder / PAGE, folder / NUMBERS, *paths]


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
        image_folder: Folder that the names of the pictures are relative to.
        **options: ``iou_type`` and ``use_area`` of :class:`Analysis`.

    Raises:
        ValueError: If the files are malformed or do not belong together.
    """
    parts: list[Any] = [
        read_json(part) if isinstance(part, str | Path) else part
        for part in (gt, results)
    ]
    truth, found = parts
    check_truth(truth, gt)
    return Analysis(truth, found, metainfo, image_folder, **options)


def read_json(path: str | Path) -> Any:
    """Read a file.

    Raises:
        ValueError: If it is not JSON.
    """
    try:
        return json.loads(Path(path).read_text(encoding='utf-8'))
    except ValueError as error:
        raise ValueError(f'{path} is not valid JSON: {error}') from error


def check_truth(truth: Any, name: Any) -> None:
    """Raise if a file holds no annotations.

    Args:
        truth: Its content.
        name: The file, for the message.
    """
    if not isinstance(truth, dict) or 'annotations' not in truth:
        where = name if isinstance(name, str | Path) else 'gt'
        raise ValueError(
            f'{where} is not an annotation file of COCO: it has no annotations'
        )


def _is_whole_body(truth: dict, metainfo: dict) -> bool:
    """Tell whether feet, faces and hands have separate entries."""
    anns = truth['annotations']
    has_parts = bool(anns) and 'foot_kpts' in anns[0]
    return has_parts and len(metainfo['sigmas']) == 133


def _write_csv(path: Path, rows: list[dict]) -> None:
    text = io.StringIO()
    if rows:
        writer = csv.DictWriter(text, list(rows[0]), lineterminator='\n')
        writer.writeheader()
        writer.writerows(rows)
    with atomic_write(path) as file:
        Path(file).write_text(text.getvalue(), encoding='utf-8')


def _without_nan(value: Any) -> Any:
    """Return nested dicts and lists with None for NaN."""
    if isinstance(value, dict):
        return {key: _without_nan(v) for key, v in value.items()}
    if isinstance(value, list):
        return [_without_nan(v) for v in value]
    if isinstance(value, float) and not np.isfinite(value):
        return None
    return value
