"""The loss of a heatmap head on given heatmaps."""

# B batch, K keypoints, (h, w) heatmap

from collections.abc import Sequence

import torch
from mmpose.evaluation.functional import pose_pck_accuracy
from mmpose.models.heads import HeatmapHead
from mmpose.structures import PoseDataSample
from mmpose.utils.tensor_utils import to_numpy
from mmpose.utils.typing import ConfigType
from torch import Tensor


def heatmap_losses(
    head: HeatmapHead,
    heatmaps: Tensor,
    samples: Sequence[PoseDataSample],
    train_cfg: ConfigType,
) -> dict[str, Tensor]:
    """Return the losses of ``HeatmapHead.loss`` without running the head.

    Args:
        head: Its ``loss_module`` is used.
        heatmaps: Output of the head, (B, K, h, w).
        samples: Targets, B of them.
        train_cfg: ``compute_acc=False`` leaves out the accuracy.

    Returns:
        ``loss_kpt`` and ``acc_pose``, in [0, 1].

    Raises:
        ValueError: If the targets have another shape than the heatmaps.
    """
    for sample in samples:
        shape = sample.gt_fields.heatmaps.shape
        if shape != heatmaps.shape[1:]:
            raise ValueError(
                f'targets are {tuple(shape)}, the head makes '
                f'{tuple(heatmaps.shape[1:])}: (K, h, w); the pipeline needs '
                'the codec of the head, and the head as many out_channels as '
                'the dataset has keypoints'
            )
    targets = torch.stack([s.gt_fields.heatmaps for s in samples])
    weights = torch.cat(
        [s.gt_instance_labels.keypoint_weights for s in samples]
    )
    losses = dict(loss_kpt=head.loss_module(heatmaps, targets, weights))
    if train_cfg.get('compute_acc', True):
        _, accuracy, _ = pose_pck_accuracy(
            to_numpy(heatmaps.float()),  # numpy has no bf16
            to_numpy(targets),
            to_numpy(weights) > 0,
        )
        losses['acc_pose'] = torch.tensor(accuracy, device=heatmaps.device)
    return losses
