"""The default detector, if none is named."""

import warnings
from collections.abc import Callable, Iterator

import numpy as np

from .base import Boxes, Detector, DetectorOptions
from .files import weights_folders

#: Ordered by accuracy; the first is fetched if none is on this machine.
CANDIDATES = ('rtmdet', 'hf:PekingU/rtdetr_r18vd', 'fasterrcnn', 'ssdlite')


class AutoDetector(Detector):
    """The best detector whose weights are on this machine.

    It is chosen at the first call, since a user who gives boxes needs none,
    and a warning names it. If there are no weights, those of the first
    candidate are fetched.

    Args:
        options: Device, thresholds.
        make: Returns a detector by its name.
        choices: The names of all detectors, one per line, for the error.
    """

    unused = ('weights', 'class_ids')

    def __init__(
        self,
        options: DetectorOptions,
        make: Callable[[str, DetectorOptions], Detector],
        choices: str,
    ) -> None:
        super().__init__('auto', options)
        self.make = make
        self.choices = choices

    def build(self) -> Detector:
        """Choose a detector, and say which.

        Raises:
            ValueError: If none is on this machine and none can be fetched.
        """
        chosen = next(self._detectors_here(), None) or self._fetch()
        warnings.warn(
            f'detector="auto" takes {chosen.name!r}; name a detector to '
            'choose, "whole_image" if every picture shows one person',
            stacklevel=4,
        )
        self.name = f'auto ({chosen.name})'
        return chosen

    def detect(
        self, network: Detector, images: list[np.ndarray]
    ) -> list[Boxes]:
        """Run the chosen detector."""
        return network(images)

    def _detectors_here(self) -> Iterator[Detector]:
        files = (f for d in weights_folders() for f in d.glob('*yolox*.onnx'))
        for name in (*CANDIDATES, *map(str, sorted(files))):
            try:
                detector = self.make(name, self.options)
            except ImportError:
                continue
            if detector.is_here:
                yield detector

    def _fetch(self) -> Detector:
        try:
            detector = self.make(CANDIDATES[0], self.options)
            detector.prepare()
        except (ImportError, ValueError) as error:
            raise ValueError(
                'detector="auto" finds no detector on this machine, and '
                f'cannot fetch one: {error}. Name one of these:\n'
                f'{self.choices}'
            ) from error
        return detector
