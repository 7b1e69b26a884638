"""Check the images and options given to mmpose's inferencers.

Broken: in mmpose (<= 1.3.2) a web page or torn file under an image's name, an
empty folder, a gray array and None raise errors that do not name the input;
arrays of NaN or of numbers outside 0..255 are taken for images; pathlib's
paths, PIL images, addresses with a query and RTSP are refused without a
reason; ``MMPoseInferencer`` ignores misspelt options; an output folder that is
a file fails only after the inference. Without ``det_model`` and internet the
error mentions only a download.

Here: options and output folders are checked at the call, images before the
model sees them. Gray and BGRA arrays and PIL images become BGR; PIL images are
rotated by their EXIF data, as files are. Other files in a folder are counted.

Can go: when mmpose's inferencers check their inputs and options.
"""

import contextlib
import difflib
import functools
import mimetypes
import os
from collections.abc import Callable, Iterable, Iterator, Sized
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import mmcv
import numpy as np
from mmengine import fileio
from PIL import Image, ImageOps

from ..messages import warn
from .inferencer_pictures import check_display, check_style
from .inferencer_videos import STREAMS, open_video

#: File types that not every system knows.
SUFFIXES = {
    'image': ('.avif', '.jfif', '.jp2', '.webp'),
    'video': ('.flv', '.m2ts', '.m4v', '.mkv', '.mts', '.ogv', '.ts', '.webm'),
}


def missing() -> str:
    """Say what is missing."""
    return 'the inferencers of mmpose ignore misspelt options'


def repair() -> None:
    """Check what the inferencers are given."""
    from mmpose.apis.inferencers import (
        Hand3DInferencer,
        MMPoseInferencer,
        Pose2DInferencer,
    )
    from mmpose.apis.inferencers.base_mmpose_inferencer import (
        BaseMMPoseInferencer as Base,
    )

    for kind in (Base, MMPoseInferencer):
        kind.__call__ = check_options(kind.__call__)
    Base._init_detector = explain_download(Base._init_detector)
    Base._inputs_to_list = check_inputs(Base._inputs_to_list)
    for kind in (Pose2DInferencer, Hand3DInferencer):
        kind.preprocess_single = name_file(kind.preprocess_single)


def explain_download(init_detector: Callable) -> Callable:
    """Return ``_init_detector`` that says how to do without a download."""

    @functools.wraps(init_detector)
    def explained(self: Any, det_model: Any = None, **options: Any) -> None:
        try:
            init_detector(self, det_model=det_model, **options)
        except OSError as error:
            if det_model is not None:
                raise
            raise ConnectionError(
                f"mmpose's own detector cannot be fetched ({error}): give "
                "det_model and det_weights, or det_model='whole_image' for "
                'images of one person'
            ) from error

    return explained


def check_options(call: Callable) -> Callable:
    """Return ``__call__`` that refuses unknown options and output files."""

    @functools.wraps(call)
    def checked(
        self: Any,
        inputs: Any,
        return_datasamples: bool = False,
        batch_size: int = 1,
        out_dir: str | None = None,
        **options: Any,
    ) -> Any:
        known = {'return_datasamples', 'batch_size', 'out_dir'}
        for one in (self, getattr(self, 'inferencer', self)):
            known |= one.preprocess_kwargs | one.forward_kwargs
            known |= one.visualize_kwargs | one.postprocess_kwargs
        for name in sorted(set(options) - known):
            near = difflib.get_close_matches(name, known, 1)
            words = f'did you mean {near[0]!r}? ' if near else ''
            raise TypeError(
                f'{type(self).__name__} has no option {name!r}; {words}It '
                f'has {", ".join(sorted(known))}'
            )
        for name in ('out_dir', 'vis_out_dir', 'pred_out_dir'):
            check_folder(name, options.get(name, out_dir))
            if isinstance(options.get(name), Path):
                options[name] = str(options[name])
        check_style(options.get('skeleton_style', 'mmpose'))
        if options.get('show'):
            check_display()
        if isinstance(inputs, str) and os.path.exists(inputs):
            inputs = Path(inputs)  # webcam.mp4 is no camera
        return call(
            self, inputs, return_datasamples, batch_size, out_dir, **options
        )

    return checked


def check_folder(name: str, value: str | None) -> None:
    """Raise if an output folder cannot be one; it need not exist yet."""
    if not value or '://' in str(value):
        return
    path = Path(value)
    if name == 'vis_out_dir' and os.path.splitext(value)[1]:
        # mmpose takes it for the name of a file.
        if media_type(str(value)) not in ('image', 'video'):
            raise ValueError(f'{name}={str(value)!r}: leave out the dot')
        path = path.parent
    there = next(p for p in (path, *path.absolute().parents) if p.exists())
    if not there.is_dir():
        raise NotADirectoryError(
            f'{name}={str(value)!r}: {there} is a file, not a folder'
        )


def check_inputs(inputs_to_list: Callable) -> Callable:
    """Return ``_inputs_to_list`` that accepts only images."""

    @functools.wraps(inputs_to_list)
    def _inputs_to_list(self: Any, inputs: Any) -> Any:
        if isinstance(inputs, str | Path):
            source = str(inputs)
            if is_video(source):
                return open_video(self, source)
            inputs = _find_files(source)
        elif isinstance(inputs, np.ndarray) or not isinstance(
            inputs, Iterable
        ):
            inputs = [as_image(inputs, 'the input')]
        else:
            images = (
                as_image(one, f'input {i}') for i, one in enumerate(inputs)
            )
            inputs = list(images) if isinstance(inputs, Sized) else images
        return inputs_to_list(self, inputs)

    return _inputs_to_list


