"""YOLO-pose of Ultralytics: a yaml, and a text file for each picture.

The yaml names the folders of each split, ``kpt_shape`` (K, 2 or 3),
``flip_idx`` and the classes; newer ones name the keypoints. A row of a text
file is an instance: class, box (centre, w, h), then x, y and perhaps v of
each keypoint, all as parts of the width and height of the picture.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from .keypoint_set import Instance, KeypointSet, Picture
from .pictures import TRANSPOSED, measure, name_below
from .yolo_layout import (
    Entry,
    Layout,
    find_yaml,
    guess_layout,
    has_labels,
    list_entries,
    read_rows,
    read_yaml,
)
from .yolo_write import write

__all__ = ['LOSES', 'SOURCES', 'matches', 'read', 'write']

SOURCES = 'a data.yaml with kpt_shape, or a folder with images/ and labels/'
LOSES = (
    'ids, tracks, groups, areas and scores; crowds are left out, and points '
    'outside of their picture become unlabelled'
)
#: The 17 keypoints of COCO, whose ``flip_idx`` is known.
COCO_NAMES = [
    'nose',
    'left_eye',
    'right_eye',
    'left_ear',
    'right_ear',
    'left_shoulder',
    'right_shoulder',
    'left_elbow',
    'right_elbow',
    'left_wrist',
    'right_wrist',
    'left_hip',
    'right_hip',
    'left_knee',
    'right_knee',
    'left_ankle',
    'right_ankle',
]
COCO_FLIP = [0, 2, 1, 4, 3, 6, 5, 8, 7, 10, 9, 12, 11, 14, 13, 16, 15]
#: A larger coordinate was not divided by the size of the picture.
LIMIT = 2.0


def matches(path: Path) -> bool:
    """Return whether a path is a yaml with keypoints, or has such rows."""
    return find_yaml(path) is not None or has_labels(path)


def read(
    path: Path,
    images: Path | None = None,
    category: str | None = None,
    names: Sequence[str] | None = None,
) -> KeypointSet:
    """Read the pictures and rows of all splits.

    Args:
        path: The yaml, or the folder.
        images: Folder of the pictures that a list names, if they moved.
        category: Class to read, by name or number; all of them if None.
        names: Names of the keypoints, where the yaml has none.

    Returns:
        The set; without ids, because YOLO has none.

    Raises:
        ValueError: If there is no such set, or names and numbers disagree.
    """
    file = find_yaml(path)
    if file is None and not path.is_dir():
        raise ValueError(f'{path} is not a yaml with kpt_shape')
    layout = read_yaml(file) if file else guess_layout(path)
    entries = list_entries(layout, images)
    rows = {e.label: read_rows(e.label) for e in entries if e.label}
    if not any(rows.values()):
        raise ValueError(
            f'{path}: {len(entries)} pictures and no row of a label; labels '
            'lie in labels/ where pictures lie in images/, or beside them'
        )
    if not layout.shape[0]:
        layout.shape = _guess_shape(rows.values())
    found = KeypointSet([], [], format='yolo')
    _name(found, layout, names)
    wanted = _choose_class(found, layout, category, rows.values())
    short = [_name_of(entry, layout, False) for entry in entries]
    is_clear = len(set(short)) == len(short)
    for entry in entries:
        name = _name_of(entry, layout, not is_clear)
        picture = _measure(entry, name, found)
        if picture is not None:
            _add(
                picture,
                rows.get(entry.label or Path(), []),
                layout.shape,
                wanted,
                found,
            )
            found.pictures.append(picture)
    _tell(found, entries, layout)
    return found


def _name_of(entry: Entry, layout: Layout, is_long: bool) -> str:
    """Return the name of a picture below its folder, or below the root."""
    folder = layout.root if is_long else entry.folder
    return name_below(entry.image, [folder, layout.root])


def _guess_shape(files: Iterable[list[list[str]]]) -> tuple[int, int]:
    """Return K and the values of a keypoint by the lengths of the rows.

    Raises:
        ValueError: If both 2 and 3 values fit, or none.
    """
    lengths = Counter(len(row) - 5 for rows in files for row in rows)
    num = lengths.most_common(1)[0][0]
    if num < 2 or (num % 3 and num % 2):
        raise ValueError(
            f'most rows have {num + 5} values: that is not a class, a box and '
            'keypoints of 2 or 3 values each'
        )
    rows = [row for f in files for row in f if len(row) == num + 5]
    flags = {row[k] for row in rows for k in range(7, num + 5, 3)}
    if num % 3 == 0 and {float(flag) for flag in flags} <= {0.0, 1.0, 2.0}:
        return num // 3, 3
    if num % 2:
        raise ValueError('visibilities other than 0, 1, 2 in the label files')
    return num // 2, 2


def _name(
    found: KeypointSet, layout: Layout, names: Sequence[str] | None
) -> None:
    """Set the names of the keypoints, their links and their swap pairs."""
    num = layout.shape[0]
    given = list(names or layout.names)
    if given and (len(given) != num or len(set(given)) != num):
        raise ValueError(
            f'{len(given)} names, {len(set(given))} of them different, for '
            f'{num} keypoints: {", ".join(given)}'
        )
    if not given and layout.flip == COCO_FLIP:
        given = COCO_NAMES
        found.notes.append(
            "keypoints have no names; flip_idx is that of COCO's 17, so they "
            'got the names of COCO'
        )
    elif not given:
        given = [f'keypoint_{k}' for k in range(1, num + 1)]
        found.notes.append(
            f'the {num} keypoints have no names, so they are numbered; '
            'give them with --names, or as kpt_names in the yaml'
        )
    found.names = given
    found.links = [
        (given[a], given[b]) for a, b in layout.links if max(a, b) < num
    ]
    flip = layout.flip
    if flip and sorted(flip) != list(range(num)):
        raise ValueError(
            f'flip_idx must hold each of 0 to {num - 1} once, not {flip}'
        )
    if any(flip[flip[k]] != k for k in range(len(flip))):
        found.notes.append('flip_idx does not swap pairs; it was not read')
    elif flip and flip != list(range(num)):
        found.swap = {
            given[k]: given[flip[k]] for k in range(num) if flip[k] != k
        }


def _choose_class(
    found: KeypointSet,
    layout: Layout,
    category: str | None,
    files: Iterable[list[list[str]]],
) -> set[int] | None:
    """Return the numbers of the classes to read; None for all of them."""
    known = layout.classes
    if category is not None:
        wanted = {k for k, name in known.items() if category in (name, str(k))}
        if not wanted and category.isdecimal():
            wanted = {int(category)}
        if not wanted:
            raise ValueError(
                f'no class {category!r}; there are '
                f'{", ".join(known.values()) or "no names of classes"}'
            )
        found.category = known.get(next(iter(wanted)), category)
        return wanted
    used = {row[0] for rows in files for row in rows}
    names = [known.get(int(k), k) for k in sorted(used) if k.isdecimal()]
    if len(names) == 1:
        found.category = names[0] if names[0] != '0' else 'instance'
    elif names:
        found.notes.append(f'classes read as one: {", ".join(names)}')
    return None


def _measure(entry: Entry, name: str, found: KeypointSet) -> Picture | None:
    """Return the picture with the size that its labels are relative to."""
    size = measure(entry.image)
    if size is None:
        found.dropped['pictures whose file cannot be read'] += 1
        return None
    w, h, orientation = size
    if orientation in TRANSPOSED:  # as Ultralytics and mmpose read it
        w, h = h, w
    return Picture(name, w, h, path=entry.image, split=entry.split)


def _add(
    picture: Picture,
    rows: list[list[str]],
    shape: tuple[int, int],
    wanted: set[int] | None,
    found: KeypointSet,
) -> None:
    """Add the instances of a picture; count rows that are not instances."""
    for row in rows:
        instance = _instance(row, shape, picture, wanted)
        if isinstance(instance, str):
            found.dropped[instance] += 1
        else:
            picture.instances.append(instance)


def _instance(
    row: list[str],
    shape: tuple[int, int],
    picture: Picture,
    wanted: set[int] | None,
) -> Instance | str:
    """Return the instance of a row, or the reason why it is not one."""
    try:
        numbers = np.array(row, dtype=float)
    except ValueError:
        return 'rows that are not numbers'
    num = 5 + shape[0] * shape[1]
    if len(numbers) == 5 != num:
        return 'rows with a box but without keypoints'
    if len(numbers) != num:
        return f'rows with a number of values other than {num}'
    if not np.isfinite(numbers).all():
        return 'rows with numbers that are not finite'
    if wanted is not None and int(numbers[0]) not in wanted:
        return 'rows of other classes'
    size = np.array((picture.width, picture.height), dtype=float)
    points = numbers[5:].reshape(shape)
    if max(np.abs(numbers[1:5]).max(), np.abs(points[:, :2]).max()) > LIMIT:
        return 'rows that are not parts of width and height (beyond 2)'
    if shape[1] == 3:
        visible = points[:, 2].round().clip(0, 2).astype(int)
    else:
        visible = np.where((points != 0).any(1), 2, 0)
    keypoints = np.where(visible[:, None] > 0, points[:, :2] * size, 0.0)
    centre, extent = numbers[1:3] * size, numbers[3:5] * size
    x1, y1 = (centre - extent / 2).tolist()
    x2, y2 = (centre + extent / 2).tolist()
    has_box = x2 > x1 and y2 > y1
    return Instance(keypoints, visible, (x1, y1, x2, y2) if has_box else None)


def _tell(found: KeypointSet, entries: list[Entry], layout: Layout) -> None:
    """Note what a user should know."""
    if layout.absent:
        found.notes.append(
            f'the yaml names {", ".join(layout.absent)}, which is not there'
        )
    if layout.num_lost:
        found.dropped['pictures of a list whose file was not found'] += (
            layout.num_lost
        )
    missing = sum(entry.label is None for entry in entries)
    if missing:
        found.notes.append(
            f'{missing:,} pictures have no label file: they are kept, without '
            'instances'
        )
