"""Heads: tokens or features to keypoints."""

from .group_pose_decoder import GroupPoseDecoder
from .group_pose_head import GroupPoseHead
from .gtpt_head import GTPTHead
from .heatmap_variants import FrozenPredictorHead, PixelShuffleHead
from .multi_dataset_head import MultiDatasetHead

__all__ = [
    'FrozenPredictorHead',
    'GTPTHead',
    'GroupPoseDecoder',
    'GroupPoseHead',
    'MultiDatasetHead',
    'PixelShuffleHead',
]
