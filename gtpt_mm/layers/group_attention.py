"""Attention of keypoint and image tokens, alone or in keypoint groups."""

# B batch, G groups, K shared keypoint tokens, S keypoint slots of a group,
# M other tokens of a group, T = K + G * M tokens in all, H heads, C channels

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .mlp import MLP
from .token_pruning import softmax_pool


@dataclass(frozen=True)
class TokenLayout:
    """How one flat token sequence is made of keypoint groups.

    The sequence is ``[K keypoint tokens | M tokens of group 0 | M of group 1
    | ...]``. The keypoint tokens exist once; every group reads all of them
    as keys (or its own only), and owns some of them as queries. Linear
    layers, norms and feed-forward networks see the flat sequence and need no
    padding.

    Args:
        num_keypoints: Number of shared keypoint tokens K.
        num_groups: Number of groups G.
        slots: The keypoints that each group owns, (G, S); shorter groups are
            filled up with any index. None if one group owns all in order.
        owner: Place of keypoint k in the flattened slots, (K,), or None.
        shared: Whether every group reads the keypoints of all groups.
        hidden: True where one of the first keys of a group is a filler that
            nobody may read, (G, any number of keys); None if there is none.
    """

    num_keypoints: int
    num_groups: int = 1
    slots: Tensor | None = None
    owner: Tensor | None = None
    shared: bool = True
    hidden: Tensor | None = None

    def split(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Split (B, T, C) into (B, K, C) and (B, G, M, C)."""
        keypoints, rest = x.split(
            (self.num_keypoints, x.shape[1] - self.num_keypoints), dim=1
        )
        return keypoints, rest.unflatten(1, (self.num_groups, -1))

    def join(self, keypoints: Tensor, rest: Tensor) -> Tensor:
        """Join (B, K, C) and (B, G, M, C) to (B, T, C)."""
        return torch.cat((keypoints, rest.flatten(1, 2)), dim=1)

    def rows(self, places: Tensor, num_rest: int) -> Tensor:
        """Return where tokens of the groups stand in the flat sequence.

        Args:
            places: Places within each group's M tokens, (B, G, n).
            num_rest: M.

        Returns:
            Rows of all keypoint tokens and of those places, (B, K + G * n).
        """
        groups = torch.arange(self.num_groups, device=places.device)
        starts = self.num_keypoints + num_rest * groups
        keypoints = torch.arange(self.num_keypoints, device=places.device)
        return torch.cat(
            (
                keypoints.expand(places.shape[0], -1),
                (places + starts[:, None]).flatten(1),
            ),
            dim=1,
        )

    def queries(self, x: Tensor) -> Tensor:
        """Return each group's own tokens, (B, G, S + M, C)."""
        if self.slots is None:
            return x.unsqueeze(1)
        keypoints, rest = self.split(x)
        return torch.cat((keypoints[:, self.slots], rest), dim=2)

    def keys(self, x: Tensor) -> Tensor:
        """Return what each group attends to, (B, G, K + M, C).

        S + M tokens if groups do not share their keypoints.
        """
        if self.slots is None or not self.shared:
            return self.queries(x)
        keypoints, rest = self.split(x)
        keypoints = keypoints.unsqueeze(1).expand(-1, self.num_groups, -1, -1)
        return torch.cat((keypoints, rest), dim=2)

    def key_mask(self, batch: int, num_keys: int) -> Tensor | None:
        """Return True where a key may be read, (B * G, 1, 1, num_keys).

        None if all of them may.
        """
        if self.hidden is None:
            return None
        rest = num_keys - self.hidden.shape[1]
        mask = F.pad(~self.hidden, (0, rest), value=True)
        return mask.repeat(batch, 1)[:, None, None]

    def ungroup(self, x: Tensor) -> Tensor:
        """Undo :meth:`queries`: (B, G, S + M, C) to (B, T, C)."""
        if self.slots is None:
            return x.squeeze(1)
        num_slots = self.slots.shape[1]
        keypoints, rest = x.split((num_slots, x.shape[2] - num_slots), dim=2)
        return self.join(keypoints.flatten(1, 2)[:, self.owner], rest)


class GroupAttention(nn.Module):
    """Multi-head group attention (MHGA); with one group, self-attention.

    The tokens of a group attend to the tokens of the group and to the shared
    keypoint tokens of all groups. All groups use the same projections.

    Source: Wang et al., "GTPT", ECCV 2024, Sec. 3.4, Eqs. 7-9. The paper
    divides the logits by the root of the head's width; the authors' code,
    whose weights we load, by the root of C. We follow the code.

    Args:
        embed_dims: Channels C.
        num_heads: Number of heads H; divides C.

    Raises:
        ValueError: If ``num_heads`` does not divide ``embed_dims``.
    """

    def __init__(self, embed_dims: int, num_heads: int) -> None:
        super().__init__()
        if embed_dims % num_heads:
            raise ValueError(
                f'num_heads={num_heads} does not divide '
                f'embed_dims={embed_dims}'
            )
        self.num_heads = num_heads
        self.scale = embed_dims**-0.5
        self.qkv = nn.Linear(embed_dims, 3 * embed_dims, bias=False)
        self.proj = nn.Linear(embed_dims, embed_dims)

    def _heads(self, x: Tensor) -> Tensor:
        """Map (B, G, L, C) to (B * G, H, L, C / H)."""
        x = x.unflatten(3, (self.num_heads, -1))
        return x.flatten(0, 1).transpose(1, 2)

    def logits(self, queries: Tensor, keys: Tensor) -> Tensor:
        """Return scaled attention logits before the softmax.

        Args:
            queries: Projected queries, (B, G, Q, C).
            keys: Projected keys, (B, G, M, C).

        Returns:
            Logits, (B, G, H, Q, M), in float32 or wider: they decide which
            tokens survive, and rounding would change the choice.
        """
        with torch.autocast(queries.device.type, enabled=False):
            if queries.dtype.itemsize < 4:
                queries, keys = queries.float(), keys.float()
            q = queries.unflatten(3, (self.num_heads, -1)).transpose(2, 3)
            k = keys.unflatten(3, (self.num_heads, -1)).transpose(2, 3)
            return (q * self.scale) @ k.transpose(3, 4)

    @torch.no_grad()
    def score(
        self, queries: Tensor, keys: Tensor, mask: Tensor | None = None
    ) -> Tensor:
        """Return how much keys matter to queries, see ``softmax_pool``.

        Args:
            queries: Projected queries, (B, G, Q, C).
            keys: Projected keys, (B, G, M, C).
            mask: True where a query counts, (G, Q); None counts all.

        Returns:
            Scores, (B, G, M), without gradient.
        """
        return softmax_pool(self.logits(queries, keys), mask)

    def forward(
        self, q: Tensor, k: Tensor, v: Tensor, layout: TokenLayout
    ) -> Tensor:
        """Attend and project.

        Args:
            q: Projected queries in ``layout``, (B, T, C), maybe of fewer
                tokens than ``k``.
            k: Projected keys in ``layout``.
            v: Projected values, as ``k``.
            layout: The groups.

        Returns:
            New tokens for the rows of ``q``, (B, T, C).
        """
        batch = q.shape[0]
        keys = self._heads(layout.keys(k))
        out = F.scaled_dot_product_attention(
            self._heads(layout.queries(q)),
            keys,
            self._heads(layout.keys(v)),
            attn_mask=layout.key_mask(batch, keys.shape[2]),
            scale=self.scale,
        )  # (B * G, H, L, C / H)
        out = out.transpose(1, 2).flatten(2).unflatten(0, (batch, -1))
        return self.proj(layout.ungroup(out))


class GroupTransformerLayer(nn.Module):
    """Pre-norm transformer layer, its steps callable one by one.

    Pruning happens between the projections and the attention, and new
    keypoints appear between the attention and the feed-forward network, so
    the owner of the layer calls :meth:`project`, :meth:`attend` and
    :meth:`feed_forward` itself.

    Args:
        embed_dims: Channels C.
        num_heads: Number of attention heads.
        mlp_ratio: Width of the feed-forward network in units of C.
    """

    def __init__(
        self, embed_dims: int, num_heads: int, mlp_ratio: float
    ) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(embed_dims)
        self.attn = GroupAttention(embed_dims, num_heads)
        self.norm2 = nn.LayerNorm(embed_dims)
        self.mlp = MLP(embed_dims, int(mlp_ratio * embed_dims))

    def project(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return projected queries, keys and values, each (B, T, C)."""
        return self.attn.qkv(self.norm1(x)).chunk(3, dim=-1)

    def attend(
        self, x: Tensor, q: Tensor, k: Tensor, v: Tensor, layout: TokenLayout
    ) -> Tensor:
        """Add the attention of the rows of ``q`` to ``x``, (B, T, C)."""
        return _add(x, self.attn(q, k, v, layout))

    def feed_forward(self, x: Tensor) -> Tensor:
        """Add the feed-forward network to ``x``, (B, T, C)."""
        return _add(x, self.mlp(self.norm2(x)))


def _add(x: Tensor, new: Tensor) -> Tensor:
    """Return the sum, in the memory of ``new``, which nobody else holds.

    Under autocast ``new`` is half as wide as the residual stream ``x``.
    """
    return new.add_(x) if new.dtype == x.dtype else x + new
