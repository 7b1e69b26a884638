"""Operators in plain torch and torchvision: differentiable, on any device.

``gtpt_mm`` hands this package to ``compat``, which offers its functions under
the names of mmcv's compiled operators, and its pose evaluation
(numpy and pycocotools) under the names of xtcocotools.
"""

from .coco_evaluation import COCOeval, Params
from .coco_files import COCO
from .deform_attention import DeformSampler, deform_attention
from .deform_conv import deform_conv
from .nms import nms, nms_match, soft_nms
from .precision import widen
from .roi_align import roi_align_max, sample_regions

__all__ = [
    'COCO',
    'COCOeval',
    'DeformSampler',
    'Params',
    'deform_attention',
    'deform_conv',
    'nms',
    'nms_match',
    'roi_align_max',
    'sample_regions',
    'soft_nms',
    'widen',
]
