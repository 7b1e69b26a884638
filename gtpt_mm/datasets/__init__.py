"""Datasets, their transforms, and the sample-data generator."""

from .apt36k import APT36KDataset
from .multi_dataset import MultiDataset
from .transforms import (
    AnnotatedVisibility,
    ClippedRandomBBoxTransform,
    RandomHalfBodyByIds,
)

__all__ = [
    'APT36KDataset',
    'AnnotatedVisibility',
    'ClippedRandomBBoxTransform',
    'MultiDataset',
    'RandomHalfBodyByIds',
]
