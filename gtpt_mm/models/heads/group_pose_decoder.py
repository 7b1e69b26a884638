"""Decoder of Group Pose: keypoint and instance queries become poses."""

# H heads of the loss (decoder layers), B batch, N instances, K keypoints,
# S slots of an instance (instance query, keypoint queries), V tokens,
# C channels, L levels

import torch
from mmpose.models.heads.transformer_heads.transformers import FFN
from mmpose.models.utils import inverse_sigmoid
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from gtpt_mm.layers.deform_attention import DeformableAttention, Sampler
from gtpt_mm.layers.deform_encoder import PostNormFeedForward, TokenMaps
from gtpt_mm.layers.instance_attention import (
    FlatSelfAttention,
    GroupSelfAttention,
)
from gtpt_mm.layers.pos_embed import sine_point_embed

from .group_pose_queries import CLASS_BIAS, NUM_CLASSES, QueryBuilder

INSTANCE, KEYPOINT = 'instance', 'keypoint'


class GroupPoseDecoderLayer(nn.Module):
    """Self-attention of queries, deformable cross-attention, feed-forward.

    Args:
        self_attn: Self-attention with its residual and norm.
        cross_attn: Attention to the image.
        feedforward_dims: Channels inside the feed-forward network.
        pos_in_value: See ``GroupPoseDecoder``.
    """

    def __init__(
        self,
        self_attn: nn.Module,
        cross_attn: DeformableAttention,
        feedforward_dims: int,
        pos_in_value: bool,
    ) -> None:
        super().__init__()
        self.self_attn = self_attn
        self.cross_attn = cross_attn
        self.norm = nn.LayerNorm(cross_attn.embed_dims)
        self.ffn = PostNormFeedForward(cross_attn.embed_dims, feedforward_dims)
        self.pos_in_value = pos_in_value

    def forward(
        self,
        x: Tensor,
        pos: Tensor,
        references: Tensor,
        maps: TokenMaps,
        sampler: Sampler,
    ) -> Tensor:
        """Return new queries, (B, N, S, C).

        Args:
            x: Queries, (B, N, S, C); with ``pos_in_value`` the positions are
                already added.
            pos: Positions, (B, N, S, C).
            references: Where the queries look, (B, N * S, L, 2).
            maps: The layout of the tokens.
            sampler: Of ``cross_attn`` for the memory.
        """
        if self.pos_in_value:
            x = self.self_attn(x)
            x = query = x + pos
        else:
            x = self.self_attn(x, pos)
            query = x + pos
        seen = self.cross_attn.attend(
            query.flatten(1, 2), references, maps.sizes, sampler
        )
        return self.ffn(self.norm(x + seen.view_as(x)))


