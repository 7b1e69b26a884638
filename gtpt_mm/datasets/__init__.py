"""Datasets and their transforms."""

from .apt36k import APT36KDataset
from .end_to_end import CocoPeopleDataset, CrowdPosePeopleDataset
from .multi_dataset import MultiDataset
from .repeated_fraction import RepeatedFraction
from .transforms import (
    AnnotatedVisibility,
    ClippedRandomBBoxTransform,
    CropBBox,
    CrowdHeatmapMask,
    GroupPoseCrop,
    GroupPoseFlip,
    GroupPoseResize,
    GroupPoseResizedCrop,
    PackImage,
    RandomHalfBodyByIds,
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
    'GroupPoseFlip',
    'GroupPoseResize',
    'GroupPoseResizedCrop',
    'MultiDataset',
    'PackImage',
    'RandomHalfBodyByIds',
    'RepeatedFraction',
]
