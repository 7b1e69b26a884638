"""Check annotation files when they are read.

Broken: the COCO-style datasets of mmpose (<= 1.3.2) take an annotation file
as it is. If a category has its keypoints in another order, training uses
swapped labels; equal ids lose instances; a NaN reaches the weights; instances
without a box or keypoints are dropped silently; an empty file, a box of three
numbers or a dataset without instances raise errors of numpy that name neither
file nor annotation; a missing file is an AssertionError; detections of any
category other than 1 are dropped.

Here: ``COCO(file)`` of datasets and of ``CocoMetric`` reads through
:mod:`.annotation_checks`, so that both see the same mended ids; the datasets
compare keypoints with their metainfo and log which instances are used;
detections of the annotated category count.

Can go: when mmpose checks the annotations that it reads.
"""

import contextlib
import functools
import os
from collections.abc import Iterator
import os.path as osp
from collections import Counter
from collections.abc import Callable, Sequence
from contextvars import ContextVar
from typing import Any

import numpy as np

from . import annotation_checks as checks
from .annotation_checks import AnnotationError, Findings
from ..files.file_handlers import refuse_pickle
from ..messages import list_some, log
from ..replacement import replace_everywhere

#: Names of the category of people; messages of others say "instances".
PEOPLE = frozenset(('person', 'people', 'human', 'pedestrian'))
#: The official files of RHD name the keypoints in the wrong order.
MISNAMED = frozenset(('Rhd2DDataset',))
#: Their keypoints are in separate lists; categories name only body keypoints.
PARTS = frozenset(('CocoWholeBodyHandDataset', 'CocoWholeBodyFaceDataset'))
#: Prefixes of the modules whose datasets contain people.
PEOPLE_MODULES = ('mmpose.datasets.datasets.body.', 'gtpt_mm.datasets.end_to')

_current: ContextVar['Reading | None'] = ContextVar('reading', default=None)


