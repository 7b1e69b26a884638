"""Supply a method that matplotlib dropped and mmpose still calls.

Broken: matplotlib 3.10 removed ``FigureCanvasAgg.tostring_rgb``, with which
``Pose3dLocalVisualizer`` (mmpose <= 1.3.2) reads its drawing.

Here: the method, computed from ``buffer_rgba``.

Can go: when mmpose calls ``buffer_rgba``.
"""

from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg


def missing() -> str:
    """Say what is missing; '' before matplotlib 3.10."""
    if hasattr(FigureCanvasAgg, 'tostring_rgb'):
        return ''
    return (
        'matplotlib >= 3.10 has no tostring_rgb, which the 3-D visualizer of '
        'mmpose calls'
    )


def repair() -> None:
    """Give the method back."""

    def tostring_rgb(self: FigureCanvasAgg) -> bytes:
        """Return the drawing as RGB bytes, row by row."""
        return np.asarray(self.buffer_rgba())[..., :3].tobytes()

    canvas: Any = FigureCanvasAgg
    canvas.tostring_rgb = tostring_rgb
