"""Loss that shows the keypoint tokens of GTPT where to look."""

# B batch, K keypoints, H heads, M image tokens of a keypoint's group, W bins,
# (h, w) token grid, N = h w patches

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from mmpose.registry import MODELS
from torch import Tensor, nn


class KeypointAttention(NamedTuple):
    """Attention of the keypoints to the image tokens in one layer.

    Attributes:
        logits: Before the softmax, (B, K, H, M).
        patches: Patch number of each image token, row-major, -1 where there
            is none, (B, K, M).
    """

    logits: Tensor
    patches: Tensor


@MODELS.register_module()
class AttentionGuidanceLoss(nn.Module):
    """Cross-entropy of attention maps against the keypoint positions.

    With random weights a keypoint's token attends to all patches alike, and
    the classification of bins gives little signal about where to attend: a
    short training ends at the mean pose. This loss pulls the attention of each
    keypoint to the image tokens, averaged over the heads, towards the patches
    around the keypoint. One head that attends there earns most of the gain, so
    the others may attend elsewhere. Pruning benefits as well, since it keeps
    tokens by the same logits.

    The loss has no parameters, and is not computed at test time.

    Args:
        loss_weight: Factor of the loss. The loss of GTPT is an average over
            bins, so its magnitude is a few hundredths.
        sigma: Standard deviation of the target in patches, > 0.

    Raises:
        ValueError: If ``sigma`` is not positive.
    """

    def __init__(self, loss_weight: float = 0.01, sigma: float = 0.6) -> None:
        super().__init__()
        if sigma <= 0:
            raise ValueError(f'sigma must be positive, got {sigma}')
        self.loss_weight = loss_weight
        self.sigma = sigma

    def forward(
        self,
        layers: Sequence[KeypointAttention],
        grid_size: tuple[int, int],
        target: tuple[Tensor, Tensor],
        weights: Tensor,
    ) -> Tensor:
        """Return the loss, averaged over layers, keypoints and images.

        Args:
            layers: Attention in some layers, at least one.
            grid_size: Patches (h, w).
            target: SimCC targets, (B, K, Wx) and (B, K, Wy).
            weights: Weight of each keypoint, (B, K).
        """
        x, y = (
            self._share(labels, length)
            for labels, length in zip(target, grid_size[::-1], strict=True)
        )
        share = (y[..., :, None] * x[..., None, :]).flatten(2)  # (B, K, N)
        losses = [_cross_entropy(layer, share) for layer in layers]
        return self.loss_weight * (torch.stack(losses) * weights).mean()

    def _share(self, labels: Tensor, length: int) -> Tensor:
        """Return the share of each row or column of patches, (B, K, length).

        Args:
            labels: Target of one axis, (B, K, W).
            length: Patches along the axis.
        """
        num_bins = labels.shape[2]
        bins = torch.arange(num_bins, device=labels.device) + 0.5
        center = (labels * bins).sum(2) / labels.sum(2).clamp(min=1e-6)
        cells = torch.arange(length, device=labels.device) + 0.5
        away = cells - center[..., None] * (length / num_bins)
        return (-0.5 * (away / self.sigma).square()).softmax(2)


def _cross_entropy(layer: KeypointAttention, share: Tensor) -> Tensor:
    """Return the loss of one layer, (B, K)."""
    absent = layer.patches < 0
    # Finite: the gradient of a logsumexp over infinities is NaN.
    logits = layer.logits.masked_fill(absent[:, :, None], -1e9)
    num_heads = logits.shape[2]
    log_mean = logits.log_softmax(3).logsumexp(2) - math.log(num_heads)
    kept = share.gather(2, layer.patches.clamp(min=0))
    kept = kept.masked_fill(absent, 0)
    # A keypoint whose patches were dropped has no target left.
    kept = kept / kept.sum(2, keepdim=True).clamp(min=1e-3)
    return -(kept * log_mean).sum(2)
