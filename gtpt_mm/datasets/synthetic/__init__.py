"""Draw people with known keypoints, in the layout of any data set.

From a picture to its files: ``skeleton`` poses a body, ``figure`` (with
``head``, ``style`` and ``canvas``) draws it, ``scene`` puts people together
and finds out what is visible, ``layouts`` and ``detections`` write down what
the data sets tell, and ``generate`` does that for many images.
"""

from .generate import Result, generate
from .layouts import LAYOUTS

__all__ = ['LAYOUTS', 'Result', 'generate']
