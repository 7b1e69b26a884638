"""Pictures and videos of results: their names and their files."""

import os
import re
from fractions import Fraction
from pathlib import Path
from urllib.parse import unquote, urlsplit

import cv2
import numpy as np

from gtpt_mm.compat.files.atomic_file import atomic_write

from .results import Frame
from .video import WRITTEN_FORMATS, VideoError, VideoWriter, read_video

#: Suffixes of the pictures that OpenCV writes.
PICTURES = ('.jpg', '.jpeg', '.png', '.webp', '.bmp', '.tif', '.tiff')
#: Frames per second of a video without a rate, whose times are used.
DEFAULT_FPS = 25
#: Bytes of a name without suffix and number: file systems allow 255.
MAX_NAME = 200


class PictureNames:
    """Choose a different file for the picture of each input.

    The file has the name of the input, and its suffix if that can be written
    (else ``.png``, or ``.mp4`` for a video; an array is ``input_3.jpg``). If
    the name is taken, by an input of another folder, by an input itself or by
    a file that may not be replaced, it gets the first free number:
    ``a_2.jpg``.

    Args:
        folder: Folder of the pictures.
        overwrite: Whether existing files may be replaced.
    """

    def __init__(self, folder: Path, overwrite: bool) -> None:
        self.folder = folder
        self.overwrite = overwrite
        self._used: set[str] = set()

    def choose(self, frame: Frame) -> Path:
        """Return the file for a frame, or for the video that it begins.

        Raises:
            ValueError: If the frame's file lies in the folder and files there
                may be replaced: the next one might be another input.
        """
        if self.overwrite and _is_in(str(frame.source), self.folder):
            raise ValueError(
                f'{frame.source} lies in the output folder, whose files are '
                'overwritten; give another folder'
            )
        stem, suffix = _split_name(frame)
        path = self.folder / f'{stem}{suffix}'
        number = 1
        while self._is_taken(path):
            number += 1
            path = self.folder / f'{stem}_{number}{suffix}'
        self._used.add(path.name.casefold())
        return path

    def has_chosen(self, name: str) -> bool:
        """Return whether a name is that of a picture of this run."""
        return name.casefold() in self._used

    def _is_taken(self, path: Path) -> bool:
        if path.name.casefold() in self._used:
            return True
        return os.path.lexists(path) and not self.overwrite


def _is_in(source: str, folder: Path) -> bool:
    """Return whether a source is a file of a folder."""
    is_file = '\0' not in source and os.path.isfile(source)
    return is_file and Path(source).resolve().parent == folder.resolve()


def _split_name(frame: Frame) -> tuple[str, str]:
    """Return the name of a picture in two parts, such as 'a' and '.jpg'."""
    source = str(frame.source)
    if re.fullmatch(r'input \d+', source):
        source = source.replace(' ', '_') + '.jpg'
    elif '://' in source:
        parts = urlsplit(source)
        source = unquote(parts.path) if parts.path.strip('/') else parts.netloc
    name = source.replace('\\', '/').rstrip('/').rpartition('/')[2]
    name = re.sub(r'[<>:"|?*\x00-\x1f]', '_', name)
    stem, suffix = os.path.splitext(name)
    # Bytes of a name that are not UTF-8 are left out: FFmpeg refuses them.
    content = stem.encode(errors='surrogateescape')[:MAX_NAME]
    stem = content.decode(errors='ignore') or 'picture'
    if frame.index is None:
        return stem, suffix if suffix.lower() in PICTURES else '.png'
    return stem, suffix if suffix.lower() in WRITTEN_FORMATS else '.mp4'


def write_picture(path: Path, picture: np.ndarray) -> None:
    """Write a picture whole or not at all, in the format of its suffix."""
    content = cv2.imencode(path.suffix.lower(), picture)[1]
    with atomic_write(path) as file:
        file.write_bytes(content.tobytes())


class VideoPicture:
    """The video of consecutive frames.

    Args:
        path: File to write.
        first: The first frame.
    """

    def __init__(self, path: Path, first: Frame) -> None:
        assert first.image is not None
        self.path = path
        self._source = first.source
        self._start = first.time
        self._index = -1
        height, width = first.image.shape[:2]
        fps = _find_fps(first.source) or DEFAULT_FPS
        self._writer = VideoWriter(path, fps, (width, height))

    def is_followed_by(self, frame: Frame) -> bool:
        """Return whether a frame is a later one of the same video."""
        if frame.index is None or frame.source != self._source:
            return False
        return frame.index > self._index

    def write(self, frame: Frame, picture: np.ndarray) -> None:
        """Append the picture of a frame, at its time."""
        assert frame.index is not None
        self._index = frame.index
        if frame.time is None or self._start is None:
            self._writer.write(picture)
        else:
            self._writer.write(picture, frame.time - self._start)

    def close(self) -> None:
        """End the file."""
        self._writer.close()


def _find_fps(source: str) -> Fraction | None:
    """Return the frames per second of a video file, if it has them."""
    if not os.path.isfile(source):
        return None
    try:
        with read_video(source) as video:
            return video.info.fps
    except VideoError:
        return None
