"""Read whole videos and streams, and close what mmpose's inferencers write.

Broken: in mmpose (<= 1.3.2) a picture video is lost where OpenCV cannot
write ``mp4v`` into its container (.webm), while the log says that it was
saved; a generator that is not exhausted (``next()`` once, an error, Ctrl-C)
leaves a video that does not play and no predictions; a torn video yields no
frames, and a missing camera only a warning; RTSP is not read.

Here: the picture video is closed and the predictions are written however the
generator ends, at the latest when Python exits. Containers that cannot be
written are refused by name. A torn video raises after its last frame, a camera
or stream that cannot be opened raises at once.

Can go: when mmpose does the same.
"""

import atexit
import functools
import os
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import cv2
import numpy as np

from ..messages import warn
from .inferencer_pictures import check_display

#: OpenCV's code of the video in a container; mp4v in all others.
CODECS = {'.webm': 'VP80'}
#: Frames per second of sources that report none, such as many streams.
DEFAULT_FPS = 25
STREAMS = ('rtsp', 'rtsps', 'rtmp', 'udp', 'tcp', 'rtp', 'srt')
#: Calls with a video that have not ended yet.
_running: weakref.WeakSet = weakref.WeakSet()


def missing() -> str:
    """Say what is missing."""
    return 'the inferencers of mmpose leave videos open'


def repair() -> None:
    """Close videos; raise for sources that OpenCV cannot open."""
    from mmpose.apis.inferencers import MMPoseInferencer
    from mmpose.apis.inferencers.base_mmpose_inferencer import (
        BaseMMPoseInferencer as Base,
    )

    for kind in (Base, MMPoseInferencer):
        kind.__call__ = close_at_end(kind.__call__)
    Base._get_webcam_inputs = need_camera(Base._get_webcam_inputs)
    Base.save_visualization = open_writer(Base.save_visualization)
    Base._finalize_video_processing = finalize_once(
        Base._finalize_video_processing
    )
    atexit.register(_close_running)


