"""Frames as videos, by PyAV."""

import logging
import math
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any

import av
import cv2
import numpy as np
from av.video.reformatter import ColorRange, Colorspace
from PIL import Image

from .video_errors import VideoError, describe_error

logger = logging.getLogger(__name__)

#: Formats of ``VideoWriter``: suffix -> (muxer, codecs, best first).
WRITTEN_FORMATS = {
    '.mp4': ('mp4', ('libx264', 'mpeg4')),
    '.m4v': ('mp4', ('libx264', 'mpeg4')),
    '.mov': ('mov', ('libx264', 'mpeg4')),
    '.mkv': ('matroska', ('libx264', 'mpeg4')),
    '.ts': ('mpegts', ('libx264', 'mpeg4')),
    '.webm': ('webm', ('libvpx-vp9', 'libvpx')),
    '.avi': ('avi', ('mpeg4',)),
    '.gif': ('gif', ('gif',)),
}
#: libswscale's bilinear, full chroma, accurate rounding: the default is off by
#: up to five gray levels. (For reading the default is good to two, and ten
#: times as fast.)
_EXACT = 0x2 | 0x2000 | 0x40000
#: Visually near-lossless, and fast compared with a pose model.
_CODEC_OPTIONS = {
    'libx264': {'preset': 'veryfast', 'crf': '18'},
    'mpeg4': {'flags': '+qscale', 'global_quality': '354'},  # 3 * FF_QP2LAMBDA
    'libvpx-vp9': {'crf': '24', 'b': '0', 'deadline': 'realtime'}
    | {'cpu-used': '6', 'row-mt': '1'},
    'libvpx': {'crf': '10', 'b': '4M', 'deadline': 'realtime'},
}
#: A killed process leaves a file that plays: MP4 is written in fragments that
#: become one ordinary index at the end; other muxers write through.
_MUXER_OPTIONS = {'flush_packets': '1'}
_MP4_OPTIONS = {'movflags': '+hybrid_fragmented+frag_keyframe'}


