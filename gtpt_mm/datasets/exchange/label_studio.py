"""Label Studio: JSON or JSON_MIN, rectangles with keypoints.

All numbers are percent of the width and height of the picture. A keypoint
belongs to the rectangle that ``parentID`` or a relation names or, without
these, to the smallest one around it.
"""

import json
import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from .boxes import contains
from .folder import explain
from .json_files import json_kind
from .keypoint_set import Instance, KeypointSet, Picture
from .label_studio_tasks import Region, Task, picture_name, read_tasks
from .label_studio_write import write
from .pictures import (
    PictureFinder,
    clean_name,
    mend_pictures,
)
from .split import find_split

__all__ = ['LOSES', 'SOURCES', 'matches', 'read', 'write']

SOURCES = 'a .json of tasks, exported as JSON or JSON_MIN, or its folder'
LOSES = (
    'groups; hidden keypoints are noted in the meta of a region, where the '
    'labelling page does not show them'
)


def matches(path: Path) -> bool:
    """Return whether a path is a file of tasks, or a folder with one."""
    return bool(_list_files(path))


def _list_files(path: Path) -> list[Path]:
    """Return the files of tasks of a path: itself, or near the top."""
    files = [path]
    if path.is_dir():
        files = sorted([*path.glob('*.json'), *path.glob('*/*.json')])
    return [file for file in files if json_kind(file) == 'label-studio']


def read(
    path: Path,
    images: Path | None = None,
    category: str | None = None,
    names: Sequence[str] | None = None,
) -> KeypointSet:
    """Read the tasks that people annotated.

    Predictions are read if nobody annotated any task of the source.

    Args:
        path: The file, or its folder.
        images: Folder of the pictures; looked for if None.
        category: Label of the rectangles to read; all of them if None.
        names: Names of the keypoints in their order; without them that of a
            labelling configuration beside the file or in ``images``, or of
            the fullest instance.

    Returns:
        The set.

    Raises:
        ValueError: If there is no such file or keypoint.
    """
    files = _list_files(path)
    if not files:
        raise ValueError(f'{path}: no .json of tasks of Label Studio here')
    found = KeypointSet([], [], format='label-studio')
    tasks = [
        (task, file) for file in files for task in read_tasks(file, found)
    ]
    if any(not task.is_predicted for task, _ in tasks):
        num = sum(task.is_predicted for task, _ in tasks)
        if num:
            found.dropped['tasks that nobody has annotated'] += num
        tasks = [(t, file) for t, file in tasks if not t.is_predicted]
    elif tasks:
        found.notes.append('no task was annotated; predictions were read')
    num = sum(n - 1 for n in Counter(id(t.data) for t, _ in tasks).values())
    if num:
        found.notes.append(
            f'{num:,} further annotations of the same pictures: each is read '
            'as a separate picture, and shows the spread of the labels'
        )
    folders = [images] if images else _folders(files)
    finder = PictureFinder(folders)
    groups: list[tuple[Picture, list[list[Region]]]] = []
    for task, file in tasks:
        picture = _picture(task, file, finder, found)
        if picture is not None:
            groups.append((picture, _group(task, found)))
    places = [file.parent for file in files] + ([images] if images else [])
    _name(found, groups, places, names, category)
    for picture, instances in groups:
        _add(picture, instances, found, category)
        found.pictures.append(picture)
    mend_pictures(found)
    return found


def _folders(files: list[Path]) -> list[Path]:
    """Return where the pictures may be."""
    folders = dict.fromkeys(file.parent for file in files)
    return [
        f for here in folders for f in (here, here / 'images', here / 'upload')
    ]


def _picture(
    task: Task, file: Path, finder: PictureFinder, found: KeypointSet
) -> Picture | None:
    """Return the picture of a task without instances, None to skip it."""
    if any(region.is_turned for region in task.regions):
        found.dropped['pictures that were turned on the labelling page'] += 1
        return None
    name = picture_name(task.data)
    if not name:
        found.dropped['tasks without a picture'] += 1
        return None
    w, h = next((r.size for r in task.regions if all(r.size)), (0, 0))
    return Picture(
        name=str(task.data.get('file_name') or clean_name(name)),
        width=w,
        height=h,
        path=finder.find(name),
        id=task.data.get('source_id', task.id),
        group=str(task.data.get('group') or ''),
        split=find_split(Path(str(task.data.get('split') or file.name))),
    )


def _group(task: Task, found: KeypointSet) -> list[list[Region]]:
    """Return the regions of each instance, its rectangle first."""
    boxes = [r for r in task.regions if r.kind == 'rectangle']
    groups: dict[str, list[Region]] = {box.id: [box] for box in boxes}
    related = {**{b: a for a, b in task.relations}, **dict(task.relations)}
    free = []
    for region in task.regions:
        if region.kind == 'rectangle':
            continue
        if region.kind != 'keypoint' or not region.labels:
            found.dropped[f'regions without keypoints: {region.kind}'] += 1
            continue
        parent = region.parent or related.get(region.id, '')
        if parent in groups:
            groups[parent].append(region)
        else:
            free.append(region)
    if not boxes and free:
        labels = Counter(label for r in free for label in r.labels)
        if max(labels.values()) > 1:
            found.dropped[
                'keypoints of several instances without a rectangle around '
                'each'
            ] += len(free)
            return []
        return [free]
    for region in free:
        _give(region, boxes, groups, found)
    return list(groups.values())


