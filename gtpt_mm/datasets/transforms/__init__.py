"""Pipeline steps that mmpose lacks."""

from .annotated_visibility import AnnotatedVisibility
from .clipped_bbox_transform import ClippedRandomBBoxTransform
from .crop_bbox import CropBBox
from .crowd_heatmap_mask import CrowdHeatmapMask
from .group_pose_crop import GroupPoseCrop, GroupPoseResizedCrop
from .group_pose_flip import GroupPoseFlip
from .group_pose_resize import GroupPoseResize
from .half_body_by_ids import RandomHalfBodyByIds
from .pack_image import PackImage

__all__ = [
    'AnnotatedVisibility',
    'ClippedRandomBBoxTransform',
    'CropBBox',
    'CrowdHeatmapMask',
    'GroupPoseCrop',
    'GroupPoseFlip',
    'GroupPoseResize',
    'GroupPoseResizedCrop',
    'PackImage',
    'RandomHalfBodyByIds',
]
