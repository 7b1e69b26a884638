"""Loss of a set of predictions that are matched with people first."""

# H heads, B batch, N predictions of a head, G people of an image,
# M matches of all heads and images

from collections.abc import Sequence

import numpy as np
import torch
from mmengine.dist import all_reduce, is_distributed
from mmengine.structures import InstanceData
from mmpose.registry import MODELS, TASK_UTILS
from torch import Tensor, nn

from gtpt_mm.layers.transfer import send

#: Two classes, as the authors: 1 is a person, 0 never happens.
NUM_CLASSES, PERSON = 2, 1


class SetCriterion(nn.Module):
    """Match predictions with people; score all, compare those with a match.

    Each head (decoder layers, encoder) is matched by itself. Losses are sums
    over the batch divided by its number of people (the mean over processes,
    at least 1). The costs of all are the only copy from the device.

    Attributes:
        field: What is compared, a field of the people.

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
        self, values: Tensor, people: InstanceData
    ) -> dict[str, Tensor]:
        """Return the weighted losses of matched pairs, (M,) each.

        Args:
            values: Predicted values of ``field``, M of them.
            people: The people that they are matched with, M.
        """
        raise NotImplementedError

    def forward(
        self,
        logits: Tensor,
        values: Tensor,
        people: Sequence[InstanceData],
    ) -> dict[str, Tensor]:
        """Return the weighted losses of each head.

        Args:
            logits: Scores of the classes before the sigmoid, (H, B, N, 2).
            values: Predicted values of ``field``, (H, B, N, ...).
            people: Of each image what the class reads, and ``labels``, (G,):
                class.

        Returns:
            ``loss_cls`` and the losses of :meth:`compare`, (H,) each.
        """
        with torch.autocast(logits.device.type, enabled=False):
            wide = torch.promote_types(logits.dtype, torch.float32)
            logits, values = logits.to(wide), values.to(wide)
            matches = self.match(logits, values, people)
            return self._losses(logits, values, people, matches)

    def match(
        self,
        logits: Tensor,
        values: Tensor,
        people: Sequence[InstanceData],
    ) -> list[list[tuple[np.ndarray, np.ndarray]]]:
        """Return the matches of each image and head; see ``assign_batch``.

        Arguments as in :meth:`forward`.
        """
        preds = []
        for i in range(logits.shape[1]):
            pred = InstanceData(scores=logits[:, i].flatten(0, 1))
            pred.set_field(values[:, i].flatten(0, 1), self.field)
            preds.append(pred)
        # mmdet's cost of boxes divides by the size of the image.
        whole = dict(img_shape=(1, 1))
        return self.assigner.assign_batch(preds, people, len(logits), whole)

    def _losses(
        self,
        logits: Tensor,
        values: Tensor,
        people: Sequence[InstanceData],
        matches: list[list[tuple[np.ndarray, np.ndarray]]],
    ) -> dict[str, Tensor]:
        everyone = InstanceData.cat(list(people))
        head, image, place, person = _flatten(matches, people, logits.device)
        num_people = count_people(len(everyone), logits)

        target = torch.zeros_like(logits)
        target[head, image, place, everyone.labels[person]] = 1
        focal = self.loss_cls(
            logits.flatten(0, 2),
            target.flatten(0, 2),
            reduction_override='none',
        )  # (H * B * N, 2)
        losses = dict(loss_cls=focal.view(len(logits), -1).sum(-1))

        pairs = self.compare(values[head, image, place], everyone[person])
        for name, loss in pairs.items():
            zeros = loss.new_zeros(len(logits))
            losses[name] = zeros.index_add(0, head, loss)
        return {name: loss / num_people for name, loss in losses.items()}


def count_people(num_people: int, like: Tensor) -> Tensor:
    """Return the mean number of people over processes, at least 1."""
    num = like.new_full((), float(num_people))
    if is_distributed():
        all_reduce(num, 'mean')
    return num.clamp(min=1)


def _flatten(
    matches: list[list[tuple[np.ndarray, np.ndarray]]],
    people: Sequence[InstanceData],
    device: torch.device,
) -> Tensor:
    """Return head, image, place and row among all people, (4, M)."""
    rows = [np.zeros((4, 0), np.int64)]
    first = 0
    for image, (heads, own) in enumerate(zip(matches, people, strict=True)):
        for head, (place, person) in enumerate(heads):
            where = np.full_like(place, head), np.full_like(place, image)
            rows.append(np.stack((*where, place, person + first)))
        first += len(own)
    return send(torch.from_numpy(np.concatenate(rows, axis=1)), device)
