"""Complete annotation files for CocoMetric.

Broken in mmpose (<= 1.3.2) and xtcocotools; the errors come after the first
epoch, the rest is silent:

- Results of samples without ``category_id``, such as those of bottom-up
  models, get category 1: with any other category in the file AP is 0.
- A missing ``area``, box, keypoints or ``crowdIndex`` raises a bare KeyError.
- ``sigmas`` of another length raise "operands could not be broadcast".
- ``gt_converter`` is applied again at every validation, cannot average two
  keypoints, and refuses a metainfo that is already converted.

Here: classes under the stock names. They complete the annotations that the
checked ``COCO`` class has read when the metric is built, and convert them
once, when the metric gets its ``dataset_meta``.

Can go: when mmpose completes annotations and converts them once.
"""

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.fileio import dump, load

from ..data import annotation_checks as checks
from ..messages import list_some, warn
from ..replacement import replace_class
from .keypoint_converter import convert_numbers

NAMES = ('CocoMetric', 'CocoWholeBodyMetric', 'PoseTrack18Metric')


def missing() -> str:
    """Say what is missing."""
    return (
        'CocoMetric of mmpose takes every result for category 1 and fails '
        'after an epoch where a file lacks area or categories'
    )


def repair() -> None:
    """Register the completed classes under the stock names."""
    from mmpose.evaluation import metrics
    from mmpose.registry import METRICS

    for name in NAMES:
        replace_class(CompletedCoco, getattr(metrics, name), METRICS)