class Frames:
    """The frames (BGR) of a video file or stream.

    Args:
        source: Path or address.

    Raises:
        FileNotFoundError: If the file does not exist.
        ValueError: If it cannot be opened as a video.
    """

    def __init__(self, source: str) -> None:
        if '://' not in source and not os.path.exists(source):
            raise FileNotFoundError(f'the video {source} does not exist')
        self.source = source
        capture = self._capture = cv2.VideoCapture(source)
        self.width = int(capture.get(cv2.CAP_PROP_FRAME_WIDTH))
        self.height = int(capture.get(cv2.CAP_PROP_FRAME_HEIGHT))
        if not capture.isOpened() or self.width <= 0 or self.height <= 0:
            raise ValueError(
                f'{source} cannot be read as a video: it is torn, of another '
                'format, or does not answer'
            )
        fps = capture.get(cv2.CAP_PROP_FPS)
        self.fps = fps if 0 < fps < 1000 else DEFAULT_FPS

    def __len__(self) -> int:
        return max(0, int(self._capture.get(cv2.CAP_PROP_FRAME_COUNT)))

    def __iter__(self) -> Iterator[np.ndarray]:
        number = 0
        while True:
            found, frame = self._capture.read()
            if not found:
                break
            number += 1
            yield frame
        self._capture.release()
        expected = _count_frames(self.source)
        # Decoders may leave out a few frames at the ends of a sound file.
        if not number or number + max(2, expected // 20) < expected:
            raise ValueError(
                f'the video {self.source} ends after {number} of '
                f'{expected or "its"} frames: it is torn, or not downloaded '
                'to its end'
            )


def _count_frames(source: str) -> int:
    """Return the number of frames in the index of a file; 0 if it has none."""
    import av

    if '://' in source:
        return 0
    try:
        with av.open(source) as container:
            return int(container.streams.video[0].frames)
    except (av.error.FFmpegError, IndexError):
        return 0


def open_video(self: Any, source: str) -> Frames:
    """Make a video the input of an inferencer; return its frames."""
    frames = Frames(source)
    name = os.path.basename(
        urlsplit(source).path if '://' in source else source
    )
    if not os.path.splitext(name)[1]:
        name = f'{name or "stream"}.mp4'
    self._video_input = True
    self.video_info = dict(
        fps=frames.fps,
        name=name,
        source=source,
        writer=None,
        width=frames.width,
        height=frames.height,
        predictions=[],
    )
    return frames


def need_camera(get_webcam_inputs: Callable) -> Callable:
    """Return ``_get_webcam_inputs`` that raises if there is no camera."""

    @functools.wraps(get_webcam_inputs)
    def frames(self: Any, inputs: str) -> Any:
        found = get_webcam_inputs(self, inputs)
        if isinstance(found, list):
            raise OSError(
                f'{inputs}: there is no such camera, or another program has it'
            )
        check_display()
        if not 0 < self.video_info['fps'] < 1000:
            self.video_info['fps'] = DEFAULT_FPS
        return found

    return frames


def open_writer(save_visualization: Callable) -> Callable:
    """Return ``save_visualization`` that opens videos itself."""

    @functools.wraps(save_visualization)
    def save(
        self: Any,
        picture: np.ndarray,
        vis_out_dir: str,
        *args: Any,
        **rest: Any,
    ) -> None:
        if self._video_input:
            info = self.video_info
            if info['writer'] is None:
                info['size'] = picture.shape[:2]
                info['output_file'] = path = _output_file(info, vis_out_dir)
                info['writer'] = _make_writer(path, info)
            picture = _fit(picture, info['size'])
        save_visualization(self, picture, vis_out_dir, *args, **rest)

    return save


def _output_file(info: dict, vis_out_dir: str) -> str:
    path = Path(vis_out_dir)
    if not path.suffix:
        path = path / info['name']
    path.parent.mkdir(parents=True, exist_ok=True)
    source = info.get('source', '')
    if path.exists() and os.path.exists(source) and path.samefile(source):
        raise ValueError(
            f'vis_out_dir={str(vis_out_dir)!r}: the video would replace its '
            f'own input {source}; give another folder'
        )
    return str(path)


def _make_writer(path: str, info: dict) -> cv2.VideoWriter:
    """Return an open writer, or raise."""
    suffix = os.path.splitext(path)[1].lower()
    codec = cv2.VideoWriter.fourcc(*CODECS.get(suffix, 'mp4v'))
    height, width = info['size']
    writer = cv2.VideoWriter(path, codec, info['fps'], (width, height))
    if not writer.isOpened():
        raise ValueError(
            f'{path}: OpenCV cannot write a video of {width}x{height} into a '
            f"{suffix} file here; give vis_out_dir='{Path(path).stem}.mp4', "
            'for instance'
        )
    return writer


def _fit(picture: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Cut or fill a picture, as a writer drops frames of other sizes."""
    if picture.shape[:2] == size:
        return picture
    fitted = np.full((*size, 3), 255, np.uint8)
    part = picture[: size[0], : size[1]]
    fitted[: part.shape[0], : part.shape[1]] = part
    return fitted


def finalize_once(finalize: Callable) -> Callable:
    """Return ``_finalize_video_processing`` that is safe to repeat."""

    @functools.wraps(finalize)
    def once(self: Any, pred_out_dir: str = '') -> None:
        if not self.video_info.setdefault('is_closed', False):
            self.video_info['is_closed'] = True
            finalize(self, pred_out_dir)

    return once


def close_at_end(call: Callable) -> Callable:
    """Return ``__call__`` whose video is closed however it ends."""

    def closing(
        self: Any,
        inputs: Any,
        return_datasamples: bool = False,
        batch_size: int = 1,
        out_dir: str | None = None,
        **options: Any,
    ) -> Iterator[dict]:
        inner = getattr(self, 'inferencer', self)
        inner._video_input = False
        results = call(
            self, inputs, return_datasamples, batch_size, out_dir, **options
        )
        # Replaces the video of an earlier call, which may still run.
        info = None
        try:
            for result in results:
                info = inner.video_info if inner._video_input else None
                yield result
        finally:
            results.close()
            if inner._video_input and inner.video_info is (
                info or inner.video_info
            ):
                folder = f'{out_dir}/predictions' if out_dir else ''
                folder = options.get('pred_out_dir', folder)
                self.video_info = inner.video_info
                self._finalize_video_processing(folder)

    @functools.wraps(call)
    def started(self: Any, *args: Any, **options: Any) -> Iterator[dict]:
        results = closing(self, *args, **options)
        _running.add(results)
        return results

    return started


def _close_running() -> None:
    """Close videos that the script left open, maybe by Ctrl-C."""
    for results in list(_running):
        try:
            results.close()
        except Exception as error:  # at exit: the rest still closes
            warn(f'a video could not be closed: {error}')
