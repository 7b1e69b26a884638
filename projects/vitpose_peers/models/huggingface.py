"""VitPose of Hugging Face's transformers, to be timed beside ViTPose."""

# B batch, K keypoints, (h, w) input in pixels

from collections.abc import Sequence

import torch
from mmengine.model import BaseModel
from mmpose.registry import MODELS
from torch import Tensor
from transformers import (
    VitPoseBackboneConfig,
    VitPoseConfig,
    VitPoseForPoseEstimation,
)


@MODELS.register_module()
class HuggingFaceVitPose(BaseModel):
    """``VitPoseForPoseEstimation`` with random weights.

    It answers ``mode='tensor'`` only: transformers has no training of it.

    Args:
        img_size: Input (h, w) in pixels.
        embed_dims: Channels of a token.
        depth: Number of layers.
        num_heads: Attention heads.
        num_experts: Experts of a feed-forward network; 1: none.
        part_features: Channels that come from an expert.
        num_keypoints: Number of keypoints K.

    Raises:
        ValueError: If another mode is asked for.
    """

    def __init__(
        self,
        img_size: Sequence[int] = (256, 192),
        embed_dims: int = 768,
        depth: int = 12,
        num_heads: int = 12,
        num_experts: int = 1,
        part_features: int = 192,
        num_keypoints: int = 17,
    ) -> None:
        super().__init__()
        backbone = VitPoseBackboneConfig(
            image_size=list(img_size),
            hidden_size=embed_dims,
            num_hidden_layers=depth,
            num_attention_heads=num_heads,
            num_experts=num_experts,
            part_features=part_features,
            out_indices=[depth],
        )
        config = VitPoseConfig(
            backbone_config=backbone,
            use_simple_decoder=False,
            num_labels=num_keypoints,
        )
        self.with_experts = num_experts > 1
        self.model = VitPoseForPoseEstimation(config)
        self.model.backbone.set_attn_implementation('sdpa')

    def forward(
        self, inputs: Tensor, data_samples=None, mode: str = 'tensor'
    ) -> Tensor:
        """Return heatmaps, (B, K, h / 4, w / 4); of COCO's expert."""
        if mode != 'tensor':
            raise ValueError(
                f"mode must be 'tensor', got {mode!r}: this model is here to "
                'be timed'
            )
        index = None
        if self.with_experts:
            index = torch.zeros(
                len(inputs), dtype=torch.long, device=inputs.device
            )
        return self.model(inputs, dataset_index=index).heatmaps