def is_video(source: str) -> bool:
    """Return whether a path or address is that of a video or stream."""
    if urlsplit(source).scheme.lower() in STREAMS:
        return True
    return media_type(source) == 'video' and not os.path.isdir(source)


def media_type(path: str) -> str:
    """Return 'image', 'video', 'text' and so on; '' if it is not known."""
    if '://' in path:
        path = urlsplit(path).path  # without its query
    suffix = os.path.splitext(path)[1].lower()
    for kind, suffixes in SUFFIXES.items():
        if suffix in suffixes:
            return kind
    return (mimetypes.guess_type(path)[0] or '').partition('/')[0]


def _find_files(path: str) -> list[str]:
    """Return an image in a list, or those of a folder."""
    try:
        backend = fileio.get_file_backend(path)
    except KeyError as error:
        raise ValueError(f'{path}: nothing here reads {error}://') from error
    if not hasattr(backend, 'isdir') or not backend.isdir(path):
        kind = media_type(path)
        if '://' not in path and kind not in ('', 'image'):
            raise ValueError(
                f'{path} is {kind} by its name: give an image, a video or a '
                'folder of images'
            )
        return [path]
    names = list(backend.list_dir_or_file(path, list_dir=False))
    # Some systems put a hidden file of its name beside each image.
    images = sorted(
        fileio.join_path(path, name)
        for name in names
        if media_type(name) == 'image' and not name.startswith('.')
    )
    num_others = len(names) - len(images)
    if not images:
        raise ValueError(
            f'the folder {path} holds no image ({num_others} other files; '
            'folders in it are not searched)'
        )
    if num_others:
        warn(f'{num_others} files in {path} are not images and are skipped')
    return images


def as_image(value: Any, place: str) -> str | np.ndarray:
    """Return a path as a string, an array as BGR, or raise."""
    if isinstance(value, str | Path):
        return str(value)
    if isinstance(value, Image.Image):
        value = _read_pil(value)
    if not isinstance(value, np.ndarray) or value.dtype.kind not in 'uif':
        kind = getattr(value, 'dtype', type(value).__name__)
        raise TypeError(
            f'{place} is {str(value)[:50]} ({kind}): give the path of an '
            'image, a PIL image, or a numpy array of BGR in 0..255'
        )
    image = value[..., None] if value.ndim == 2 else value
    if image.ndim != 3 or image.shape[2] not in (1, 3, 4) or not image.size:
        raise ValueError(
            f'{place} is an array of shape {value.shape}; the shape of an '
            'image is (H, W) or (H, W, 1, 3 or 4), not empty'
        )
    if image.dtype != np.uint8:
        low, high = image.min(), image.max()
        is_float = image.dtype.kind == 'f'
        # NaN fails both comparisons; floats up to 1 were scaled.
        if not (0 <= low <= high <= 255) or (is_float and 0 < high <= 1):
            raise ValueError(
                f'{place}, of {image.dtype}, is from {low} to {high}; an '
                'image is finite and in 0..255'
            )
        image = image.astype(np.float32 if is_float else np.uint8)
    if image.shape[2] == 1:
        return np.repeat(image, 3, axis=2)
    return np.ascontiguousarray(image[..., :3])


def _read_pil(image: Image.Image) -> np.ndarray:
    """Return a PIL image as OpenCV reads its file: turned upright, BGR."""
    image = ImageOps.exif_transpose(image)
    if image.mode.startswith('I'):  # 16 bits
        gray = np.asarray(image)
        return (gray // 256).astype(np.uint8) if gray.max() > 255 else gray
    if image.mode == 'F':
        return np.asarray(image)
    return np.asarray(image.convert('RGB'))[..., ::-1]


def _find_problem(path: str) -> str:
    """Say why a file is not an image; '' if it is one."""
    if media_type(path) == 'video':
        return 'is a video: give it alone, not in a list'
    return describe_content(fileio.get(path))


def describe_content(content: bytes) -> str:
    """Say why the content of a file is not an image; '' if it is one."""
    if not content:
        return 'is empty (0 bytes)'
    try:
        if mmcv.imfrombytes(content) is not None:
            return ''
    except Exception:  # each decoder has its own
        pass
    if content.lstrip().startswith(b'<'):
        return 'is text of HTML or XML, not an image'
    return 'cannot be decoded as an image: it is torn, or of another format'


def name_file(preprocess_single: Callable) -> Callable:
    """Return ``preprocess_single`` whose errors name a file without an image.

    Files that can be read are not read twice.
    """

    @functools.wraps(preprocess_single)
    def named(self: Any, input: Any, *args: Any, **options: Any) -> list[dict]:
        with explain_unreadable(input):
            return preprocess_single(self, input, *args, **options)

    return named


@contextlib.contextmanager
def explain_unreadable(image: Any) -> Iterator[None]:
    """Raise an error that names the file if it is not an image.

    Args:
        image: Path or address; arrays keep their errors.
    """
    try:
        yield
    except Exception as error:
        if not isinstance(image, str):
            raise
        if isinstance(error, OSError):
            if image in str(error):
                raise
            words = f'cannot be read: {error}'
            raise ConnectionError(f'the image {image} {words}') from error
        problem = _find_problem(image)
        if not problem:
            raise
        raise ValueError(f'the image {image} {problem}') from error