class GroupPoseDecoder(nn.Module):
    """Refine N poses layer by layer, and score them.

    Every instance has a query for each keypoint and one for the score. A
    layer moves each keypoint by what its query learned; the next layer looks
    there. The instance query looks at the mean of the keypoints.

    Source: Liu et al., "Group Pose", ICCV 2023, Sec. 3. Two properties of the
    authors' code are options, since their weights depend on the first and
    their training on the second: see ``pos_in_value`` and ``aux_alias``.

    Args:
        embed_dims: Channels C.
        num_keypoints: K.
        num_layers: Number of layers.
        feedforward_dims: Channels inside the feed-forward networks.
        num_heads: Attention heads.
        num_levels: Levels L.
        num_points: Points per head and level.
        impl: See ``DeformableAttention``.
        query_types: ``'instance'``, ``'keypoint'`` or both (Table 4a).
        score_from: ``'instance'`` scores the instance query, ``'keypoint'``
            the mean of the keypoint queries (Table 4b).
        self_attn: ``'group'`` (within, then across instances), or over all
            queries at once, ``'standard'`` or ``'masked'`` (Table 4d).
        with_within: Of ``'group'``: whether it has the first (Table 4e).
        across: Of ``'group'``: query types that attend across instances; may
            be empty (Table 4e, A.2).
        shared: Of ``'group'``: whether both use the same projections (A.3).
        pos_in_value: Whether positions are added to the queries for good,
            hence also to attention values and residuals. The authors' code
            adds them in place. False is the textbook layer: positions steer
            queries and keys only; official weights do not fit it.
        aux_alias: Whether the loss of a layer but the last reads its keypoint
            queries after the next layer added its positions, as happens in
            the authors' code by that addition in place. No effect on
            predictions. False reads what the refinement reads.
        with_cp: Whether training computes the layers again instead of
            keeping what is in them, which saves memory and costs time.

    Raises:
        ValueError: If an option is unknown, or two contradict each other.
    """

    def __init__(
        self,
        embed_dims: int,
        num_keypoints: int,
        num_layers: int = 6,
        feedforward_dims: int = 2048,
        num_heads: int = 8,
        num_levels: int = 4,
        num_points: int = 4,
        impl: str = 'auto',
        query_types: tuple[str, ...] = (INSTANCE, KEYPOINT),
        score_from: str = INSTANCE,
        self_attn: str = 'group',
        with_within: bool = True,
        across: tuple[str, ...] = (INSTANCE, KEYPOINT),
        shared: bool = False,
        pos_in_value: bool = True,
        aux_alias: bool = True,
        with_cp: bool = False,
    ) -> None:
        super().__init__()
        _check_types('query_types', query_types)
        _check_types('across', across, may_be_empty=True)
        if score_from not in query_types:
            raise ValueError(
                f'score_from must be one of query_types={query_types}, got '
                f'{score_from!r}'
            )
        if self_attn != 'group' and (
            shared or not with_within or len(across) < 2
        ):
            raise ValueError(
                'with_within, across and shared are of self_attn="group", '
                f'got self_attn={self_attn!r}'
            )
        if aux_alias and not pos_in_value:
            raise ValueError(
                'aux_alias=True is a consequence of pos_in_value=True; with '
                'pos_in_value=False set aux_alias=False'
            )
        self.embed_dims = embed_dims
        self.num_keypoints = num_keypoints
        self.with_instance = INSTANCE in query_types
        self.with_keypoints = KEYPOINT in query_types
        self.score_from = score_from
        self.pos_in_value = pos_in_value
        self.aux_alias = aux_alias
        self.with_cp = with_cp
        self.queries = QueryBuilder(
            embed_dims, num_keypoints, self.with_instance, self.with_keypoints
        )
        self.layers = nn.ModuleList(
            GroupPoseDecoderLayer(
                self._build_self_attn(
                    self_attn, num_heads, with_within, across, shared
                ),
                DeformableAttention(
                    embed_dims, num_heads, num_levels, num_points, impl
                ),
                feedforward_dims,
                pos_in_value,
            )
            for _ in range(num_layers)
        )
        self.pos_mlp = FFN(embed_dims, embed_dims, embed_dims, 2)
        num_moved = 1 if self.with_keypoints else num_keypoints
        self.pose_mlps = nn.ModuleList(
            FFN(embed_dims, embed_dims, 2 * num_moved, 3)
            for _ in range(num_layers)
        )
        self.fc_cls = nn.ModuleList(
            nn.Linear(embed_dims, NUM_CLASSES) for _ in range(num_layers)
        )

    def _build_self_attn(
        self,
        kind: str,
        num_heads: int,
        with_within: bool,
        across: tuple[str, ...],
        shared: bool,
    ) -> nn.Module:
        if kind in ('standard', 'masked'):
            return FlatSelfAttention(
                self.embed_dims, num_heads, kind == 'masked'
            )
        if kind != 'group':
            raise ValueError(
                "self_attn must be 'group', 'standard' or 'masked', got "
                f'{kind!r}'
            )
        first_keypoint = int(self.with_instance)
        end = first_keypoint + self.num_keypoints * self.with_keypoints
        slots = (
            0 if INSTANCE in across else first_keypoint,
            end if KEYPOINT in across else first_keypoint,
        )
        return GroupSelfAttention(
            self.embed_dims,
            num_heads,
            with_within,
            slots if slots[0] < slots[1] else None,
            shared,
        )

    def init_weights(self) -> None:
        """Move nothing, and hardly believe in anything."""
        for mlp in self.pose_mlps:
            nn.init.zeros_(mlp.layers[-1].weight)
            nn.init.zeros_(mlp.layers[-1].bias)
        for linear in self.fc_cls:
            nn.init.constant_(linear.bias, CLASS_BIAS)

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
            all_layers: Whether the results of all layers are wanted, for the
                loss, or those of the last.

        Returns:
            Class scores before the sigmoid, (H, B, N, 2), and keypoints in
            units of the image, (H, B, N, K, 2); H is 1 or the number of
            layers.
        """
        x = self.queries(features)
        points = keypoints.detach()
        starts, states, moves = [points], [], []
        for i, layer in enumerate(self.layers):
            references, pos = self._look(points, maps)
            if self.pos_in_value:
                x = x + pos
                if i and self.aux_alias:
                    states[-1] = x
            x = self._run(layer, x, pos, references, memory, maps)
            states.append(x)
            moves.append(self._move(i, x))
            # The head of a layer also trains the layer before it.
            starts.append(_moved(points, moves[-1]))
            points = starts[-1].detach()
        if not all_layers:
            return self._score(-1, x)[None], starts[-1][None]
        logits = [self._score(i, state) for i, state in enumerate(states)]
        if self.aux_alias:
            moves[:-1] = [self._move(i, s) for i, s in enumerate(states[:-1])]
        poses = [
            _moved(start, move)
            for start, move in zip(starts[:-1], moves, strict=True)
        ]
        return torch.stack(logits), torch.stack(poses)

    def _look(self, points: Tensor, maps: TokenMaps) -> tuple[Tensor, Tensor]:
        """Return references, (B, N * S, L, 2), and positions, (B, N, S, C).

        The instance query has no position beside keypoint queries. References
        keep the 32 bits of the points; positions are of the weights' type.
        """
        places = points
        if self.with_instance:
            mean = points.mean(2, keepdim=True)
            places = (
                torch.cat((mean, points), dim=2)
                if self.with_keypoints
                else mean
            )
        references = maps.references(places.flatten(1, 2))  # (B, N*S, L, 2)
        on_first = references[:, :, 0].unflatten(1, places.shape[1:3])
        if self.with_instance and self.with_keypoints:
            on_first = on_first[:, :, 1:]
        pos = sine_point_embed(on_first, self.embed_dims)
        pos = self.pos_mlp(pos.to(self.pos_mlp.layers[-1].weight))
        if self.with_instance and self.with_keypoints:
            pos = nn.functional.pad(pos, (0, 0, 1, 0))
        return references, pos

    def _run(
        self,
        layer: GroupPoseDecoderLayer,
        x: Tensor,
        pos: Tensor,
        references: Tensor,
        memory: Tensor,
        maps: TokenMaps,
    ) -> Tensor:
        def step(x: Tensor, pos: Tensor, memory: Tensor) -> Tensor:
            sampler = layer.cross_attn.sampler(
                memory, maps.shapes, maps.hidden
            )
            return layer(x, pos, references, maps, sampler)

        if self.with_cp and torch.is_grad_enabled():
            return checkpoint(step, x, pos, memory, use_reentrant=False)
        return step(x, pos, memory)

    def _move(self, i: int, x: Tensor) -> Tensor:
        """Return how far layer i moves the keypoints, (B, N, K, 2).

        Before the sigmoid; in 32 bits, so that small moves add up.
        """
        first = int(self.with_instance and self.with_keypoints)
        moves = self.pose_mlps[i](x[:, :, first:].contiguous())
        moves = moves.to(torch.promote_types(moves.dtype, torch.float32))
        return moves.view(*x.shape[:2], self.num_keypoints, 2)

    def _score(self, i: int, x: Tensor) -> Tensor:
        """Return class scores before the sigmoid, (B, N, 2)."""
        if self.score_from == INSTANCE:
            return self.fc_cls[i](x[:, :, 0])
        return self.fc_cls[i](x[:, :, int(self.with_instance) :].mean(2))


def _moved(points: Tensor, moves: Tensor) -> Tensor:
    return (inverse_sigmoid(points) + moves).sigmoid()


def _check_types(
    name: str, types: tuple[str, ...], may_be_empty: bool = False
) -> None:
    known = {INSTANCE, KEYPOINT}
    if set(types) - known or not (types or may_be_empty):
        raise ValueError(
            f'{name} must be some of {sorted(known)}, got {tuple(types)}'
        )
