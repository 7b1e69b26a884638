"""Loss of the heatmaps of whole images."""

# B batch, N instances, K keypoints, (H, W) heatmap

from mmpose.models.losses import KeypointMSELoss
from mmpose.registry import MODELS
from torch import Tensor


@MODELS.register_module()
class MaskedHeatmapLoss(KeypointMSELoss):
    """Mean squared error of heatmaps of many instances, with a mask.

    ``AssociativeEmbeddingHead`` passes the keypoint weights of every instance,
    (sum of N, K), where ``KeypointMSELoss`` needs one for each map, (B, K),
    and fails. A map of several instances has no single weight, and the mask
    covers crowds and instances without keypoints. So the weights are ignored.

    Source: HigherHRNet (Cheng et al., CVPR 2020), its heatmap loss.

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
            output: Predicted heatmaps, (B, K, H, W).
            target: Target heatmaps, (B, K, H, W).
            target_weights: Ignored, see above.
            mask: True where a pixel counts, (B, 1, H, W); None: everywhere.

        Raises:
            ValueError: If the target has another shape than the output.
        """
        if output.shape != target.shape:
            raise ValueError(
                f'the head makes heatmaps of {tuple(output.shape)}, the '
                f'targets are {tuple(target.shape)}: (B, K, H, W); the '
                'pipeline needs the codec of the head, and the head as many '
                'num_keypoints as the dataset has'
            )
        return super().forward(output, target, None, mask)
