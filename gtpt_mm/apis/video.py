"""Videos, webcams and streams as frames, by PyAV."""

import math
import os
import time
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import av
import cv2
import numpy as np
from av.sidedata.sidedata import Type as SideDataType

from .results import Frame
from .video_errors import VideoError, describe_error
from .video_writer import WRITTEN_FORMATS, VideoWriter

__all__ = [
    'STREAM_SCHEMES',
    'VIDEO_SUFFIXES',
    'WRITTEN_FORMATS',
    'VideoError',
    'VideoInfo',
    'VideoReader',
    'VideoWriter',
    'is_live',
    'is_video',
    'is_webcam',
    'read_video',
    'without_password',
]

#: Containers that ``read_video`` takes; docs/video.md says what was tested.
_DEMUXERS = {
    **dict.fromkeys(('.mp4', '.m4v', '.mov', '.3gp'), 'mov'),
    **dict.fromkeys(('.mkv', '.webm'), 'matroska'),
    **dict.fromkeys(('.ts', '.mts', '.m2ts'), 'mpegts'),
    **dict.fromkeys(('.mpg', '.mpeg'), 'mpeg'),
    **{'.avi': 'avi', '.gif': 'gif', '.flv': 'flv', '.wmv': 'asf'},
    '.ogv': 'ogg',
}
VIDEO_SUFFIXES = tuple(_DEMUXERS)
#: Protocols of live streams. http:// may be a stream, a video or a picture.
STREAM_SCHEMES = ('rtsp', 'rtsps', 'rtmp', 'rtmps', 'udp', 'rtp', 'srt', 'tcp')


@dataclass(frozen=True)
class VideoInfo:
    """Facts about a video, from its container and first frame.

    Attributes:
        source: Path or URL, without a password.
        size: (w, h) of the frames, upright.
        fps: Frames per second, an average if the rate varies; None for a
            stream that does not report it.
        num_frames: Number of frames in the container's header, else duration
            times fps (off by a few at most); None for streams and webcams.
        rotation: Degrees clockwise (0, 90, 180, 270) that were applied to the
            stored pixels.
        live: Whether it is a webcam or a stream, which cannot be read twice.
    """

    source: str
    size: tuple[int, int]
    fps: Fraction | None = None
    num_frames: int | None = None
    rotation: int = 0
    live: bool = False


def is_webcam(source: str | Path) -> bool:
    """Return whether the source is ``'webcam'`` or ``'webcam:N'``."""
    return str(source).split(':')[0] == 'webcam'


def is_live(source: str | Path) -> bool:
    """Return whether a source is endless and cannot be read twice."""
    return is_webcam(source) or urlsplit(str(source)).scheme in STREAM_SCHEMES


def is_video(source: str | Path) -> bool:
    """Return whether ``read_video`` reads a path or URL."""
    parts = urlsplit(str(source))
    path = parts.path if parts.scheme in ('http', 'https') else str(source)
    return is_live(source) or Path(path).suffix.lower() in VIDEO_SUFFIXES


def read_video(source: str | Path, timeout: float = 10.0) -> 'VideoReader':
    """Open a video file, ``'webcam'``, ``'webcam:N'`` or a stream.

    Args:
        source: Path with one of ``VIDEO_SUFFIXES``, a webcam, or a URL
            (``rtsp://``, ``http://``, ...).
        timeout: Seconds that a stream may take to open, and to send the next
            data.

    Returns:
        An iterator over its frames, see ``VideoReader``.

    Raises:
        VideoError: If there is no such video, or it has no frame.
    """
    return VideoReader(source, timeout)


