"""Losses of Group Pose on matched poses."""

# M matches, G instances of an image, K keypoints

from collections.abc import Sequence

import torch
from mmengine.structures import InstanceData
from mmpose.registry import MODELS
from torch import Tensor

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
        self, values: Tensor, instances: InstanceData
    ) -> dict[str, Tensor]:
        """Compare keypoints, (M, K, 2)."""
        target, visible = instances.keypoints, instances.keypoints_visible
        distance = ((values - target).abs().sum(-1) * visible).sum(-1)
        return dict(
            loss_keypoint=distance * self.keypoint_weight,
            loss_oks=self.loss_oks(values, target, visible, instances.areas),
        )
