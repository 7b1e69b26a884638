"""Datasets, their transforms, and the sample-data generator."""

from .transforms import (
    AnnotatedVisibility,
    ClippedRandomBBoxTransform,
    RandomHalfBodyByIds,
)

__all__ = [
    'AnnotatedVisibility',
    'ClippedRandomBBoxTransform',
    'RandomHalfBodyByIds',
]
