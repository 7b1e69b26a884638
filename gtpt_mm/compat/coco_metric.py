"""CocoMetric and what an annotation file may lack.

Broken in mmpose (<= 1.3.2) and xtcocotools, all of it after the first epoch
or without a word:

- Results of samples without ``category_id``, such as those of bottom-up
  models, get category 1: with any other in the file AP is 0.
- ``area``, ``categories``, a box, keypoints or ``crowdIndex`` that the file
  lacks are a bare KeyError; ids that are no numbers likewise fail.
- ``sigmas`` of another length are "operands could not be broadcast".
- ``gt_converter`` is applied again at every validation, cannot average two
  keypoints, and refuses a metainfo that is already converted.

Here: classes under the stock names that complete and check the file when the
metric is built and convert it once, when it learns its dataset.

Can go: when mmpose does so.
"""

import contextlib
import io
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.fileio import dump, load
from mmengine.logging import print_log

from .replacement import replace_class

NAMES = ('CocoMetric', 'CocoWholeBodyMetric', 'PoseTrack18Metric')
#: Area of a person as a part of the box, as mmpose's datasets estimate it.
AREA_OF_BOX = 0.53


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
    """What the stock classes derive from first; arguments are theirs."""

    coco: Any
    ann_file: str | None
    iou_type: str
    use_area: bool
    gt_converter: dict | None
    pred_converter: dict | None
    _dataset_meta: dict | None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._image_ids: dict = {}
        self._ann_ids: dict = {}
        ann_file = args[0] if args else kwargs.get('ann_file')
        try:
            super().__init__(*args, **kwargs)
        except KeyError as error:
            raise ValueError(_explanation(ann_file, error)) from error
        # Applied here, once; the stock class would do it in every validation.
        self._converter, self.gt_converter = self.gt_converter, None
        self._is_converted = False
        self._complete()

    def _complete(self) -> None:
        """Complete the annotations, if they are there yet."""
        if self.coco is None or 'annotations' not in self.coco.dataset:
            return
        where, dataset = self.ann_file or 'the annotations', self.coco.dataset
        self._image_ids = _unify_image_ids(dataset)
        self._ann_ids = _number_annotations(dataset['annotations'])
        _complete_categories(dataset, where)
        _complete_people(dataset['annotations'], where)
        if self.use_area:
            _complete_areas(dataset['annotations'], where)
        if self.iou_type == 'keypoints_crowd':
            _complete_crowds(dataset, where)
        with contextlib.redirect_stdout(io.StringIO()):
            self.coco.createIndex()

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
        """Convert annotations; a metric may learn its dataset twice."""
        if self._converter and not self._is_converted:
            for ann in anns:
                _convert_annotation(ann, **_mapping(self._converter))
            self._is_converted = True

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Give samples ids of the file; a category only if it is one."""
        samples = []
        for sample in data_samples:
            category = sample.get('category_id')
            # Bottom-up: an array with those of the people that are annotated.
            if category is not None and np.ndim(category):
                category = None
            image = sample.get('img_id')
            ids = dict(
                id=_rename(sample.get('id'), self._ann_ids),
                img_id=self._image_ids.get(_plain(image), image),
                category_id=None if category is None else _plain(category),
            )
            samples.append({**sample, **ids})
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
        """Write the results, those without a category with the file's."""
        people = [person for part in keypoints.values() for person in part]
        if any(person['category_id'] is None for person in people):
            category = _only_category(self.coco.dataset, self.ann_file)
            for person in people:
                person['category_id'] = category
        super().results2json(keypoints, outfile_prefix)  # type: ignore
        if any(person['category_id'] != 1 for person in people):
            _write_categories(f'{outfile_prefix}.keypoints.json', people)


def _explanation(ann_file: str | None, error: KeyError) -> str:
    """Say which entry of a file lacks what xtcocotools asked for."""
    [key] = error.args
    labels = load(ann_file) if ann_file else {}
    for part in ('images', 'annotations', 'categories'):
        for index, entry in enumerate(labels.get(part, ())):
            if key in ('id', 'image_id', 'category_id') and (
                key not in entry and (part == 'annotations' or key == 'id')
            ):
                return (
                    f'{ann_file}: entry {index} of {part} (id '
                    f'{entry.get("id")}) has no {key}'
                )
    return f'{ann_file} has no {key!r}'


def _plain(value: Any) -> Any:
    """Return an id as a Python number if it looks like one.

    Example:
        >>> _plain('007'), _plain(np.array(7)), _plain('a7')
        (7, 7, 'a7')
    """
    value = value.item() if hasattr(value, 'item') else value
    return int(value) if isinstance(value, str) and value.isdigit() else value


def _rename(ids: Any, names: dict) -> Any:
    """Return an id, or those of a list, as the evaluation has them."""
    if isinstance(ids, list | tuple):
        return [names.get(i, i) for i in ids]
    return names.get(ids, ids) if names else ids


def _unify_image_ids(dataset: dict) -> dict:
    """Make the ids of images one type; return them by their plain form.

    Samples and annotations may have '7' for 7. Ids whose plain forms are not
    unique stay as they are.
    """
    images = dataset.get('images', ())
    if len({type(image['id']) for image in images}) > 1:
        for image in images:
            image['id'] = str(image['id'])
    ids = {_plain(image['id']): image['id'] for image in images}
    if len(ids) < len(images):
        return {}
    for ann in dataset['annotations']:
        ann['image_id'] = ids.get(_plain(ann['image_id']), ann['image_id'])
    return ids


