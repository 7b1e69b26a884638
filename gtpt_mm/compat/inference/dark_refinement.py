"""Leave a keypoint where it is if DARK cannot refine it.

Broken: DARK of mmpose (<= 1.3.2, ``MSRAHeatmap(unbiased=True)``) inverts the
second derivatives of a blurred heatmap at its maximum. Where a heatmap is
flat, as of an untrained model, the matrix is singular: prediction stops with
``LinAlgError: Singular matrix``, or the keypoint is not finite.

Here: keypoints are refined one by one; such a keypoint keeps the place of the
maximum. All others have the same numbers.

Can go: when mmpose checks the matrix.
"""

import functools
from collections.abc import Callable

import numpy as np

from ..replacement import replace_everywhere


def missing() -> str:
    """Say what is missing."""
    return 'DARK of mmpose fails on flat heatmaps'


def repair() -> None:
    """Refine keypoints one by one."""
    from mmpose.codecs.utils import refine_keypoints_dark

    replace_everywhere(
        refine_keypoints_dark, one_by_one(refine_keypoints_dark)
    )


def one_by_one(refine: Callable) -> Callable:
    """Wrap ``refine_keypoints_dark``, which works in place."""

    @functools.wraps(refine)
    def refine_each(
        keypoints: np.ndarray, heatmaps: np.ndarray, blur_kernel_size: int
    ) -> np.ndarray:
        for k in range(keypoints.shape[1]):
            part = keypoints[:, k : k + 1]  # (N, 1, D), a view
            before = part.copy()
            try:
                with np.errstate(divide='ignore', invalid='ignore'):
                    refine(part, heatmaps[k : k + 1], blur_kernel_size)
            except np.linalg.LinAlgError:
                part[:] = before
            lost = ~np.isfinite(part).all(-1)
            part[lost] = before[lost]
        return keypoints

    return refine_each