class CompletedCoco:
    """Mixin before the stock classes, which define the arguments."""

    coco: Any
    ann_file: str | None
    iou_type: str
    use_area: bool
    gt_converter: dict | None
    pred_converter: dict | None
    _dataset_meta: dict | None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # Applied here, once; the stock class would do it in every validation.
        self._converter, self.gt_converter = self.gt_converter, None
        self._is_converted = False
        self._complete()

    def _complete(self) -> None:
        """Complete the annotations, if they are already read."""
        if self.coco is None or 'annotations' not in self.coco.dataset:
            return
        where, dataset = self.ann_file or 'the annotations', self.coco.dataset
        _complete_people(dataset['annotations'], where)
        if self.use_area:
            _complete_areas(dataset['annotations'], where)
        if self.iou_type == 'keypoints_crowd':
            _complete_crowds(dataset, where)

    @property
    def dataset_meta(self) -> dict | None:
        """Metainfo of the dataset, of the keypoints that are compared."""
        return self._dataset_meta

    @dataset_meta.setter
    def dataset_meta(self, dataset_meta: dict) -> None:
        new = self.coco is None
        meta = dict(dataset_meta)
        given = meta.get('keypoint_converter')
        if self._converter is None and self.pred_converter is not None:
            # Predictions go back to the keypoints of the file.
            meta |= given['source'] if given else {}
        elif self._converter is None:
            self._converter = given
        elif not given:
            meta = _convert_meta(meta, **_mapping(self._converter))
        stock: Any = super(CompletedCoco, type(self)).dataset_meta
        stock.fset(self, meta)
        if new:
            self._complete()
        if self.coco is not None:
            anns = self.coco.dataset.get('annotations', ())
            self._convert(anns)
            _check_lengths(anns, meta, self.ann_file or 'the annotations')

    def _convert(self, anns: Sequence[dict]) -> None:
        """Convert annotations once; the metainfo may be set twice."""
        if self._converter and not self._is_converted:
            for ann in anns:
                _convert_annotation(ann, **_mapping(self._converter))
            self._is_converted = True

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Keep the category of samples only if it is a single one."""
        samples = []
        for sample in data_samples:
            category = sample.get('category_id')
            # Bottom-up: an array of the categories of annotated people.
            if category is not None and np.ndim(category):
                category = None
            samples.append(sample | dict(category_id=checks.plain(category)))
        super().process(data_batch, samples)  # type: ignore[misc]

    def gt_to_coco_json(
        self, gt_dicts: Sequence[dict], outfile_prefix: str
    ) -> str:
        """Write the annotations of the samples, completed, to a file."""
        gts = []
        for gt in gt_dicts:
            anns = [dict(a) for a in gt['raw_ann_info'] if a is not None]
            for ann in anns:
                ann.setdefault('iscrowd', 0)
                ann.setdefault('category_id', 1)
            gts.append({**gt, 'raw_ann_info': anns})
        where = 'the annotations of the samples'
        people = [ann for gt in gts for ann in gt['raw_ann_info']]
        _complete_people(people, where)
        _complete_areas(people, where)
        self._convert(people)
        for ann in people:
            ann.setdefault('num_keypoints', _count_visible(ann))
        _check_lengths(people, self._dataset_meta or {}, where)
        if self._dataset_meta and not self._dataset_meta.get('CLASSES'):
            used = sorted({ann['category_id'] for ann in people}) or [1]
            classes = [dict(id=i, name=str(i)) for i in used]
            self._dataset_meta['CLASSES'] = classes
        return super().gt_to_coco_json(gts, outfile_prefix)  # type: ignore

    def results2json(self, keypoints: dict, outfile_prefix: str) -> None:
        """Write the results with the ids of images and categories as read."""
        images: dict[int, list] = defaultdict(list)  # as stock classes need
        for image, part in keypoints.items():
            if image not in self.coco.imgs:
                number = self.coco.findings.image_id(image)
                image = image if number is None else number
            images[image] += part
            for person in part:
                person['img_id'] = image
        people = [person for part in images.values() for person in part]
        if any(person['category_id'] is None for person in people):
            category = _only_category(self.coco.dataset, self.ann_file)
            for person in people:
                person['category_id'] = category
        super().results2json(images, outfile_prefix)  # type: ignore
        if any(person['category_id'] != 1 for person in people):
            _write_categories(f'{outfile_prefix}.keypoints.json', people)


def _complete_people(anns: Sequence[dict], where: str) -> None:
    """Leave instances without a box or keypoints out of the evaluation.

    Datasets drop them, so a model may never see them: they count neither as
    missed nor, if detected, as wrong.
    """
    lengths = [len(a['keypoints']) for a in anns if a.get('keypoints')]
    unusable = []
    for ann in anns:
        if ann.get('keypoints') and ann.get('bbox'):
            continue
        unusable.append(ann['id'])
        ann['iscrowd'] = 1
        if not ann.get('keypoints'):
            ann['keypoints'] = [0] * max(lengths, default=0)
        if not ann.get('bbox'):
            points = np.array(ann['keypoints'], float).reshape(-1, 3)
            points = points[points[:, 2] > 0, :2]
            corners = [points.min(0), np.ptp(points, 0)] if len(points) else 0
            ann['bbox'] = (np.zeros(4) + np.ravel(corners)).tolist()
    if unusable:
        warn(
            f'{where}: {len(unusable)} of {len(anns)} people have no box or '
            'no keypoints and are left out: annotations '
            f'{list_some(unusable)}'
        )


def _complete_areas(anns: Sequence[dict], where: str) -> None:
    """Estimate missing areas, and those of 0, from the boxes."""
    num = checks.add_areas(anns)
    if num:
        warn(
            f'{where}: {num} of {len(anns)} annotations have no area above 0; '
            f'{checks.AREA_OF_BOX} of the box is taken, as mmpose does in '
            'training'
        )


def _complete_crowds(dataset: dict, where: str) -> None:
    """Raise if images lack crowdIndex, which splits AP (E), (M) and (H)."""
    lacking = [i['id'] for i in dataset['images'] if 'crowdIndex' not in i]
    if lacking:
        raise ValueError(
            f'{where}: {len(lacking)} of {len(dataset["images"])} images '
            "have no crowdIndex, which iou_type='keypoints_crowd' needs: "
            f"{list_some(lacking)}; evaluate with iou_type='keypoints'"
        )
    for ann in dataset['annotations']:
        ann.setdefault('num_keypoints', _count_visible(ann))


def _count_visible(ann: dict) -> int:
    return int(np.count_nonzero(np.array(ann['keypoints'])[2::3] > 0))


def _only_category(dataset: dict, ann_file: str | None) -> int:
    """Return the category of results that have none.

    Such a model cannot distinguish categories: instances of several annotated
    categories are evaluated as one category.
    """
    anns = dataset.get('annotations', ())
    used = {a['category_id'] for a in anns if _count_visible(a)}
    listed = [entry['id'] for entry in dataset.get('categories', ())]
    category = min(used or listed or [1])
    if len(used) > 1:
        warn(
            f'{ann_file}: the predictions have no category, the annotations '
            f'{sorted(used)}; all are evaluated as one'
        )
        for ann in anns:
            ann['category_id'] = category
    return category


def _write_categories(path: str, people: Sequence[dict]) -> None:
    """Write the categories of results; the stock whole-body file has 1."""
    results = load(path) if Path(path).is_file() else []
    for result, person in zip(results, people, strict=False):
        result['category_id'] = person['category_id']
    if results:
        dump(results, path, sort_keys=True, indent=4)


def _mapping(converter: dict) -> dict:
    return {key: converter[key] for key in ('num_keypoints', 'mapping')}


def _convert_meta(meta: dict, num_keypoints: int, mapping: Sequence) -> dict:
    """Return metainfo with the sigmas of the converted keypoints.

    Metainfo with the number of targets, but without some sources of the
    mapping, is already converted.
    """
    sigmas: Any = np.array(meta['sigmas'], float)
    last = max((int(np.max(source)) for source, _ in mapping), default=-1)
    if len(sigmas) != num_keypoints or last < len(sigmas):
        if last >= len(sigmas):
            raise ValueError(
                f'gt_converter takes keypoint {last}, the metainfo of '
                f'{meta.get("dataset_name")!r} has {len(sigmas)} sigmas'
            )
        sigmas = convert_numbers(sigmas, num_keypoints, mapping)
    return meta | dict(sigmas=sigmas, num_keypoints=num_keypoints)


def _convert_annotation(
    ann: dict, num_keypoints: int, mapping: Sequence
) -> None:
    """Convert the keypoints of an annotation; two sources are averaged."""
    old = np.array(ann['keypoints'], float).reshape(-1, 3)
    new = np.zeros((num_keypoints, 3))
    for source, target in mapping:
        points = old[np.atleast_1d(source)]
        if (points[:, 2] > 0).all():
            new[target] = [*points[:, :2].mean(0), points[:, 2].min()]
    ann['keypoints'] = new.flatten().tolist()
    ann['num_keypoints'] = _count_visible(ann)


def _check_lengths(anns: Sequence[dict], meta: dict, where: str) -> None:
    """Raise if sigmas, keypoints and annotations differ in their number."""
    if 'sigmas' not in meta or 'num_keypoints' not in meta:
        return
    number, num_sigmas = meta['num_keypoints'], len(meta['sigmas'])
    if num_sigmas != number:
        raise ValueError(
            f'the metainfo of {meta.get("dataset_name")!r} has {num_sigmas} '
            f'sigmas for {number} keypoints; write one for each'
        )
    for ann in anns:
        given = len(ann['keypoints']) // 3
        if given != number and 'foot_kpts' not in ann:
            raise ValueError(
                f'{where}: annotation {ann["id"]} has {given} keypoints, the '
                f'metainfo of {meta.get("dataset_name")!r} has {number}'
            )
