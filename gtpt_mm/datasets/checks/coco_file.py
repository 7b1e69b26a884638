"""Read COCO files and collect everything that is wrong with them.

The importer mends or refuses; a check continues, so that it reports all
findings at once. Entries that cannot be read are left out of the set.
"""

# K keypoints

import json
import re
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from gtpt_mm.compat.data import annotation_checks as checks
from gtpt_mm.compat.data import metainfo as skeletons

from ..exchange import Instance, KeypointSet, Picture
from .findings import Finding

#: How messages of :mod:`annotation_checks` refer to an annotation.
_PLACE = re.compile(r'^(.*?)(?: of | in |)annotation (\S+) of image (.+)$')


class _Collected(checks.Findings):
    """Findings that do not stop the reading."""

    def check(self) -> None:
        """Continue."""


class CocoFile:
    """One file of a set.

    Args:
        file: The file.
        split: Name of the split, for its pictures.
        images: Folder of its pictures.
        metainfo: ``dataset_info`` to compare with; None for none.

    Attributes:
        findings: Everything that is wrong.
        pictures: Pictures with their instances.
        names: Names of the K keypoints.
        links: Pairs of names.
        category: Name of the category that is read.
    """

    def __init__(
        self,
        file: Path,
        split: str,
        images: Path,
        metainfo: Mapping | None = None,
    ) -> None:
        self.findings: list[Finding] = []
        self.pictures: list[Picture] = []
        self.names: list[str] = []
        self.links: list[tuple[str, str]] = []
        self.category = 'instance'
        self._split, self._images = split, images
        content = self._load(file)
        if not content:
            return
        self._note_equal_ids(content)
        mended = _Collected(str(file))
        checks.mend_content(content, mended, ('id', 'file_name'))
        self._files = {i['id']: str(i['file_name']) for i in content['images']}
        self._copy(mended)
        self._choose(content['categories'], content['annotations'], metainfo)
        self._build(content)

    def _add(self, kind: str, value: str, **place: Any) -> None:
        self.findings.append(Finding(kind, value, self._split, **place))

    def _load(self, file: Path) -> dict:
        """Return the content; {} if nothing can be read."""
        try:
            with checks.reading_json(file), open(file, encoding='utf-8') as f:
                content = json.load(f)
        except checks.AnnotationError as error:
            self._add('file', str(error).removeprefix(str(file)).strip())
            return {}
        if not isinstance(content, dict):
            kind = type(content).__name__
            self._add('file', f'it holds a {kind}, not the dictionary of COCO')
            return {}
        needed = dict(
            images=('id', 'file_name'), annotations=(), categories=('id',)
        )
        for key, fields in needed.items():
            entries = content.get(key, [])
            if key not in content and key != 'categories':
                self._add('file', f'it has no list {key!r}')
            if not isinstance(entries, list):
                self._add('file', f'{key!r} is not a list')
                entries = []
            content[key] = [
                e for e in entries if self._is_entry(e, key, fields)
            ]
        return content

    def _is_entry(self, entry: Any, key: str, fields: tuple) -> bool:
        """Whether an entry is a dictionary with these fields."""
        text = f'{str(entry)[:60]} in {key!r}'
        if not isinstance(entry, dict):
            self._add('file', f'{text} is not a dictionary')
            return False
        absent = [
            field
            for field in fields
            if not isinstance(entry.get(field), int | float | str)
        ]
        for field in absent:
            self._add('file', f'{text} has no {field}')
        return not absent

    def _note_equal_ids(self, content: dict) -> None:
        """Note ids that several annotations have."""
        seen: dict[str, int] = {}
        files = {str(i['id']): i['file_name'] for i in content['images']}
        for annotation in content['annotations']:
            number = annotation.get('id')
            if isinstance(number, int | float | str):
                seen[str(number)] = seen.get(str(number), 0) + 1
                if seen[str(number)] > 1:
                    self._add(
                        'same-id',
                        f'number {seen[str(number)]} of this id',
                        picture=files.get(str(annotation.get('image_id')), ''),
                        annotation=number,
                    )

    def _copy(self, mended: checks.Findings) -> None:
        """Take over errors with their places, repairs and warnings."""
        for what, places in mended.errors.items():
            for place in places or ['']:
                hit = _PLACE.match(place)
                if not hit:
                    text = f'{what}: {place}' if place else what
                    self._add('file', text)
                    continue
                value, number, image = hit.groups()
                self._add(
                    'file',
                    f'{what}: {value}' if value else what,
                    picture=self._name(image),
                    annotation=checks.plain(number),
                )
        ids = 'annotations with a new id'
        for what, num in mended.mended.items():
            if what != ids or not any(
                f.kind == 'same-id' for f in self.findings
            ):
                self._add('mended', f'{num:,} {what}')
        for warning in mended.warnings:
            self._add('metainfo', warning)

    def _name(self, image: Any) -> str:
        """Return the name of a picture by its id as written."""
        return self._files.get(checks.plain(image), f'image {image}')

    def _choose(
        self,
        categories: list[dict],
        annotations: list[dict],
        metainfo: Mapping | None,
    ) -> None:
        """Choose the keypoints that most annotations have."""
        used: Counter = Counter(
            a.get('category_id') for a in annotations if 'keypoints' in a
        )
        named = [c for c in categories if _names(c)]
        named.sort(key=lambda c: -used[c['id']])
        lengths: Counter = Counter(
            np.size(a['keypoints']) // 3
            for a in annotations
            if 'keypoints' in a
        )
        if named:
            self.names = _names(named[0])
            self.category = str(named[0].get('name', 'instance'))
            self.links = _links(named[0], self.names)
        elif lengths:
            num = lengths.most_common(1)[0][0]
            self.names = [f'keypoint_{k}' for k in range(1, num + 1)]
        for other in named[1:]:
            if used[other['id']] and _names(other) != self.names:
                self._add(
                    'file',
                    f'categories {self.category!r} and {other.get("name")!r} '
                    'have different keypoints; give each a file of its own',
                )
        if len(set(self.names)) < len(self.names):
            double = [n for n, num in Counter(self.names).items() if num > 1]
            self._add('file', f'several keypoints are called {double}')
            self.names = [f'{n}_{k}' for k, n in enumerate(self.names)]
            self.links = []
        if metainfo is not None and self.names:
            self._compare(metainfo)

    def _compare(self, metainfo: Mapping) -> None:
        """Compare names with those of the metainfo."""
        info = metainfo['keypoint_info']
        expected = [info[k]['name'] for k in sorted(info)]
        if len(expected) != len(self.names):
            self._add(
                'metainfo',
                f'{len(self.names)} keypoints here, {len(expected)} in the '
                'metainfo',
            )
            return
        error, unknown = checks.compare_names(self.names, expected)
        if error:
            self._add('metainfo', f'{error} as in the metainfo')
        for pair in unknown:
            self._add('metainfo', f'is {pair} the same keypoint?')

    def _build(self, content: dict) -> None:
        """Make pictures and instances of what can be read."""
        pictures = {}
        for image in content['images']:
            path = self._images / str(image['file_name'])
            pictures[image['id']] = Picture(
                name=str(image['file_name']),
                width=_size(image, 'width'),
                height=_size(image, 'height'),
                path=path if path.is_file() else None,
                id=image['id'],
                split=self._split,
            )
        for annotation in content['annotations']:
            picture = pictures.get(annotation.get('image_id'))
            if picture is None:
                self._add(
                    'image-id',
                    f'image_id {annotation.get("image_id")}',
                    annotation=annotation['id'],
                )
                continue
            instance = self._instance(annotation, picture)
            if instance is not None:
                picture.instances.append(instance)
        self.pictures = list(pictures.values())

    def _instance(self, annotation: dict, picture: Picture) -> Instance | None:
        """Return an instance; None if its numbers cannot be used."""
        num = len(self.names)
        place: dict = dict(picture=picture.name, annotation=annotation['id'])
        numbers = _numbers(annotation.get('keypoints', [0] * 3 * num))
        box = _numbers(annotation.get('bbox', [0] * 4))
        if numbers is None or box is None or len(box) != 4:
            return None  # an error of the file, noted before
        if len(numbers) != 3 * num:
            if len(numbers) % 3 == 0:  # else noted before
                text = f'{len(numbers) // 3} keypoints, not {num}'
                self._add('file', text, **place)
            return None
        points = numbers.reshape(-1, 3)
        visible = points[:, 2].astype(int)
        written = annotation.get('num_keypoints')
        labelled = int((visible > 0).sum())
        if written is not None and written != labelled:
            text = f'{written} is written, {labelled} are labelled'
            self._add('num-keypoints', text, **place)
        x, y, w, h = box.tolist()
        return Instance(
            keypoints=np.where(visible[:, None] > 0, points[:, :2], 0.0),
            visible=visible,
            bbox=(x, y, x + w, y + h) if 'bbox' in annotation else None,
            area=annotation.get('area'),
            id=annotation['id'],
            is_crowd=bool(annotation.get('iscrowd')),
        )


