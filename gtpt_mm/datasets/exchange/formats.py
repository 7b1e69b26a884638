"""The formats that sets are read from and written to."""

import inspect
import json
from pathlib import Path
from types import ModuleType
from typing import Any

from gtpt_mm.compat.data.annotation_checks import reading_json

from . import coco, cvat, deeplabcut, label_studio, labelme, sleap, yolo
from .folder import drop_missing, explain, read_swap
from .json_files import json_kind
from .keypoint_set import KeypointSet
from .new_folder import new_folder

#: Every module has ``SOURCES``, ``matches(path)`` and ``read(path, ...)``;
#: some have ``write(keypoint_set, out, link)``.
FORMATS: dict[str, ModuleType] = {
    'coco': coco,
    'yolo': yolo,
    'cvat': cvat,
    'label-studio': label_studio,
    'deeplabcut': deeplabcut,
    'sleap': sleap,
    'labelme': labelme,
}
#: File that marks a folder of :func:`write_set`.
MARK = '.gtpt_mm-export'


def detect(path: Path) -> str:
    """Return the name of the only format that a path has.

    Raises:
        ValueError: If the path does not exist, or no or several formats fit.
    """
    if not path.exists():
        raise ValueError(f'{path} does not exist')
    if path.is_file() and path.suffix.lower() == '.json':
        with reading_json(path), open(path, encoding='utf-8-sig') as file:
            if not json_kind(path):
                json.load(file)
    found = [name for name, module in FORMATS.items() if module.matches(path)]
    if len(found) == 1:
        return found[0]
    if found:
        raise ValueError(
            f'{path} could be {" or ".join(found)}; choose one by --format, '
            'or name the file instead of its folder'
        )
    if path.suffix.lower() == '.zip':
        raise ValueError(f'{path} is a zip; unpack it first')
    known = '; '.join(f'{n}: {m.SOURCES}' for n, m in FORMATS.items())
    raise ValueError(f'{path} has none of the known formats ({known})')


def read_set(path: Path, format: str = 'auto', **options: Any) -> KeypointSet:
    """Read a set of another tool.

    Args:
        path: File or folder.
        format: One of :data:`FORMATS`, or 'auto'.
        options: For the reader, such as ``images`` (folder of the pictures)
            and ``category``; None stands for its default.

    Returns:
        The set.

    Raises:
        ValueError: If the format is unknown or unclear, does not know an
            option, or the source cannot be used or holds nothing.
    """
    path = Path(path)
    name = detect(path) if format == 'auto' else format
    if name not in FORMATS:
        raise ValueError(
            f'unknown format {name!r}; known: {", ".join(FORMATS)}'
        )
    if not path.exists():
        raise ValueError(f'{path} does not exist')
    given = {k: v for k, v in options.items() if v is not None}
    if 'images' in given and not Path(given['images']).is_dir():
        raise ValueError(f'--images {given["images"]} is not a folder')
    known = inspect.signature(FORMATS[name].read).parameters
    names = given.pop('names', None) if 'names' not in known else None
    for option in given:
        if option not in known:
            raise ValueError(f'{name} has no option --{option}')
    found = FORMATS[name].read(path, **given)
    found.format = name
    if names:
        rename(found, names)
    _note_flags(found)
    if name == 'coco' and found.swap is None:
        found.swap = read_swap(path)
    if not found.pictures:
        raise ValueError(
            f'{path}: no picture was read: {explain(found)}; --images DIR '
            'tells where the pictures are'
        )
    if not any(picture.instances for picture in found.pictures):
        raise ValueError(f'{path}: no instance was read: {explain(found)}')
    if not any(i.visible.any() for p in found.pictures for i in p.instances):
        raise ValueError(
            f'{path}: no keypoint of any instance is labelled (all have '
            f'visibility 0); left out: {explain(found)}'
        )
    return found


def _note_flags(keypoint_set: KeypointSet) -> None:
    """Note where a tool probably writes 1 for seen instead of 2."""
    flags = {
        int(flag)
        for picture in keypoint_set.pictures
        for instance in picture.instances
        for flag in instance.visible
    }
    if 1 in flags and 2 not in flags:
        keypoint_set.notes.append(
            'no keypoint has visibility 2: all that are labelled count as '
            'hidden (1); training and evaluation treat both alike'
        )


def rename(keypoint_set: KeypointSet, names: list[str]) -> None:
    """Give the keypoints of a set other names, in their order.

    Raises:
        ValueError: If the number of names differs, or one occurs twice.
    """
    old = keypoint_set.names
    if len(names) != len(old) or len(set(names)) != len(names):
        raise ValueError(
            f'{len(names)} names, {len(set(names))} of them different, for '
            f'{len(old)} keypoints: {", ".join(old)}'
        )
    new = dict(zip(old, names, strict=True))
    keypoint_set.names = list(names)
    keypoint_set.links = [(new[a], new[b]) for a, b in keypoint_set.links]
    if keypoint_set.swap is not None:
        keypoint_set.swap = {
            new[a]: new[b] for a, b in keypoint_set.swap.items()
        }


def write_set(
    keypoint_set: KeypointSet,
    out: Path,
    format: str,
    link: bool = False,
    overwrite: bool = False,
) -> None:
    """Write a folder with a set and its pictures for another tool.

    Args:
        keypoint_set: The set; pictures without a file are left out and
            counted in it.
        out: The folder; made here, whole or not at all.
        format: One of :data:`FORMATS` that has a writer.
        link: Whether pictures are linked instead of copied.
        overwrite: Whether a folder of this function may be replaced.

    Raises:
        ValueError: If there is no such writer, or no picture.
    """
    writers = [n for n, m in FORMATS.items() if hasattr(m, 'write')]
    if format not in writers:
        raise ValueError(
            f'cannot write {format!r}; there are {", ".join(writers)}'
        )
    drop_missing(keypoint_set)
    with new_folder(out, overwrite, is_export) as folder:
        FORMATS[format].write(keypoint_set, folder, link)
        (folder / MARK).write_text(f'{format}\n')


def is_export(path: Path) -> bool:
    """Return whether a folder is one of :func:`write_set`."""
    return (path / MARK).is_file()
