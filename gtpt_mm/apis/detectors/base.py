"""What all detectors share: batches, thresholds, the form of the result."""

# n boxes of one image

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import numpy as np
import torch

from gtpt_mm.compat.messages import list_some
from gtpt_mm.ops.nms import nms

#: Boxes (x1, y1, x2, y2), (n, 4), and their scores, (n,).
Boxes = tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True)
class DetectorOptions:
    """Options of every detector.

    Attributes:
        device: Device of the network, as torch names it; ``'auto'`` is the
            first CUDA device, or the CPU.
        threshold: Lowest score of a person.
        batch_size: Images in one call of the network.
        nms: IoU in (0, 1] above which the weaker of two boxes is removed; None
            keeps the detector's own suppression.
        max_people: Largest number of people per image, the best ones; None for
            all.
        weights: Checkpoint file or URL; None for the usual weights;
            ``'random'`` for random weights, in tests.
        class_ids: Classes that are people; None for the class ``person``.
    """

    device: str = 'cpu'
    threshold: float = 0.3
    batch_size: int = 8
    nms: float | None = None
    max_people: int | None = None
    weights: str | None = None
    class_ids: tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.threshold <= 1:
            raise ValueError(
                f'threshold must lie in [0, 1], got {self.threshold!r}'
            )
        if self.nms is not None and not 0 < self.nms <= 1:
            raise ValueError(f'nms must lie in (0, 1], got {self.nms!r}')
        for name in ('batch_size', 'max_people'):
            value = getattr(self, name)
            if value is None and name == 'max_people':
                continue
            if not isinstance(value, int) or value < 1:
                raise ValueError(f'{name} must be at least 1, got {value!r}')

    @property
    def torch_device(self) -> torch.device:
        """The device, with ``'auto'`` resolved."""
        if self.device != 'auto':
            return torch.device(self.device)
        return torch.device('cuda' if torch.cuda.is_available() else 'cpu')


class Detector:
    """Find the people in images.

    A detector can be pickled: it holds its arguments, and builds its network
    at its first call in a process.

    Args:
        name: Name of the detector in messages.
        options: Device, thresholds, size of batches.

    Attributes:
        same_size: Whether the images of a batch must have one size, since
            the network would pad the smaller ones.

    Raises:
        ValueError: If weights or classes are given that it cannot have.
    """

    same_size = False
    #: Options that this kind of detector cannot have.
    unused: tuple[str, ...] = ()

    def __init__(self, name: str, options: DetectorOptions) -> None:
        for option in self.unused:
            if (value := getattr(options, option)) is not None:
                raise ValueError(
                    f'the detector {name} takes no {option}, got {value!r}'
                )
        self.name = name
        self.options = options
        self._network: Any = None

    def __repr__(self) -> str:
        return f'{type(self).__name__}({self.name!r})'

    def __getstate__(self) -> dict:
        return self.__dict__ | dict(_network=None)

    def __call__(self, images: Sequence[np.ndarray]) -> list[Boxes]:
        """Return the people of each image.

        Args:
            images: BGR images of any sizes, uint8, (H, W, 3).

        Returns:
            For each image its boxes (x1, y1, x2, y2) within the image,
            float32, (n, 4), and their scores, float32, (n,), best first.

        Raises:
            ValueError: If an image has another form.
        """
        images = [_checked(image, i) for i, image in enumerate(images)]
        found: list[Boxes] = [nobody()] * len(images)
        for batch in self._batches(images):
            self.prepare()
            results = self.detect(self._network, [images[i] for i in batch])
            for i, boxes in zip(batch, results, strict=True):
                found[i] = self._finish(*boxes, images[i])
        return found

    def prepare(self) -> None:
        """Build the network now, not at the first call."""
        if self._network is None:
            self._network = self.build()

    @property
    def is_here(self) -> bool:
        """Whether all its files are on this machine."""
        return True

    def build(self) -> Any:
        """Return what :meth:`detect` calls."""
        raise NotImplementedError

    def detect(
        self, network: Any, images: list[np.ndarray]
    ) -> Sequence[Boxes]:
        """Return boxes and scores of a batch of images, in any order."""
        raise NotImplementedError

    def _batches(self, images: list[np.ndarray]) -> Iterator[list[int]]:
        groups: dict[tuple[int, ...], list[int]] = {}
        for i, image in enumerate(images):
            key = image.shape[:2] if self.same_size else ()
            groups.setdefault(key, []).append(i)
        size = self.options.batch_size
        for group in groups.values():
            for start in range(0, len(group), size):
                yield group[start : start + size]

    def _finish(
        self, boxes: np.ndarray, scores: np.ndarray, image: np.ndarray
    ) -> Boxes:
        """Apply the thresholds to the boxes of one image, and sort them."""
        height, width = image.shape[:2]
        boxes = np.asarray(boxes, np.float32).reshape(-1, 4)
        scores = np.asarray(scores, np.float32).reshape(-1)
        boxes = boxes.clip(0, np.array([width, height] * 2, np.float32))
        kept = (scores >= self.options.threshold) & (
            boxes[:, 2:] > boxes[:, :2]
        ).all(axis=1)
        boxes, scores = boxes[kept], scores[kept]
        if self.options.nms is None:
            order = np.argsort(-scores, kind='stable')
        else:
            order = suppress(boxes, scores, self.options.nms)
        order = order[: self.options.max_people]
        return boxes[order], scores[order]


def suppress(
    boxes: np.ndarray, scores: np.ndarray, iou_threshold: float
) -> np.ndarray:
    """Return the indices that remain after non-maximum suppression."""
    kept = nms(
        torch.from_numpy(boxes), torch.from_numpy(scores), iou_threshold, 0
    )
    return kept.numpy()


def find_people(
    classes: Sequence[str], options: DetectorOptions, name: str
) -> tuple[int, ...]:
    """Return the indices of the classes that are people.

    Raises:
        ValueError: If no class is called ``person``, and none is given.
    """
    if options.class_ids is not None:
        return options.class_ids
    if 'person' not in classes:
        raise ValueError(
            f'the detector {name} has no class person, but '
            f'{list_some(classes)}; give class_ids=(INDEX, ...) of the '
            'classes that you want'
        )
    return (list(classes).index('person'),)


def require(module: str, package: str, extra: str = '') -> None:
    """Raise if a package is not installed.

    Args:
        module: Name to import.
        package: Name to install.
        extra: Extra of gtpt_mm that installs it; '' if there is none.

    Raises:
        ImportError: If it is missing, with the command.
    """
    if find_spec(module) is None:
        what = f'"gtpt_mm[{extra}]"' if extra else package
        raise ImportError(
            f'this detector needs {package}, which is not installed: '
            f'pip install {what}'
        )


def _checked(image: np.ndarray, index: int) -> np.ndarray:
    shape = getattr(image, 'shape', None)
    good = shape is not None and len(shape) == 3 and shape[2] == 3
    if not good or image.dtype != np.uint8 or 0 in image.shape:
        form = (
            f'{image.dtype} {tuple(shape)}' if shape else type(image).__name__
        )
        raise ValueError(
            'a detector takes a list of BGR images, uint8 of (H, W, 3); '
            f'image {index} is {form}'
        )
    return image


def nobody() -> Boxes:
    """Return no boxes."""
    return np.zeros((0, 4), np.float32), np.zeros(0, np.float32)
