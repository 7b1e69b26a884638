"""What matplotlib dropped and mmpose still calls.

Broken: matplotlib 3.10 removed ``FigureCanvasAgg.tostring_rgb``, with which
``Pose3dLocalVisualizer`` (mmpose <= 1.3.2) reads its drawing.

Here: the method, computed from ``buffer_rgba``.

Can go: when mmpose calls ``buffer_rgba``.
"""

import numpy as np


def install() -> list[str]:
    """Give the method back where matplotlib lacks it.

    Returns:
        What was repaired, in words; empty if nothing was missing.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    if hasattr(FigureCanvasAgg, 'tostring_rgb'):
        return []

    def tostring_rgb(self) -> bytes:
        """Return the drawing as RGB bytes, row by row."""
        return np.asarray(self.buffer_rgba())[..., :3].tobytes()

    FigureCanvasAgg.tostring_rgb = tostring_rgb
    return [
        'matplotlib >= 3.10 has no tostring_rgb; restored for the 3-D '
        'visualizer of mmpose'
    ]
