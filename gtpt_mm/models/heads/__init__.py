"""Heads: tokens or features to keypoints."""

from .group_pose_head import GroupPoseHead
from .gtpt_head import GTPTHead
from .heatmap_variants import FrozenPredictorHead, PixelShuffleHead

__all__ = [
    'FrozenPredictorHead',
    'GTPTHead',
    'GroupPoseHead',
    'PixelShuffleHead',
]
