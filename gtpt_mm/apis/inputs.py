"""Read any source of images as one stream of frames.

A file that cannot be read gives a frame with an error, so that one broken file
among thousands does not end the work. An object that is not an image, such as
a tensor, is a mistake of the program and raises.
"""

import contextlib
import glob
import io
import itertools
import mimetypes
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from PIL import Image, ImageOps

from gtpt_mm.compat.inference.inferencer_inputs import (
    as_image,
    describe_content,
)
from gtpt_mm.compat.messages import log

from .addresses import fetch
from .results import Frame
from .video import (
    STREAM_SCHEMES,
    VIDEO_SUFFIXES,
    VideoError,
    is_webcam,
    read_video,
    without_password,
)

#: Suffixes of images; the last two are known, but no decoder reads them.
IMAGE_SUFFIXES = (
    '.jpg', '.jpeg', '.jpe', '.jfif', '.png', '.webp', '.bmp', '.dib',
    '.tif', '.tiff', '.avif', '.gif', '.jp2', '.ppm', '.pgm', '.pbm', '.pnm',
    '.heic', '.heif',
)  # fmt: skip


def read_inputs(inputs: Any) -> Iterator[Frame]:
    """Return the frames of the inputs one after the other, read when needed.

    An image is turned upright by its EXIF orientation, whether it comes as a
    file, as bytes, from a server or as a PIL image; arrays have none. An
    alpha channel is dropped; 16 bits become 8 by their upper half. A TIFF or
    WebP with several pictures gives the first one; such a GIF is a video.

    Args:
        inputs: One of these, or any (nested) list, tuple or generator:

            - path of an image or a video; a folder, whose images and videos
              are read in the order of their names, without folders in it; a
              pattern such as ``'shots/**/*.jpg'``
            - ``http(s)://`` address of an image, a video or a stream,
              ``rtsp://`` and the like, ``'webcam'`` or ``'webcam:1'``, or, as
              the only input, the number of a camera
            - array of BGR, BGRA or gray in 0..255, (H, W, 3), (H, W, 4),
              (H, W) or (N, H, W, 3); PIL image; the bytes of an image file,
              or a file opened for them
            - a :class:`Frame`, which is passed on

    Yields:
        A frame for each image. A missing, empty or broken file, a folder or
            pattern without images and an address without an answer give one
            frame with ``image=None`` and the reason in ``error``, also if it
            is the only input.

    Raises:
        TypeError: If an input is of another type, such as a tensor.
        ValueError: If an array is not an image.

    Example:
        >>> gray = np.zeros((48, 64), np.uint8)
        >>> [frame.source for frame in read_inputs([gray, 'missing.jpg'])]
        ['input 0', 'missing.jpg']
    """
    if isinstance(inputs, int) and not isinstance(inputs, bool):
        inputs = f'webcam:{inputs}'
    return _read_each(inputs, itertools.count())


def count_frames(places: Iterable[str]) -> int | None:
    """Return how many frames ``read_inputs`` will yield of paths.

    The number of frames in a video may be off by a few. None if it is unknown,
    as for a stream.
    """
    total = 0
    for place in places:
        paths = _list_paths(place)
        files = [place] if paths is None else _choose_files(paths) or [place]
        for path in files:
            number = _count(path)
            if number is None:
                return None
            total += number
    return total


def list_files(place: str) -> list[str] | None:
    """Return the images and videos of a folder or pattern; None for a file."""
    paths = _list_paths(place)
    return None if paths is None else _choose_files(paths)


def _count(path: str) -> int | None:
    """Return the number of frames of one file or address, if it is known."""
    if '://' in path or (is_webcam(path) and not os.path.exists(path)):
        return None
    if not _is_video(path):
        return 1
    try:
        with read_video(path) as video:
            return video.info.num_frames
    except VideoError:
        return 1


