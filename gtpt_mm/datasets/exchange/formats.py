"""The formats that sets are read from and written to."""

import inspect
from pathlib import Path
from types import ModuleType
from typing import Any

from . import coco, cvat, label_studio, yolo
from .folder import drop_missing, explain
from .keypoint_set import KeypointSet
from .new_folder import new_folder

#: Every module has ``SOURCES``, ``matches(path)`` and ``read(path, ...)``;
#: some have ``write(keypoint_set, out, link)``.
FORMATS: dict[str, ModuleType] = {
    'coco': coco,
    'yolo': yolo,
    'cvat': cvat,
    'label-studio': label_studio,
}
#: File in a folder of :func:`write_set`, by which it is known as such.
MARK = '.gtpt_mm-export'


def detect(path: Path) -> str:
    """Return the name of the only format that a path has.

    Raises:
        ValueError: If the path does not exist, or no or several formats fit.
    """
    if not path.exists():
        raise ValueError(f'{path} does not exist')
    found = [name for name, module in FORMATS.items() if module.matches(path)]
    if len(found) == 1:
        return found[0]
    if found:
        raise ValueError(
            f'{path} could be {" or ".join(found)}; choose one by --format, '
            'or name the file instead of its folder'
        )
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
    known = inspect.signature(FORMATS[name].read).parameters
    for option in given:
        if option not in known:
            raise ValueError(f'{name} has no option --{option}')
    found = FORMATS[name].read(path, **given)
    found.format = name
    if not found.pictures:
        raise ValueError(f'{path}: no picture was read: {explain(found)}')
    if not any(picture.instances for picture in found.pictures):
        raise ValueError(f'{path}: no instance was read: {explain(found)}')
    return found


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
    if not keypoint_set.pictures:
        raise ValueError(
            f'no picture is left to write: {explain(keypoint_set)}'
        )
    with new_folder(out, overwrite, is_export) as folder:
        FORMATS[format].write(keypoint_set, folder, link)
        (folder / MARK).write_text(f'{format}\n')


def is_export(path: Path) -> bool:
    """Return whether a folder is one of :func:`write_set`."""
    return (path / MARK).is_file()