class Reading:
    """One dataset while it reads its annotations.

    Args:
        dataset: The dataset, of mmpose's ``BaseCocoStyleDataset``.
    """

    def __init__(self, dataset: Any) -> None:
        self.dataset = dataset
        self.content: dict = {}
        self.findings = Findings(str(dataset.ann_file))
        self.instances: list[dict] = []
        self.outside: set[int] = set()

    @property
    def needs(self) -> tuple[str, ...]:
        """Lists that the file must hold."""
        dataset = self.dataset
        only_images = dataset.data_mode == 'bottomup' and dataset.test_mode
        return () if dataset.bbox_file or only_images else ('annotations',)

    def check_file(self, content: dict, findings: Findings) -> None:
        """Check annotations against images and metainfo."""
        self.content, self.findings = content, findings
        folder = self.dataset.data_prefix.get('img', '')
        checks.mend_sizes(
            content, lambda i: osp.join(folder, str(i['file_name'])), findings
        )
        self._check_categories()
        findings.check()
        findings.log()

    def _check_categories(self) -> None:
        """Compare the keypoints of categories with the metainfo."""
        metainfo = self.dataset._metainfo
        num = metainfo.get('num_keypoints')
        kinds = {base.__name__ for base in type(self.dataset).__mro__}
        if not num or kinds & PARTS:
            return
        expected = [metainfo['keypoint_id2name'][k] for k in range(num)]
        used = {
            annotation.get('category_id')
            for annotation in self.content.get('annotations', ())
            if 'keypoints' in annotation
        }
        categories = [
            category
            for category in self.content.get('categories', ())
            if category['id'] in used and category.get('keypoints')
        ]
        fits = [len(c['keypoints']) == num for c in categories]
        for category, is_as_long in zip(categories, fits, strict=True):
            length = len(category['keypoints'])
            if is_as_long or (not any(fits) and length < num):
                # Categories of whole bodies name only the first keypoints.
                self._compare(category, expected[:length])
            elif any(fits):
                self.findings.error(
                    f'categories differ in keypoints; the metainfo has {num}: '
                    'read each with a dataset of its own',
                    f'{category.get("name")!r} has {length}',
                )

    def _compare(self, category: dict, expected: Sequence[str]) -> None:
        name = self.dataset._metainfo.get('dataset_name')
        error, unknown = checks.compare_names(category['keypoints'], expected)
        of = f'category {category.get("name")!r}'
        if error and type(self.dataset).__name__ not in MISNAMED:
            self.findings.error(
                f'{of}: {error} as in the metainfo {name!r}. Labels would be '
                "exchanged: give a metainfo of this file's keypoints in this "
                'order, or reorder the keypoints of the file'
            )
        elif unknown or error:
            self.findings.warnings.append(
                f'{of}: these keypoints have other names than in the '
                f'metainfo {name!r}; check that they are the same: '
                f'{error or list_some(unknown)}'
            )
        elif not _is_person(category) and self._is_of_people():
            self.findings.warnings.append(
                f'{of}: {type(self.dataset).__name__} with the metainfo '
                f'{name!r} is of people; check that these are people'
            )

    def _is_of_people(self) -> bool:
        """Whether the dataset has people, and the metainfo of its class."""
        kind = type(self.dataset)
        modules = [base.__module__ for base in kind.__mro__]
        names = self.dataset._metainfo['keypoint_name2id']
        return (
            any(module.startswith(PEOPLE_MODULES) for module in modules)
            and kind._load_metainfo()['keypoint_name2id'] == names
        )

    def check_instances(self, instances: list[dict]) -> None:
        """Check the instances that a dataset made from the annotations.

        Instances without a visible keypoint in the image are not trained on:
        stock mmpose keeps them where ``num_keypoints`` is missing or wrong.
        """
        self.instances = instances
        num = self.dataset._metainfo.get('num_keypoints')
        lengths = [np.shape(i['keypoints'])[1] for i in instances]
        wrong = [
            f'{length} in {_name(instance)}'
            for length, instance in zip(lengths, instances, strict=True)
            if length != num
        ]
        if wrong:
            self.findings.error(
                f'the number of keypoints is not that of the metainfo '
                f'{self.dataset._metainfo.get("dataset_name")!r}, {num}; give '
                'the metainfo of this skeleton, or correct the annotations',
                *wrong,
            )
        for key in () if wrong or not instances else ('keypoints', 'bbox'):
            values = np.concatenate([i[key] for i in instances])
            bad = ~np.isfinite(values).reshape(len(values), -1).all(1)
            for index in np.flatnonzero(bad):
                self.findings.error(
                    f'{key} holds numbers that are not finite',
                    _name(instances[index]),
                )
        self.findings.check()
        if instances and not self.dataset.test_mode:
            self._forget_invisible()

    def _forget_invisible(self) -> None:
        visible = [i['keypoints_visible'] for i in self.instances]
        seen = (np.concatenate(visible) > 0).reshape(len(visible), -1)
        inside = seen & self._lie_inside() if self.content else seen
        for index in np.flatnonzero(~inside.any(1)):
            instance = self.instances[index]
            if 'num_keypoints' in instance:
                instance['num_keypoints'] = 0
                if seen[index].any():
                    self.outside.add(instance['id'])

    def _lie_inside(self) -> np.ndarray:
        """Return whether keypoints lie in their image, (N, K)."""
        sizes = {
            i['id']: (i['width'], i['height']) for i in self.content['images']
        }
        limits = np.array([[sizes[i['img_id']]] for i in self.instances])
        points = np.concatenate([i['keypoints'] for i in self.instances])
        points = points[..., :2]
        return np.all((points >= 0) & (points <= limits), axis=-1)

    def summarize(self, data_list: list[dict]) -> None:
        """Log how many instances are used, and why others are not.

        Raises:
            AnnotationError: If no instance is used.
        """
        used: set[int] = set()
        for info in data_list:
            ids = info.get('id', ())
            used.update(ids if isinstance(ids, list) else [ids])
        dropped = self._dropped(used)
        word = _word(self.content)
        if not data_list:
            num = sum(dropped.values())
            raise AnnotationError(
                f'{self.findings.file}: none of the {num:,} {word} in it can '
                f'be used: {checks.count(dropped)}'
                if num
                else f'{self.findings.file}: it has no annotation'
            )
        num = len(used) if self._reads_annotations() else len(data_list)
        _log_summary(self.findings, f'{num:,} {word} used', dropped)

    def _reads_annotations(self) -> bool:
        """Whether each instance is one annotation of the file."""
        return bool(self.content) and all(
            'raw_ann_info' in instance for instance in self.instances
        )

    def _dropped(self, used: set[int]) -> Counter[str]:
        if not self._reads_annotations():
            num = len(self.instances) - len(used)
            return Counter({'without box or keypoints': max(num, 0)})
        interval = self.dataset.sample_interval
        images = {i['id']: i for i in self.content['images']}
        parsed = {i['id']: i for i in self.instances}
        dropped: Counter[str] = Counter()
        for annotation in self.content.get('annotations', ()):
            if annotation['id'] not in used:
                image = images.get(annotation['image_id'])
                instance = parsed.get(annotation['id'])
                reason = _reason(annotation, image, instance, interval)
                if annotation['id'] in self.outside:
                    reason = 'with keypoints outside'
                dropped[reason] += 1
        return dropped