def _read_each(value: Any, numbers: Iterator[int]) -> Iterator[Frame]:
    """Yield the frames of an input; ``numbers`` counts the inputs."""
    if isinstance(value, np.ndarray) and value.ndim == 4:
        value = list(value)
    if isinstance(value, Frame):
        yield value
    elif isinstance(value, str | os.PathLike):
        next(numbers)
        yield from _read_place(os.fsdecode(value))
    elif _is_group(value):
        for one in value:
            yield from _read_each(one, numbers)
    else:
        yield _read_object(value, f'input {next(numbers)}')


def _is_group(value: Any) -> bool:
    """Return whether a value contains inputs, but is not one itself."""
    single = np.ndarray | torch.Tensor | Image.Image | bytes | bytearray
    return (
        isinstance(value, Iterable)
        and not isinstance(value, single | memoryview | Mapping)
        and not hasattr(value, 'read')
    )


# ------------------------------------------------------------------- objects


def _read_object(value: Any, name: str) -> Frame:
    """Return the frame of an array, PIL image, bytes or open file."""
    if isinstance(value, torch.Tensor):
        raise TypeError(
            f'{name} is a tensor of shape {tuple(value.shape)}: the order of '
            'its axes and colors is not known; give a numpy array of BGR in '
            '0..255, (H, W, 3)'
        )
    if isinstance(value, Image.Image):
        name = getattr(value, 'filename', '') or name
        try:
            return Frame(_from_pil(value), str(name))
        except (OSError, SyntaxError) as error:  # torn; it is only read here
            return Frame(None, str(name), error=f'the file is torn: {error}')
    if hasattr(value, 'read'):
        path = getattr(value, 'name', None)
        name = path if isinstance(path, str) else name
        value = value.read()
    if isinstance(value, bytes | bytearray | memoryview):
        return decode_image(bytes(value), name)
    return Frame(_from_array(value, name), name)


def _from_array(value: Any, name: str) -> np.ndarray:
    """Return a copy as BGR, uint8: its owner may fill the array again."""
    image = np.asarray(as_image(value, name))
    if image.dtype != np.uint8:
        image = image.round()
    return image.astype(np.uint8)


def _from_pil(image: Image.Image) -> np.ndarray:
    """Return the upright pixels of a PIL image, BGR."""
    image = ImageOps.exif_transpose(image)
    if image.mode.startswith('I;16'):
        high = np.asarray(image) >> 8
        return np.repeat(high.astype(np.uint8)[..., None], 3, axis=2)
    if image.mode in ('I', 'F'):
        return _from_array(np.asarray(image), 'the PIL image')
    return np.asarray(image.convert('RGB'))[..., ::-1].copy()


def decode_image(content: bytes, source: str) -> Frame:
    """Return the frame of the content of an image file.

    Args:
        content: The bytes of the file.
        source: Name of the frame.
    """
    is_avif = content[4:12] in (b'ftypavif', b'ftypavis')
    # OpenCV does not turn AVIF upright; Pillow may be built without it.
    readers = [_decode_by_opencv, _decode_by_pillow]
    for reader in reversed(readers) if is_avif else readers:
        with contextlib.suppress(Exception):  # each decoder has its own
            return Frame(reader(content), source)
    if content[4:12] in (b'ftypheic', b'ftypheix', b'ftypmif1'):
        problem = 'is HEIC, which is not read: convert it to jpg'
    else:
        problem = describe_content(content)
    return Frame(None, source, error=f'the file {problem}')


def _decode_by_opencv(content: bytes) -> np.ndarray:
    image = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)
    if image is None:
        raise ValueError('no image')
    return image


def _decode_by_pillow(content: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(content)) as image:
        return _from_pil(image)


# -------------------------------------------------------------------- places


def _read_place(place: str) -> Iterator[Frame]:
    """Yield the frames of a path, pattern, address or camera."""
    place = re.sub(r'^/dev/video(\d+)$', r'webcam:\1', place)
    scheme = (place.partition('://')[0] if '://' in place else '').lower()
    is_camera = is_webcam(place) and not os.path.exists(place)
    if is_camera or scheme in STREAM_SCHEMES:
        yield from _read_video(place)
    elif scheme in ('http', 'https'):
        yield from _read_address(place)
    elif scheme:
        error = f'addresses of {scheme}:// are not read; give a local file'
        yield Frame(None, place, error=error)
    elif (paths := _list_paths(place)) is not None:
        yield from _read_files(place, paths)
    else:
        yield from _read_file(place)


