"""LabelMe: a JSON for each picture, with points and rectangles.

Points of one ``group_id`` are an instance, and the rectangle of that number
is its box. Without numbers a point belongs to the only rectangle around it,
and a picture without rectangles has one instance. The picture is
``imagePath``, or the pixels in ``imageData``. A point whose flags say
'occluded' or 'hidden' (or 'difficult' of X-AnyLabeling) is labelled, but not
seen.
"""

# K keypoints

import base64
import binascii
import json
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .json_files import json_kind
from .keypoint_set import Instance, KeypointSet, Picture
from .pictures import PictureFinder, clean_name, mend_pictures
from .split import WORDS

SOURCES = "LabelMe's .json beside a picture, or the folder with them"
#: File with a name of a keypoint on each line, in their order.
LABELS = 'labels.txt'
HIDDEN = {'occluded', 'hidden', 'invisible'}
#: Number of files to check before a folder is not taken for LabelMe's.
MOST_LOOKED_AT = 50

Shape = dict[str, Any]


def matches(path: Path) -> bool:
    """Return whether a path is a file of LabelMe or a folder with one."""
    if path.is_dir():
        files = sorted(path.rglob('*.json'))[:MOST_LOOKED_AT]
        return any(_load(file) is not None for file in files)
    return path.suffix == '.json' and _load(path) is not None


def read(
    path: Path,
    images: Path | None = None,
    category: str | None = None,
    names: Sequence[str] | None = None,
) -> KeypointSet:
    """Read the files of all pictures.

    Args:
        path: A file, or a folder, folders in it included.
        images: Folder of the pictures; looked for beside each file if None.
        category: Label of the rectangles to read; None for all.
        names: Names of the keypoints in their order; others follow.

    Returns:
        The set. Names are in the order of ``labels.txt`` of the folder, else
        in that of their first use. A folder in the folder is a group.

    Raises:
        ValueError: If there is no such file, or no point has a label.
    """
    root = path if path.is_dir() else path.parent
    files = sorted(path.rglob('*.json')) if path.is_dir() else [path]
    contents = {file: _load(file) for file in files}
    pages = {f: page for f, page in contents.items() if page is not None}
    if not pages:
        raise ValueError(f'{path}: no JSON of LabelMe here')
    order = _names(pages.values(), root, names)
    found = KeypointSet(order, [], format='labelme')
    if len(pages) < len(files):
        found.dropped['JSON files that are not of LabelMe'] += len(
            files
        ) - len(pages)
    categories: Counter = Counter()
    finders: dict[Path, PictureFinder] = {}
    for file, page in pages.items():
        here = file.parent
        finder = finders.setdefault(
            here, PictureFinder(_folders(here, images))
        )
        picture = _picture(file, root, page, finder)
        _add(found, picture, page, category, categories)
        found.pictures.append(picture)
    if not found.names:
        raise ValueError(f'{path}: no shape is a point')
    if category or len(categories) == 1:
        found.category = category or next(iter(categories))
    mend_pictures(found)
    return found


def _load(file: Path) -> dict | None:
    """Return the content of a file of LabelMe; None for another."""
    if json_kind(file) != 'other':
        return None
    try:
        content = json.loads(file.read_text(encoding='utf-8-sig'))
    except (OSError, ValueError, RecursionError):
        return None
    is_page = (
        isinstance(content, dict)
        and isinstance(content.get('shapes'), list)
        and 'imagePath' in content
    )
    return content if is_page else None


def _names(
    pages: Iterable[dict], root: Path, given: Sequence[str] | None
) -> list[str]:
    """Return the labels of points, in the given order or ``labels.txt``."""
    used = dict.fromkeys(
        str(shape.get('label'))
        for page in pages
        for shape in page['shapes']
        if _kind(shape) == 'point'
    )
    listed: list[str] = []
    if (root / LABELS).is_file():
        text = (root / LABELS).read_text(encoding='utf-8-sig')
        listed = [line.strip() for line in text.splitlines()]
    first = list(dict.fromkeys(given or (n for n in listed if n in used)))
    return first + [name for name in used if name not in first]


def _kind(shape: Any) -> str:
    """Return 'point', 'rectangle' or the word of another or broken shape."""
    if not isinstance(shape, dict):
        return 'unknown'
    kind = str(shape.get('shape_type') or 'polygon')
    num = {'point': (1,), 'rectangle': (2, 4)}.get(kind)
    if num is None:
        return kind
    try:
        points = np.array(shape.get('points'), dtype=float)
    except (TypeError, ValueError):
        return f'{kind} (broken)'
    is_whole = points.ndim == 2 and points.shape[1] == 2
    is_whole = is_whole and len(points) in num and np.isfinite(points).all()
    return kind if is_whole else f'{kind} (broken)'


