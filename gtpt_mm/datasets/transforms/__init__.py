"""Pipeline steps that mmpose lacks."""

from .annotated_visibility import AnnotatedVisibility
from .clipped_bbox_transform import ClippedRandomBBoxTransform
from .half_body_by_ids import RandomHalfBodyByIds

__all__ = [
    'AnnotatedVisibility',
    'ClippedRandomBBoxTransform',
    'RandomHalfBodyByIds',
]
