"""Keypoints to training targets and back; numpy only."""

from .group_pose_label import GroupPoseLabel
from .image_associative_embedding import ImageAssociativeEmbedding
from .unrounded_simcc import UnroundedSimCCLabel

__all__ = [
    'GroupPoseLabel',
    'ImageAssociativeEmbedding',
    'UnroundedSimCCLabel',
]
