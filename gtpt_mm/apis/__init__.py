"""Functions for notebooks and scripts, as ``mmpose.apis`` has them.

``fuse`` makes a trained model faster; the others change which datasets a
ViTPose++ knows.
"""

from gtpt_mm.convert import add_dataset, split_config, split_model
from gtpt_mm.deploy import fuse

__all__ = ['add_dataset', 'fuse', 'split_config', 'split_model']
