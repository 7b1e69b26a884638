"""Decoder of Group Pose: keypoint and instance queries become poses."""

# S stages of the loss (decoder layers), B batch, N instances, K keypoints,
# Q queries of an instance (instance query, keypoint queries), V tokens,
# C channels, L levels

import torch
import torch.nn.functional as F
from mmpose.models.heads.transformer_heads.transformers import FFN
from mmpose.models.utils import inverse_sigmoid
from mmpose.registry import MODELS
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from gtpt_mm.codecs.group_pose_label import NUM_CLASSES
from gtpt_mm.layers.deform_attention import DeformableAttention
from gtpt_mm.layers.deform_encoder import PostNormFeedForward
from gtpt_mm.layers.instance_attention import GroupSelfAttention
from gtpt_mm.layers.pos_embed import sine_point_embed
from gtpt_mm.layers.token_maps import TokenMaps

from .group_pose_queries import CLASS_BIAS, QueryBuilder, zero_last_layer


class GroupPoseDecoderLayer(nn.Module):
    """Self-attention of queries, deformable cross-attention, feed-forward.

    Positions are added to the queries before both attentions and stay in them:
    they are also in attention values and residuals. A layer of DETR adds them
    to queries and keys only; the official weights do not work with that.

    Source: the code of Group Pose (Liu et al., ICCV 2023), which adds them in
    place.

    Args:
        self_attn: Self-attention with its residual and norm.
        cross_attn: Attention to the image.
        feedforward_dims: Channels inside the feed-forward network.
    """

    def __init__(
        self,
        self_attn: nn.Module,
        cross_attn: DeformableAttention,
        feedforward_dims: int,
    ) -> None:
        super().__init__()
        self.self_attn = self_attn
        self.cross_attn = cross_attn
        self.norm = nn.LayerNorm(cross_attn.embed_dims)
        self.ffn = PostNormFeedForward(cross_attn.embed_dims, feedforward_dims)

    def forward(
        self,
        x: Tensor,
        pos: Tensor,
        reference_points: Tensor,
        memory: Tensor,
        maps: TokenMaps,
    ) -> Tensor:
        """Return new queries, (B, N, Q, C).

        Args:
            x: Queries, (B, N, Q, C).
            pos: Positions, (B, N, Q, C).
            reference_points: Reference points of the queries,
                (B, N * Q, L, 2).
            memory: Tokens of the image, (B, V, C).
            maps: Their layout.
        """
        x = self.self_attn(x + pos) + pos
        attended = self.cross_attn(
            x.flatten(1, 2), memory, reference_points, maps
        )
        return self.ffn(self.norm(x + attended.view_as(x)))


