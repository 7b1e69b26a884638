"""The two small decoders of ViTPose++ that mmpose's head does not cover."""

# B batch, K keypoints, C channels, (h, w) feature map

import torch.nn.functional as F
from mmpose.models.heads import HeatmapHead
from mmpose.registry import MODELS
from mmpose.utils.typing import ConfigType, OptConfigType, OptSampleList
from torch import Tensor


@MODELS.register_module()
class PixelShuffleHead(HeatmapHead):
    """One 1 x 1 convolution to all pixels of a cell: the minimal decoder.

    Source: Xu et al., "ViTPose++", Sec. 3, "minimal" decoder; no official
    code. The paper calls the operation PixelUnshuffle; it is torch's
    PixelShuffle, which turns 16 K channels into a map four times as large. The
    channels of a keypoint are consecutive.

    Args:
        in_channels: Channels C of the features.
        out_channels: Number of keypoints K.
        upscale_factor: Heatmap size / feature map size, per side.
        loss: Loss of heatmaps; None as in ``HeatmapHead``.
        decoder: Codec that reads keypoints from heatmaps.
        init_cfg: Initialisation, see mmengine; None as in ``HeatmapHead``.

    Raises:
        ValueError: If ``upscale_factor`` is not positive.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        upscale_factor: int = 4,
        loss: OptConfigType = None,
        decoder: OptConfigType = None,
        init_cfg: OptConfigType = None,
    ) -> None:
        if upscale_factor < 1:
            raise ValueError(
                f'upscale_factor must be at least 1, got {upscale_factor}'
            )
        super().__init__(
            in_channels,
            out_channels,
            deconv_out_channels=(),
            deconv_kernel_sizes=(),
            final_layer=dict(out_channels=out_channels * upscale_factor**2),
            loss=loss or dict(type='KeypointMSELoss', use_target_weight=True),
            decoder=decoder,
            init_cfg=init_cfg,
        )
        self.upscale_factor = upscale_factor

    def forward(self, feats: tuple[Tensor, ...]) -> Tensor:
        """Turn the last features (B, C, h, w) into maps (B, K, sh, sw)."""
        return F.pixel_shuffle(super().forward(feats), self.upscale_factor)


@MODELS.register_module()
class FrozenPredictorHead(HeatmapHead):
    """A head whose last layer stays random: "classic-FP".

    Requires ``FreezeHook(frozen=['head.final_layer'])``.

    Source: Xu et al., "ViTPose++", Sec. 3, fixed predictor; no official
    code, and the paper does not say how the layer is initialised. Here it has
    torch's default. With the standard deviation of 0.001 that mmpose uses in
    heads, heatmaps and gradients would stay a thousandth.

    Raises:
        ValueError: In a training, if the last layer is not frozen.
    """

    def init_weights(self) -> None:
        """Initialise all as ``HeatmapHead`` does, then the last layer."""
        super().init_weights()
        self.final_layer.reset_parameters()

    def loss(
        self,
        feats: tuple[Tensor, ...],
        batch_data_samples: OptSampleList,
        train_cfg: ConfigType | None = None,
    ) -> dict[str, Tensor]:
        """Return the losses of ``HeatmapHead``."""
        if any(p.requires_grad for p in self.final_layer.parameters()):
            raise ValueError(
                'the last layer is not frozen; add to custom_hooks '
                "dict(type='FreezeHook', frozen=['head.final_layer'])"
            )
        return super().loss(feats, batch_data_samples, train_cfg or {})
