"""Pass plain numbers where mmpose converts arrays of one element.

Broken: since numpy 2.4 ``int(array)`` refuses an array of one element unless
it is 0-dimensional. ``PoseLocalVisualizer`` (mmpose <= 1.3.2) passes the
radius of a keypoint as such an array, and its opencv backend calls ``int`` on
it: no keypoint can be drawn.

Here: the radius and the center are converted to plain numbers first.

Can go: when mmpose passes a number.
"""

import functools
import warnings
from typing import Any

import numpy as np


def missing() -> str:
    """Say what is missing; '' before numpy 2.4."""
    with warnings.catch_warnings():
        warnings.simplefilter('ignore', DeprecationWarning)
        try:
            int(np.ones(1))
        except TypeError:
            return (
                'numpy >= 2.4 refuses int(array of one element), with which '
                "mmpose's opencv visualizer draws circles"
            )
    return ''


def repair() -> None:
    """Pass plain numbers to the circles of mmpose's opencv visualizer."""
    from mmpose.visualization.opencv_backend_visualizer import (
        OpencvBackendVisualizer as visualizer,
    )

    original = visualizer.draw_circles

    @functools.wraps(original)
    def draw_circles(
        self: visualizer,
        center: np.ndarray,
        radius: np.ndarray | float,
        *args: Any,
        **kwargs: Any,
    ) -> Any:
        if self.backend == 'opencv':
            center = np.ravel(center)
            radius = np.ravel(radius)[0]
        return original(self, center, radius, *args, **kwargs)

    visualizer.draw_circles = draw_circles