def _number_annotations(anns: Sequence[dict]) -> dict:
    """Number the annotations if an id is no number; return the new ids."""
    if all(isinstance(ann['id'], int) for ann in anns):
        return {}
    numbers = {ann['id']: n for n, ann in enumerate(anns, start=1)}
    for number, ann in enumerate(anns, start=1):
        ann['id'] = number
    return numbers


def _complete_categories(dataset: dict, where: str) -> None:
    """Add missing categories; make their ids numbers."""
    known = dataset.setdefault('categories', [])
    for entry in known:
        entry['id'] = _plain(entry['id'])
    ids = [entry['id'] for entry in known]
    for ann in dataset['annotations']:
        if ann.get('category_id') is None:
            if len(ids) > 1:
                raise ValueError(
                    f'{where}: annotation {ann["id"]} has no category_id; '
                    f'there are the categories {ids}'
                )
            ann['category_id'] = ids[0] if ids else 1
        ann['category_id'] = _plain(ann['category_id'])
    if not known:
        used = {ann['category_id'] for ann in dataset['annotations']} or {1}
        known += [dict(id=i, name=str(i)) for i in sorted(used)]


def _complete_people(anns: Sequence[dict], where: str) -> None:
    """Leave people without a box or keypoints out of the evaluation.

    Datasets drop them, so that a model might not see them: they count
    neither as missed nor, where it finds them, as wrong.
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
        _warn(
            f'{where}: {len(unusable)} of {len(anns)} people have no box or '
            f'no keypoints and are left out: annotations {unusable[:5]}'
        )


def _complete_areas(anns: Sequence[dict], where: str) -> None:
    """Estimate missing areas from the boxes; warn of areas of 0."""
    zero, estimated = [], 0
    for ann in anns:
        area = ann.get('area')
        if area is None:
            width, height = ann['bbox'][2:4]
            ann['area'] = max(1.0, AREA_OF_BOX * width * height)
            estimated += 1
        elif not isinstance(area, int | float):
            raise ValueError(
                f'{where}: annotation {ann["id"]} has {area=}, no number'
            )
        elif not area > 0 and not ann.get('iscrowd') and _count_visible(ann):
            zero.append(ann['id'])
    if estimated:
        _warn(
            f'{where}: {estimated} of {len(anns)} annotations have no area; '
            f'{AREA_OF_BOX} of the box is taken, as mmpose does in training'
        )
    if zero:
        _warn(
            f'{where}: {len(zero)} annotations have an area of 0, with which '
            'only an exact hit counts and which AP (M) and AP (L) leave out: '
            f'{zero[:5]}. Leave area out, or set use_area=False, to take '
            f'{AREA_OF_BOX} of the box'
        )


def _complete_crowds(dataset: dict, where: str) -> None:
    """Raise if images lack what AP (E), (M) and (H) are divided by."""
    lacking = [i['id'] for i in dataset['images'] if 'crowdIndex' not in i]
    if lacking:
        raise ValueError(
            f'{where}: {len(lacking)} of {len(dataset["images"])} images '
            f'have no crowdIndex, among them {lacking[:5]}, which '
            "iou_type='keypoints_crowd' needs; evaluate with "
            "iou_type='keypoints'"
        )
    for ann in dataset['annotations']:
        ann.setdefault('num_keypoints', _count_visible(ann))


def _count_visible(ann: dict) -> int:
    return int(np.count_nonzero(np.array(ann['keypoints'])[2::3] > 0))


def _only_category(dataset: dict, ann_file: str | None) -> int:
    """Return the category of results that have none.

    A model that predicts none tells none from another: where people of
    several are annotated, they are evaluated as one.
    """
    anns = dataset.get('annotations', ())
    used = {a['category_id'] for a in anns if _count_visible(a)}
    listed = [entry['id'] for entry in dataset.get('categories', ())]
    category = min(used or listed or [1])
    if len(used) > 1:
        _warn(
            f'{ann_file}: the predictions have no category, the annotations '
            f'{sorted(used)}; all are evaluated as one'
        )
        for ann in anns:
            ann['category_id'] = category
    return category


def _write_categories(path: str, people: Sequence[dict]) -> None:
    """Write the categories of results, 1 in those of whole bodies."""
    results = load(path) if Path(path).is_file() else []
    for result, person in zip(results, people, strict=False):
        result['category_id'] = person['category_id']
    if results:
        dump(results, path, sort_keys=True, indent=4)


def _mapping(converter: dict) -> dict:
    return {key: converter[key] for key in ('num_keypoints', 'mapping')}


def _convert_meta(meta: dict, num_keypoints: int, mapping: Sequence) -> dict:
    """Return metainfo with the sigmas of the converted keypoints.

    One that has as many and lacks sources of the mapping is converted.
    """
    sigmas = np.array(meta['sigmas'], float)
    sources = [np.atleast_1d(source) for source, _ in mapping]
    last = max((int(s.max()) for s in sources), default=-1)
    if len(sigmas) != num_keypoints or last < len(sigmas):
        if last >= len(sigmas):
            raise ValueError(
                f'gt_converter takes keypoint {last}, the metainfo of '
                f'{meta.get("dataset_name")!r} has {len(sigmas)} sigmas'
            )
        converted = np.ones(num_keypoints)
        for source, (_, target) in zip(sources, mapping, strict=True):
            converted[target] = sigmas[source].mean()
        sigmas = converted
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


def _warn(words: str) -> None:
    print_log(words, logger='current', level=logging.WARNING)
