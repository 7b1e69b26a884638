"""Loss of the heat maps of whole images."""

# B batch, N instances, K keypoints, (H, W) heat map

from mmpose.models.losses import KeypointMSELoss
from mmpose.registry import MODELS
from torch import Tensor


@MODELS.register_module()
class MaskedHeatmapLoss(KeypointMSELoss):
    """Mean square of heat maps with many people, without masked regions.

    ``AssociativeEmbeddingHead`` passes the weights of the keypoints of every
    person, (sum of N, K), where ``KeypointMSELoss`` wants one for each map,
    (B, K), and fails. A map of several people has no one weight; what must
    not count, a person without keypoints or a crowd, is in the mask. So the
    weights are not looked at.

    Source: HigherHRNet (Cheng et al., CVPR 2020), its heat map loss.

    Args:
        loss_weight: Weight of the loss.
    """

    def __init__(self, loss_weight: float = 1.0) -> None:
        super().__init__(loss_weight=loss_weight)

    def forward(
        self,
        output: Tensor,
        target: Tensor,
        target_weights: Tensor | None = None,
        mask: Tensor | None = None,
    ) -> Tensor:
        """Return the mean over all pixels, masked ones counting as 0.

        Args:
            output: Predicted heat maps, (B, K, H, W).
            target: Heat maps wanted, (B, K, H, W).
            target_weights: Not looked at, see above.
            mask: True where a pixel counts, (B, 1, H, W); None: everywhere.
        """
        return super().forward(output, target, None, mask)
