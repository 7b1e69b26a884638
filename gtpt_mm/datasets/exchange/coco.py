"""COCO keypoints: one JSON file, or a folder with one for each split.

Every annotation has ``keypoints`` (x, y, v of each keypoint in pixels of the
picture), ``bbox`` (x, y, w, h), and perhaps ``area`` and ``iscrowd``; a
category has the names of the keypoints and, from 1, the pairs that are
joined.
"""

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from gtpt_mm.compat.data import annotation_checks as checks

from .coco_of_cvat import is_of_cvat, read_attributes, undo_cvat
from .coco_write import write
from .json_files import json_kind
from .keypoint_set import Instance, KeypointSet, Picture
from .pictures import PictureFinder, clean_name, mend_pictures
from .split import find_split

__all__ = ['LOSES', 'SOURCES', 'matches', 'read', 'write']

SOURCES = 'a .json with images, annotations and categories, or its folder'
#: What this format cannot hold.
LOSES = ''
#: Keys of an image for its group, which must not be in two splits.
GROUPS = ('group', 'video_id', 'vid_id', 'video', 'seq_id', 'sequence')

#: Repairs that lose nothing here, as the ids of the tool are kept.
RENUMBERED = ('image ids that were no integers', 'annotations with a new id')


def matches(path: Path) -> bool:
    """Return whether a path is a COCO file, or a folder with one."""
    return bool(_list_files(path))


def read(
    path: Path, images: Path | None = None, category: str | None = None
) -> KeypointSet:
    """Read the files of all splits.

    Args:
        path: The file, or the folder.
        images: Folder of the pictures; looked for if None.
        category: Name of the category to read, where several have different
            keypoints.

    Returns:
        The set.

    Raises:
        ValueError: If there is no such file, it cannot be used, or the
            category is not clear.
    """
    is_named = path.is_file() and path.suffix.lower() == '.json'
    files = [path] if is_named else _list_files(path)
    if not files:
        raise ValueError(
            f'{path}: no .json with images, annotations and categories here'
        )
    found = KeypointSet([], [], format='coco')
    contents = [_load(file, found) for file in files]
    ids, found.category = _choose(contents, files, category, found.notes)
    for file, content, chosen in zip(files, contents, ids, strict=True):
        if not chosen and not content['annotations']:
            chosen = {}
        elif not chosen:
            found.notes.append(f'{file.name} has no keypoints; not read')
            continue
        _add(found, content, chosen, file, (path, images))
    if not found.names:
        raise ValueError(f'{path}: no category has keypoints')
    mend_pictures(found)
    return found


def _list_files(path: Path) -> list[Path]:
    """Return the COCO files of a path: itself, or those near the top."""
    if path.is_file():
        is_coco = path.suffix == '.json' and json_kind(path) == 'coco'
        return [path] if is_coco else []
    if not path.is_dir():
        return []
    files = [*path.glob('*.json'), *path.glob('*/*.json')]
    return [f for f in sorted(files) if json_kind(f) == 'coco']


def _load(file: Path, found: KeypointSet) -> dict:
    """Read one file, mend it, keep the ids that its tool gave."""
    with checks.reading_json(file), open(file, encoding='utf-8-sig') as lines:
        content = json.load(lines)
    if isinstance(content, dict):
        for entry in _entries(content):
            entry.setdefault('source_id', entry.get('id', ''))
            _forget_unlabelled(entry.get('keypoints'))
        read_attributes(content)
    findings = checks.mend(
        content, file, needs=('annotations',), image_needs=('id', 'file_name')
    )
    mended = [
        f'{num:,} {what}'
        for what, num in findings.mended.items()
        if what not in RENUMBERED
    ]
    if mended:
        found.notes.append(f'{file.name}: mended {", ".join(mended)}')
    found.notes += [f'{file.name}: {line}' for line in findings.warnings]
    return content


def _forget_unlabelled(keypoints: Any) -> None:
    """Set x and y to 0 where v is 0: some tools write null or NaN."""
    if isinstance(keypoints, list) and len(keypoints) % 3 == 0:
        for k in range(0, len(keypoints), 3):
            if keypoints[k + 2] == 0:
                keypoints[k : k + 2] = [0, 0]


def _entries(content: dict) -> Iterator[dict]:
    """Return the images and annotations of a content that may be wrong."""
    for key in ('images', 'annotations'):
        for entry in content.get(key) or ():
            if isinstance(entry, dict):
                yield entry