class VideoWriter:
    """Write BGR images as a video; the suffix chooses the format.

    ``.mp4 .m4v .mov .mkv .ts`` hold H.264 (MPEG-4 if PyAV has no libx264),
    ``.webm`` VP9, ``.avi`` MPEG-4, ``.gif`` 256 colors per frame. Sound is not
    copied. Pixels are 4:2:0, BT.601, limited range, and tagged so; an image
    with an odd side is padded by one pixel at its right or lower edge.

    Use it in a ``with`` block: however the block is left (Ctrl-C, an error, a
    closed generator), the file holds the frames so far and plays. A killed
    process loses the frames still in the encoder, one to three seconds
    (not guaranteed for GIF). Nothing is left on the disk if no frame was
    written.

    Args:
        path: File to write; an older one is replaced.
        fps: Frames per second; a ``Fraction`` such as 30000/1001 is kept.
        size: (w, h) of the images.

    Raises:
        VideoError: If the suffix is unknown, the folder is missing, or an
            encoder refuses size or rate.
    """

    def __init__(
        self,
        path: str | Path,
        fps: Fraction | float,
        size: tuple[int, int],
    ) -> None:
        self.path = Path(path)
        self.size = (int(size[0]), int(size[1]))
        #: Number of frames written.
        self.num_frames = 0
        rate = _exact_rate(fps)
        if min(self.size) < 1:
            raise VideoError(f'{path}: size {size} must be (w, h) > 0')
        muxer, codec = _format(self.path)
        self._container: Any = None
        self._pts = -1
        # Fine ticks, for times that vary; AVI counts frames.
        limit = 65535 if codec == 'mpeg4' else 90000
        ticks = max(1, limit // rate.numerator)
        self._step = rate.denominator * ticks
        self._time_base = Fraction(1, rate.numerator * ticks)
        if muxer == 'avi':
            self._step, self._time_base = 1, 1 / rate
        try:
            self._open(muxer, codec, rate)
        except (av.FFmpegError, OSError) as error:
            self.close()
            raise VideoError(
                f'{path}: cannot be written ({codec}, {self.size[0]}x'
                f'{self.size[1]}, {rate} fps): {describe_error(error)}'
            ) from error

    def _open(self, muxer: str, codec: str, rate: Fraction) -> None:
        options = dict(_MUXER_OPTIONS)
        if muxer in ('mp4', 'mov'):
            options |= _MP4_OPTIONS
        container = av.open(
            f'file:{self.path}', 'w', format=muxer, container_options=options
        )
        self._container = container
        stream: Any = container.add_stream(
            codec, rate=rate, options=_CODEC_OPTIONS.get(codec, {})
        )
        even = 1 if codec == 'gif' else 2
        stream.width, stream.height = (-(-s // even) * even for s in self.size)
        stream.pix_fmt = 'pal8' if codec == 'gif' else 'yuv420p'
        context = stream.codec_context
        context.time_base = self._time_base
        if codec != 'gif':
            context.gop_size = max(1, round(rate))  # a key frame each second
            context.color_range = ColorRange.MPEG
            context.colorspace = 6  # SMPTE 170M, the matrix of BT.601
        self._stream = stream
        # The header waits for a frame: FFmpeg crashes on an MP4 without one.
        # Errors should be raised here already.
        context.open()
        self.path.open('wb').close()

    def write(self, image: np.ndarray, time: float | None = None) -> None:
        """Append one image.

        Args:
            image: BGR, uint8, (H, W, 3), of the video's size.
            time: Seconds from the beginning, if the rate varies; default:
                1 / fps after the last image.

        Raises:
            VideoError: If the image has another shape, or the disk is full.
        """
        shape = (self.size[1], self.size[0], 3)
        if image.shape != shape or image.dtype != np.uint8:
            raise VideoError(
                f'{self.path}: image {self.num_frames} is {image.dtype} '
                f'{image.shape}, the video takes uint8 {shape}'
            )
        if self._container is None:
            raise VideoError(f'{self.path}: is closed')
        if time is None:
            pts = self._pts + self._step if self.num_frames else 0
        else:
            pts = round(time / self._time_base)
        self._pts = max(pts, self._pts + 1)  # strictly increasing
        try:
            self._container.mux(self._stream.encode(self._frame(image)))
        except (av.FFmpegError, OSError) as error:
            raise VideoError(
                f'{self.path}: {describe_error(error)}'
            ) from error
        self.num_frames += 1

    def _frame(self, image: np.ndarray) -> Any:
        right = self._stream.width - self.size[0]
        bottom = self._stream.height - self.size[1]
        if right or bottom:
            image = cv2.copyMakeBorder(
                image, 0, bottom, 0, right, cv2.BORDER_REPLICATE
            )
        frame: Any
        if self._stream.pix_fmt == 'pal8':
            frame = av.VideoFrame.from_ndarray(_palette(image), format='pal8')
        else:
            frame = av.VideoFrame.from_ndarray(
                np.ascontiguousarray(image), format='bgr24'
            ).reformat(
                format='yuv420p',
                dst_colorspace=Colorspace.ITU601,
                dst_color_range=ColorRange.MPEG,
                interpolation=_EXACT,
            )
        frame.pts, frame.time_base = self._pts, self._time_base
        return frame

    def close(self) -> None:
        """Write what the encoder holds and the index; safe to repeat."""
        container, self._container = self._container, None
        if container is None:
            return
        error: Exception | None = None
        try:
            if self.num_frames:
                container.mux(self._stream.encode(None))
        except (av.FFmpegError, OSError) as failure:
            error = failure
        try:
            container.close()
        except (av.FFmpegError, OSError) as failure:
            error = error or failure
        if error is not None:
            raise VideoError(
                f'{self.path}: {describe_error(error)}'
            ) from error
        if not self.num_frames:
            logger.warning('%s: no frame, so no file', self.path)
            self.path.unlink(missing_ok=True)

    def __enter__(self) -> 'VideoWriter':
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            self.close()
        except VideoError as failure:
            if error is None:
                raise
            logger.warning('%s', failure)  # the first error goes on


def _palette(image: np.ndarray) -> Any:
    """Return the indices (H, W) and colors ARGB (256, 4) nearest an image."""
    picture = Image.fromarray(image[..., ::-1]).quantize(
        256, Image.Quantize.FASTOCTREE
    )
    colors = np.zeros((256, 4), np.uint8)
    colors[:, 0] = 255
    rgb = np.array(picture.getpalette('RGB'), np.uint8).reshape(-1, 3)
    colors[: len(rgb), 1:] = rgb
    return np.asarray(picture), colors


def _format(path: Path) -> tuple[str, str]:
    """Return muxer and codec for a path, or say why there is none."""
    if path.suffix.lower() not in WRITTEN_FORMATS:
        raise VideoError(
            f'{path}: no video is written as {path.suffix!r}; take one of '
            f'{" ".join(WRITTEN_FORMATS)}'
        )
    if not path.parent.is_dir():
        raise VideoError(f'{path}: folder {path.parent} does not exist')
    muxer, codecs = WRITTEN_FORMATS[path.suffix.lower()]
    for codec in codecs:
        if _has_encoder(codec):
            return muxer, codec
    raise VideoError(f'{path}: this PyAV has none of {", ".join(codecs)}')


def _has_encoder(name: str) -> bool:
    try:
        return bool(av.codec.Codec(name, 'w'))
    except (av.FFmpegError, ValueError):  # PyAV's UnknownCodecError is one
        return False


def _exact_rate(fps: Fraction | float) -> Fraction:
    """Return frames per second as a fraction that every encoder takes."""
    if not (math.isfinite(fps) and 0 < fps <= 1000):
        raise VideoError(f'fps {fps} must lie in (0, 1000]')
    rate = Fraction(fps).limit_denominator(1001)
    if rate.numerator > 65535 or rate == 0:  # MPEG-4 counts in 16 bit
        rate = Fraction(fps).limit_denominator(65)
    if rate == 0:
        raise VideoError(f'fps {fps} is below one frame in 65 seconds')
    return rate
