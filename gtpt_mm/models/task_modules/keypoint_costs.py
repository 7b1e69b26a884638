"""Costs of matching a predicted pose with an instance."""

# P predictions, G instances, K keypoints

from collections.abc import Sequence

import torch
from mmengine.structures import InstanceData
from mmpose.registry import TASK_UTILS
from torch import Tensor

from gtpt_mm.layers.transfer import send

MIN_OKS = 1e-6  # as the official code


class KeypointCost:
    """Weighted cost of keypoint differences, with mmdet's interface.

    Args:
        weight: Factor of the cost.
    """

    def __init__(self, weight: float = 1.0) -> None:
        self.weight = weight

    def __call__(
        self,
        pred_instances: InstanceData,
        gt_instances: InstanceData,
        img_meta: dict | None = None,
    ) -> Tensor:
        """Return the costs, (P, G).

        Args:
            pred_instances: ``keypoints``, (P, K, 2).
            gt_instances: ``keypoints``, (G, K, 2), in the same unit;
                ``keypoints_visible``, (G, K): 1 labelled, 0 not; ``areas``,
                (G,), in that unit squared, which only OKS reads.
            img_meta: Unused.
        """
        keypoints = pred_instances.keypoints[:, None]
        differences = keypoints - gt_instances.keypoints  # (P, G, K, 2)
        return self.compare(differences, gt_instances) * self.weight

    def compare(self, differences: Tensor, instances: InstanceData) -> Tensor:
        """Return the costs without the weight, (P, G)."""
        raise NotImplementedError


@TASK_UTILS.register_module()
class KeypointL1Cost(KeypointCost):
    """Sum of |dx| + |dy| over the labelled keypoints.

    It is not divided by their number: an instance with many labelled
    keypoints weighs more in the matching.

    Source: the code of Group Pose (Liu et al., ICCV 2023).

    Args:
        weight: Factor of the cost.

    Example:
        >>> pred = InstanceData(keypoints=torch.zeros(3, 2, 2))
        >>> instance = InstanceData(
        ...     keypoints=torch.ones(1, 2, 2),
        ...     keypoints_visible=torch.tensor([[1.0, 0.0]]))
        >>> KeypointL1Cost(weight=10.0)(pred, instance)
        tensor([[20.],
                [20.],
                [20.]])
    """

    def compare(self, differences: Tensor, instances: InstanceData) -> Tensor:
        """Return the costs without the weight, (P, G)."""
        distance = differences.abs().sum(-1)
        return (distance * instances.keypoints_visible).sum(-1)


@TASK_UTILS.register_module()
class OKSCost(KeypointCost):
    """One minus the object keypoint similarity (OKS).

    OKS = sum_k v_k exp(-d_k^2 / (2 area (2 sigma_k)^2)) / sum_k v_k, at
    least 1e-6. Coordinates are in units of the image's width and height, areas
    in units of its area. So distances along x and y count differently in an
    image that is not square, as in the official code.

    Source: the code of Group Pose (Liu et al., ICCV 2023); OKS of COCO.

    Args:
        sigmas: Falloff of each keypoint, K numbers.
        weight: Factor of the cost.
    """

    def __init__(self, sigmas: Sequence[float], weight: float = 1.0) -> None:
        super().__init__(weight)
        self.sigmas = tuple(float(sigma) for sigma in sigmas)
        self._falloff: Tensor | None = None

    def compare(self, differences: Tensor, instances: InstanceData) -> Tensor:
        """Return the costs without the weight, (P, G)."""
        squared = differences.square().sum(-1)
        areas = instances.areas[:, None] * 2  # (G, 1)
        tiny = torch.finfo(squared.dtype).tiny
        scale = (areas * self._falloff_like(squared)).clamp(min=tiny)
        visible = instances.keypoints_visible
        oks = (torch.exp(-squared / scale) * visible).sum(-1)
        oks = oks / (visible.sum(-1) + 1e-6)
        return 1 - oks.clamp(min=MIN_OKS)

    def _falloff_like(self, other: Tensor) -> Tensor:
        """Return (2 sigma)^2, (K,); made once for each device and dtype."""
        kept = self._falloff
        if (
            kept is None
            or kept.device != other.device
            or kept.dtype != other.dtype
        ):
            sigmas = torch.tensor(self.sigmas, dtype=other.dtype)
            kept = send((2 * sigmas).square(), other.device)
            self._falloff = kept
        return kept
