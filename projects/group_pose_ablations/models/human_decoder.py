"""Human detection decoder before the pose decoder, a variant of Group Pose."""

# S stages of the loss (layers, encoder), B batch, M human candidates, N of
# them that get a pose, V tokens, C channels

from dataclasses import dataclass

import torch
from mmpose.models.heads.transformer_heads.transformers import FFN
from mmpose.models.utils import inverse_sigmoid
from torch import Tensor, nn
from torchvision.ops import box_convert

from gtpt_mm.codecs.group_pose_label import NUM_CLASSES
from gtpt_mm.layers.deform_attention import DeformableAttention
from gtpt_mm.layers.deform_encoder import PostNormFeedForward
from gtpt_mm.layers.instance_attention import QueryAttention
from gtpt_mm.layers.pos_embed import sine_point_embed
from gtpt_mm.layers.token_maps import TokenMaps
from gtpt_mm.models.heads.group_pose_queries import (
    CLASS_BIAS,
    Proposals,
    gather_rows,
    zero_last_layer,
)


@dataclass(frozen=True)
class HumanProposals(Proposals):
    """The N best humans, in place of the encoder's proposals.

    Args:
        stage_logits: Class scores before the sigmoid, (S, B, M, 2): of the
            layers, then of the encoder.
        stage_boxes: Corners (x1, y1, x2, y2) in units of the image, (S, B, M,
            4).
    """

    stage_logits: Tensor
    stage_boxes: Tensor

    @property
    def content(self) -> Tensor:
        """Features for the queries; they train the human decoder."""
        return self.features


class HumanDecoderLayer(nn.Module):
    """Decoder layer of Deformable DETR, post-norm.

    Args:
        cross_attn: Attention to the image.
        feedforward_dims: Channels inside the feed-forward network.
    """

    def __init__(
        self, cross_attn: DeformableAttention, feedforward_dims: int
    ) -> None:
        super().__init__()
        dims = cross_attn.embed_dims
        self.self_attn = QueryAttention(dims, cross_attn.num_heads)
        self.self_norm = nn.LayerNorm(dims)
        self.cross_attn = cross_attn
        self.norm = nn.LayerNorm(dims)
        self.ffn = PostNormFeedForward(dims, feedforward_dims)

    def forward(
        self,
        x: Tensor,
        pos: Tensor,
        reference_points: Tensor,
        memory: Tensor,
        maps: TokenMaps,
    ) -> Tensor:
        """Return new queries, (B, M, C)."""
        x = self.self_norm(x + self.self_attn(x, pos))
        attended = self.cross_attn(x + pos, memory, reference_points, maps)
        return self.ffn(self.norm(x + attended))


class HumanDecoder(nn.Module):
    """Find boxes of humans and keep the N best for the pose decoder.

    Source: Liu et al., "Group Pose", ICCV 2023, Sec. 4.4 and Table 5: "2
    human detection decoder layers [...] following ED-Pose". No code of it was
    released. We follow ED-Pose (Yang et al., ICLR 2023) but leave out its
    denoising queries, which the paper does not mention.

    Args:
        embed_dims: Channels C.
        num_queries: N, of the pose decoder.
        attention: More arguments of ``DeformableAttention``.
        num_layers: Number of layers.
        num_humans: M, candidates of the layers.
        feedforward_dims: Channels inside the feed-forward networks.

    Raises:
        ValueError: If there are fewer candidates than poses.
    """

    def __init__(
        self,
        embed_dims: int,
        num_queries: int,
        attention: dict,
        num_layers: int = 2,
        num_humans: int = 900,
        feedforward_dims: int = 2048,
    ) -> None:
        super().__init__()
        if num_humans < num_queries or num_layers < 1:
            raise ValueError(
                f'a human decoder needs num_humans >= num_queries='
                f'{num_queries} and a layer, got num_humans={num_humans}, '
                f'num_layers={num_layers}'
            )
        self.embed_dims = embed_dims
        self.num_queries = num_queries
        self.num_humans = num_humans
        self.enc_box_mlp = FFN(embed_dims, embed_dims, 4, 3)
        self.layers = nn.ModuleList(
            HumanDecoderLayer(
                DeformableAttention(embed_dims, **attention),
                feedforward_dims,
            )
            for _ in range(num_layers)
        )
        self.pos_mlp = FFN(2 * embed_dims, embed_dims, embed_dims, 2)
        self.box_mlps = nn.ModuleList(
            FFN(embed_dims, embed_dims, 4, 3) for _ in range(num_layers)
        )
        self.fc_cls = nn.ModuleList(
            nn.Linear(embed_dims, NUM_CLASSES) for _ in range(num_layers)
        )

    def init_weights(self) -> None:
        """Zero-initialise offsets; set the class bias to a prior of 0.01."""
        for mlp in (self.enc_box_mlp, *self.box_mlps):
            zero_last_layer(mlp)
        for linear in self.fc_cls:
            nn.init.constant_(linear.bias, CLASS_BIAS)

    def forward(
        self, proposals: Proposals, memory: Tensor, maps: TokenMaps
    ) -> HumanProposals:
        """Refine M proposals of the encoder.

        Args:
            proposals: M proposals of the encoder.
            memory: Tokens of the image, (B, V, C).
            maps: Their layout.
        """
        offsets = self.enc_box_mlp(proposals.features)
        first = (offsets + proposals.anchors).sigmoid()
        x, boxes = proposals.features.detach(), first.detach()
        start, found, logits = boxes, [], []
        for layer, box_mlp, fc_cls in zip(
            self.layers, self.box_mlps, self.fc_cls, strict=True
        ):
            reference_points = maps.reference_points(boxes)
            pos = sine_point_embed(reference_points[:, :, 0], self.embed_dims)
            pos = self.pos_mlp(pos.to(self.pos_mlp.layers[-1].weight))
            x = layer(x, pos, reference_points, memory, maps)
            offsets = box_mlp(x).to(boxes.dtype)
            # As for poses: the loss of a layer also trains the layer before
            # it.
            found.append((inverse_sigmoid(start) + offsets).sigmoid())
            start = (inverse_sigmoid(boxes) + offsets).sigmoid()
            boxes = start.detach()
            logits.append(fc_cls(x))
        best = logits[-1].amax(-1).topk(self.num_queries, dim=1).indices
        anchors = inverse_sigmoid(boxes)
        kept = (gather_rows(t, best) for t in (x, logits[-1], anchors))
        return HumanProposals(
            *kept,
            proposals.indices.gather(1, best),
            torch.stack([*logits, proposals.logits.to(logits[0])]),
            box_convert(torch.stack([*found, first]), 'cxcywh', 'xyxy'),
        )