def _reason(
    annotation: dict, image: dict | None, instance: dict | None, interval: int
) -> str:
    """Return why an annotation is not used."""
    if image is None:
        return 'without image'
    if annotation['image_id'] % interval:
        return 'of images that sample_interval leaves out'
    for key, word in dict(bbox='box', keypoints='keypoints').items():
        if key not in annotation:
            return f'without {word}'
    if annotation.get('iscrowd'):
        return 'crowd'
    if instance is None:
        return 'not labelled for this dataset'
    if not instance.get('num_keypoints', 1):
        seen = np.array(annotation['keypoints']).reshape(-1, 3)[:, 2].any()
        return 'with num_keypoints 0' if seen else 'without visible keypoints'
    x, y, w, h = annotation['bbox']
    if w <= 0 or h <= 0:
        return 'with an empty box'
    low, high = np.split(instance['bbox'][0], 2)
    if not (high > low).all():
        return 'outside'
    return 'with keypoints outside'


def read_detections(dataset: Any) -> list[dict]:
    """Return the detections of ``bbox_file``, one entry each.

    Args:
        dataset: The dataset in ``_current``.

    Raises:
        AnnotationError: If an entry is malformed or none can be used.
    """
    from mmpose.datasets.datasets.base import base_coco_style_dataset as stock

    with stock.get_local_path(dataset.ann_file) as file:
        dataset.coco = stock.COCO(file)
    dataset._metainfo['CLASSES'] = list(dataset.coco.cats.values())
    reading = _current.get()
    assert reading is not None
    categories = _annotated_categories(reading.content)
    detections = _load_detections(dataset.bbox_file)
    findings = Findings(dataset.bbox_file)
    kept, dropped = _sort_detections(
        detections, categories, reading.findings.image_id, findings
    )
    findings.check()
    if not kept:
        raise AnnotationError(
            f'{dataset.bbox_file}: none of the {len(detections):,} detections '
            f'can be used with {dataset.ann_file}, whose category is '
            f'{list_some(sorted(categories))}: '
            f'{checks.count(dropped) or "there is none"}'
        )
    _log_summary(findings, f'{len(kept):,} detections used', dropped)
    return [
        _detected(dataset, index, detection)
        for index, detection in enumerate(kept)
    ]


