"""Picture files of a set: found by name, measured, turned by EXIF."""

import base64
import contextlib
import io
import os
import re
import urllib.parse
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath

import numpy as np
from PIL import Image, UnidentifiedImageError

from .keypoint_set import Instance, KeypointSet, Picture

SUFFIXES = frozenset(
    ('.jpg', '.jpeg', '.png', '.bmp', '.webp', '.tif', '.tiff', '.gif')
)
#: Tags of EXIF: how to turn the stored picture, and which turns swap w and h.
ORIENTATION, TRANSPOSED = 274, (5, 6, 7, 8)
#: Label Studio puts eight hexadecimal digits before the name of an upload.
UPLOADED = re.compile(r'^[0-9a-f]{8}-(?=.)')


def is_picture(path: Path) -> bool:
    """Return whether a name is that of a picture file."""
    return path.suffix.lower() in SUFFIXES and not path.name.startswith('.')


def has_suffix(name: str) -> bool:
    """Return whether a name ends as those of picture files."""
    return PurePosixPath(name).suffix.lower() in SUFFIXES


def clean_name(name: str) -> str:
    """Return the name of a picture as a relative path with '/'.

    Addresses lose their server, paths of Windows their drive.

    Example:
        >>> clean_name('C:\\\\data\\\\a b.jpg'), clean_name('../x/./1.png')
        ('data/a b.jpg', 'x/1.png')
        >>> clean_name('/data/local-files/?d=set%201/7.jpg')
        'set 1/7.jpg'
        >>> clean_name('/tasks/2/resolve/?fileuri=czM6Ly9iL2sucG5n')
        'k.png'
    """
    if '?fileuri=' in name:  # the cloud storages of Label Studio
        text = urllib.parse.unquote(name.split('?fileuri=', 1)[1])
        with contextlib.suppress(ValueError):
            name = base64.urlsafe_b64decode(text).decode()
    if '?d=' in name:  # the local storage of Label Studio
        name = urllib.parse.unquote(name.split('?d=', 1)[1])
    elif '://' in name:
        address = name.split('://', 1)[1].split('?')[0].partition('/')
        name = urllib.parse.unquote(address[2])
    parts = name.replace('\\', '/').split('/')
    kept = [
        part
        for part in parts
        if part not in ('', '.', '..') and not re.fullmatch('[A-Za-z]:', part)
    ]
    return '/'.join(kept)


class PictureFinder:
    """Find picture files by the names that a source gives them.

    A name is looked up below each folder; if it is in none, all pictures
    below the folders are compared from the end of their paths, without case,
    and the one that shares most with the name is taken, if it is the only
    one. A name may lack the suffix of its file, as frames of videos in CVAT.

    Args:
        folders: Where to look, the likeliest first.
    """

    def __init__(self, folders: Iterable[Path]) -> None:
        self.folders = list(dict.fromkeys(f for f in folders if f.is_dir()))
        self._index: dict[str, list[Path]] | None = None

    def find(self, name: str) -> Path | None:
        """Return the file of a name; None if there is none, or several."""
        try:
            return self._find(name) if name else None
        except OSError:  # such as a name that holds the picture, far too long
            return None

    def _find(self, name: str) -> Path | None:
        if Path(name).is_absolute() and Path(name).is_file():
            return Path(name)
        cleaned = clean_name(name)
        plain = urllib.parse.unquote(cleaned)  # of an address
        options = (name, name.replace('\\', '/'), cleaned, plain)
        for folder in self.folders:
            for wanted in dict.fromkeys(options):
                if (folder / wanted).is_file():
                    return folder / wanted
        return self._search(cleaned) or self._search(plain)

    def _search(self, name: str) -> Path | None:
        """Return the file by the end of its path."""
        if self._index is None:
            self._index = {}
            for folder in self.folders:
                for path in list_pictures(folder):
                    for key in (path.name.lower(), path.stem.lower()):
                        self._index.setdefault(key, []).append(path)
        last = PurePosixPath(name).name.lower()
        paths = self._index.get(last)
        if not paths:
            paths = self._index.get(UPLOADED.sub('', last), [])
            name = str(PurePosixPath(name).with_name(UPLOADED.sub('', last)))
        return nearest(paths, name)


def nearest(paths: Iterable[Path], name: str) -> Path | None:
    """Return the file that shares the longest end of the path, if unique."""
    paths = list({path.resolve(): path for path in paths}.values())
    shared = [_num_shared(path, name) for path in paths]
    best = [p for p, n in zip(paths, shared, strict=True) if n == max(shared)]
    return best[0] if len(best) == 1 else None


def _num_shared(path: Path, name: str) -> int:
    """Return how many last parts two paths share, without case."""
    num = 0
    parts = name.split('/')
    if parts[-1].lower() == path.stem.lower():  # a name without suffix
        path = path.with_suffix('')
    for a, b in zip(reversed(path.parts), reversed(parts), strict=False):
        if a.lower() != b.lower():
            break
        num += 1
    return num


def list_pictures(folder: Path) -> list[Path]:
    """Return all picture files below a folder, in the order of names."""
    return sorted(
        path
        for path in folder.rglob('*')
        if is_picture(path) and path.is_file()
    )


def name_below(path: Path, folders: Sequence[Path]) -> str:
    """Return a path relative to the first folder it lies in, with '/'."""
    for folder in folders:
        if path.is_relative_to(folder):
            return path.relative_to(folder).as_posix()
    return path.name


