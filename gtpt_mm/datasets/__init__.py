"""Datasets, their transforms, and the sample-data generator."""

from .annotated_people import CocoPeopleDataset, CrowdPosePeopleDataset
from .transforms import (
    AnnotatedVisibility,
    ClippedRandomBBoxTransform,
    GroupPoseCrop,
    GroupPoseResize,
    RandomHalfBodyByIds,
)

__all__ = [
    'AnnotatedVisibility',
    'ClippedRandomBBoxTransform',
    'CocoPeopleDataset',
    'CrowdPosePeopleDataset',
    'GroupPoseCrop',
    'GroupPoseResize',
    'RandomHalfBodyByIds',
]
