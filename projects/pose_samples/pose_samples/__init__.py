"""Draw people and animals with known keypoints, in any dataset's layout.

From a picture to its files: ``skeleton`` poses a figure (``person`` or
``animals``), ``figure`` places and paints it on a ``canvas``, ``scene`` puts
figures together and finds out which keypoints are visible, ``formats`` and
``detections`` describe that as the datasets do, ``layouts`` lists them, and
``generate`` does it for many images.
"""

from .generate import Result, generate
from .layouts import LAYOUTS

__all__ = ['LAYOUTS', 'Result', 'generate']
