"""Losses of the end-to-end pose models, on matched predictions."""

# H heads, B batch, N poses of a head, G people of an image, K keypoints,
# M matches of all heads and images

from collections.abc import Sequence

import numpy as np
import torch
from mmengine.dist import all_reduce, is_distributed
from mmengine.structures import InstanceData
from mmpose.registry import MODELS, TASK_UTILS
from torch import Tensor, nn

#: Two classes, as the authors: 1 is a person, 0 never happens.
NUM_CLASSES, PERSON = 2, 1


class GroupPoseCriterion(nn.Module):
    """Match poses with people; score, keypoint and OKS loss of every head.

    Each head (decoder layers, encoder) is matched by itself. All are sums
    over the batch divided by its number of people (the mean over processes,
    at least 1): focal loss over all scores; |dx| + |dy| of the labelled
    keypoints; 1 - OKS. The costs of the matching are the same three with the
    same weights.

    Source: Liu et al., "Group Pose", ICCV 2023, Sec. 3.1; weights and
    normalisation from the code.

    Args:
        sigmas: Falloff of each keypoint in OKS, K numbers.
        cls_weight: Weight of the focal loss.
        keypoint_weight: Weight of the L1 loss.
        oks_weight: Weight of the OKS loss.
    """

    def __init__(
        self,
        sigmas: Sequence[float],
        cls_weight: float = 2.0,
        keypoint_weight: float = 10.0,
        oks_weight: float = 4.0,
    ) -> None:
        super().__init__()
        self.keypoint_weight = keypoint_weight
        # The weights are applied here, not in the losses: both read the same.
        self.assigner = TASK_UTILS.build(
            dict(
                type='BatchHungarianAssigner',
                match_costs=[
                    dict(type='mmdet.FocalLossCost', weight=cls_weight),
                    dict(type='KeypointL1Cost', weight=keypoint_weight),
                    dict(type='OKSCost', sigmas=sigmas, weight=oks_weight),
                ],
            )
        )
        self.loss_cls = MODELS.build(
            dict(type='mmdet.FocalLoss', loss_weight=cls_weight)
        )
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

    def forward(
        self,
        logits: Tensor,
        keypoints: Tensor,
        people: Sequence[InstanceData],
    ) -> dict[str, Tensor]:
        """Return the weighted losses of each head.

        Args:
            logits: Scores of the classes before the sigmoid, (H, B, N, 2).
            keypoints: Predicted keypoints, (H, B, N, K, 2), in units of the
                width and height of the image.
            people: Of each image ``keypoints``, (G, K, 2), and ``areas``,
                (G,), in units of the image's size and area;
                ``keypoints_visible``, (G, K): 1 labelled, 0 not; ``labels``,
                (G,): class.

        Returns:
            ``loss_cls``, ``loss_keypoint`` and ``loss_oks``, (H,) each.
        """
        with torch.autocast(logits.device.type, enabled=False):
            wide = torch.promote_types(logits.dtype, torch.float32)
            logits, keypoints = logits.to(wide), keypoints.to(wide)
            matches = self.match(logits, keypoints, people)
            return self._losses(logits, keypoints, people, matches)

    def match(
        self,
        logits: Tensor,
        keypoints: Tensor,
        people: Sequence[InstanceData],
    ) -> list[list[tuple[np.ndarray, np.ndarray]]]:
        """Return the matches of each image and head; see ``assign_batch``.

        Arguments as in :meth:`forward`.
        """
        preds = [
            InstanceData(
                scores=logits[:, i].flatten(0, 1),
                keypoints=keypoints[:, i].flatten(0, 1),
            )
            for i in range(logits.shape[1])
        ]
        return self.assigner.assign_batch(preds, people, len(logits))

    def _losses(
        self,
        logits: Tensor,
        keypoints: Tensor,
        people: Sequence[InstanceData],
        matches: list[list[tuple[np.ndarray, np.ndarray]]],
    ) -> dict[str, Tensor]:
        everyone = InstanceData.cat(list(people))
        head, image, pose, person = _flatten(matches, people, logits.device)
        num_people = count_people(len(everyone), logits)

        target = torch.zeros_like(logits)
        target[head, image, pose, everyone.labels[person]] = 1
        focal = self.loss_cls(
            logits.flatten(0, 2),
            target.flatten(0, 2),
            reduction_override='none',
        )  # (H * B * N, 2)

        matched = keypoints[head, image, pose]  # (M, K, 2)
        wanted = everyone.keypoints[person]
        visible = everyone.keypoints_visible[person]
        apart = ((matched - wanted).abs().sum(-1) * visible).sum(-1)
        oks = self.loss_oks(matched, wanted, visible, everyone.areas[person])

        def per_head(losses: Tensor) -> Tensor:
            sums = losses.new_zeros(len(logits)).index_add(0, head, losses)
            return sums / num_people

        return dict(
            loss_cls=focal.view(len(logits), -1).sum(-1) / num_people,
            loss_keypoint=per_head(apart) * self.keypoint_weight,
            loss_oks=per_head(oks),
        )


def count_people(num_people: int, like: Tensor) -> Tensor:
    """Return the mean number of people over processes, at least 1."""
    num = like.new_tensor(float(num_people))
    if is_distributed():
        all_reduce(num, 'mean')
    return num.clamp(min=1)


def _flatten(
    matches: list[list[tuple[np.ndarray, np.ndarray]]],
    people: Sequence[InstanceData],
    device: torch.device,
) -> Tensor:
    """Return head, image, pose and row among all people, (4, M)."""
    rows = [np.zeros((4, 0), np.int64)]
    first = 0
    for image, (heads, own) in enumerate(zip(matches, people, strict=True)):
        for head, (pose, person) in enumerate(heads):
            rows.append(
                np.stack(
                    (
                        np.full_like(pose, head),
                        np.full_like(pose, image),
                        pose,
                        person + first,
                    )
                )
            )
        first += len(own)
    return torch.from_numpy(np.concatenate(rows, axis=1)).to(device)
