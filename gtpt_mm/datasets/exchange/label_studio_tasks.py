"""Read the tasks of Label Studio: JSON, JSON_MIN, and older ones."""

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from gtpt_mm.compat.data.annotation_checks import reading_json

from .keypoint_set import KeypointSet
from .pictures import clean_name, is_picture


@dataclass
class Region:
    """A keypoint or a rectangle of a task, in pixels.

    Attributes:
        id: Its id; '' in JSON_MIN.
        kind: 'keypoint', 'rectangle', or the kind of another region.
        labels: Its labels.
        points: The keypoint, (1, 2), or the corners of the rectangle.
        parent: Id of the region it belongs to.
        meta: What else is noted.
        score: Confidence of a prediction.
        size: Width and height of the picture.
        is_turned: Whether the picture was turned on the labelling page.
    """

    id: str
    kind: str
    labels: list[str]
    points: np.ndarray
    parent: str
    meta: dict
    score: float | None
    size: tuple[int, int]
    is_turned: bool


@dataclass
class Task:
    """A picture and its regions.

    Attributes:
        id: Id of the task.
        data: What the task shows.
        regions: The regions of one annotation.
        relations: Pairs of ids.
        is_predicted: Whether a model made the regions.
    """

    id: str | int
    data: dict
    regions: list[Region] = field(default_factory=list)
    relations: list[tuple[str, str]] = field(default_factory=list)
    is_predicted: bool = False


def read_tasks(file: Path, found: KeypointSet) -> Iterator[Task]:
    """Return the tasks of a file."""
    with reading_json(file), open(file, encoding='utf-8-sig') as lines:
        content = json.load(lines)
    for entry in content if isinstance(content, list) else [content]:
        if not isinstance(entry, dict):
            found.dropped['entries that are not tasks'] += 1
        elif any(
            isinstance(entry.get(key), list)
            for key in ('annotations', 'completions', 'predictions')
        ):
            yield from _read_task(entry, found)
        else:
            yield _read_small(entry)


def _read_task(entry: dict, found: KeypointSet) -> Iterator[Task]:
    """Return a task of JSON: once for each annotation that was not skipped.

    Without any, what a model predicted is returned.
    """
    done = entry.get('annotations') or entry.get('completions') or []
    done = [a for a in done if isinstance(a, dict)]
    kept = [a for a in done if not a.get('was_cancelled')]
    if done and not kept:
        found.dropped['tasks that were skipped'] += 1
        return
    if not done:
        predicted = entry.get('predictions') or []
        kept = [p for p in predicted if p.get('result')][:1] or [{}]
    data = dict(entry.get('data') or {}, **_video(entry))
    for annotation in kept:
        task = Task(entry.get('id', ''), data, is_predicted=not done)
        _read_results(annotation.get('result') or [], task)
        for region in task.regions if done else ():
            region.score = None  # it scored the uncorrected prediction
        yield task


def _video(entry: dict) -> dict:
    """Return the file of a frame, where sleap-io notes it."""
    video = (entry.get('meta') or {}).get('video') or {}
    name = video.get('filename', '')
    if isinstance(name, list):
        index = int(video.get('frame_idx') or 0)
        name = name[index] if index < len(name) else ''
    return dict(image=name) if name else {}


def _read_results(results: list, task: Task) -> None:
    """Read regions; join the entries that tools write for one region."""
    joined: dict[str, dict] = {}
    for number, result in enumerate(results):
        if not isinstance(result, dict):
            continue
        if result.get('type') == 'relation':
            pair = (str(result.get('from_id')), str(result.get('to_id')))
            task.relations.append(pair)
            continue
        key = str(result.get('id') or f'#{number}')
        known = joined.setdefault(key, {})
        value = {**known.get('value', {}), **(result.get('value') or {})}
        joined[key] = {**known, **result, 'value': value}
    for key, result in joined.items():
        region = _region(result['value'], result, key)
        if region is not None:
            task.regions.append(region)


def _read_small(entry: dict) -> Task:
    """Return a task of JSON_MIN: regions without ids, by control."""
    task = Task(entry.get('id', ''), entry)
    for value in entry.values():
        if not isinstance(value, list):
            continue
        for number, part in enumerate(value):
            if isinstance(part, dict):
                region = _region(part, part, f'#{len(task.regions)}-{number}')
                if region is not None:
                    task.regions.append(region)
    return task


def _region(value: dict, result: dict, key: str) -> Region | None:
    """Return a region in pixels; None for one without a position."""
    size = (
        int(result.get('original_width') or 0),
        int(result.get('original_height') or 0),
    )
    labels = _labels(value)
    kind = str(result.get('type') or '')
    kind = kind or next((n for n in value if n.endswith('labels')), '')
    if not all(isinstance(value.get(k), (int, float)) for k in ('x', 'y')):
        if not labels:
            return None  # a choice or a text of the whole picture
        points = np.zeros((0, 2))
    elif {'height', 'width'} <= value.keys() and 'keypoint' not in kind:
        points, kind = _corners(value, size), 'rectangle'
    elif 'radiusX' in value:
        points, kind = np.zeros((0, 2)), 'ellipse'
    else:
        points = np.array([[value['x'], value['y']]]) * size / 100
        kind = 'keypoint'
    meta = dict(result['meta']) if _is_noted(result) else {}
    if [value.get(k) for k in ('x', 'y', 'width', 'height')] == [0, 0, *size]:
        meta['no_box'] = True  # sleap-io: the whole picture, in pixels
    return Region(
        id=key,
        kind=kind,
        labels=labels,
        points=points,
        parent=str(result.get('parentID') or result.get('parent_id') or ''),
        meta=meta,
        score=result.get('score'),
        size=size,
        is_turned=bool(result.get('image_rotation')),
    )


def _labels(value: dict) -> list[str]:
    """Return the labels of a region, whatever its kind."""
    return next(
        (
            [str(v) for v in values]
            for name, values in value.items()
            if name.endswith('labels') and isinstance(values, list)
        ),
        [],
    )


def _is_noted(result: dict) -> bool:
    return isinstance(result.get('meta'), dict)


def _corners(value: dict, size: tuple[int, int]) -> np.ndarray:
    """Return the corners of a rectangle, turned about its first corner."""
    w, h = (value['width'] * size[0] / 100, value['height'] * size[1] / 100)
    x, y = value['x'] * size[0] / 100, value['y'] * size[1] / 100
    angle = math.radians(value.get('rotation') or 0)
    corners = np.array([[0, 0], [w, 0], [w, h], [0, h]], dtype=float)
    turn = np.array(
        [
            [math.cos(angle), math.sin(angle)],
            [-math.sin(angle), math.cos(angle)],
        ]
    )
    return corners @ turn + (x, y)


def picture_name(data: dict) -> str:
    """Return the path or address of the picture of a task."""
    texts = {k: v for k, v in data.items() if isinstance(v, str) and v}
    for key in ('image', 'img', 'picture', 'photo', 'url'):
        if key in texts:
            return texts[key]
    return next(
        (v for v in texts.values() if is_picture(Path(clean_name(v)))), ''
    )
