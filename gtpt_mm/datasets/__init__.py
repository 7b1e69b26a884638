"""Datasets and their transforms."""

from .annotated_people import CocoPeopleDataset, CrowdPosePeopleDataset
from .apt36k import APT36KDataset
from .multi_dataset import MultiDataset
from .repeated_fraction import RepeatedFraction
from .transforms import (
    AnnotatedVisibility,
    ClippedRandomBBoxTransform,
    CropBBox,
    CrowdHeatmapMask,
    GroupPoseCrop,
    GroupPoseResize,
    RandomHalfBodyByIds,
    SplitRequired,
)

__all__ = [
    'APT36KDataset',
    'AnnotatedVisibility',
    'ClippedRandomBBoxTransform',
    'CocoPeopleDataset',
    'CropBBox',
    'CrowdHeatmapMask',
    'CrowdPosePeopleDataset',
    'GroupPoseCrop',
    'GroupPoseResize',
    'MultiDataset',
    'RandomHalfBodyByIds',
    'RepeatedFraction',
    'SplitRequired',
]