def measure(source: Path | bytes) -> tuple[int, int, int] | None:
    """Return (w, h) as stored and EXIF's orientation; None if unreadable."""
    file = io.BytesIO(source) if isinstance(source, bytes) else source
    try:
        with Image.open(file) as image:
            return (*image.size, int(image.getexif().get(ORIENTATION, 1)))
    except (OSError, UnidentifiedImageError, ValueError, SyntaxError):
        return None


def mend_pictures(keypoint_set: KeypointSet) -> None:
    """Compare the sizes of all pictures with their files.

    mmpose, browsers and most tools rotate a picture by its EXIF data. Labels
    whose annotated size is that of the stored picture, not of the rotated one,
    were made on the stored one: they are rotated as well. A missing size is
    read from the file. A picture whose file cannot be read, or has another
    size, is left out, as its labels would be wrong. A name without a suffix
    gets that of its file.

    Args:
        keypoint_set: Changed in place.

    Raises:
        ValueError: If most pictures have another size than their labels say.
    """
    _give_back(keypoint_set.pictures)
    kept, num_turned, resized = [], 0, []
    dropped = keypoint_set.dropped
    for picture in keypoint_set.pictures:
        source = picture.path or picture.content
        found = measure(source) if source is not None else None
        if source is None and not (picture.width and picture.height):
            dropped['pictures without a file and without a size'] += 1
            continue
        if source is None:
            kept.append(picture)
            continue
        if found is None:
            dropped['pictures whose file cannot be read'] += 1
            continue
        stored, orientation = found[:2], found[2]
        turned = stored[::-1] if orientation in TRANSPOSED else stored
        written = (picture.width, picture.height)
        if written == stored != turned:
            turn(picture, orientation)
            num_turned += 1
        elif written != turned and not _is_wrong(picture, turned):
            resized.append(f'{picture.name} {written}, file {turned}')
            continue
        picture.width, picture.height = turned
        if picture.path is not None and not has_suffix(picture.name):
            picture.name += picture.path.suffix.lower()
        kept.append(picture)
    _tell(keypoint_set, num_turned, resized)
    keypoint_set.pictures = kept


def _give_back(pictures: list[Picture]) -> None:
    """Assign a file only to the names that match it best.

    Otherwise a missing picture would get the file of the same name in another
    folder, such as the frame with its number of another video.
    """
    found = [(p, Path(os.path.abspath(p.path))) for p in pictures if p.path]
    best: dict[Path, int] = {}
    for picture, path in found:
        shared = _num_shared(path, picture.name)
        best[path] = max(best.get(path, 0), shared)
    for picture, path in found:
        whole = len(picture.name.split('/'))
        if _num_shared(path, picture.name) < min(best[path], whole):
            picture.path = None


def _tell(
    keypoint_set: KeypointSet, num_turned: int, resized: list[str]
) -> None:
    """Note pictures turned and left out; raise if most are left out."""
    if 2 * len(resized) > len(keypoint_set.pictures):
        raise ValueError(
            f'{len(resized)} of {len(keypoint_set.pictures)} picture files '
            'have another size (w, h) than the annotations say, so the '
            f'keypoints are wrong: {resized[0]}. Give the folder of the '
            'annotated pictures with --images'
        )
    if resized:
        keypoint_set.dropped[
            'pictures whose file has another size than the annotations say'
        ] += len(resized)
    if num_turned:
        keypoint_set.notes.append(
            f'{num_turned:,} pictures are rotated by EXIF but were annotated '
            'as stored; their labels were rotated, because mmpose rotates '
            'pictures'
        )


def _is_wrong(picture: Picture, size: tuple[int, int]) -> bool:
    """Whether the written size is absent, or wrong while the labels fit."""
    if not (picture.width and picture.height):
        return True
    points = [i.keypoints[i.visible > 0] for i in picture.instances]
    ends = np.concatenate([np.zeros((1, 2)), *points]).max(0)
    leaves = (ends > (picture.width + 1, picture.height + 1)).any()
    return bool(leaves and (ends <= np.add(size, 1)).all())


def turn(picture: Picture, orientation: int) -> None:
    """Turn the labels of a picture as EXIF turns the stored pixels.

    Args:
        picture: Of the size as stored; changed in place, size included.
        orientation: 5, 6, 7 or 8 of EXIF, which swap width and height.
    """
    w, h = picture.width, picture.height
    for instance in picture.instances:
        is_labelled = instance.visible > 0
        points = turn_points(instance.keypoints, w, h, orientation)
        instance.keypoints = np.where(is_labelled[:, None], points, 0.0)
        instance.bbox = turn_box(instance, w, h, orientation)
    picture.width, picture.height = h, w


def turn_points(
    points: np.ndarray, w: int, h: int, orientation: int
) -> np.ndarray:
    """Return (x, y) of a stored (w, h) picture in the turned picture."""
    x, y = points[:, 0], points[:, 1]
    turned = {5: (y, x), 6: (h - y, x), 7: (h - y, w - x), 8: (y, w - x)}
    return np.stack(turned[orientation], axis=1)


def turn_box(
    instance: Instance, w: int, h: int, orientation: int
) -> tuple[float, float, float, float] | None:
    """Return the box of an instance in the turned picture."""
    if instance.bbox is None:
        return None
    corners = np.array(instance.bbox, dtype=float).reshape(2, 2)
    turned = turn_points(corners, w, h, orientation)
    low, high = turned.min(0), turned.max(0)
    return float(low[0]), float(low[1]), float(high[0]), float(high[1])