def _sort_detections(
    detections: list[dict],
    categories: set,
    find_image: Callable[[Any], int | None],
    findings: Findings,
) -> tuple[list[dict], Counter[str]]:
    """Return the detections to use, and why the others are not."""
    dropped: Counter[str] = Counter()
    kept = []
    for index, detection in enumerate(detections):
        image = detection.get('image_id')
        category = checks.plain(detection.get('category_id', min(categories)))
        error = _malformed(detection)
        number = None if error else find_image(image)
        if error:
            findings.error(error, f'entry {index} of image {image}')
        elif category not in categories:
            dropped[f'of category {category}'] += 1
        elif number is None:
            dropped['of images that the annotation file lacks'] += 1
        elif min(detection['bbox'][2:4]) <= 0:
            dropped['with an empty box'] += 1
        else:
            change = dict(image_id=number, category_id=category)
            kept.append(detection | change)
    return kept, dropped


@contextlib.contextmanager
def _naming_parser(dataset: Any) -> Iterator[None]:
    """Name file, dataset and annotation in errors of a stock parser."""
    try:
        yield
    except (
        KeyError, TypeError, IndexError, AttributeError, ValueError,
    ) as error:  # fmt: skip
        place = _find_annotation(error)
        if isinstance(error, ValueError) and not place:
            raise  # not JSON, or already refused by name
        raise AnnotationError(
            f'{dataset.ann_file}: {type(dataset).__name__} cannot read '
            f'{place or "an annotation of it"}: {error!r}'
        ) from error


def _find_annotation(error: Exception) -> str:
    """Return the annotation that the parser was reading; '' for none."""
    found = ''
    trace = error.__traceback__
    while trace is not None:
        names = trace.tb_frame.f_locals
        annotation = names.get('ann')
        if isinstance(annotation, dict) and 'image_id' in annotation:
            found = checks.name(annotation)
        elif isinstance(annotation, dict):  # MPII: its index in the list
            index = names.get('idx', names.get('ann_id'))
            found = f'entry {index}, of image {annotation.get("image")!r}'
        trace = trace.tb_next
    return found


def _load_detections(file: str) -> list[dict]:
    from mmpose.datasets.datasets.base import base_coco_style_dataset as stock

    with checks.reading_json(file):
        detections = stock.load(file)
    if not isinstance(detections, list) or not all(
        isinstance(detection, dict) for detection in detections
    ):
        raise AnnotationError(
            f'{file} is not a list of dictionaries, one for each detection, '
            'with image_id, category_id, bbox and score'
        )
    return detections


def _annotated_categories(content: dict) -> set:
    """Return the ids of categories that have keypoints, or of all."""
    categories = content.get('categories', ())
    with_keypoints = {c['id'] for c in categories if c.get('keypoints')}
    annotated = {
        a['category_id']
        for a in content.get('annotations', ())
        if a.get('category_id') is not None
    }
    return with_keypoints or {c['id'] for c in categories} or annotated or {1}


def _malformed(detection: dict) -> str:
    """Return what is wrong with a detection; '' for nothing."""
    try:
        box = [float(value) for value in detection['bbox'][:4]]
        score = float(detection['score'])
        hash(detection['image_id'])
    except KeyError as error:
        return f'detections without {error.args[0]}'
    except (TypeError, ValueError):
        return 'bbox or score is not a number'
    if isinstance(detection['bbox'][0], str) or len(box) != 4:
        return 'bbox must be 4 numbers, x, y, w, h'
    if not np.isfinite([*box, score]).all():
        return 'bbox or score is not finite'
    return ''


def _detected(dataset: Any, index: int, detection: dict) -> dict:
    """Return a sample for a detection, as the stock dataset does.

    Its keypoints are placeholders; ``category_id`` is that of the file.
    """
    image_id = detection['image_id']
    image = dataset.coco.imgs[image_id]
    num = dataset._metainfo['num_keypoints']
    x, y, w, h = detection['bbox'][:4]
    return dict(
        img_id=image_id,
        img_path=osp.join(dataset.data_prefix['img'], image['file_name']),
        img_shape=(image['height'], image['width']),
        bbox=np.array([[x, y, x + w, y + h]], np.float32),
        bbox_score=np.array([detection['score']], np.float32),
        keypoints=np.zeros((1, num, 2), np.float32),
        keypoints_visible=np.ones((1, num), np.float32),
        id=index,
        category_id=np.array(detection['category_id']),
    )


