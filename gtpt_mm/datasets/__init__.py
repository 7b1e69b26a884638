"""Datasets, their transforms, and the sample-data generator."""

from .apt36k import APT36KDataset
from .multi_dataset import MultiDataset
from .repeated_fraction import RepeatedFraction
from .transforms import (
    AnnotatedVisibility,
    ClippedRandomBBoxTransform,
    CropBBox,
    CrowdHeatmapMask,
    RandomHalfBodyByIds,
)

__all__ = [
    'APT36KDataset',
    'AnnotatedVisibility',
    'ClippedRandomBBoxTransform',
    'CropBBox',
    'CrowdHeatmapMask',
    'MultiDataset',
    'RandomHalfBodyByIds',
    'RepeatedFraction',
]
