"""From the tokens of an image to the first poses and queries of Group Pose."""

# B batch (1 where no image is padded), V tokens of all levels, N instances,
# K keypoints, C channels

import math
from dataclasses import dataclass

import torch
from mmpose.models.heads.transformer_heads.transformers import FFN
from torch import Tensor, nn

from gtpt_mm.codecs.group_pose_label import NUM_CLASSES
from gtpt_mm.layers.token_maps import TokenMaps

#: Bias for a prior probability of 0.01 (focal-loss initialisation).
CLASS_BIAS = -math.log((1 - 0.01) / 0.01)
#: Size of an anchor on the first level, in units of the image; it doubles with
#: each level. Centers and sizes must lie between the limits.
ANCHOR_SIZE, ANCHOR_LIMITS = 0.05, (0.01, 0.99)


@dataclass(frozen=True)
class Proposals:
    """The N tokens of each image with the best scores.

    Args:
        features: Their features, (B, N, C).
        logits: Class scores before the sigmoid, (B, N, 2).
        anchors: Boxes (cx, cy, w, h) before the sigmoid, (B, N, 4); infinite
            for tokens that are not valid proposals.
        indices: Indices of the tokens, (B, N).
    """

    features: Tensor
    logits: Tensor
    anchors: Tensor
    indices: Tensor

    @property
    def content(self) -> Tensor:
        """Features for the queries; they do not train the encoder."""
        return self.features.detach()


class ProposalSelector(nn.Module):
    """Score every token and keep the best of all levels.

    Tokens of padding and at the very border are not valid proposals: their
    features are zeroed, so they share one score.

    Source: Liu et al., "Group Pose", ICCV 2023, Sec. 3.2; details from the
    code, which follows Deformable DETR.

    Args:
        embed_dims: Channels C.
        num_queries: N.
    """

    def __init__(self, embed_dims: int, num_queries: int) -> None:
        super().__init__()
        self.num_queries = num_queries
        self.fc = nn.Linear(embed_dims, embed_dims)
        self.norm = nn.LayerNorm(embed_dims)
        self.fc_cls = nn.Linear(embed_dims, NUM_CLASSES)

    def forward(self, memory: Tensor, maps: TokenMaps) -> Proposals:
        """Return the tokens with the best scores.

        Args:
            memory: Tokens, (B, V, C).
            maps: Their layout.

        Raises:
            ValueError: If there are fewer tokens than queries.
        """
        if memory.shape[1] < self.num_queries:
            raise ValueError(
                f'an image of {memory.shape[1]} tokens cannot fill '
                f'{self.num_queries} queries; enlarge the input or lower '
                'their number'
            )
        anchors, invalid = make_anchors(maps)
        memory = memory.masked_fill(invalid[..., None], 0)
        features = self.norm(self.fc(memory))
        logits = self.fc_cls(features)
        indices = logits.amax(-1).topk(self.num_queries, dim=1).indices
        return Proposals(
            gather_rows(features, indices),
            gather_rows(logits, indices),
            gather_rows(anchors, indices),
            indices,
        )


def make_anchors(maps: TokenMaps) -> tuple[Tensor, Tensor]:
    """Return the anchor of each token, and which are not valid proposals.

    Returns:
        Boxes (cx, cy, w, h) before the sigmoid, (B, V, 4), infinite where
        invalid; and True for invalid ones, (B, V).
    """
    sizes = torch.cat(
        [
            maps.centers.new_full((h * w, 2), ANCHOR_SIZE * 2**i)
            for i, (h, w) in enumerate(maps.spatial_shapes)
        ]
    )
    boxes = torch.cat((maps.centers, sizes.expand_as(maps.centers)), dim=-1)
    low, high = ANCHOR_LIMITS
    invalid = ~((boxes > low) & (boxes < high)).all(-1)
    if maps.key_padding_mask is not None:
        invalid = invalid | maps.key_padding_mask
    anchors = boxes.logit().masked_fill(invalid[..., None], float('inf'))
    return anchors, invalid


def zero_last_layer(mlp: FFN) -> None:
    """Zero-initialise the last layer of a network."""
    nn.init.zeros_(mlp.layers[-1].weight)
    nn.init.zeros_(mlp.layers[-1].bias)


def gather_rows(tensor: Tensor, indices: Tensor) -> Tensor:
    """Gather rows, (B or 1, V, c) at (B, N) to (B, N, c)."""
    tensor = tensor.expand(indices.shape[0], -1, -1)  # len() fixes it
    return tensor.gather(1, indices[..., None].expand(-1, -1, tensor.shape[2]))


class PoseProposer(nn.Module):
    """Predict the keypoints of each proposal around its center.

    It runs on selected tokens only. The official code runs it on all tokens
    and then selects, with equal results.

    Args:
        embed_dims: Channels C.
        num_keypoints: K.
    """

    def __init__(self, embed_dims: int, num_keypoints: int) -> None:
        super().__init__()
        self.num_keypoints = num_keypoints
        self.mlp = FFN(embed_dims, 2 * embed_dims, 2 * num_keypoints, 4)

    def forward(self, proposals: Proposals) -> Tensor:
        """Return keypoints in units of the image, (B, N, K, 2)."""
        offsets = self.mlp(proposals.features)
        offsets = offsets.unflatten(2, (self.num_keypoints, 2))
        return (offsets + proposals.anchors[:, :, None, :2]).sigmoid()


class QueryBuilder(nn.Module):
    """Make the content of the queries of each instance.

    A keypoint query is a learned embedding of the keypoint plus the feature
    of the proposal; the instance query is a learned embedding alone.

    Args:
        embed_dims: Channels C.
        num_keypoints: K.
    """

    def __init__(self, embed_dims: int, num_keypoints: int) -> None:
        super().__init__()
        self.keypoints = nn.Embedding(num_keypoints, embed_dims)
        self.instance = nn.Embedding(1, embed_dims)

    def forward(self, features: Tensor) -> Tensor:
        """Return queries, (B, N, 1 + K, C), of features, (B, N, C)."""
        queries = features[:, :, None] + self.keypoints.weight
        instance = self.instance.weight.to(queries.dtype)
        return torch.cat((instance.expand_as(queries[:, :, :1]), queries), 2)
