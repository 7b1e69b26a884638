"""Loss of a set of predictions that are first matched with instances."""

# S stages (decoder layers, encoder), B batch, N predictions of a stage,
# G instances of an image, M matches of all stages and images

from collections.abc import Sequence

import numpy as np
import torch
from mmengine.dist import all_reduce, is_distributed
from mmengine.structures import InstanceData
from mmpose.registry import MODELS, TASK_UTILS
from torch import Tensor, nn

from gtpt_mm.layers.transfer import send
from gtpt_mm.models.task_modules.batch_hungarian_assigner import Match


class SetCriterion(nn.Module):
    """Match predictions with instances; score all, compare matched ones.

    Each stage is matched separately. Losses are sums over the batch divided by
    its number of instances (the mean over processes, at least 1). Only the
    costs of all stages are copied from the device, once.

    Attributes:
        field: Name of the compared values in predictions and instances.

    Args:
        cls_weight: Weight of the focal loss and of the same cost.
        match_costs: Configs of the other costs.
    """

    field: str

    def __init__(self, cls_weight: float, match_costs: Sequence[dict]) -> None:
        super().__init__()
        cls_cost = dict(type='mmdet.FocalLossCost', weight=cls_weight)
        self.assigner = TASK_UTILS.build(
            dict(
                type='BatchHungarianAssigner',
                match_costs=[cls_cost, *match_costs],
            )
        )
        self.loss_cls = MODELS.build(
            dict(type='mmdet.FocalLoss', loss_weight=cls_weight)
        )

    def compare(
        self, values: Tensor, instances: InstanceData
    ) -> dict[str, Tensor]:
        """Return the weighted losses of matched pairs, (M,) each.

        Args:
            values: Predicted values of ``field``, M of them.
            instances: The matched instances, M.
        """
        raise NotImplementedError

    def forward(
        self,
        logits: Tensor,
        values: Tensor,
        instances: Sequence[InstanceData],
    ) -> dict[str, Tensor]:
        """Return the weighted losses of each stage.

        Args:
            logits: Scores of the classes before the sigmoid, (S, B, N, 2).
            values: Predicted values of ``field``, (S, B, N, ...).
            instances: For each image the fields that the class reads, and
                ``labels``, (G,): class.

        Returns:
            ``loss_cls`` and the losses of :meth:`compare`, (S,) each.
        """
        with torch.autocast(logits.device.type, enabled=False):
            wide = torch.promote_types(logits.dtype, torch.float32)
            logits, values = logits.to(wide), values.to(wide)
            matches = self.match(logits, values, instances)
            return self._compute_losses(logits, values, instances, matches)

    def match(
        self,
        logits: Tensor,
        values: Tensor,
        instances: Sequence[InstanceData],
    ) -> list[list[Match]]:
        """Return the matches of each image and stage; see ``assign_batch``.

        Arguments as in :meth:`forward`.
        """
        preds = []
        for i in range(logits.shape[1]):
            pred = InstanceData(scores=logits[:, i].flatten(0, 1))
            pred.set_field(values[:, i].flatten(0, 1), self.field)
            preds.append(pred)
        # mmdet's cost of boxes divides by the size of the image.
        unit = dict(img_shape=(1, 1))
        return self.assigner.assign_batch(preds, instances, len(logits), unit)

    def _compute_losses(
        self,
        logits: Tensor,
        values: Tensor,
        instances: Sequence[InstanceData],
        matches: list[list[Match]],
    ) -> dict[str, Tensor]:
        targets = InstanceData.cat(list(instances))
        stage, image, query, row = _flatten(matches, instances, logits.device)

        one_hot = torch.zeros_like(logits)
        one_hot[stage, image, query, targets.labels[row]] = 1
        focal = self.loss_cls(
            logits.flatten(0, 2),
            one_hot.flatten(0, 2),
            reduction_override='none',
        )  # (S * B * N, 2)
        losses = dict(loss_cls=focal.view(len(logits), -1).sum(-1))

        pairs = self.compare(values[stage, image, query], targets[row])
        for name, loss in pairs.items():
            zeros = loss.new_zeros(len(logits))
            losses[name] = zeros.index_add(0, stage, loss)
        num = mean_over_processes(len(targets), logits)
        return {name: loss / num for name, loss in losses.items()}


def mean_over_processes(num_instances: int, like: Tensor) -> Tensor:
    """Return the mean number of instances over processes, at least 1."""
    num = like.new_full((), float(num_instances))
    if is_distributed():
        all_reduce(num, 'mean')
    return num.clamp(min=1)


def _flatten(
    matches: list[list[Match]],
    instances: Sequence[InstanceData],
    device: torch.device,
) -> Tensor:
    """Return stage, image, query and row among all instances, (4, M)."""
    rows = [np.zeros((4, 0), np.int64)]
    first = 0
    for image, stages in enumerate(matches):
        for stage, (query, row) in enumerate(stages):
            where = np.full_like(query, stage), np.full_like(query, image)
            rows.append(np.stack((*where, query, row + first)))
        first += len(instances[image])
    return send(torch.from_numpy(np.concatenate(rows, axis=1)), device)
