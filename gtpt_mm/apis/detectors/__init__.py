"""Detectors of people, by name."""

import difflib
from collections.abc import Callable
from pathlib import Path

from .base import Boxes, Detector, DetectorOptions
from .onnx_yolox import OnnxYolox
from .simple import FunctionDetector, WholeImage

__all__ = ['Boxes', 'Detector', 'DetectorOptions', 'make_detector']

#: What a name may be, as messages and docs show it.
CHOICES = {
    'whole_image': 'one person in every image, as large as the image',
    'PATH.onnx': "a YOLOX as ONNX file (pip install 'gtpt_mm[onnx]')",
}


def make_detector(
    spec: str | Path | Callable | Detector = 'auto',
    device: str = 'cpu',
    threshold: float = 0.3,
    *,
    batch_size: int = 8,
    nms: float | None = None,
    max_people: int | None = None,
    weights: str | Path | None = None,
    class_ids: tuple[int, ...] | None = None,
) -> Detector:
    """Return a detector of people.

    Args:
        spec: Name of the detector, see :data:`CHOICES`; or a function that
            takes one BGR image and returns boxes (x1, y1, x2, y2), (n, 4),
            or (boxes, scores); or a detector, which is returned as it is.
        device: Device of the network; ``'auto'`` is CUDA where there is one.
        threshold: Lowest score of a person, in [0, 1].
        batch_size: Images in one call of the network.
        nms: IoU above which the weaker of two boxes goes, in (0, 1]; None
            for what the detector does by itself.
        max_people: Most people in an image, the best ones; None for all.
        weights: Checkpoint, file or URL, instead of the usual one;
            ``'random'`` for none, which is for tests.
        class_ids: Indices of the classes that are people; None for the class
            called ``person``.

    Returns:
        A detector: it takes a list of BGR images, and returns for each
        (boxes, scores), best first. Its network is built at its first call.

    Raises:
        ValueError: If there is no such detector, or an option is impossible.
        ImportError: If its package is missing.
    """
    if isinstance(spec, Detector):
        return spec
    options = DetectorOptions(
        device=str(device),
        threshold=threshold,
        batch_size=batch_size,
        nms=nms,
        max_people=max_people,
        weights=None if weights is None else str(weights),
        class_ids=None if class_ids is None else tuple(class_ids),
    )
    if callable(spec):
        return FunctionDetector(spec, options)
    return _by_name(str(spec), options)


def _by_name(name: str, options: DetectorOptions) -> Detector:
    if name == 'whole_image':
        return WholeImage(name, options)
    if name.endswith('.onnx'):
        return OnnxYolox(name, options)
    raise ValueError(_unknown(name))


def _unknown(name: str) -> str:
    near = difflib.get_close_matches(name, CHOICES, n=2, cutoff=0.5)
    hint = f' Did you mean {" or ".join(map(repr, near))}?' if near else ''
    rows = [f'  {key:12} {text}' for key, text in CHOICES.items()]
    return '\n'.join([f'no detector {name!r}.{hint} There are:', *rows])
