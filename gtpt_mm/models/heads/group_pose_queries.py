"""From the tokens of an image to the first poses and queries of Group Pose."""

# B batch, V tokens of all levels, N instances, K keypoints, C channels

import math
from dataclasses import dataclass

import torch
from mmpose.models.heads.transformer_heads.transformers import FFN
from torch import Tensor, nn

from gtpt_mm.layers.deform_encoder import TokenMaps

NUM_CLASSES = 2  # as the authors; the losses say which is a person
#: A first guess is right once in a hundred.
CLASS_BIAS = -math.log((1 - 0.01) / 0.01)
#: Of the size of a proposal on the first level, in units of the image; twice
#: as much on the next. Centers and sizes outside of the limits are no
#: proposals.
PROPOSAL_SIZE, PROPOSAL_LIMITS = 0.05, (0.01, 0.99)


@dataclass(frozen=True)
class Proposals:
    """The N tokens of each image that look most like a person.

    Args:
        features: Their features, (B, N, C).
        logits: Class scores before the sigmoid, (B, N, 2).
        centers: Their places before the sigmoid, (B, N, 2); infinite for
            tokens that are no proposals.
        indices: Which tokens they are, (B, N).
    """

    features: Tensor
    logits: Tensor
    centers: Tensor
    indices: Tensor


class ProposalSelector(nn.Module):
    """Score every token and keep the best of all levels.

    Tokens of padding, and those at the very border, are no proposals: they
    are read as zeros, and share one score.

    Source: Liu et al., "Group Pose", ICCV 2023, Sec. 3.2; details of the
    code, which follow Deformable DETR.

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
        """Select.

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
                'num_queries (with a human_decoder: its num_humans)'
            )
        invalid = self._find_invalid(maps)
        memory = memory.masked_fill(invalid[..., None], 0)
        features = self.norm(self.fc(memory))
        logits = self.fc_cls(features)
        best = logits.amax(-1).topk(self.num_queries, dim=1).indices
        centers = maps.centers.logit()
        centers = centers.masked_fill(invalid[..., None], float('inf'))
        return Proposals(
            *(pick(tensor, best) for tensor in (features, logits, centers)),
            best,
        )

    @staticmethod
    def _find_invalid(maps: TokenMaps) -> Tensor:
        """Return True for tokens that are no proposals, (B or 1, V)."""
        low, high = PROPOSAL_LIMITS
        inside = ((maps.centers > low) & (maps.centers < high)).all(-1)
        sizes = proposal_sizes(maps)
        fits = (sizes > low) & (sizes < high)
        invalid = ~(inside & fits)
        return invalid if maps.hidden is None else invalid | maps.hidden


def proposal_sizes(maps: TokenMaps) -> Tensor:
    """Return width and height of each token's proposal, (V,)."""
    device = maps.centers.device
    return torch.cat(
        [
            torch.full((h * w,), PROPOSAL_SIZE * 2**i, device=device)
            for i, (h, w) in enumerate(maps.shapes)
        ]
    )


def pick(tensor: Tensor, indices: Tensor) -> Tensor:
    """Gather rows, (B or 1, V, c) at (B, N) to (B, N, c)."""
    tensor = tensor.expand(len(indices), -1, -1)
    return tensor.gather(1, indices[..., None].expand(-1, -1, tensor.shape[2]))


class PoseProposer(nn.Module):
    """Predict the keypoints of each proposal around its center.

    Only of the selected tokens: the authors do it for all of them and then
    select, with equal numbers.

    Args:
        embed_dims: Channels C.
        num_keypoints: K.
    """

    def __init__(self, embed_dims: int, num_keypoints: int) -> None:
        super().__init__()
        self.num_keypoints = num_keypoints
        self.mlp = FFN(embed_dims, 2 * embed_dims, 2 * num_keypoints, 4)

    def forward(self, features: Tensor, centers: Tensor) -> Tensor:
        """Return keypoints in units of the image, (B, N, K, 2).

        Args:
            features: Features of the instances, (B, N, C).
            centers: Places before the sigmoid, (B, N, 2).
        """
        moves = self.mlp(features).unflatten(2, (self.num_keypoints, 2))
        return (moves + centers[:, :, None]).sigmoid()


class QueryBuilder(nn.Module):
    """Make the content of the queries of each instance.

    A keypoint query is a learned embedding of the keypoint plus the feature
    of the proposal; the instance query is a learned embedding alone. Without
    keypoint queries the instance query gets the feature: else nothing in it
    would tell one instance from another.

    Args:
        embed_dims: Channels C.
        num_keypoints: K.
        with_instance: Whether there is an instance query.
        with_keypoints: Whether there are keypoint queries.
    """

    def __init__(
        self,
        embed_dims: int,
        num_keypoints: int,
        with_instance: bool = True,
        with_keypoints: bool = True,
    ) -> None:
        super().__init__()
        self.with_instance = with_instance
        self.with_keypoints = with_keypoints
        if with_keypoints:
            self.keypoints = nn.Embedding(num_keypoints, embed_dims)
        if with_instance:
            self.instance = nn.Embedding(1, embed_dims)

    def forward(self, features: Tensor) -> Tensor:
        """Return the queries, (B, N, S, C), the instance query first."""
        features = features[:, :, None]
        if not self.with_keypoints:
            return features + self.instance.weight
        queries = features + self.keypoints.weight
        if not self.with_instance:
            return queries
        instance = self.instance.weight.to(queries.dtype)
        return torch.cat((instance.expand_as(queries[:, :, :1]), queries), 2)
