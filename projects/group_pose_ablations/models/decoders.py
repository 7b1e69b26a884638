"""Decoders of the ablations of Group Pose, named as the rows of the tables."""

# B batch, N instances, K keypoints, Q queries of an instance, C channels,
# L levels

from mmpose.models.heads.transformer_heads.transformers import FFN
from mmpose.registry import MODELS
from torch import Tensor, nn

from gtpt_mm.layers.token_maps import TokenMaps
from gtpt_mm.models.heads.group_pose_decoder import (
    GroupPoseDecoder,
    GroupPoseDecoderLayer,
)

from .attention import (
    FlatSelfAttention,
    PartialGroupSelfAttention,
    SharedGroupSelfAttention,
)


class KeypointQueries(nn.Module):
    """Keypoint queries only: embedding plus feature of the proposal."""

    def __init__(self, embed_dims: int, num_keypoints: int) -> None:
        super().__init__()
        self.keypoints = nn.Embedding(num_keypoints, embed_dims)

    def forward(self, features: Tensor) -> Tensor:
        """Return queries, (B, N, K, C), of features, (B, N, C)."""
        return features[:, :, None] + self.keypoints.weight


class InstanceQueries(nn.Module):
    """Instance queries only.

    They get the feature of the proposal: otherwise nothing would distinguish
    the instances.
    """

    def __init__(self, embed_dims: int) -> None:
        super().__init__()
        self.instance = nn.Embedding(1, embed_dims)

    def forward(self, features: Tensor) -> Tensor:
        """Return queries, (B, N, 1, C), of features, (B, N, C)."""
        return features[:, :, None] + self.instance.weight


@MODELS.register_module()
class ScoreFromKeypointsDecoder(GroupPoseDecoder):
    """Score the mean of the keypoint queries (Table 4b)."""

    def score(self, i: int, x: Tensor) -> Tensor:
        """Return class scores before the sigmoid, (B, N, 2)."""
        return self.fc_cls[i](x[:, :, self.first_keypoint :].mean(2))


@MODELS.register_module()
class OnlyKeypointQueriesDecoder(ScoreFromKeypointsDecoder):
    """No instance queries (Tables 4a and 4b)."""

    first_keypoint = 0

    def build_queries(self) -> nn.Module:
        """Return the module that makes queries of features."""
        return KeypointQueries(self.embed_dims, self.num_keypoints)

    def locate(
        self, keypoints: Tensor, maps: TokenMaps
    ) -> tuple[Tensor, Tensor]:
        """Return reference points, (B, N * K, L, 2), and positions."""
        points = maps.reference_points(keypoints.flatten(1, 2))
        return points, self.embed_points(keypoints, maps)


@MODELS.register_module()
class OnlyInstanceQueriesDecoder(GroupPoseDecoder):
    """One query for each instance, which moves all keypoints (Table 4a)."""

    first_keypoint = 0

    def build_queries(self) -> nn.Module:
        """Return the module that makes queries of features."""
        return InstanceQueries(self.embed_dims)

    def build_pose_mlp(self) -> nn.Module:
        """Return the network from a query to the offsets of all keypoints."""
        dims = self.embed_dims
        return FFN(dims, dims, 2 * self.num_keypoints, 3)

    def locate(
        self, keypoints: Tensor, maps: TokenMaps
    ) -> tuple[Tensor, Tensor]:
        """Return reference points, (B, N, L, 2), and positions."""
        mean = keypoints.mean(2, keepdim=True)
        points = maps.reference_points(mean.flatten(1, 2))
        return points, self.embed_points(mean, maps)


@MODELS.register_module()
class StandardAttentionDecoder(GroupPoseDecoder):
    """One self-attention over all queries (Table 4d)."""

    def build_self_attn(self, num_heads: int) -> nn.Module:
        """Return the self-attention of a layer."""
        return FlatSelfAttention(self.embed_dims, num_heads)


@MODELS.register_module()
class MaskedAttentionDecoder(GroupPoseDecoder):
    """One self-attention over all queries, with a mask (Table 4d)."""

    def build_self_attn(self, num_heads: int) -> nn.Module:
        """Return the self-attention of a layer."""
        return FlatSelfAttention(self.embed_dims, num_heads, masked=True)


@MODELS.register_module()
class SharedAttentionDecoder(GroupPoseDecoder):
    """The same projections within and across instances (A.3)."""

    def build_self_attn(self, num_heads: int) -> nn.Module:
        """Return the self-attention of a layer."""
        return SharedGroupSelfAttention(self.embed_dims, num_heads)


class PartialAttentionDecoder(GroupPoseDecoder):
    """Leave out one of the attentions, or some queries of it.

    Attributes:
        partial: Arguments of ``PartialGroupSelfAttention``.
    """

    partial: dict

    def build_self_attn(self, num_heads: int) -> nn.Module:
        """Return the self-attention of a layer."""
        return PartialGroupSelfAttention(
            self.embed_dims, num_heads, **self.partial
        )


@MODELS.register_module()
class WithinOnlyDecoder(PartialAttentionDecoder):
    """No attention across instances (Table 4e)."""

    partial = dict(across_slots=(0, 0))


@MODELS.register_module()
class AcrossOnlyDecoder(PartialAttentionDecoder):
    """No attention within instances (Table 4e)."""

    partial = dict(with_within=False)


@MODELS.register_module()
class NoSelfAttentionDecoder(PartialAttentionDecoder):
    """Neither self-attention (text of Table 4e)."""

    partial = dict(with_within=False, across_slots=(0, 0))


@MODELS.register_module()
class AcrossKeypointsDecoder(PartialAttentionDecoder):
    """Only keypoint queries attend across instances (A.2)."""

    partial = dict(across_slots=(1, None))


@MODELS.register_module()
class AcrossInstancesDecoder(PartialAttentionDecoder):
    """Only instance queries attend across instances (A.2)."""

    partial = dict(across_slots=(0, 1))


@MODELS.register_module()
class UnaliasedDecoder(GroupPoseDecoder):
    """The losses of a layer read the queries that its refinement reads.

    Predictions equal those of ``GroupPoseDecoder``; only training differs.
    """

    @staticmethod
    def alias_states(
        states: list[Tensor], positions: list[Tensor]
    ) -> list[Tensor]:
        """Return the states as they are."""
        return states


class TextbookDecoderLayer(GroupPoseDecoderLayer):
    """Add positions to queries and keys, not to values and residuals."""

    def forward(
        self,
        x: Tensor,
        pos: Tensor,
        reference_points: Tensor,
        memory: Tensor,
        maps: TokenMaps,
    ) -> Tensor:
        """Return new queries, (B, N, Q, C); see the base class."""
        x = self.self_attn(x, pos)
        query = (x + pos).flatten(1, 2)
        attended = self.cross_attn(query, memory, reference_points, maps)
        return self.ffn(self.norm(x + attended.view_as(x)))


@MODELS.register_module()
class TextbookDecoder(UnaliasedDecoder):
    """Positions are added as in DETR; official weights do not fit it."""

    layer_type = TextbookDecoderLayer
