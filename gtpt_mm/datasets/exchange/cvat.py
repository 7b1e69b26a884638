"""CVAT for images 1.1: an xml with skeletons, or with points.

A skeleton holds a named point for each keypoint; ``outside`` stands for not
labelled, ``occluded`` for hidden. Without skeletons, people draw points: all
keypoints of an instance as one shape, or a shape for each keypoint, whose
label is its name, joined by a group. Boxes belong to the instance of their
group or, without groups, to the points inside.
"""

import contextlib
import json
import re
import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np

from .boxes import contains
from .cvat_write import write
from .keypoint_set import Instance, KeypointSet, Picture
from .pictures import PictureFinder, clean_name, mend_pictures
from .split import find_split

__all__ = ['LOSES', 'SOURCES', 'matches', 'read', 'write']

SOURCES = 'an annotations.xml of "CVAT for images 1.1", or its folder'
LOSES = (
    'groups and scores, and digits beyond the second once CVAT has exported '
    'it; ids, tracks and areas are attributes of the skeleton'
)
#: Shapes of CVAT that hold no keypoints.
OTHERS = ('polygon', 'polyline', 'cuboid', 'mask', 'ellipse', 'tag')


@dataclass
class Labels:
    """The labels of a task.

    Attributes:
        keypoints: Names of the keypoints of each skeleton.
        links: Pairs of keypoint names of each skeleton.
    """

    keypoints: dict[str, list[str]] = field(default_factory=dict)
    links: dict[str, list[tuple[str, str]]] = field(default_factory=dict)


def matches(path: Path) -> bool:
    """Return whether a path is an xml of CVAT, or a folder with one."""
    return bool(_list_files(path))


def read(
    path: Path, images: Path | None = None, category: str | None = None
) -> KeypointSet:
    """Read skeletons or, without any, points.

    Args:
        path: The xml, or its folder.
        images: Folder of the pictures; looked for if None.
        category: Label to read, where several have different keypoints.

    Returns:
        The set.

    Raises:
        ValueError: If there is no such file, it is of videos, or the label
            is not clear.
    """
    files = _list_files(path)
    if not files:
        raise ValueError(f'{path}: no xml of "CVAT for images 1.1" here')
    roots = [_parse(file) for file in files]
    found = KeypointSet([], [], format='cvat')
    labels = _read_labels(roots)
    has_skeletons = any(
        next(r.iter('skeleton'), None) is not None for r in roots
    )
    reader: Callable[..., Iterator[Instance]]
    if has_skeletons:
        chosen = _choose_skeletons(roots, labels, category)
        if len(chosen) == 1:
            found.category = chosen[0]
        else:
            found.notes.append(f'skeletons read as one: {", ".join(chosen)}')
        found.names = labels.keypoints[chosen[0]]
        found.links = labels.links.get(chosen[0], [])
        reader = partial(_read_skeletons, chosen)
    elif _name_points(roots, found, category):
        reader = _read_named_points
    else:
        reader = _read_points
    for file, root in zip(files, roots, strict=True):
        task = file.parent.name if len(files) > 1 else ''
        split = find_split(file, path)
        _add_pictures(found, root, file, images, (reader, split, task))
    mend_pictures(found)
    return found


def _list_files(path: Path) -> list[Path]:
    """Return the xml files of CVAT of a path: itself, or near the top."""
    files = [path]
    if path.is_dir():
        files = sorted([*path.glob('*.xml'), *path.glob('*/*.xml')])
    return [file for file in files if _is_cvat(file)]


def _is_cvat(file: Path) -> bool:
    """Return whether the first element of a file is that of CVAT."""
    if file.suffix.lower() != '.xml' or not file.is_file():
        return False
    try:
        for _, element in ET.iterparse(file, events=('start',)):
            return element.tag == 'annotations'
    except (ET.ParseError, OSError):
        return False
    return False


def _parse(file: Path) -> ET.Element:
    """Return the root of a file.

    Raises:
        ValueError: If it is torn, or of a video.
    """
    try:
        root = ET.parse(file).getroot()
    except ET.ParseError as error:
        raise ValueError(f'{file} is torn or not an xml: {error}') from error
    if root.find('image') is None and root.find('track') is not None:
        raise ValueError(
            f'{file} is an export "CVAT for video", which names no pictures; '
            'export the task as "CVAT for images 1.1"'
        )
    return root