def _add(
    found: KeypointSet,
    picture: Picture,
    page: dict,
    category: str | None,
    categories: Counter,
) -> None:
    """Add the instances of a page."""
    points, boxes = [], []
    for shape in page['shapes']:
        kind = _kind(shape)
        if kind == 'point':
            points.append(shape)
        elif kind == 'rectangle':
            boxes.append(shape)
        else:
            found.dropped[f'shapes of the type {kind}'] += 1
    groups = _group(points, boxes, found)
    for box, members in groups:
        label = '' if box is None else str(box.get('label'))
        if category is not None and box is not None and label != category:
            found.dropped['instances of other categories'] += 1
            continue
        instance = _instance(box, members, found)
        if not instance.visible.any():
            found.dropped['rectangles without a point'] += 1
            continue
        if label:
            categories[label] += 1
        picture.instances.append(instance)


def _group(
    points: list[Shape], boxes: list[Shape], found: KeypointSet
) -> list[tuple[Shape | None, list[Shape]]]:
    """Return the rectangle, if any, and the points of each instance."""
    numbered: dict[Any, tuple[Shape | None, list[Shape]]] = {}
    for box in boxes:
        number = _number(box)
        key = id(box) if number is None else ('group', number)
        if key in numbered:
            found.dropped['second rectangles of a group_id'] += 1
        numbered.setdefault(key, (box, []))
    free = [box for box in boxes if _number(box) is None]
    for point in points:
        number = _number(point)
        if number is not None:
            numbered.setdefault(('group', number), (None, []))
            numbered['group', number][1].append(point)
            continue
        around = [box for box in free if _holds(box, point)]
        if len(around) == 1:
            numbered[id(around[0])][1].append(point)
        elif not boxes:
            numbered.setdefault('alone', (None, []))[1].append(point)
        else:
            found.dropped[
                'points without group_id in no or several rectangles'
            ] += 1
    return list(numbered.values())


def _number(shape: Shape) -> Any:
    """Return the group of a shape; None for none, which some write as ''."""
    return None if shape.get('group_id') == '' else shape.get('group_id')


def _corners(box: Shape) -> tuple[float, float, float, float]:
    """Return (x1, y1, x2, y2); corners are drawn in any order."""
    points = np.array(box['points'], dtype=float)
    x1, y1 = points.min(0).tolist()
    x2, y2 = points.max(0).tolist()
    return x1, y1, x2, y2


def _holds(box: Shape, point: Shape) -> bool:
    """Return whether a point lies in a rectangle."""
    x1, y1, x2, y2 = _corners(box)
    x, y = map(float, point['points'][0])
    return x1 <= x <= x2 and y1 <= y <= y2


def _instance(
    box: Shape | None, points: list[Shape], found: KeypointSet
) -> Instance:
    """Return the instance of a group; the first of equal names counts."""
    keypoints = np.zeros((len(found.names), 2))
    visible = np.zeros(len(found.names), dtype=int)
    for point in points:
        k = found.names.index(str(point.get('label')))
        if visible[k]:
            found.dropped['second points of a name in an instance'] += 1
            continue
        keypoints[k] = point['points'][0]
        visible[k] = 1 if _is_hidden(point) else 2
    numbers = [_number(s) for s in (box, *points) if s is not None]
    number = numbers[0] if numbers else None
    corners = None if box is None else _corners(box)
    if corners is not None and (
        corners[2] <= corners[0] or corners[3] <= corners[1]
    ):
        corners = None
    return Instance(
        keypoints,
        visible,
        bbox=corners,
        id='' if number is None else number,
    )


def _is_hidden(point: Shape) -> bool:
    flags = point.get('flags')
    names = flags if isinstance(flags, dict) else {}
    return bool(point.get('difficult')) or any(
        value for name, value in names.items() if name.lower() in HIDDEN
    )


def _folders(here: Path, images: Path | None) -> list[Path]:
    """Return where the pictures of a folder's pages may be."""
    if images is not None:
        return [images]
    above = here.parent
    return [here, above / 'images', above.parent / 'images' / here.name]


def _picture(
    file: Path, root: Path, page: dict, finder: PictureFinder
) -> Picture:
    """Return the picture of a page, without instances."""
    stated = str(page['imagePath'])
    path = finder.find(stated)
    content = None
    if path is None and page.get('imageData'):
        try:
            content = base64.b64decode(page['imageData'])
        except (binascii.Error, TypeError, ValueError):
            content = None
    group = file.parent.relative_to(root).as_posix()
    group = '' if group == '.' else group
    base = clean_name(stated).rpartition('/')[2]
    return Picture(
        name=f'{group}/{base}' if group else base,
        width=int(page.get('imageWidth') or 0),
        height=int(page.get('imageHeight') or 0),
        path=path,
        content=content,
        id=clean_name(stated),
        group=group,
        split=next((WORDS[p] for p in group.split('/') if p in WORDS), ''),
    )
