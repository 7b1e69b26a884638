"""Read UBody3D's annotations with current numpy.

Broken: ``UBody3dDataset`` of mmpose (<= 1.3.2) assigns an array of one
element to an element (``bbox_scores[j] = np.array([1])``), which numpy >= 2.4
refuses. Its files also differ from COCO's: keypoints are pairs (x, y) with
their visibility elsewhere, which the checks of COCO-style files refuse.

Here: its module gets a 0-d array instead, and reads its files unchecked.

Can go: when mmpose assigns a number.
"""

from typing import Any

import numpy as np


def missing() -> str:
    """Say what is missing."""
    return (
        "UBody3D's dataset assigns arrays to elements, which numpy >= 2.4 "
        'refuses, and its files are not COCO-style'
    )


def repair() -> None:
    """Give the dataset's module 0-d arrays and unchecked files."""
    from mmpose.datasets.datasets.wholebody3d import ubody3d_dataset
    from xtcocotools.coco import COCO

    ubody3d_dataset.COCO = COCO
    ubody3d_dataset.np = NumpyWithScalar()


class NumpyWithScalar:
    """numpy, except that ``array([1])`` has no axis."""

    def __getattr__(self, name: str) -> Any:
        return getattr(np, name)

    @staticmethod
    def array(content: Any, *args: Any, **options: Any) -> np.ndarray:
        """Return an array; for the score [1], a 0-d array."""
        if isinstance(content, list) and content == [1]:
            content = 1
        return np.array(content, *args, **options)