def _choose(
    contents: list[dict],
    files: list[Path],
    category: str | None,
    notes: list[str],
) -> tuple[list[dict[int, list[str]]], str]:
    """Choose the categories whose annotations are read.

    Returns:
        For each file the ids and keypoint names of its categories; and the
        name of the category.

    Raises:
        ValueError: If several have different keypoints and none is chosen,
            or the chosen one does not exist.
    """
    ids: list[dict[int, list[str]]] = []
    kinds: dict[str, list[str]] = {}
    for content, file in zip(contents, files, strict=True):
        ids.append({})
        nums = _num_keypoints(content)
        for entry in content['categories']:
            name = str(entry.get('name', entry['id']))
            num = nums.get(entry['id'], 0)
            names = _names(entry, num, file, notes)
            if names and category in (None, name):
                ids[-1][entry['id']] = names
                if num or category is not None or not any(nums.values()):
                    known = kinds.setdefault(name, names)
                    if set(known) != set(names):
                        raise ValueError(
                            f'{file}: {name!r} has the keypoints {names}, '
                            f'in another file {known}'
                        )
    _check(contents, kinds, category)
    if len(kinds) > 1:
        notes.append(f'categories read as one: {", ".join(kinds)}')
    wanted = set(map(tuple, map(sorted, kinds.values())))
    ids = [
        {key: n for key, n in chosen.items() if tuple(sorted(n)) in wanted}
        for chosen in ids
    ]
    return ids, _common_name(contents, kinds)


def _check(
    contents: list[dict], kinds: dict[str, list[str]], category: str | None
) -> None:
    """Raise if there is no category to read, or several do not fit."""
    if category is not None and not kinds:
        known = sorted(
            {
                str(c.get('name'))
                for part in contents
                for c in part['categories']
            }
        )
        raise ValueError(
            f'no category {category!r} with keypoints; there are '
            f'{", ".join(known)}'
        )
    if len({tuple(sorted(names)) for names in kinds.values()}) > 1:
        listed = ', '.join(
            f'{k} ({len(v)} keypoints)' for k, v in kinds.items()
        )
        raise ValueError(
            f'several categories have different keypoints: {listed}; choose '
            'one by --category NAME'
        )


def _common_name(contents: list[dict], kinds: dict[str, list[str]]) -> str:
    """Return the name of the only category, or the common one above it."""
    if len(kinds) == 1:
        return next(iter(kinds))
    above = {
        str(entry.get('supercategory') or 'instance')
        for content in contents
        for entry in content['categories']
        if str(entry.get('name', entry['id'])) in kinds
    }
    return above.pop() if len(above) == 1 else 'instance'


