"""What numpy dropped and mmpose still calls.

Broken: since numpy 2.4 ``int(array)`` refuses an array of one element unless
it is 0-dimensional. ``PoseLocalVisualizer`` (mmpose <= 1.3.2) passes the
radius of a keypoint as such an array, and its opencv backend calls ``int`` on
it: no keypoint can be drawn.

Here: the radius and the center are made plain numbers before they get there.

Can go: when mmpose passes a number.
"""

import functools

import numpy as np


def install() -> list[str]:
    """Repair what the installed numpy breaks.

    Returns:
        What was repaired, in words; empty if nothing was broken.
    """
    if _int_takes_one_element():
        return []
    from mmpose.visualization.opencv_backend_visualizer import (
        OpencvBackendVisualizer,
    )

    _plain_radius(OpencvBackendVisualizer)
    return [
        'numpy >= 2.4 refuses int(array of one element); the circles of '
        "mmpose's opencv visualizer get plain numbers"
    ]


def _int_takes_one_element() -> bool:
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter('ignore', DeprecationWarning)
        try:
            int(np.ones(1))
        except TypeError:
            return False
    return True


def _plain_radius(visualizer: type) -> None:
    original = visualizer.draw_circles

    @functools.wraps(original)
    def draw_circles(self, center, radius, *args, **kwargs):
        if self.backend == 'opencv':
            center = np.ravel(center)
            radius = np.ravel(radius)[0]
        return original(self, center, radius, *args, **kwargs)

    visualizer.draw_circles = draw_circles