def _name(instance: dict) -> str:
    return f'annotation {instance.get("id")} of image {instance.get("img_id")}'


def _is_person(category: dict) -> bool:
    return str(category.get('name', 'person')).strip().lower() in PEOPLE


def _word(content: dict) -> str:
    categories = content.get('categories') or [{}]
    people = all('name' in c and _is_person(c) for c in categories)
    return 'people' if people else 'instances'


def _log_summary(findings: Findings, used: str, dropped: Counter[str]) -> None:
    parts = [used]
    if any(dropped.values()):
        parts.append(f'dropped: {checks.count(dropped)}')
    if findings.mended:
        parts.append(f'mended: {checks.count(findings.mended)}')
    if findings.unlisted:
        parts.append(
            f'of categories not listed: {checks.count(findings.unlisted)}'
        )
    log(f'{findings.file}: {"; ".join(parts)}')


def missing() -> str:
    """Say what is missing."""
    return 'mmpose does not check the annotations that it reads'


def repair() -> None:
    """Check and mend what COCO-style datasets and ``CocoMetric`` read."""
    import mmpose.datasets
    import mmpose.evaluation  # noqa: F401
    from mmpose.datasets.datasets.base import BaseCocoStyleDataset as base
    from xtcocotools.coco import COCO

    class CheckedCOCO(COCO):
        """An annotation file that was checked."""

        @functools.wraps(COCO.__init__)
        def __init__(
            self, annotation_file: Any = None, *args: Any, **options: Any
        ) -> None:
            if annotation_file is not None and not args and not options:
                reading = _current.get()
                refuse_pickle(annotation_file)
                needs: dict = {}
                if reading:
                    images = ('id', 'file_name')
                    needs = dict(needs=reading.needs, image_needs=images)
                content, findings = checks.read(annotation_file, **needs)
                if reading:
                    reading.check_file(content, findings)
                elif findings.mended:
                    mended = checks.count(findings.mended)
                    log(f'{annotation_file}: mended: {mended}')
                self.findings = findings
                options = dict(ann_data=content)
            super().__init__(annotation_file, *args, **options)

    replace_everywhere(COCO, CheckedCOCO)
    base.load_data_list = _load_data_list
    base._load_detection_results = read_detections
    base._serialize_data = _refuse_nobody(base._serialize_data)


def _load_data_list(self: Any) -> list[dict]:
    """Read annotations or detections, and check them."""
    _check_there(self)
    reading = Reading(self)
    token = _current.set(reading)
    try:
        if self.bbox_file:
            return self._load_detection_results()
        with checks.reading_json(self.ann_file), _naming_parser(self):
            instances, images = self._load_annotations()
        reading.check_instances(instances)
        if self.data_mode == 'topdown':
            data_list = self._get_topdown_data_infos(instances)
        else:
            data_list = self._get_bottomup_data_infos(instances, images)
        reading.summarize(data_list)
        return data_list
    finally:
        _current.reset(token)
        self.__dict__.pop('coco', None)


def _check_there(dataset: Any) -> None:
    """Raise if a file of annotations or detections does not exist."""
    from mmpose.datasets.datasets.base import base_coco_style_dataset as stock

    for what in ('ann_file', 'bbox_file'):
        file = getattr(dataset, what)
        if file and not stock.exists(file):
            raise FileNotFoundError(
                f'{what} {file!r} of {type(dataset).__name__} does not exist; '
                f'a relative path starts at the current folder, {os.getcwd()}.'
                ' docs/data.md says where each dataset is downloaded and '
                'which folders it has; `gtpt-mm sample-data` draws data to '
                'try a training'
            )


def _refuse_nobody(serialize: Any) -> Any:
    @functools.wraps(serialize)
    def serialize_data(self: Any) -> Any:
        if not self.data_list:
            raise AnnotationError(
                f'{self.ann_file}: no instance is left after '
                f'filter_cfg={self.filter_cfg} and indices={self._indices}'
            )
        return serialize(self)

    return serialize_data
