"""Copy or link the pictures of a set into a folder, without collisions."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from .keypoint_set import KeypointSet, Picture
from .pictures import clean_name


class PictureFiles:
    """The files that the pictures of a set get in one folder.

    A picture keeps its name, folders included; if two names differ only in
    case, the second gets a number.

    Args:
        keypoint_set: The set.
        folder: Where to write; made if it is not there.
        link: Whether pictures are linked instead of copied.
        by_stem: Whether names must also differ without their suffixes.
    """

    def __init__(
        self,
        keypoint_set: KeypointSet,
        folder: Path,
        link: bool = False,
        by_stem: bool = False,
    ) -> None:
        self.pictures = keypoint_set.pictures
        self.folder = folder
        self.link = link
        self._names = _unique(
            [clean_name(p.name) for p in self.pictures], by_stem
        )

    def names(self) -> Iterator[tuple[Picture, str]]:
        """Return each picture and the name of its file in the folder."""
        return zip(self.pictures, self._names, strict=True)

    def write(self) -> None:
        """Copy or link the pictures; those without a file are skipped."""
        self.folder.mkdir(parents=True, exist_ok=True)
        for picture, name in self.names():
            if picture.path is not None or picture.content is not None:
                write_picture(picture, self.folder / name, self.link)


def write_picture(picture: Picture, target: Path, link: bool) -> None:
    """Copy, link or write one picture."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if picture.content is not None:
        target.write_bytes(picture.content)
    elif picture.path is not None and link:
        os.symlink(os.path.realpath(picture.path), target)
    elif picture.path is not None:
        shutil.copyfile(picture.path, target)


def _unique(names: list[str], by_stem: bool = False) -> list[str]:
    """Return the names, with a number where they are not unique.

    Example:
        >>> _unique(['a.jpg', 'b/a.jpg', 'A.jpg', 'a.jpg', 'a_2.jpg'])
        ['a.jpg', 'b/a.jpg', 'A_2.jpg', 'a_3.jpg', 'a_2_2.jpg']
        >>> _unique(['a.jpg', 'a.png'], by_stem=True)
        ['a.jpg', 'a_2.png']
    """
    taken: set[str] = set()
    unique = []
    for name in names:
        path, number, new = PurePosixPath(name), 1, name
        while (key := _key(new, by_stem)) in taken:
            number += 1
            new = str(path.with_name(f'{path.stem}_{number}{path.suffix}'))
        taken.add(key)
        unique.append(new)
    return unique


def _key(name: str, by_stem: bool) -> str:
    path = PurePosixPath(name.lower())
    return str(path.with_suffix('')) if by_stem else str(path)