class VideoReader(Iterator[Frame]):
    """Frames of a video, upright, BGR, in the order of display.

    A torn or damaged file gives its readable frames and then, as the last
    item, a frame without image whose ``error`` says what happened; so does a
    stream that breaks off. A frame of another size (of a stream that changed
    its resolution) is scaled to the size of the first.

    Attributes:
        info: Size, rate and number of frames.
    """

    info: VideoInfo

    def __init__(self, source: str | Path, timeout: float = 10.0) -> None:
        if is_webcam(source):
            self._frames = self._read_camera(str(source))
        else:
            self._frames = self._read_container(str(source), timeout)
        # The first frame, if any, has the size and the rotation.
        self._first: Frame | None = next(self._frames)

    def __next__(self) -> Frame:
        """Return the next frame."""
        if self._first is not None:
            frame, self._first = self._first, None
            return frame
        return next(self._frames)

    def close(self) -> None:
        """Close the file, camera or connection; no more frames follow."""
        self._first = None
        self._frames.close()

    def __enter__(self) -> 'VideoReader':
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _read_container(
        self, source: str, timeout: float
    ) -> Generator[Frame, None, None]:
        name = without_password(source)
        with _open(source, name, timeout) as container:
            stream = container.streams.video[0]
            index, error, span = 0, '', _Span(stream.time_base)
            matrix = np.eye(2)
            for frame in _decode(container, stream, timeout):
                if isinstance(frame, str):
                    error = frame
                    continue
                if index == 0:
                    matrix = _display_matrix(frame)
                    self.info = _info(name, container, frame, matrix)
                yield Frame(
                    image=_pixels(frame, self.info, matrix),
                    source=name,
                    index=index,
                    time=span.add(frame.pts, self.info.fps),
                )
                index += 1
            if index == 0:
                raise VideoError(
                    f'{name}: no frame can be decoded: {error or "empty"}'
                )
            error = error or _torn(container, span.end(self.info.fps))
        if error:
            if index < (total := self.info.num_frames or 0):
                error += f' ({index} of about {total} frames)'
            yield Frame(None, name, index, error=f'{name}: {error}')

    def _read_camera(self, source: str) -> Generator[Frame, None, None]:
        number = source.partition(':')[2] or '0'
        if not number.isdecimal():
            raise VideoError(f"{source!r}: write 'webcam' or 'webcam:1'")
        camera = cv2.VideoCapture(int(number))
        try:
            if not camera.isOpened():
                raise VideoError(
                    f'{source}: no camera {number} can be opened; is it '
                    'plugged in, free, and may this user read it?'
                )
            # Current pictures: no queue builds up behind a slow model.
            camera.set(cv2.CAP_PROP_BUFFERSIZE, 1)
            yield from self._take_pictures(source, camera)
        finally:
            camera.release()

    def _take_pictures(self, source: str, camera: Any) -> Iterator[Frame]:
        index, start = 0, time.monotonic()
        while True:
            there, image = camera.read()
            if not there:
                break
            if index == 0:
                start = time.monotonic()
                fps = Fraction(camera.get(cv2.CAP_PROP_FPS))
                self.info = VideoInfo(
                    source=source,
                    size=(image.shape[1], image.shape[0]),
                    fps=_plausible(fps.limit_denominator(1001)),
                    live=True,
                )
            yield Frame(image, source, index, time.monotonic() - start)
            index += 1
        if index == 0:
            raise VideoError(f'{source}: the camera gives no picture')
        error = f'{source}: the camera stopped after {index} frames'
        yield Frame(None, source, index, error=error)


@dataclass
class _Span:
    """Times of the frames so far, in seconds from the first."""

    time_base: Fraction
    start: float | None = None
    last: float = -1.0

    def add(self, pts: int | None, fps: Fraction | None) -> float:
        """Return the time of the next frame."""
        step = 1 / float(fps or 25)
        if pts is None:  # raw streams without timestamps
            now = (self.start or 0.0) + max(self.last, -step) + step
        else:
            now = float(pts * self.time_base)
        if self.start is None:
            self.start = now
        self.last = now - self.start
        return self.last

    def end(self, fps: Fraction | None) -> float:
        """Return the end of the last frame on the container's clock."""
        return max(self.start or 0.0, 0.0) + self.last + 1 / float(fps or 25)


def _open(source: str, name: str, timeout: float) -> Any:
    """Open a file or stream that has pictures."""
    url, format = '://' in source, None
    if url and urlsplit(source).query:
        # FFmpeg would take '/clip.mp4?next=a.jpg' for a picture.
        suffix = Path(urlsplit(source).path).suffix.lower()
        format = _DEMUXERS.get(suffix)
    elif not url:
        path = Path(source)
        if not path.exists():
            raise VideoError(f'{name}: no such file')
        if path.suffix.lower() not in VIDEO_SUFFIXES:
            raise VideoError(
                f'{name}: {path.suffix or "a file without suffix"!r} is not a '
                f'container that can be read ({" ".join(VIDEO_SUFFIXES)}); '
                f'convert it: ffmpeg -i {name} out.mp4'
            )
        source = f'file:{path}'  # else 'a:b.mp4' would have the protocol 'a'
    start = time.monotonic()
    try:
        container = av.open(
            source, format=format, timeout=timeout if url else None
        )
    except av.FFmpegError as error:
        waited = url and time.monotonic() - start >= timeout
        reason = f'no answer within {timeout:g} s' if waited else ''
        raise VideoError(
            f'{name}: {reason or describe_error(error, timeout)}'
        ) from error
    kind = container.format.name
    if not container.streams.video or kind == 'tty' or kind.endswith('_pipe'):
        container.close()
        raise VideoError(f'{name}: no video in it (format {kind!r})')
    container.streams.video[0].thread_type = 'AUTO'
    return container


