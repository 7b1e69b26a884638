"""Match the predictions of many stages and images at once."""

# S stages, P predictions of a stage, G instances of an image

from collections.abc import Sequence

import numpy as np
import torch
from mmengine.structures import InstanceData
from mmpose.registry import TASK_UTILS
from scipy.optimize import linear_sum_assignment

#: Replaces costs that are not finite: AMP skips a step with an overflow, while
#: an error would end the training.
WORST = 1e8

Match = tuple[np.ndarray, np.ndarray]


@TASK_UTILS.register_module()
class BatchHungarianAssigner:
    """Like mmdet's ``HungarianAssigner``, but waits for the device once.

    mmdet copies the costs of every stage of every image from the device, and
    each copy waits for all work on it. Here the costs of an image are computed
    for all stages at once, and all images are copied together. It takes the
    same costs, but is not a subclass, because importing mmdet's models takes
    seconds.

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
        num_stages: int = 1,
        img_meta: dict | None = None,
    ) -> list[list[Match]]:
        """Match every stage of every image separately.

        Args:
            pred_instances: For each image, the predictions of all stages one
                after another, S * P rows of the fields that the costs read.
            gt_instances: Instances of each image, G rows; G may be 0.
            num_stages: S.
            img_meta: Passed to the costs.

        Returns:
            For each image and stage: indices of predictions, 0 to P - 1, and
            of their instances; min(P, G) of each, predictions ascending.
        """
        costs = [
            sum(
                cost(pred_instances=pred, gt_instances=gt, img_meta=img_meta)
                for cost in self.match_costs
            )
            for pred, gt in zip(pred_instances, gt_instances, strict=True)
        ]  # (S * P, G) each
        joined = torch.cat([cost.flatten() for cost in costs]).float()
        flat = joined.cpu().numpy()  # the only copy
        flat = np.nan_to_num(flat, nan=WORST, posinf=WORST, neginf=-WORST)
        ends = np.cumsum([cost.numel() for cost in costs])[:-1]
        return [
            [
                linear_sum_assignment(matrix)
                for matrix in part.reshape(
                    num_stages, len(cost) // num_stages, cost.shape[1]
                )
            ]
            for part, cost in zip(np.split(flat, ends), costs, strict=True)
        ]