def _give(
    region: Region,
    boxes: list[Region],
    groups: dict[str, list[Region]],
    found: KeypointSet,
) -> None:
    """Give a keypoint to the smallest rectangle around it that lacks it."""
    around = [
        box for box in boxes if contains(_extent(box.points), region.points)
    ]
    around.sort(key=lambda box: float(np.ptp(box.points, 0).prod()))
    around = around or (boxes if len(boxes) == 1 else [])
    for box in around:
        taken = {n for other in groups[box.id][1:] for n in other.labels}
        if not taken & set(region.labels):
            groups[box.id].append(region)
            return
    reason = 'in a rectangle that has one' if around else 'outside of all'
    found.dropped[f'keypoints {reason}' + ' rectangles' * (not around)] += 1


def _extent(points: np.ndarray) -> tuple[float, float, float, float]:
    """Return the box (x1, y1, x2, y2) around points."""
    low, high = points.min(0), points.max(0)
    return float(low[0]), float(low[1]), float(high[0]), float(high[1])


def _name(
    found: KeypointSet,
    groups: list[tuple[Picture, list[list[Region]]]],
    places: list[Path],
    names: Sequence[str] | None,
    category: str | None,
) -> None:
    """Name the keypoints and the category.

    Raises:
        ValueError: If there is no keypoint, or no such rectangle.
    """
    instances = [regions for _, several in groups for regions in several]
    kinds = Counter(
        label
        for regions in instances
        for region in regions
        if region.kind == 'rectangle'
        for label in region.labels
    )
    if category is not None and category not in kinds:
        raise ValueError(
            f'no rectangle {category!r}; there are {", ".join(kinds)}'
        )
    if category is None and len(kinds) > 1:
        found.notes.append(f'rectangles read as one: {", ".join(kinds)}')
    found.category = category or (
        next(iter(kinds)) if len(kinds) == 1 else 'instance'
    )
    used = Counter(
        label
        for regions in sorted(instances, key=len, reverse=True)
        for region in regions
        if region.kind == 'keypoint'
        for label in region.labels
    )
    if not used:
        raise ValueError(
            'no keypoint was found in any task; keypoints are regions of '
            f'KeyPointLabels. Left out: {explain(found)}'
        )
    ordered = names or _configured(places, set(used))
    found.names = list(ordered or used)
    found.links = _links(places, found.names)
    if not ordered:
        found.notes.append(
            'keypoints are in the order of the fullest instance; give another '
            'one by --names'
        )


def _configured(places: list[Path], used: set[str]) -> list[str]:
    """Return the keypoints of a labelling configuration in a folder."""
    for root in _configurations(places):
        names = [
            label.get('value', '')
            for control in root.iter('KeyPointLabels')
            for label in control.iter('Label')
        ]
        if used <= set(names):
            return list(dict.fromkeys(names))
    return []


def _links(places: list[Path], names: list[str]) -> list[tuple[str, str]]:
    """Return the links that our writer notes in the configuration."""
    for root in _configurations(places):
        pairs = json.loads(root.get('data-links', '[]'))
        if pairs:
            return [(a, b) for a, b in pairs if a in names and b in names]
    return []


def _configurations(places: list[Path]) -> Iterator[ET.Element]:
    """Return the labelling configurations in folders."""
    for folder in dict.fromkeys(places):
        for path in sorted([*folder.glob('*.xml'), *folder.glob('*.html')]):
            try:
                root = ET.parse(path).getroot()
            except (ET.ParseError, OSError):
                continue
            if root.tag == 'View':
                yield root


def _add(
    picture: Picture,
    instances: list[list[Region]],
    found: KeypointSet,
    category: str | None,
) -> None:
    """Add the instances of a picture."""
    index = {name: k for k, name in enumerate(found.names)}
    for regions in instances:
        box = regions[0] if regions[0].kind == 'rectangle' else None
        if category is not None and (
            box is None or category not in box.labels
        ):
            found.dropped['instances of other rectangles'] += 1
            continue
        instance = _instance(len(index), box)
        scores = np.zeros(len(index))
        for region in regions:
            if region.kind != 'keypoint':
                continue
            k = index.get(region.labels[0])
            if k is None:
                found.dropped['keypoints with other labels'] += 1
            elif instance.visible[k]:
                found.dropped['keypoints labelled twice in one instance'] += 1
            else:
                instance.keypoints[k] = region.points[0]
                instance.visible[k] = (
                    1 if region.meta.get('visible') == 1 else 2
                )
                scores[k] = region.score or 0.0
        if instance.score is not None:
            instance.keypoint_scores = scores
        picture.instances.append(instance)


def _instance(num: int, box: Region | None) -> Instance:
    """Return an instance without a labelled keypoint."""
    instance = Instance(np.zeros((num, 2)), np.zeros(num, dtype=int))
    if box is None:
        return instance
    meta = box.meta
    instance.bbox = _extent(box.points)
    instance.id = meta.get('source_id', '' if box.id[:1] == '#' else box.id)
    instance.track = str(meta.get('track') or '')
    instance.area = meta.get('area')
    instance.is_crowd = bool(meta.get('is_crowd'))
    instance.score = box.score
    if meta.get('no_box'):
        instance.bbox = None
    return instance
