"""A top-down estimator that guides the attention of its GTPT."""

# B batch, K keypoints, G groups, M image tokens of a group, C channels

from typing import Any, cast

import torch
from mmpose.models.pose_estimators import TopdownPoseEstimator
from mmpose.registry import MODELS
from mmpose.utils.typing import ConfigType, OptConfigType, SampleList
from torch import Tensor

from gtpt_mm.layers.group_attention import GroupTransformerLayer
from gtpt_mm.layers.tokens import Tokens
from gtpt_mm.models.backbones.gtpt import GTPT
from gtpt_mm.models.backbones.gtpt_plan import Step
from gtpt_mm.models.backbones.keypoint_groups import Stage
from gtpt_mm.models.losses.attention_guidance import KeypointAttention


@MODELS.register_module()
class GuidedGTPTEstimator(TopdownPoseEstimator):
    """``TopdownPoseEstimator`` whose training also guides attention.

    Weights and predictions are those of the stock estimator; it adds
    ``AttentionGuidanceLoss`` to the loss. The guided layers are those that
    read keypoint tokens, and the layer that introduces them. If there is an
    unpruned pass, its attention is guided, else that of the pruned pass.

    Args:
        backbone: A ``GTPT``.
        guidance: Loss of the attention.
        **kwargs: As for ``TopdownPoseEstimator``.

    Raises:
        ValueError: If the backbone is not a ``GTPT``.
    """

    def __init__(
        self,
        backbone: ConfigType,
        guidance: OptConfigType = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(backbone=backbone, **kwargs)
        if not isinstance(self.backbone, GTPT):
            raise ValueError(
                'GuidedGTPTEstimator guides the attention of a GTPT, got a '
                f'{type(self.backbone).__name__}; use TopdownPoseEstimator'
            )
        self.guidance = MODELS.build(
            guidance or dict(type='AttentionGuidanceLoss')
        )

    def loss(
        self, inputs: Tensor, data_samples: SampleList
    ) -> dict[str, Tensor]:
        """Return the losses of the head and ``loss_guidance``."""
        layers: list[KeypointAttention] = []

        def note(step: Step, tokens: Tokens, q: Tensor, k: Tensor) -> None:
            if step.stage is not Stage.HUMAN or step.introduces:
                layers.append(_read(self.backbone, step, tokens, q, k))

        feats = self.backbone(inputs, note)
        losses = self.head.loss(feats, data_samples, self.train_cfg)
        labels = [sample.gt_instance_labels for sample in data_samples]
        x, y, weights = (
            torch.cat([label[name] for label in labels])
            for name in (
                'keypoint_x_labels',
                'keypoint_y_labels',
                'keypoint_weights',
            )
        )
        losses['loss_guidance'] = self.guidance(
            layers, self.backbone.grid_size, (x, y), weights
        )
        return losses


def _read(
    backbone: GTPT, step: Step, tokens: Tokens, q: Tensor, k: Tensor
) -> KeypointAttention:
    """Return the attention of all keypoints in one layer.

    A keypoint without a token is represented by the token that it will be
    created from.
    """
    groups = backbone.groups
    layer = cast(GroupTransformerLayer, backbone.layers[step.layer - 1])
    layout = groups.layout(step.stage)
    index = range(groups.num_keypoints)
    rows, group = groups.locate(index, step.stage, q.shape[1])
    keys, patches = (
        layout.split(x)[1] for x in (k, tokens.indices)
    )  # (B, G, M, C), (B, G, M)
    queries = q[:, None, rows].expand(-1, keys.shape[1], -1, -1)
    logits = layer.attn.logits(queries, keys).transpose(2, 3)
    own = torch.arange(len(rows), device=rows.device)
    return KeypointAttention(logits[:, group, own], patches[:, group])
