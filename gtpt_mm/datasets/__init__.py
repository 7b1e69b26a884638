"""Datasets, their transforms, and the sample-data generator."""

from .transforms import (
    AnnotatedVisibility,
    ClippedRandomBBoxTransform,
    CrowdHeatmapMask,
    RandomHalfBodyByIds,
)

__all__ = [
    'AnnotatedVisibility',
    'ClippedRandomBBoxTransform',
    'CrowdHeatmapMask',
    'RandomHalfBodyByIds',
]
