"""Functions for notebooks and scripts, as ``mmpose.apis`` has them.

``fuse`` makes a trained model faster; the others change which datasets a
ViTPose++ knows.
"""

from gtpt_mm.deploy import fuse

from .multi_dataset import add_dataset, make_single_config, select_dataset

__all__ = ['add_dataset', 'fuse', 'make_single_config', 'select_dataset']
