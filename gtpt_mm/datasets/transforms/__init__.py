"""Pipeline steps that mmpose lacks."""

from .clipped_bbox_transform import ClippedRandomBBoxTransform

__all__ = ['ClippedRandomBBoxTransform']
