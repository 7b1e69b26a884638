"""Draw people and animals with known keypoints, in any data set's layout.

From a picture to its files: ``skeleton`` poses a body, ``figure`` (with
``head``, ``style`` and ``canvas``) draws it, ``scene`` puts people together
and finds out what is visible, ``layouts`` and ``detections`` write down what
the data sets tell, and ``generate`` does that for many images. ``animals``
holds the figures of four-legged animals; ``subject`` says what a scene asks
of any figure.
"""

from .generate import Result, generate
from .layouts import LAYOUTS

__all__ = ['LAYOUTS', 'Result', 'generate']
