"""Detectors of people, by name."""

import difflib
from collections.abc import Callable
from pathlib import Path

from .auto import AutoDetector
from .base import Boxes, Detector, DetectorOptions
from .mmdet_boxes import MMDetDetector
from .onnx_yolox import OnnxYolox
from .simple import FunctionDetector, WholeImage
from .torchvision_boxes import NAMES, TorchvisionDetector
from .transformers_boxes import TransformersDetector

__all__ = ['Boxes', 'Detector', 'DetectorOptions', 'make_detector']

#: Kinds of detectors that are followed by the name of a model.
KINDS = {
    'mmdet': MMDetDetector,
    'torchvision': TorchvisionDetector,
    'hf': TransformersDetector,
}
#: Possible names, as shown in messages and docs.
CHOICES = {
    'auto': 'the best one of these that is on this machine; says which',
    'rtmdet': "mmdet's RTMDet-m for people, mmpose's default",
    'mmdet:CONFIG': 'a config file of mmdet with weights=FILE, or a name '
    'such as rtmdet/rtmdet_tiny_8xb32-300e_coco.py',
    'fasterrcnn': "torchvision's Faster R-CNN (ResNet-50 FPN v2)",
    'ssdlite': "torchvision's SSDLite, the fastest of these on a CPU",
    'torchvision:NAME': 'another detector of torchvision',
    'hf:NAME': 'RT-DETR, D-FINE, ... of the Hugging Face Hub, such as '
    'hf:PekingU/rtdetr_r18vd, or of a folder (pip install '
    '"gtpt_mm[transformers]")',
    'PATH.onnx': 'a YOLOX as ONNX file (pip install "gtpt_mm[onnx]")',
    'whole_image': 'one person in every image, as large as the image',
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
        nms: IoU in (0, 1] above which the weaker of two boxes is removed; None
            keeps the detector's own suppression.
        max_people: Largest number of people per image, the best ones; None for
            all.
        weights: Checkpoint, file or URL, instead of the usual one;
            ``'random'`` for random weights, in tests.
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
    kind, _, rest = name.partition(':')
    if name == 'auto':
        return AutoDetector(options, _by_name, _list_choices())
    if name == 'whole_image':
        return WholeImage(name, options)
    if name == 'rtmdet':
        return MMDetDetector(name, '', options)
    if name in NAMES:
        return TorchvisionDetector(name, NAMES[name], options)
    if name.endswith('.onnx'):
        return OnnxYolox(name, options)
    if kind in KINDS and rest:
        return KINDS[kind](name, rest, options)
    if (Path(name) / 'config.json').is_file():
        return TransformersDetector(name, name, options)
    near = difflib.get_close_matches(name, CHOICES, n=2, cutoff=0.5)
    hint = f' Did you mean {" or ".join(map(repr, near))}?' if near else ''
    raise ValueError(
        f'no detector {name!r}.{hint} There are:\n{_list_choices()}'
    )


def _list_choices() -> str:
    return '\n'.join(f'  {name:17} {what};' for name, what in CHOICES.items())