def read_files(
    files: Mapping[str, Path], images: Path, metainfo: Mapping | None = None
) -> tuple[KeypointSet, list[Finding]]:
    """Read the files of all splits as one set.

    Args:
        files: File of each split.
        images: Folder of the pictures.
        metainfo: ``dataset_info`` to compare with, which also says what is
            left and right; None for none.

    Returns:
        The set, whose pictures have the split as in ``files``; and findings.
    """
    found: list[Finding] = []
    if metainfo is not None:
        try:
            skeletons.check_metainfo(metainfo, 'the metainfo')
        except skeletons.MetainfoError as error:
            found.append(Finding('metainfo', str(error)))
            metainfo = None
    result = KeypointSet([], [], format='coco')
    for split, path in files.items():
        file = CocoFile(path, split, images, metainfo)
        found += file.findings
        if file.names and not result.names:
            result.names, result.links = file.names, file.links
            result.category = file.category
        if file.names and file.names != result.names:
            text = 'other keypoints than in the first file'
            found.append(Finding('file', text, split))
            continue
        result.pictures += file.pictures
    info = metainfo['keypoint_info'] if metainfo else {}
    if [info[k]['name'] for k in sorted(info)] == result.names:
        result.swap = {
            p['name']: p['swap'] for p in info.values() if p.get('swap')
        }
    return result, found


