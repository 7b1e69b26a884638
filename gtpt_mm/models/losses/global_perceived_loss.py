"""Losses of SimCC distributions: against targets, and of pass on pass."""

# B batch, K keypoints, W bins

import torch
import torch.nn.functional as F
from mmpose.registry import MODELS
from torch import Tensor, nn

#: The logits or targets of the two axes, (B, K, Wx) and (B, K, Wy).
SimCC = tuple[Tensor, Tensor]


def simcc_kl(log_pred: Tensor, target: Tensor, weight: Tensor | None):
    """Return the Kullback-Leibler divergence of one axis.

    Averaged over bins, then keypoints and images; those without weight count
    in the average.

    Source: the authors' code of GTPT, which inherits it from SimCC (Li et
    al., 2022).

    Args:
        log_pred: Predicted log-probabilities, (B, K, W).
        target: Target probabilities, (B, K, W); need not add up to 1.
        weight: Weight of each keypoint, (B, K), or None.

    Returns:
        Divergence, scalar.
    """
    divergence = F.kl_div(log_pred, target, reduction='none').mean(dim=2)
    if weight is not None:
        divergence = divergence * weight
    return divergence.mean()


@MODELS.register_module()
class GlobalPerceivedLoss(nn.Module):
    """Loss of a pruned and an unpruned pass over the same image.

        L_GP = L_pruned + L_unpruned + L_G2L                      (Eq. 12)

    Each term is the KL divergence of SimCC distributions, summed over the two
    axes. The Global-2-Local term draws the pruned distributions towards the
    unpruned ones.

    Source: Wang et al., "GTPT", ECCV 2024, Sec. 3.5, Eq. 12; the reduction
    from the authors' code. The target is used as it is, not normalised.

    Args:
        pruned_weight: Factor of the pruned pass against the target.
        unpruned_weight: Factor of the unpruned pass against the target.
        g2l_weight: Factor of the Global-2-Local term.
        temperature: Softens both sides of the Global-2-Local term, > 0; the
            term is multiplied by its square to keep its gradients' size.
        detach: Whether the Global-2-Local term teaches the pruned pass only.
        use_target_weight: Whether keypoints count by their weight.

    Raises:
        ValueError: If ``temperature`` is not positive.
    """

    def __init__(
        self,
        pruned_weight: float = 1.0,
        unpruned_weight: float = 1.0,
        g2l_weight: float = 1.0,
        temperature: float = 1.0,
        detach: bool = True,
        use_target_weight: bool = True,
    ) -> None:
        super().__init__()
        if temperature <= 0:
            raise ValueError(
                f'temperature must be positive, got {temperature}'
            )
        self.pruned_weight = pruned_weight
        self.unpruned_weight = unpruned_weight
        self.g2l_weight = g2l_weight
        self.temperature = temperature
        self.detach = detach
        self.use_target_weight = use_target_weight

    def forward(
        self,
        pruned: SimCC,
        unpruned: SimCC | None,
        target: SimCC,
        target_weight: Tensor | None = None,
    ) -> dict[str, Tensor]:
        """Return the terms of the loss.

        Args:
            pruned: Logits of the pruned pass, (B, K, Wx) and (B, K, Wy).
            unpruned: Logits of the unpruned pass, or None if there was none.
            target: Target distributions, shaped as the logits.
            target_weight: Weight of each keypoint, (B, K); the last axis may
                also be 1.

        Returns:
            ``loss_pruned`` and, with ``unpruned``, ``loss_unpruned`` and
            ``loss_g2l``: scalars, to be added up.

        Raises:
            ValueError: If ``use_target_weight`` and there is no weight.
        """
        if not self.use_target_weight:
            target_weight = None
        elif target_weight is None:
            raise ValueError(
                'GlobalPerceivedLoss(use_target_weight=True) needs '
                'target_weight, got None'
            )
        else:
            target_weight = target_weight.reshape(pruned[0].shape[:2])

        def against(log_pred: SimCC, goal: SimCC) -> Tensor:
            return sum(
                simcc_kl(log_pred[axis], goal[axis], target_weight)
                for axis in range(2)
            )

        log_pruned = _log_softmax(pruned)
        losses = {
            'loss_pruned': self.pruned_weight * against(log_pruned, target)
        }
        if unpruned is None:
            return losses
        log_full = _log_softmax(unpruned)
        losses['loss_unpruned'] = self.unpruned_weight * against(
            log_full, target
        )
        if self.temperature != 1:
            log_pruned = _log_softmax(pruned, self.temperature)
            log_full = _log_softmax(unpruned, self.temperature)
        teacher = tuple(log_p.exp() for log_p in log_full)
        if self.detach:
            teacher = tuple(p.detach() for p in teacher)
        losses['loss_g2l'] = (
            self.g2l_weight
            * self.temperature**2
            * against(log_pruned, teacher)
        )
        return losses


def _log_softmax(logits: SimCC, temperature: float = 1.0) -> SimCC:
    """Return log-probabilities over bins, in float32 or wider."""
    dtype = torch.promote_types(logits[0].dtype, torch.float32)
    return tuple(
        (axis.to(dtype) / temperature).log_softmax(dim=-1) for axis in logits
    )
