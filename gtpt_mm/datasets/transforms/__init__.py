"""Pipeline steps that mmpose lacks."""

from .annotated_visibility import AnnotatedVisibility
from .clipped_bbox_transform import ClippedRandomBBoxTransform
from .group_pose_crop import GroupPoseCrop
from .group_pose_resize import GroupPoseResize
from .half_body_by_ids import RandomHalfBodyByIds

__all__ = [
    'AnnotatedVisibility',
    'ClippedRandomBBoxTransform',
    'GroupPoseCrop',
    'GroupPoseResize',
    'RandomHalfBodyByIds',
]