def _read_labels(roots: list[ET.Element]) -> Labels:
    """Read the skeletons of the meta information of all files."""
    labels = Labels()
    for root in roots:
        found: dict[str, list[str]] = {}
        for label in root.iterfind('meta//label'):
            name, above = label.findtext('name', ''), label.findtext('parent')
            if above:
                found.setdefault(above, []).append(name)
            elif label.findtext('svg'):
                _read_svg(name, label.findtext('svg', ''), labels)
        for name, keypoints in found.items():
            known = labels.keypoints.setdefault(name, keypoints)
            if set(known) != set(keypoints):  # a drawing without names
                labels.keypoints[name] = keypoints
    for root in roots:
        for skeleton in root.iter('skeleton'):
            known = labels.keypoints.setdefault(skeleton.get('label', ''), [])
            for points in skeleton.iterfind('points'):
                if points.get('label', '') not in known:
                    known.append(points.get('label', ''))
    for name, keypoints in labels.keypoints.items():
        labels.keypoints[name] = in_order(keypoints)
    return labels


def in_order(names: list[str]) -> list[str]:
    """Return numbers, CVAT's first names of keypoints, in their order.

    Example:
        >>> in_order(['2', '10', '1']), in_order(['b', 'a'])
        (['1', '2', '10'], ['b', 'a'])
    """
    return sorted(names, key=int) if all(map(str.isdecimal, names)) else names


def _read_svg(name: str, text: str, labels: Labels) -> None:
    """Read keypoints and links of the drawing of a skeleton."""
    nodes: dict[str, str] = {}
    links = []
    for tag in re.findall(r'<(?:circle|line)\b[^>]*>', text):
        values = dict(re.findall(r'([\w-]+)="([^"]*)"', tag))
        if 'data-label-name' in values:
            nodes[values.get('data-node-id', '')] = values['data-label-name']
        elif 'data-node-from' in values and 'data-node-to' in values:
            links.append((values['data-node-from'], values['data-node-to']))
    if nodes and name not in labels.keypoints:
        labels.keypoints[name] = [*map(_unescape, nodes.values())]
        labels.links[name] = [
            (_unescape(nodes[a]), _unescape(nodes[b]))
            for a, b in links
            if a in nodes and b in nodes
        ]


def _unescape(text: str) -> str:
    """Return the text of an attribute within a text."""
    for code, sign in dict(lt='<', gt='>', quot='"', apos="'").items():
        text = text.replace(f'&{code};', sign)
    return text.replace('&amp;', '&')


def _choose_skeletons(
    roots: list[ET.Element], labels: Labels, category: str | None
) -> list[str]:
    """Return the labels of the skeletons to read.

    Raises:
        ValueError: If several with different keypoints are used and none is
            chosen.
    """
    used = Counter(
        s.get('label', '') for r in roots for s in r.iter('skeleton')
    )
    if category is not None:
        if category not in labels.keypoints:
            raise ValueError(
                f'no skeleton {category!r}; there are {", ".join(used)}'
            )
        return [category]
    if len({frozenset(labels.keypoints[name]) for name in used}) > 1:
        listed = ', '.join(
            f'{name} ({len(labels.keypoints[name])} keypoints, {n} times)'
            for name, n in used.items()
        )
        raise ValueError(
            f'several skeletons: {listed}; choose one by --category NAME'
        )
    return list(used)