def _names(category: dict) -> list[str]:
    names = category.get('keypoints')
    if isinstance(names, dict):  # by number, as some tools write it
        names = list(names.values())
    return [str(n) for n in names] if isinstance(names, list) else []


def _links(category: dict, names: list[str]) -> list[tuple[str, str]]:
    """Return the joined pairs that exist; COCO counts from 1."""
    pairs = category.get('skeleton')
    pairs = pairs if isinstance(pairs, list) else []
    pairs = [p for p in pairs if np.shape(p) == (2,)]
    ends = [k for pair in pairs for k in pair]
    if not all(isinstance(k, int) and 0 <= k <= len(names) for k in ends):
        return []
    first = min(1, min(ends, default=1))  # some tools count from 0
    if max(ends, default=0) - first >= len(names):
        return []
    return [(names[a - first], names[b - first]) for a, b in pairs]


def _numbers(value: Any) -> np.ndarray | None:
    """Return finite numbers; None for anything else."""
    try:
        numbers = np.array(value, dtype=float).reshape(-1)
    except (TypeError, ValueError):
        return None
    return numbers if (np.abs(numbers) <= checks.LIMIT).all() else None


def _size(image: dict, key: str) -> int:
    """Return width or height; 0 if it is not a positive number."""
    value = image.get(key)
    is_number = isinstance(value, int | float) and np.isfinite(value)
    return max(int(value), 0) if is_number else 0  # type: ignore[arg-type]