@MODELS.register_module()
class GroupPoseDecoder(nn.Module):
    """Refine N poses layer by layer, and score them.

    Every instance has a query for each keypoint and one for the score. A layer
    moves each keypoint by an offset from its query, and the next layer uses
    the new keypoint as the reference point. The instance query uses the mean
    of the keypoints.

    Source: Liu et al., "Group Pose", ICCV 2023, Sec. 3. The order of
    additions is that of the code: see ``GroupPoseDecoderLayer`` and
    :meth:`alias_states`.

    Args:
        embed_dims: Channels C.
        num_keypoints: K.
        num_layers: Number of layers.
        feedforward_dims: Channels inside the feed-forward networks.
        attention: More arguments of ``DeformableAttention``; all attentions
            have the same number of heads.
        with_cp: Whether training recomputes the layers instead of keeping
            their inner activations, which saves memory and costs time.
    """

    #: Class of the layers, for subclasses.
    layer_type: type[GroupPoseDecoderLayer] = GroupPoseDecoderLayer
    #: Index of the first keypoint query among the queries of an instance.
    first_keypoint = 1

    def __init__(
        self,
        embed_dims: int,
        num_keypoints: int,
        num_layers: int = 6,
        feedforward_dims: int = 2048,
        attention: dict | None = None,
        with_cp: bool = False,
    ) -> None:
        super().__init__()
        self.embed_dims = embed_dims
        self.num_keypoints = num_keypoints
        self.with_cp = with_cp
        self.queries = self.build_queries()
        self.layers = nn.ModuleList()
        for _ in range(num_layers):
            cross_attn = DeformableAttention(embed_dims, **(attention or {}))
            self_attn = self.build_self_attn(cross_attn.num_heads)
            self.layers.append(
                self.layer_type(self_attn, cross_attn, feedforward_dims)
            )
        self.pos_mlp = FFN(embed_dims, embed_dims, embed_dims, 2)
        self.pose_mlps = nn.ModuleList(
            self.build_pose_mlp() for _ in range(num_layers)
        )
        self.fc_cls = nn.ModuleList(
            nn.Linear(embed_dims, NUM_CLASSES) for _ in range(num_layers)
        )

    def build_queries(self) -> nn.Module:
        """Return the module that makes queries of features."""
        return QueryBuilder(self.embed_dims, self.num_keypoints)

    def build_self_attn(self, num_heads: int) -> nn.Module:
        """Return the self-attention of a layer, with residuals and norms."""
        return GroupSelfAttention(self.embed_dims, num_heads)

    def build_pose_mlp(self) -> nn.Module:
        """Return the network from a query to the offset of its keypoint."""
        return FFN(self.embed_dims, self.embed_dims, 2, 3)

    def init_weights(self) -> None:
        """Zero-initialise offsets; set the class bias to a prior of 0.01."""
        for mlp in self.pose_mlps:
            zero_last_layer(mlp)
        for linear in self.fc_cls:
            nn.init.constant_(linear.get_parameter('bias'), CLASS_BIAS)

    def forward(
        self,
        features: Tensor,
        keypoints: Tensor,
        memory: Tensor,
        maps: TokenMaps,
        all_layers: bool = False,
    ) -> tuple[Tensor, Tensor]:
        """Return scored poses.

        Args:
            features: Features of the instances, (B, N, C).
            keypoints: First poses, (B, N, K, 2), in units of the image.
            memory: Tokens of the image, (B, V, C).
            maps: Their layout.
            all_layers: Whether to return the results of all layers, for the
                loss, or only those of the last.

        Returns:
            Class scores before the sigmoid, (S, B, N, 2), and keypoints in
            units of the image, (S, B, N, K, 2); S is 1 or the number of
            layers.
        """
        x = self.queries(features)
        points = keypoints.detach()
        # Of every layer: input pose, output, position, offsets.
        poses, states, positions, offsets = [points], [], [], []
        for i, layer in enumerate(self.layers):
            reference_points, pos = self.locate(points, maps)
            args = x, pos, reference_points, memory, maps
            if self.with_cp and torch.is_grad_enabled():
                x = checkpoint(layer, *args, use_reentrant=False)
            else:
                x = layer(*args)
            states.append(x)
            positions.append(pos)
            offsets.append(self.predict_offsets(i, x))
            poses.append(_move(points, offsets[-1]))
            points = poses[-1].detach()
        if not all_layers:
            return self.score(-1, x)[None], poses[-1][None]
        states = self.alias_states(states, positions)
        for i, state in enumerate(states[:-1]):
            offsets[i] = self.predict_offsets(i, state)
        # The poses are not detached: the loss of a layer also trains the
        # previous layer.
        return (
            torch.stack([self.score(i, s) for i, s in enumerate(states)]),
            torch.stack(list(map(_move, poses, offsets))),
        )

    @staticmethod
    def alias_states(
        states: list[Tensor], positions: list[Tensor]
    ) -> list[Tensor]:
        """Return the queries that the losses of the layers read.

        In the official code the next layer adds its positions in place to the
        queries that the losses read afterwards. This affects training, but not
        predictions.
        """
        aliased = map(torch.add, states[:-1], positions[1:])
        return [*aliased, states[-1]]

    def locate(
        self, keypoints: Tensor, maps: TokenMaps
    ) -> tuple[Tensor, Tensor]:
        """Return reference points, (B, N * Q, L, 2), and positions.

        Positions, (B, N, Q, C), are 0 for the instance query. Reference points
        stay in float32, as the keypoints, (B, N, K, 2).
        """
        mean = keypoints.mean(2, keepdim=True)
        points = torch.cat((mean, keypoints), dim=2).flatten(1, 2)
        pos = F.pad(self.embed_points(keypoints, maps), (0, 0, 1, 0))
        return maps.reference_points(points), pos

    def embed_points(self, points: Tensor, maps: TokenMaps) -> Tensor:
        """Embed points, (B, N, Q, 2), by their position on the first map."""
        on_first = points * maps.valid_ratios[:, None, None, 0]
        pos = sine_point_embed(on_first, self.embed_dims)
        return self.pos_mlp(pos.to(self.pos_mlp.layers[-1].weight))

    def predict_offsets(self, i: int, x: Tensor) -> Tensor:
        """Return the offsets of the keypoints by layer i, (B, N, K, 2).

        Before the sigmoid; in 32 bits, so that small ones add up.
        """
        offsets = self.pose_mlps[i](
            x[:, :, self.first_keypoint :].contiguous()
        )
        offsets = offsets.to(torch.promote_types(offsets.dtype, torch.float32))
        return offsets.view(*x.shape[:2], self.num_keypoints, 2)

    def score(self, i: int, x: Tensor) -> Tensor:
        """Return class scores before the sigmoid, (B, N, 2)."""
        return self.fc_cls[i](x[:, :, 0])


def _move(points: Tensor, offsets: Tensor) -> Tensor:
    return (inverse_sigmoid(points) + offsets).sigmoid()
