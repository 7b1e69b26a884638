"""Losses of SimCC distributions: against targets, and between two passes."""

# B batch, K keypoints, W bins

import torch
import torch.nn.functional as F
from mmpose.registry import MODELS
from torch import Tensor, nn

#: The logits or targets of the two axes, (B, K, Wx) and (B, K, Wy).
SimCC = tuple[Tensor, Tensor]


def simcc_kl(
    log_pred: Tensor, target: Tensor, weight: Tensor | None
) -> Tensor:
    """Return the Kullback-Leibler divergence of one axis.

    Averaged over bins, then over keypoints and images; keypoints of weight 0
    count in the average.

    Source: the official code of GTPT, which inherits it from SimCC (Li et
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
class Global2LocalLoss(nn.Module):
    """KL divergence of a student's SimCC distributions from a teacher's.

    Summed over the two axes. It has the interface of mmpose's SimCC losses,
    with the teacher's logits as the target.

    Source: Wang et al., "GTPT", ECCV 2024, Sec. 3.5; the reduction from the
    official code.

    Args:
        loss_weight: Factor of the loss.
        temperature: Softens both sides, > 0; the loss is multiplied by its
            square to keep its gradients' size.
        detach: Whether the gradient reaches the student only.
        use_target_weight: Whether keypoints count by their weight.

    Raises:
        ValueError: If ``temperature`` is not positive.
    """

    def __init__(
        self,
        loss_weight: float = 1.0,
        temperature: float = 1.0,
        detach: bool = True,
        use_target_weight: bool = True,
    ) -> None:
        super().__init__()
        if temperature <= 0:
            raise ValueError(
                f'temperature must be positive, got {temperature}'
            )
        self.loss_weight = loss_weight
        self.temperature = temperature
        self.detach = detach
        self.use_target_weight = use_target_weight

    def forward(
        self,
        student: SimCC,
        teacher: SimCC,
        target_weight: Tensor | None = None,
    ) -> Tensor:
        """Return the loss, scalar.

        Args:
            student: Logits, (B, K, Wx) and (B, K, Wy).
            teacher: Logits, shaped alike.
            target_weight: Weight of each keypoint, (B, K); the last axis may
                also be 1.

        Raises:
            ValueError: If ``use_target_weight`` and there is no weight.
        """
        return self.compare(
            _log_softmax(student, self.temperature),
            _log_softmax(teacher, self.temperature),
            _read_weight(self, target_weight, student),
        )

    def compare(
        self, log_student: SimCC, log_teacher: SimCC, weight: Tensor | None
    ) -> Tensor:
        """Return the loss of log-probabilities at the temperature."""
        if self.detach:
            log_teacher = log_teacher[0].detach(), log_teacher[1].detach()
        target = log_teacher[0].exp(), log_teacher[1].exp()
        factor = self.loss_weight * self.temperature**2
        return factor * _both_axes(log_student, target, weight)


@MODELS.register_module()
class GlobalPerceivedLoss(nn.Module):
    """Loss of a pruned and an unpruned pass over the same image.

        L_GP = L_pruned + L_unpruned + L_G2L                      (Eq. 12)

    Each term is the KL divergence of SimCC distributions, summed over the two
    axes; the last is :class:`Global2LocalLoss`, with the unpruned pass as
    the teacher.

    Source: Wang et al., "GTPT", ECCV 2024, Sec. 3.5, Eq. 12; the reduction
    from the official code. The target is used as it is, not normalised.

    Args:
        pruned_weight: Factor of the pruned pass against the target.
        unpruned_weight: Factor of the unpruned pass against the target.
        g2l_weight: Factor of the Global-2-Local term.
        temperature: See ``Global2LocalLoss``.
        detach: See ``Global2LocalLoss``.
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
        self.pruned_weight = pruned_weight
        self.unpruned_weight = unpruned_weight
        self.use_target_weight = use_target_weight
        self.g2l = Global2LocalLoss(g2l_weight, temperature, detach)

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
        weight = _read_weight(self, target_weight, pruned)
        log_pruned = _log_softmax(pruned)
        losses = {
            'loss_pruned': self.pruned_weight
            * _both_axes(log_pruned, target, weight)
        }
        if unpruned is None:
            return losses
        log_full = _log_softmax(unpruned)
        losses['loss_unpruned'] = self.unpruned_weight * _both_axes(
            log_full, target, weight
        )
        if self.g2l.temperature != 1:
            log_pruned = _log_softmax(pruned, self.g2l.temperature)
            log_full = _log_softmax(unpruned, self.g2l.temperature)
        losses['loss_g2l'] = self.g2l.compare(log_pruned, log_full, weight)
        return losses


def _read_weight(
    loss: Global2LocalLoss | GlobalPerceivedLoss,
    target_weight: Tensor | None,
    logits: SimCC,
) -> Tensor | None:
    """Return the weights that ``loss`` uses, (B, K), or None for none."""
    if not loss.use_target_weight:
        return None
    if target_weight is None:
        raise ValueError(
            f'{type(loss).__name__}(use_target_weight=True) needs '
            'target_weight, got None'
        )
    expected = logits[0].shape[:2]
    if target_weight.shape[:2] != expected or target_weight.ndim > 3:
        raise ValueError(
            f'target_weight is {tuple(target_weight.shape)} for logits of '
            f'(B, K) = {tuple(expected)}; the model needs as many keypoints '
            'as the dataset'
        )
    return target_weight.reshape(expected)


def _both_axes(
    log_pred: SimCC, target: SimCC, weight: Tensor | None
) -> Tensor:
    """Return the sum of the divergences of x and y."""
    shapes = [
        [tuple(axis.shape) for axis in both] for both in (log_pred, target)
    ]
    if shapes[0] != shapes[1]:
        raise ValueError(
            f'predictions of x and y are {shapes[0]}, targets {shapes[1]}: '
            '(B, K, bins); the pipeline needs the codec of the head, and the '
            'model as many keypoints as the dataset'
        )
    return simcc_kl(log_pred[0], target[0], weight) + simcc_kl(
        log_pred[1], target[1], weight
    )


def _log_softmax(logits: SimCC, temperature: float = 1.0) -> SimCC:
    """Return log-probabilities over bins, in float32 or wider."""
    dtype = torch.promote_types(logits[0].dtype, torch.float32)
    x, y = (axis.to(dtype) / temperature for axis in logits)
    return x.log_softmax(dim=-1), y.log_softmax(dim=-1)
