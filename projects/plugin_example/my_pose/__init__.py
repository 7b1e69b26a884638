"""A plugin beside gtpt_mm; importing it registers its classes in mmpose."""

import gtpt_mm  # noqa: F401  (its repairs come before anything of mmpose)

from .backbone import PooledConvs
from .codec import CenteredLabel
from .convert import from_torch, to_torch
from .dataset import CsvPoseDataset

__all__ = [
    'CenteredLabel',
    'CsvPoseDataset',
    'PooledConvs',
    'from_torch',
    'to_torch',
]
