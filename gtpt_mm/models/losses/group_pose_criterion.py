"""Losses of Group Pose on matched poses, and on boxes of its variant."""

# M matches, K keypoints

from collections.abc import Sequence

import torch
from mmengine.structures import InstanceData
from mmpose.registry import MODELS
from torch import Tensor
from torchvision.ops import box_convert

from .set_criterion import SetCriterion


class GroupPoseCriterion(SetCriterion):
    """Score, keypoint and OKS loss.

    Focal loss over all scores; |dx| + |dy| of the labelled keypoints; 1 -
    OKS. The costs of the matching are the same three with the same weights.
    Reads ``keypoints``, (G, K, 2), and ``areas``, (G,), in units of the
    image's size and area, and ``keypoints_visible``, (G, K): 1 labelled, 0
    not.

    Source: Liu et al., "Group Pose", ICCV 2023, Sec. 3.1; weights and
    normalisation from the code.

    Args:
        sigmas: Falloff of each keypoint in OKS, K numbers.
        cls_weight: Weight of the focal loss.
        keypoint_weight: Weight of the L1 loss.
        oks_weight: Weight of the OKS loss.
    """

    field = 'keypoints'

    def __init__(
        self,
        sigmas: Sequence[float],
        cls_weight: float = 2.0,
        keypoint_weight: float = 10.0,
        oks_weight: float = 4.0,
    ) -> None:
        super().__init__(
            cls_weight,
            [
                dict(type='KeypointL1Cost', weight=keypoint_weight),
                dict(type='OKSCost', sigmas=sigmas, weight=oks_weight),
            ],
        )
        self.keypoint_weight = keypoint_weight
        self.loss_oks = MODELS.build(
            dict(
                type='OKSLoss',
                reduction='none',
                norm_target_weight=True,
                loss_weight=oks_weight,
            )
        )
        # Given by metainfo, so no part of checkpoints.
        self.loss_oks.register_buffer(
            'sigmas', torch.tensor(tuple(sigmas)), persistent=False
        )

    def compare(
        self, values: Tensor, people: InstanceData
    ) -> dict[str, Tensor]:
        """Compare keypoints, (M, K, 2)."""
        wanted, visible = people.keypoints, people.keypoints_visible
        apart = ((values - wanted).abs().sum(-1) * visible).sum(-1)
        return dict(
            loss_keypoint=apart * self.keypoint_weight,
            loss_oks=self.loss_oks(values, wanted, visible, people.areas),
        )


class HumanCriterion(SetCriterion):
    """Score, L1 and GIoU loss of boxes, as of DETR.

    Reads ``bboxes``, (G, 4): corners (x1, y1, x2, y2) in units of the image.

    Source: the weights of ED-Pose (Yang et al., ICLR 2023), which Group Pose
    follows for its variant with boxes. mmdet's costs and loss of boxes copy a
    few constants to the device and wait for it.

    Args:
        cls_weight: Weight of the focal loss.
        box_weight: Weight of the L1 loss of (cx, cy, w, h).
        giou_weight: Weight of 1 - GIoU.
    """

    field = 'bboxes'

    def __init__(
        self,
        cls_weight: float = 2.0,
        box_weight: float = 5.0,
        giou_weight: float = 2.0,
    ) -> None:
        super().__init__(
            cls_weight,
            [
                dict(
                    type='mmdet.BBoxL1Cost',
                    box_format='xywh',
                    weight=box_weight,
                ),
                dict(type='mmdet.IoUCost', weight=giou_weight),
            ],
        )
        self.box_weight = box_weight
        self.loss_giou = MODELS.build(
            dict(
                type='mmdet.GIoULoss',
                reduction='none',
                loss_weight=giou_weight,
            )
        )

    def compare(
        self, values: Tensor, people: InstanceData
    ) -> dict[str, Tensor]:
        """Compare corners of boxes, (M, 4)."""
        wanted = people.bboxes
        pred, true = (
            box_convert(boxes, 'xyxy', 'cxcywh') for boxes in (values, wanted)
        )
        return dict(
            loss_bbox=(pred - true).abs().sum(-1) * self.box_weight,
            loss_giou=self.loss_giou(values, wanted),
        )