def _decode(container: Any, stream: Any, timeout: float) -> Iterator[Any]:
    """Yield decoded frames, then a str if anything was wrong."""
    packets, damaged, error = container.demux(stream), 0, ''
    packet: Any = None
    while not error:
        try:
            packet = next(packets, None)
        except av.FFmpegError as torn:
            packet, error = None, describe_error(torn, timeout)
        if packet is None and not error:
            break
        try:
            frames = stream.decode(packet)  # without packet: those it held
        except av.EOFError:
            continue
        except av.FFmpegError:
            damaged += 1
            continue
        damaged += packet is not None and packet.is_corrupt
        yield from frames
    if damaged and not error:
        error = f'torn or damaged: {damaged} packets cannot be decoded whole'
    if error:
        yield error


def _info(name: str, container: Any, frame: Any, matrix: Any) -> VideoInfo:
    stream = container.streams.video[0]
    fps = _plausible(stream.average_rate) or _plausible(stream.guessed_rate)
    live = is_live(name)
    num = stream.frames
    seconds = _seconds(container)
    if not num and seconds and fps and not live:
        num = round(seconds * fps)
    turned = abs(matrix[0, 1]) > abs(matrix[0, 0])
    angle = math.degrees(math.atan2(matrix[0, 1], matrix[0, 0]))
    size = (frame.width, frame.height)
    return VideoInfo(
        source=name,
        size=size[::-1] if turned else size,
        fps=fps,
        num_frames=num or None,
        rotation=round(angle / 90) * 90 % 360,
        live=live,
    )


def _plausible(fps: Fraction | None) -> Fraction | None:
    """Return a rate, None for the clock of a stream of varying rate."""
    return fps if fps and 0 < fps <= 1000 else None


def _seconds(container: Any) -> float:
    """Return the duration in the container's header, 0 if it has none."""
    stream = container.streams.video[0]
    if stream.duration:
        return float(stream.duration * stream.time_base)
    if tag := stream.metadata.get('DURATION'):  # Matroska: 00:00:02.400000000
        hours, minutes, seconds = tag.split(':')
        return int(hours) * 3600 + int(minutes) * 60 + float(seconds)
    return (container.duration or 0) / av.time_base


def _torn(container: Any, seconds: float) -> str:
    """Return how much is missing, '' if the header promised no more.

    MP4 and MOV are not checked: FFmpeg reports their missing bytes, and their
    edit lists hide frames. Torn MPEG, Ogg and WMV files have no length.
    """
    stream, kind = container.streams.video[0], container.format.name
    promised = 0.0
    if kind == 'avi' and stream.average_rate:
        promised = float(stream.frames / stream.average_rate)
    elif kind in ('matroska,webm', 'flv'):
        alone = len(container.streams) == 1  # else sound may be longer
        if alone or 'DURATION' in stream.metadata:
            promised = _seconds(container)
    elif kind == 'gif' and not _ends_with(container.name, b';'):
        return 'torn: it has no end mark'
    if promised - seconds <= 1.5 * max(1 / (stream.average_rate or 25), 0.02):
        return ''
    return f'torn: it ends after {seconds:.2f} s of {promised:.2f} s'


def _ends_with(url: str, mark: bytes) -> bool:
    """Return whether a local file ends with a byte; True for others."""
    if not url.startswith('file:'):
        return True
    with open(url.removeprefix('file:'), 'rb') as file:
        file.seek(-1, os.SEEK_END)
        return file.read() == mark


def _display_matrix(frame: Any) -> np.ndarray:
    """Return the rotation and flips of the display matrix, ((a, b), (c, d)).

    (x, y) of the stored image is shown at (a x + c y, b x + d y).
    """
    data = frame.side_data.get(SideDataType.DISPLAYMATRIX)
    if data is None:
        return np.eye(2)
    fixed = np.frombuffer(bytes(data), np.int32, 9).reshape(3, 3)
    return fixed[:2, :2] / 65536


def _pixels(frame: Any, info: VideoInfo, matrix: np.ndarray) -> np.ndarray:
    """Return the upright BGR image of a decoded frame."""
    (a, b), (c, d) = matrix
    turned = abs(b) > abs(a)
    width, height = info.size[::-1] if turned else info.size
    image = frame.to_ndarray(format='bgr24', width=width, height=height)
    if turned:
        image, a, d = image.transpose(1, 0, 2), c, b
    image = image[:: -1 if d < 0 else 1, :: -1 if a < 0 else 1]
    return np.ascontiguousarray(image)


def without_password(source: str) -> str:
    """Return a URL that may be shown in results and messages."""
    if '://' not in source:
        return source
    try:
        parts = urlsplit(source)
    except ValueError:  # not a valid address, such as http://[a
        return source
    if '@' not in parts.netloc:
        return source
    return urlunsplit(parts._replace(netloc=parts.netloc.split('@')[-1]))