def _num_keypoints(content: dict) -> dict[int, int]:
    """Return how many keypoints most annotations of each category have."""
    nums: dict[int, Counter] = {}
    for annotation in content['annotations']:
        if 'keypoints' in annotation:
            counter = nums.setdefault(annotation['category_id'], Counter())
            counter[np.size(annotation['keypoints']) // 3] += 1
    return {key: c.most_common(1)[0][0] for key, c in nums.items()}


def _names(entry: dict, num: int, file: Path, notes: list[str]) -> list[str]:
    """Return the names of the keypoints of a category, numbered if absent."""
    names = entry.get('keypoints')
    if isinstance(names, dict):  # by number, as some tools write it
        names = list(names.values())
    if names:
        names = [str(name) for name in names]
        if len(set(names)) < len(names):
            raise ValueError(f'{file}: keypoint names occur twice: {names}')
        if num and len(names) != num:
            raise ValueError(
                f'{file}: category {entry.get("name")!r} names {len(names)} '
                f'keypoints, but most of its annotations have {num}'
            )
        return names
    if num:
        notes.append(
            f'{file.name}: category {entry.get("name")!r} has no names of '
            f'its {num} keypoints; they are numbered'
        )
    return [f'keypoint_{k}' for k in range(1, num + 1)]


def _add(
    found: KeypointSet,
    content: dict,
    chosen: dict[int, list[str]],
    file: Path,
    places: tuple[Path, Path | None],
) -> None:
    """Add the pictures and instances of one file.

    Args:
        found: The set, changed in place.
        content: Content of the file.
        chosen: Ids and names of the categories that are read.
        file: The file.
        places: The path that is read, and the folder of the pictures if given.
    """
    source, images = places
    if not found.names and chosen:
        found.names = next(iter(chosen.values()))
        found.links = _links(content['categories'], chosen)
        if is_of_cvat(content):
            undo_cvat(found, content, chosen)
    split = find_split(file, source)
    finder = PictureFinder(_folders(file, split, images))
    pictures = {
        image['id']: _picture(image, split, finder)
        for image in content['images']
    }
    orders = {key: _order(n, found, file) for key, n in chosen.items()}
    for annotation in content['annotations']:
        reason = _add_instance(annotation, pictures, orders)
        if reason:
            found.dropped[reason] += 1
    found.pictures += pictures.values()


def _links(
    categories: list[dict], chosen: dict[int, list[str]]
) -> list[tuple[str, str]]:
    """Return the joined pairs of the first category that is read."""
    for entry in categories:
        names = chosen.get(entry['id'])
        if names:
            pairs = [
                pair
                for pair in entry.get('skeleton') or []
                if isinstance(pair, list)
                and len(pair) == 2
                and all(isinstance(end, int | float | str) for end in pair)
            ]
            numbers = [k for p in pairs for k in p if not isinstance(k, str)]
            first = 0 if min(numbers, default=1) == 0 else 1  # 0- or 1-based
            named: dict = {name: name for name in names}
            named.update(enumerate(names, first))
            return [
                (named[a], named[b])
                for a, b in pairs
                if a in named and b in named
            ]
    return []


def _order(names: list[str], found: KeypointSet, file: Path) -> list[int]:
    """Return the index of each keypoint of the set in a category."""
    if set(names) != set(found.names):
        raise ValueError(
            f'{file}: keypoints {names} are not those of the other files, '
            f'{found.names}'
        )
    if names != found.names:
        found.notes.append(
            f'{file.name}: keypoints are in another order, that is '
            f'{", ".join(names)}; they were put in order by their names'
        )
    return [names.index(name) for name in found.names]


def _folders(file: Path, split: str, images: Path | None) -> list[Path]:
    """Return where the pictures of a file may be, the likeliest first."""
    if images is not None:
        return [images, images / file.stem, images / split]
    here, above = file.parent, file.parent.parent
    stem = file.stem.rsplit('_', 1)[-1]  # person_keypoints_val2017
    names = [f'images/{stem}', 'images', stem, file.stem, 'data']
    if split:
        names = [f'images/{split}', *names[:2], split, *names[2:]]
    inner = [base / name for base in (here, above) for name in names]
    outer = [here, above] if here.name in ('annotations', 'labels') else [here]
    return [f for f in inner if f not in outer] + outer


def _picture(image: dict, split: str, finder: PictureFinder) -> Picture:
    """Return the picture of an entry, without instances."""
    name = str(image['file_name'])
    group = next((image[key] for key in GROUPS if key in image), '')
    return Picture(
        name=clean_name(name),
        width=int(_number(image.get('width'))),
        height=int(_number(image.get('height'))),
        path=finder.find(name),
        id=image['source_id'],
        group=str(group),
        split=split,
    )


def _number(value: Any) -> float:
    """Return a number as it may be written; 0 for anything else."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        return 0.0
    return number if np.isfinite(number) else 0.0


def _add_instance(
    annotation: dict,
    pictures: dict[int, Picture],
    orders: dict[int, list[int]],
) -> str:
    """Add an annotation to its picture, or return why not."""
    picture = pictures.get(annotation['image_id'])
    order = orders.get(annotation['category_id'])
    if picture is None:
        return 'annotations of an image that is not listed'
    if order is None:
        return 'annotations of other categories'
    if 'keypoints' not in annotation:
        return 'annotations without keypoints'
    numbers = np.array(annotation['keypoints'], dtype=float).reshape(-1, 3)
    if len(numbers) != len(order):
        return (
            f'annotations with a number of keypoints other than {len(order)}'
        )
    # above 0, as the confidence that some write, is labelled
    points, visible = numbers[order, :2], np.ceil(numbers[order, 2])
    visible = visible.astype(int)
    points[visible == 0] = 0
    scores = annotation.get('keypoint_scores')
    picture.instances.append(
        Instance(
            keypoints=points,
            visible=visible,
            bbox=_box(annotation),
            area=annotation.get('area'),
            id=annotation['source_id'],
            track=str(annotation.get('track_id', '')),
            score=annotation.get('score'),
            keypoint_scores=None
            if scores is None
            else np.array(scores)[order],
            is_crowd=bool(annotation.get('iscrowd')),
        )
    )
    return ''


def _box(annotation: dict) -> tuple[float, float, float, float] | None:
    """Return (x1, y1, x2, y2); None for a box that has no size."""
    if 'bbox' not in annotation:
        return None
    x, y, w, h = map(float, annotation['bbox'])
    return (x, y, x + w, y + h) if w > 0 and h > 0 else None
