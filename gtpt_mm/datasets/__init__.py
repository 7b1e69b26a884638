"""Datasets, their transforms, and the sample-data generator."""

from .repeated_fraction import RepeatedFraction
from .transforms import (
    AnnotatedVisibility,
    ClippedRandomBBoxTransform,
    CropBBox,
    CrowdHeatmapMask,
    RandomHalfBodyByIds,
)

__all__ = [
    'AnnotatedVisibility',
    'ClippedRandomBBoxTransform',
    'CropBBox',
    'CrowdHeatmapMask',
    'RandomHalfBodyByIds',
    'RepeatedFraction',
]