def _name_points(
    roots: list[ET.Element], found: KeypointSet, category: str | None
) -> bool:
    """Name the keypoints of a file with points alone.

    Returns:
        Whether each keypoint is a shape, and its name the label.

    Raises:
        ValueError: If there are none, or several labels have different
            numbers of points.
    """
    shapes = [p for root in roots for p in root.iter('points')]
    if not shapes:
        others = Counter(
            e.tag for r in roots for e in r.iter() if e.tag in (*OTHERS, 'box')
        )
        listed = ', '.join(f'{n} {tag}' for tag, n in others.items())
        raise ValueError(
            f'no skeletons and no points, but {listed or "no shapes"}: '
            'keypoints must be drawn as skeletons or points'
        )
    nums: dict[str, Counter] = {}
    for shape in shapes:
        num = len(_points(shape))
        nums.setdefault(shape.get('label', ''), Counter())[num] += 1
    usual = {name: c.most_common(1)[0][0] for name, c in nums.items()}
    if all(num == 1 for num in usual.values()) and len(usual) > 1:
        declared = [
            label.findtext('name', '')
            for label in roots[0].iterfind('meta//label')
        ]
        found.names = [n for n in declared if n in usual] or list(usual)
        found.names += [n for n in usual if n not in found.names]
        return True
    if category is not None:
        usual = {name: n for name, n in usual.items() if name == category}
    if len(usual) != 1:
        listed = ', '.join(f'{k} ({n} points)' for k, n in usual.items())
        raise ValueError(
            f'the points have several labels: {listed or "none of that name"};'
            ' choose one by --category NAME'
        )
    found.category, num = usual.popitem()
    found.names = [f'keypoint_{k}' for k in range(1, num + 1)]
    found.notes.append(
        f'points have no names; the {num} of a shape are numbered in order'
    )
    return False


def _add_pictures(
    found: KeypointSet,
    root: ET.Element,
    file: Path,
    images: Path | None,
    how: tuple[Callable[..., Iterator[Instance]], str, str],
) -> None:
    """Add the pictures of one file.

    Args:
        found: The set, changed in place.
        root: Content of the file.
        file: The file.
        images: Folder of the pictures, if it is given.
        how: Reader of the instances of a picture; and the split and the task
            of pictures that name none.
    """
    reader, split, task = how
    here = [file.parent / 'images', file.parent, file.parent.parent / 'images']
    finder = PictureFinder([images] if images else here)
    tasks = {image.get('task_id') for image in root.iterfind('image')}
    for image in root.iterfind('image'):
        name = image.get('name', '')
        subset = image.get('subset') or ''
        picture = Picture(
            name=clean_name(name),
            width=int(float(image.get('width', 0))),
            height=int(float(image.get('height', 0))),
            path=finder.find(name) or finder.find(f'{subset}/{name}'),
            id=int(image.get('id', 0)),
            group=(image.get('task_id') or '') if len(tasks) > 1 else task,
            split=find_split(Path(subset)) if subset else split,
        )
        boxes = [_Box(box) for box in image.iterfind('box')]
        picture.instances = list(reader(image, found, boxes))
        _read_picture_id(image, picture)
        for tag in OTHERS:
            num = len(image.findall(tag))
            if num:
                found.dropped[f'shapes without keypoints: {tag}'] += num
        unused = sum(not box.is_used for box in boxes)
        if unused:
            found.dropped['boxes without keypoints'] += unused
        found.pictures.append(picture)


class _Box:
    """A box of a picture, given to one instance at most."""

    def __init__(self, element: ET.Element) -> None:
        x1, y1, x2, y2 = (
            float(element.get(key, 0)) for key in ('xtl', 'ytl', 'xbr', 'ybr')
        )
        self.bbox = (x1, y1, x2, y2)
        self.group = element.get('group_id', '0')
        self.is_used = False

    @property
    def size(self) -> float:
        x1, y1, x2, y2 = self.bbox
        return (x2 - x1) * (y2 - y1)


def _take_box(
    boxes: list[_Box], group: str, points: np.ndarray
) -> tuple[float, float, float, float] | None:
    """Return the box of the group or, without groups, around the points."""
    free = [box for box in boxes if not box.is_used]
    if group != '0':
        free = [box for box in free if box.group == group]
    else:
        free = [b for b in free if b.group == '0' and len(points)]
        free = [b for b in free if contains(b.bbox, points)]
    if not free:
        return None
    box = min(free, key=lambda box: box.size)
    box.is_used = True
    return box.bbox


def _points(element: ET.Element) -> np.ndarray:
    """Return the (x, y) of a shape."""
    pairs = [p.split(',') for p in element.get('points', '').split(';') if p]
    return np.array(pairs, dtype=float).reshape(-1, 2)


