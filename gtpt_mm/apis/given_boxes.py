"""Boxes of people from a file, instead of a detector."""

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from gtpt_mm.compat.inference.inferencer_boxes import MAX_COORDINATE
from gtpt_mm.compat.messages import list_some, warn

from .results import Frame


@dataclass
class GivenBoxes:
    """Boxes of images, by the name or COCO's id of the image.

    Attributes:
        path: File of the boxes.
        boxes: (x1, y1, x2, y2, score) of the people in each image, (n, 5);
            keys are paths, base names, or ids as text.
        image_ids: COCO's id of each image, if the file has them.
    """

    path: Path
    boxes: dict[str, np.ndarray] = field(default_factory=dict)
    image_ids: dict[str, int] = field(default_factory=dict)

    def find(self, frame: Frame) -> np.ndarray | None:
        """Return the boxes of an image; None if it is not in the file."""
        path = Path(frame.source)
        keys = [frame.source, path.name, path.stem]
        if path.stem.isdecimal():
            keys.append(str(int(path.stem)))  # 000000000785.jpg
        return next((self.boxes[k] for k in keys if k in self.boxes), None)

    def pair(
        self, frames: Iterable[Frame]
    ) -> Iterator[tuple[Frame, np.ndarray]]:
        """Yield each frame with its boxes.

        A frame without boxes in the file gets an error, as do frames of a
        video, which have no names.
        """
        for frame in frames:
            found = self.find(frame) if frame.index is None else None
            if found is None and not frame.error:
                error = f'{self.path} has no boxes of it'
                frame = replace(frame, image=None, error=error)
            yield frame, np.zeros((0, 5)) if found is None else found


def read_boxes(path: str | Path, threshold: float = 0.0) -> GivenBoxes:
    """Read boxes from a JSON file.

    It is one of these:

    - ``{"a.jpg": [[x1, y1, x2, y2], ...], ...}``, with a fifth number as
      score if there is one; names are paths as given, or base names
    - COCO's annotations, a dict with ``images`` and ``annotations``; boxes of
      crowds and boxes without an area are left out, and, if there is a
      category ``person``, those of all others
    - COCO's results of a detector, a list with ``image_id``, ``bbox`` (x, y,
      w, h), ``score`` and ``category_id`` (1 is the person); the images'
      names are their ids

    Args:
        path: The file.
        threshold: Lowest score of a box, if it has one.

    Raises:
        ValueError: If the file has another form or a box is wrong.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     file = Path(folder, 'boxes.json')
        ...     size = file.write_text('{"a.jpg": [[10, 20, 30, 60]]}')
        ...     read_boxes(file).boxes
        {'a.jpg': array([[10., 20., 30., 60.,  1.]])}
    """
    path = Path(path)
    try:
        content = json.loads(path.read_text(encoding='utf-8'))
    except ValueError as error:
        raise ValueError(f'{path} is not JSON: {error}') from error
    given = GivenBoxes(path)
    if isinstance(content, list):
        people: dict[str, Any] = {}
        for row in content:
            if not isinstance(row, dict) or 'image_id' not in row:
                raise ValueError(f'{path}: {str(row)[:80]} has no image_id')
            boxes = people.setdefault(str(row['image_id']), [])
            if row.get('category_id', 1) == 1:
                boxes += _from_coco(row, path)
        kinds = {row.get('category_id', 1) for row in content}
        if kinds and 1 not in kinds:
            warn(
                f'{path}: no box is of a person, category_id 1, but of '
                f'{list_some(sorted(map(repr, kinds)))}'
            )
    elif isinstance(content, dict) and 'annotations' in content:
        people = _read_annotations(content, given)
    elif isinstance(content, dict):
        people = content
    else:
        raise ValueError(f'{path} holds {str(content)[:50]}, not boxes')
    for name, rows in people.items():
        boxes = _as_array(rows, f'{path}: {name!r}')
        given.boxes[name] = boxes[boxes[:, 4] >= threshold]
    return given


def _read_annotations(content: dict, given: GivenBoxes) -> dict[str, list]:
    """Return the boxes of COCO's annotations by the names of the images."""
    path = given.path
    try:
        names = {i['id']: str(i['file_name']) for i in content['images']}
        people_ids = {
            category['id']
            for category in content.get('categories', ())
            if category['name'] == 'person'
        }
        people: dict[str, list] = {name: [] for name in names.values()}
        for row in content['annotations']:
            category = row.get('category_id')
            if row.get('iscrowd') or (
                people_ids and category not in people_ids
            ):
                continue
            people[names[row['image_id']]] += _from_coco(row, path)
    except (KeyError, TypeError) as error:
        raise ValueError(
            f'{path} is not an annotation file of COCO: {error!r}'
        ) from error
    given.image_ids = {name: number for number, name in names.items()}
    bases = Counter(Path(name).name for name in people)
    for name in list(people):
        # Folders in annotations seldom match those of the images here.
        if bases[Path(name).name] == 1:
            people[Path(name).name] = people[name]
            given.image_ids[Path(name).name] = given.image_ids[name]
    return people


def _from_coco(row: dict, path: Path) -> list[list[float]]:
    """Return [(x1, y1, x2, y2, score)], or [] if a box has no area."""
    box = row.get('bbox')
    if not isinstance(box, list) or len(box) != 4:
        raise ValueError(f'{path}: {str(row)[:80]} has no bbox (x, y, w, h)')
    try:
        x, y, w, h = map(float, box)
    except (ValueError, TypeError) as error:
        raise ValueError(f'{path}: bbox {box} is not of numbers') from error
    if w <= 0 or h <= 0:  # COCO's own files contain some
        return []
    return [[x, y, x + w, y + h, row.get('score', 1.0)]]


def _as_array(rows: Any, place: str) -> np.ndarray:
    """Return boxes as (n, 5), or raise."""
    words = f'{place}: the boxes of an image are [[x1, y1, x2, y2], ...]'
    try:
        if not all(isinstance(row, list) for row in rows):
            raise TypeError(rows)
        # A box without a score gets score 1.
        rows = [[*row, 1.0] if len(row) == 4 else row for row in rows]
        boxes = np.array(rows, np.float64)
    except (ValueError, TypeError) as error:
        raise ValueError(f'{words}, got {str(rows)[:80]}') from error
    if not boxes.size:
        return np.zeros((0, 5))
    if boxes.ndim != 2 or boxes.shape[1] != 5:
        raise ValueError(f'{words}, got {str(rows)[:80]}')
    is_wrong = ~np.isfinite(boxes).all(1) | (
        boxes[:, 2:4] <= boxes[:, :2]
    ).any(1)
    if is_wrong.any():
        box = boxes[is_wrong][0].tolist()
        raise ValueError(
            f'{place}: the box {box} is not finite or has no area'
        )
    is_far = (np.abs(boxes[:, :4]) > MAX_COORDINATE).any(1)
    if is_far.any():
        box = boxes[is_far][0].tolist()
        raise ValueError(
            f'{place}: the box {box} reaches beyond any image; coordinates '
            f'are pixels, at most {MAX_COORDINATE:g}'
        )
    return boxes
