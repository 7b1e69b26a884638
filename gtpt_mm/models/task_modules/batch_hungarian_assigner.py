"""Match the predictions of many heads and images at once."""

# H heads, B images, P predictions of a head, G people of an image

from collections.abc import Sequence

import numpy as np
import torch
from mmdet.models.task_modules.assigners import HungarianAssigner
from mmengine.structures import InstanceData
from mmpose.registry import TASK_UTILS
from scipy.optimize import linear_sum_assignment

#: Stands for costs that are not finite: AMP must be able to skip a step with
#: an overflow, which raising would end.
WORST = 1e8

Match = tuple[np.ndarray, np.ndarray]


@TASK_UTILS.register_module()
class BatchHungarianAssigner(HungarianAssigner):
    """mmdet's ``HungarianAssigner`` that waits for the device once.

    Stock, every head of every image costs a copy from the device, which
    waits for all work on it. Here the costs of an image are computed for all
    heads at once, and all images are copied together.

    Args:
        match_costs: Configs of the costs, summed; from mmpose's registry, so
            mmdet's are written ``mmdet.FocalLossCost``.

    Raises:
        ValueError: If there is no cost.
    """

    def __init__(self, match_costs: Sequence[dict]) -> None:
        if not match_costs:
            raise ValueError('match_costs must name at least one cost')
        self.match_costs = [TASK_UTILS.build(cost) for cost in match_costs]

    @torch.no_grad()
    def assign_batch(
        self,
        pred_instances: Sequence[InstanceData],
        gt_instances: Sequence[InstanceData],
        num_heads: int = 1,
        img_meta: dict | None = None,
    ) -> list[list[Match]]:
        """Match every head of every image by itself.

        Args:
            pred_instances: Of each image, the predictions of all heads one
                after another, H * P rows of what the costs read.
            gt_instances: People of each image, G rows, maybe none.
            num_heads: H.
            img_meta: Handed to the costs.

        Returns:
            For each image and head: indices of predictions, 0 to P - 1, and
            of the people that they are matched with; min(P, G) of each,
            predictions ascending.
        """
        costs = [
            sum(
                cost(pred_instances=pred, gt_instances=gt, img_meta=img_meta)
                for cost in self.match_costs
            )
            for pred, gt in zip(pred_instances, gt_instances, strict=True)
        ]  # (H * P, G) each
        flat = torch.cat([cost.flatten() for cost in costs]).float()
        flat = flat.cpu().numpy()  # the only copy
        flat = np.nan_to_num(flat, nan=WORST, posinf=WORST, neginf=-WORST)
        ends = np.cumsum([cost.numel() for cost in costs])[:-1]
        return [
            [
                linear_sum_assignment(matrix)
                for matrix in part.reshape(
                    num_heads, len(cost) // num_heads, cost.shape[1]
                )
            ]
            for part, cost in zip(np.split(flat, ends), costs, strict=True)
        ]