def _read_skeletons(
    labels: list[str],
    image: ET.Element,
    found: KeypointSet,
    boxes: list[_Box],
) -> Iterator[Instance]:
    """Return the instances of the skeletons of a picture."""
    index = {name: k for k, name in enumerate(found.names)}
    for skeleton in image.iterfind('skeleton'):
        if skeleton.get('label') not in labels:
            found.dropped['skeletons of other labels'] += 1
            continue
        instance = _empty(found)
        for shape in skeleton.iterfind('points'):
            k = index.get(shape.get('label', ''))
            points = _points(shape)
            if k is None or len(points) != 1:
                found.dropped['points that are not of the skeleton'] += 1
            elif shape.get('outside', '0') != '1':
                instance.keypoints[k] = points[0]
                instance.visible[k] = 2 - int(
                    shape.get('occluded', '0') == '1'
                )
        labelled = instance.keypoints[instance.visible > 0]
        group = skeleton.get('group_id', '0')
        instance.bbox = _take_box(boxes, group, labelled)
        _read_attributes(skeleton, instance)
        yield instance


def _empty(found: KeypointSet) -> Instance:
    """Return an instance without a label."""
    num = len(found.names)
    return Instance(np.zeros((num, 2)), np.zeros(num, dtype=int))


def _read_attributes(element: ET.Element, instance: Instance) -> None:
    """Read what our writer notes as attributes."""
    values = {
        a.get('name', ''): a.text or '' for a in element.iterfind('attribute')
    }
    instance.id = read_id(values.get('source_id', ''))
    instance.track = values.get('track', '')
    with contextlib.suppress(ValueError):
        instance.area = float(values.get('area', ''))
    instance.is_crowd = values.get('is_crowd', '') in ('1', 'true')


def _read_picture_id(image: ET.Element, picture: Picture) -> None:
    """Read the id of the picture, which our writer notes at each skeleton."""
    for attribute in image.iterfind('skeleton/attribute'):
        if attribute.get('name') == 'picture_id' and attribute.text:
            picture.id = read_id(attribute.text)
            return


def read_id(text: str) -> str | int:
    """Return an id as it was before it became the text of an attribute.

    Example:
        >>> read_id('7'), read_id('"7"'), read_id('a7')
        (7, '7', 'a7')
    """
    try:
        value = json.loads(text)
    except ValueError:
        return text
    return value if type(value) in (int, str) else text


def _read_points(
    image: ET.Element, found: KeypointSet, boxes: list[_Box]
) -> Iterator[Instance]:
    """Return the instances whose keypoints are one shape."""
    for shape in image.iterfind('points'):
        points = _points(shape)
        if shape.get('label') != found.category:
            found.dropped['points of other labels'] += 1
            continue
        if len(points) != len(found.names):
            found.dropped[
                f'shapes with a number of points other than {len(found.names)}'
            ] += 1
            continue
        hidden = shape.get('occluded', '0') == '1'
        visible = np.full(len(points), 1 if hidden else 2)
        box = _take_box(boxes, shape.get('group_id', '0'), points)
        instance = Instance(points, visible, box)
        _read_attributes(shape, instance)
        yield instance


def _read_named_points(
    image: ET.Element, found: KeypointSet, boxes: list[_Box]
) -> Iterator[Instance]:
    """Return the instances whose keypoints are a shape each.

    Shapes of a group are one instance; others belong to the smallest box
    around them or, without boxes, to the only instance of the picture.
    """
    index = {name: k for k, name in enumerate(found.names)}
    instances: dict[str, Instance] = {}
    owners: dict[str, _Box | None] = {}
    for shape in image.iterfind('points'):
        points, k = _points(shape), index[shape.get('label', '')]
        if len(points) != 1:
            found.dropped['shapes with several points of one keypoint'] += 1
            continue
        key, box = shape.get('group_id', '0'), None
        if key == '0' and boxes:
            around = [b for b in boxes if contains(b.bbox, points)]
            box = min(around, key=lambda b: b.size, default=None)
            key = f'box {boxes.index(box)}' if box else '0'
        elif key != '0':
            box = next((b for b in boxes if b.group == key), None)
        instance = instances.setdefault(key, _empty(found))
        owners[key] = box
        if instance.visible[k]:
            found.dropped[
                'points with the label of another one of their group, box or '
                'picture'
            ] += 1
            continue
        instance.keypoints[k] = points[0]
        instance.visible[k] = 2 - int(shape.get('occluded', '0') == '1')
    for key, instance in instances.items():
        box = owners[key]
        if box is not None:
            box.is_used, instance.bbox = True, box.bbox
        yield instance