def _list_paths(place: str) -> list[str] | None:
    """Return the sorted paths of a folder or pattern; None for a file."""
    if os.path.isdir(place):
        with contextlib.suppress(OSError):
            return sorted(str(path) for path in Path(place).iterdir())
        return []
    if not os.path.lexists(place) and glob.has_magic(place):
        return sorted(glob.glob(place, recursive=True))
    return None


def _choose_files(paths: list[str]) -> list[str]:
    """Return the images and videos among paths, except hidden files."""
    return [
        path
        for path in paths
        if not os.path.basename(path).startswith('.')
        and (_has_suffix(path, IMAGE_SUFFIXES) or _is_video(path))
        and not os.path.isdir(path)
    ]


def _read_files(place: str, paths: list[str]) -> Iterator[Frame]:
    """Yield the frames of the images and videos among paths."""
    found = _choose_files(paths)
    num_folders = sum(map(os.path.isdir, paths))
    num_others = len(paths) - len(found) - num_folders
    left_out = f'{num_others} other files are skipped'
    if num_folders:
        left_out += f', {num_folders} folders in it are not searched'
    if not found:
        error = f'there is no image or video ({left_out})'
        yield Frame(None, place, error=error)
    elif len(found) < len(paths):
        log(f'{place}: {len(found)} images and videos; {left_out}')
    for path in found:
        yield from _read_file(path)


def _read_file(path: str) -> Iterator[Frame]:
    """Yield the frames of one file."""
    try:
        os.stat(path)
        if _is_video(path):
            yield from _read_video(path)
            return
        content = Path(path).read_bytes()
    except FileNotFoundError:
        yield Frame(None, path, error='there is no such file')
    except (OSError, ValueError) as error:  # no permission; a null byte
        words = getattr(error, 'strerror', None) or str(error)
        yield Frame(None, path, error=f'the file cannot be read: {words}')
    else:
        if _is_animated(content):
            yield from _read_video(path)
        else:
            yield decode_image(content, path)


def _is_animated(content: bytes) -> bool:
    """Return whether a file is a GIF of several pictures."""
    if content[:3] != b'GIF':
        return False
    with contextlib.suppress(Exception):
        return getattr(Image.open(io.BytesIO(content)), 'n_frames', 1) > 1
    return False


def _has_suffix(path: str, suffixes: tuple[str, ...]) -> bool:
    return os.path.splitext(path)[1].lower() in suffixes


def _is_video(path: str) -> bool:
    """Return whether a name is that of a video; a GIF may be a picture."""
    if _has_suffix(path, IMAGE_SUFFIXES):
        return False
    kind = mimetypes.guess_type(path)[0] or ''
    return _has_suffix(path, VIDEO_SUFFIXES) or kind.startswith('video/')


def _read_video(source: str) -> Iterator[Frame]:
    """Yield the frames of a video, camera or stream."""
    name = without_password(source)
    try:
        with read_video(source) as video:
            for frame in video:
                # The frame has the source separately from the error.
                frame.error = frame.error.removeprefix(f'{frame.source}: ')
                yield frame
    except VideoError as error:
        words = str(error).removeprefix(f'{name}: ')
        yield Frame(None, name, error=words)


def _read_address(url: str) -> Iterator[Frame]:
    """Yield the frames of an image, a video or a stream served by http."""
    content, name = None, without_password(url)
    if not _is_video(url.partition('?')[0]):
        try:
            content = fetch(url)
        except OSError as error:
            yield Frame(None, name, error=str(error))
            return
    if content is None or _is_animated(content):
        yield from _read_video(url)
    else:
        yield decode_image(content, name)
