"""Draw people and animals with known keypoints, in any dataset's layout.

``skeleton`` poses a figure (``person`` or ``animals``), ``figure`` places and
paints it on a ``canvas``, ``scene`` combines figures and determines which
keypoints are visible, ``formats`` and ``detections`` write the annotations of
the datasets, ``layouts`` lists the datasets, and ``generate`` writes many
images.
"""

from .generate import Result, generate
from .layouts import LAYOUTS

__all__ = ['LAYOUTS', 'Result', 'generate']
