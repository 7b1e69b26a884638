"""GTPT for exported files: few copies, no computed shapes."""

# B batch, N image patches, T tokens, G groups, S keypoint slots of a group,
# M other tokens of a group, L = S + M, K sparse keypoints, Q scoring queries,
# H heads, D channels of a head, C = H * D channels, n kept tokens

from collections.abc import Sequence
from itertools import accumulate

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gtpt_mm.layers.group_attention import GroupTransformerLayer
from gtpt_mm.models.backbones import GTPT
from gtpt_mm.models.backbones.gtpt_plan import Step
from gtpt_mm.models.backbones.keypoint_groups import KeypointGroups, Stage

from .export_gtpt_stem import export_stem
from .export_modules import export_module, make_linear
from .fuse import Chunked

# From the transition on, tokens are stored group by group,
#
#     [S keypoint slots of group 0 | its M others | S of group 1 | ...]
#
# so queries are a view. Slots beyond the keypoints of a small group hold a
# copy that no token attends to. Views are written with -1 for the batch, so
# the graph never computes a shape.

#: Score of a token that must stay; its negative marks one that must go.
_ALWAYS = 1e30


@export_module.register
def _export_gtpt(backbone: GTPT) -> nn.Module:
    """Replace a GTPT, but no subclass, which may compute something else."""
    if type(backbone) is not GTPT or type(backbone.groups) is not (
        KeypointGroups
    ):
        return backbone
    return ExportGTPT(backbone)


class ExportLayer(nn.Module):
    """A :class:`GroupTransformerLayer`; its query weights hold the scale."""

    def __init__(self, layer: GroupTransformerLayer) -> None:
        super().__init__()
        self.num_heads = layer.attn.num_heads
        self.norm1, self.norm2 = layer.norm1, layer.norm2
        q, k, v = layer.attn.qkv.weight.data.chunk(3)
        self.q = make_linear(q * layer.attn.scale)
        self.k, self.v = make_linear(k), make_linear(v)
        self.proj, self.mlp = layer.attn.proj, layer.mlp

    def attend(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """Return the attention output before its projection, (B, Lq, C).

        Args:
            q: Queries, (B, Lq, C).
            k: Keys, (B, Lk, C).
            v: Values, (B, Lk, C).
        """
        heads = (self.num_heads, q.shape[2] // self.num_heads)
        q, k, v = (x.view(-1, x.shape[1], *heads) for x in (q, k, v))
        weights = q.transpose(1, 2) @ k.permute(0, 2, 3, 1)
        out = (weights.softmax(dim=-1) @ v.transpose(1, 2)).transpose(1, 2)
        return out.contiguous().view(-1, q.shape[1], q.shape[2] * q.shape[3])

    def finish(self, x: Tensor, attended: Tensor) -> Tensor:
        """Add the projected attention output to the tokens."""
        return x + self.proj(attended)

    def feed_forward(self, x: Tensor) -> Tensor:
        """Return what the feed-forward network adds."""
        return self.mlp(self.norm2(x))


class ExportGTPT(nn.Module):
    """A fused GTPT with equal keypoint tokens.

    It keeps the same tokens, but in another order: attention does not depend
    on it.

    Args:
        backbone: In eval mode, its stem fused.
    """

    pos_table: Tensor
    start: Tensor

    def __init__(self, backbone: GTPT) -> None:
        super().__init__()
        stem = backbone.stem
        assert isinstance(stem, Chunked)
        assert isinstance(stem.module, nn.Sequential)
        self.img_size = backbone.img_size
        self.stem = export_stem(stem.module)
        self.coarse = nn.ModuleList()
        self.fine = nn.ModuleList()
        channels = backbone.embed_dims
        num_rest = backbone.grid_size[0] * backbone.grid_size[1]
        for step, layer in zip(backbone.plan, backbone.layers, strict=True):
            assert isinstance(layer, GroupTransformerLayer)
            layer = ExportLayer(layer)
            if step.stage is Stage.DENSE:
                fine = FineLayer(layer, step, backbone.groups, num_rest)
                self.fine.append(fine)
            else:
                new = backbone._sparse_tokens() if step.introduces else None
                new = None if new is None else new.detach()
                coarse = CoarseLayer(layer, step, num_rest, new)
                self.coarse.append(coarse)
            if step.divides:
                self.divide = Divide(backbone, step, num_rest)
            num_rest = step.num_keep or num_rest
        table = backbone.pos_table.reshape(-1, channels)
        table = F.pad(table, (0, 0, 1, 0))
        start = table.clone()
        start[0] = backbone._first_tokens().detach()[0, 0]
        self.register_buffer('pos_table', table, persistent=False)
        self.register_buffer('start', start, persistent=False)
        self.shape = (len(table) - 1, channels)

    def forward(self, img: Tensor) -> tuple[Tensor]:
        """Return keypoint tokens, see :meth:`GTPT.forward`."""
        if tuple(img.shape[-2:]) != tuple(self.img_size):
            raise ValueError(
                f'GTPT was built for images of (h, w) = {self.img_size}, got '
                f'{tuple(img.shape[-2:])}'
            )
        patches = self.stem(img)
        patches = patches.contiguous().view(-1, *self.shape)
        x = F.pad(patches, (0, 0, 1, 0)) + self.start  # (B, 1 + N, C)
        pos = self.pos_table  # without a batch until tokens are dropped
        for layer in self.coarse:
            x, pos, scores = layer(x, pos)
        x, pos = self.divide(x, pos, scores)
        for layer in self.fine:
            x, pos = layer(x, pos)
        return (x,)


class CoarseLayer(nn.Module):
    """A layer before the transition.

    Args:
        layer: The trained layer.
        step: Its step in the plan.
        num_rest: Image tokens N that it reads.
        new_tokens: The tokens that replace the human token, or None.
    """

    rank: Tensor

    def __init__(
        self,
        layer: ExportLayer,
        step: Step,
        num_rest: int,
        new_tokens: Tensor | None,
    ) -> None:
        super().__init__()
        self.layer = layer
        self.step = step
        self.num_keep = 0 if step.divides else step.num_keep
        self.new_tokens: Tensor | None
        self.register_buffer('new_tokens', new_tokens, persistent=False)
        if self.num_keep:
            if step.stage is not Stage.HUMAN:  # one keypoint token, row 0
                raise ValueError(f'{step.stage} prunes before it divides')
            rank = torch.zeros(1, 1 + num_rest, dtype=torch.int64)
            rank[:, 0] = 1
            self.register_buffer('rank', rank, persistent=False)

    def forward(
        self, x: Tensor, pos: Tensor
    ) -> tuple[Tensor, Tensor, tuple[Tensor, Tensor]]:
        """Return tokens and positions, and the layer's queries and keys.

        Args:
            x: Tokens with their positions added, (B, T, C).
            pos: Positions, (T, C) or (B, T, C).

        Returns:
            The same for the next layer, but without positions in the tokens
            of the layer that divides them.
        """
        layer = self.layer
        y = layer.norm1(x)
        k, v = layer.k(y), layer.v(y)
        if self.num_keep:
            query = layer.q(y[:, :1])
            scores = _score(query[:, None], k[:, None], layer.num_heads)
            rows = _choose(scores[:, 0], self.rank, 1 + self.num_keep)
            x, y, pos = _take(rows, x, y, pos)
        q = layer.q(y)
        x = layer.finish(x, layer.attend(q, k, v))
        if self.new_tokens is not None:
            num_new = self.new_tokens.shape[1]
            x = torch.cat((x[:, :1] + self.new_tokens, x[:, 1:]), dim=1)
            pos = F.pad(pos, (0, 0, num_new - 1, 0))  # keypoints: 0
        out = layer.feed_forward(x)
        # Added to the tokens first: constants meet in one table.
        x = x + out if self.step.divides else (x + pos) + out
        return x, pos, (q, k)


class Divide(nn.Module):
    """The transition: each group chooses its image tokens and masks them.

    Args:
        backbone: The trained backbone.
        step: The step of the transition.
        num_rest: Image tokens N that it reads.
    """

    rank: Tensor
    scorers: Tensor
    group: Tensor
    index: Tensor
    pos_index: Tensor
    valid: Tensor | None
    dense: Tensor | None
    part_of_dense: Tensor

    def __init__(self, backbone: GTPT, step: Step, num_rest: int) -> None:
        super().__init__()
        groups = backbone.groups
        layer = backbone.layers[step.layer - 1]
        assert isinstance(layer, GroupTransformerLayer)
        self.num_heads = layer.attn.num_heads
        self.group_mask = backbone.group_mask
        self.num_groups = groups.num_groups
        self.num_front = groups.num_parts + groups.num_sparse
        self.num_most = min(step.num_keep - min(groups.fronts), num_rest)
        dense = backbone.dense_embed.detach() if groups.num_parts else None
        self.register_buffer('dense', dense, persistent=False)
        rank = torch.zeros(1, self.num_front + num_rest, dtype=torch.int64)
        rank[:, : self.num_front] = -1
        valid = groups.coarse_valid
        tables = dict(
            rank=rank,
            scorers=groups.coarse_scorers,
            group=torch.arange(self.num_groups)[:, None],
            part_of_dense=groups.part_of_dense,
            valid=None if bool(valid.all()) else valid,
            **self._make_index(groups, step.num_keep),
        )
        for name, table in tables.items():
            self.register_buffer(name, table, persistent=False)

    def _make_index(
        self, groups: KeypointGroups, num_keep: int
    ) -> dict[str, Tensor]:
        """Return the row of each new token and position in their sources."""
        first_dense = self.num_front
        first_image = first_dense + len(groups.dense)
        starts = [0, *accumulate(groups.num_dense)]
        index: list[int] = []
        for g, num_dense in enumerate(groups.num_dense):
            slots = groups.slots[g] + groups.num_parts
            dense = range(first_dense + starts[g], first_dense + starts[g + 1])
            image = first_image + g * self.num_most
            last = image + num_keep - num_dense
            index += [*slots.tolist(), *dense, *range(image, last)]
        rows = torch.tensor(index)
        # Row 0 of the positions is 0.
        return dict(index=rows, pos_index=(rows - first_image + 1).clamp(0))

    def forward(
        self, x: Tensor, pos: Tensor, read: tuple[Tensor, Tensor]
    ) -> tuple[Tensor, Tensor]:
        """Return tokens in groups with positions added, and the positions.

        Args:
            x: Tokens, (B, T, C).
            pos: Positions, (B, T, C) or (T, C).
            read: Queries and keys of the previous layer, (B, T, C).

        Returns:
            Tokens and positions, (B, G * L, C).
        """
        q, k = read
        channels = q.shape[2]
        q = q.index_select(1, self.scorers.flatten())
        q = q.view(-1, *self.scorers.shape, channels)
        scores = _score(q, k[:, None], self.num_heads, self.valid)
        chosen = _choose(scores, self.rank, self.num_most)  # (B, G, n)
        rows = chosen.view(-1, self.num_groups * self.num_most)
        image, image_pos = _take(rows, x, pos)
        mask = self.group_mask(x[:, self.num_front :])
        num_rest = mask.shape[1]
        mask = mask.view(-1, num_rest * self.num_groups, channels)
        cells = (chosen - self.num_front) * self.num_groups + self.group
        [mask] = _take(cells.view(-1, self.num_groups * self.num_most), mask)
        pos = image_pos * mask
        parts = [x[:, : self.num_front]]
        if self.dense is not None:
            parts.append(x.index_select(1, self.part_of_dense) + self.dense)
        pool = torch.cat((*parts, image * mask + pos), dim=1)
        pos = F.pad(pos, (0, 0, 1, 0)).index_select(1, self.pos_index)
        return pool.index_select(1, self.index), pos


class FineLayer(nn.Module):
    """A layer after the transition.

    Args:
        layer: The trained layer.
        step: Its step in the plan.
        groups: The keypoints.
        num_rest: Tokens M of a group that it reads, dense keypoints included.
    """

    keys: Tensor
    rank: Tensor
    out_rows: Tensor
    in_rows: Tensor
    valid: Tensor

    def __init__(
        self,
        layer: ExportLayer,
        step: Step,
        groups: KeypointGroups,
        num_rest: int,
    ) -> None:
        super().__init__()
        self.layer = layer
        self.num_groups = groups.num_groups
        self.num_slots = groups.slots.shape[1]
        self.num_rows = self.num_slots + num_rest
        self.num_front = self.num_slots + groups.max_dense
        self.num_keep = step.num_keep
        self.is_last = step.next_stage is Stage.OUTPUT
        if self.is_last and self.num_keep:
            raise ValueError('the last layer of a GTPT prunes no tokens')
        tables: dict[str, Tensor] = dict(
            keys=self._find_keys(groups, num_rest)
        )
        if self.is_last:
            tables['in_rows'] = self._find_keypoints(groups, self.num_rows)
            tables['out_rows'] = self._find_keypoints(groups, self.num_front)
        if self.num_keep:
            tables |= dict(valid=groups.member_valid, rank=self._rank(groups))
        for name, table in tables.items():
            self.register_buffer(name, table, persistent=False)

    def _find_keys(self, groups: KeypointGroups, num_rest: int) -> Tensor:
        """Return the row of each key of each group, (G * (K + M),)."""
        shared = self._find_sparse(groups, self.num_rows)
        own = torch.arange(self.num_slots, self.num_rows)
        rows = [
            torch.cat((shared, own + g * self.num_rows))
            for g in range(self.num_groups)
        ]
        return torch.cat(rows)

    def _find_sparse(self, groups: KeypointGroups, num_rows: int) -> Tensor:
        """Return the row of each sparse keypoint in groups of a length."""
        slot = groups.slot_of_keypoint
        group = slot // self.num_slots
        return group * num_rows + slot % self.num_slots

    def _find_keypoints(self, groups: KeypointGroups, num_rows: int) -> Tensor:
        """Return the row of each keypoint in groups of a length."""
        rows = torch.empty(groups.num_keypoints, dtype=torch.int64)
        rows[groups.sparse] = self._find_sparse(groups, num_rows)
        for g, dense in enumerate(groups.group_dense):
            first = g * num_rows + self.num_slots
            rows[dense] = torch.arange(first, first + len(dense))
        return rows

    def _rank(self, groups: KeypointGroups) -> Tensor:
        """Return falling numbers at the rows that stay, (G, L)."""
        rank = torch.zeros(self.num_groups, self.num_rows, dtype=torch.int64)
        for g, num_dense in enumerate(groups.num_dense):
            num = self.num_slots + num_dense
            rank[g, :num] = torch.arange(num, 0, -1)
        return rank

    def forward(self, x: Tensor, pos: Tensor) -> tuple[Tensor, Tensor]:
        """Return tokens with positions added, and the positions.

        Args:
            x: Tokens with positions added, (B, G * L, C).
            pos: Positions, (B, G * L, C).

        Returns:
            The same for the next layer; of the last layer keypoint tokens
            without positions, (B, num_keypoints, C).
        """
        layer = self.layer
        y = layer.norm1(x)
        all_k = layer.k(y)
        k, v = (self._share(z) for z in (all_k, layer.v(y)))
        num_rows = self.num_rows
        if self.num_keep:
            num_rows = self.num_slots + self.num_keep
            x, y, pos = self._prune(x, y, pos, all_k)
        if self.is_last:
            y = self._group(y, self.num_rows)[:, : self.num_front]
            q = layer.q(y)
            out = self._flat(layer.attend(q, k, v), self.num_front)
            x = layer.finish(
                x.index_select(1, self.in_rows),
                out.index_select(1, self.out_rows),
            )
            return x + layer.feed_forward(x), pos
        out = layer.attend(self._group(layer.q(y), num_rows), k, v)
        x = layer.finish(x, self._flat(out, num_rows))
        return (x + pos) + layer.feed_forward(x), pos

    def _share(self, x: Tensor) -> Tensor:
        """Return the keys or values of each group, (B * G, K + M, C)."""
        if self.num_groups > 1:
            x = x.index_select(1, self.keys)
        return self._group(x, len(self.keys) // self.num_groups)

    def _group(self, x: Tensor, num_rows: int) -> Tensor:
        """View (B, G * L, C) as (B * G, L, C)."""
        return x if self.num_groups == 1 else x.view(-1, num_rows, x.shape[2])

    def _flat(self, x: Tensor, num_rows: int) -> Tensor:
        """Undo :meth:`_group`."""
        if self.num_groups == 1:
            return x
        return x.view(-1, self.num_groups * num_rows, x.shape[2])

    def _prune(
        self, x: Tensor, y: Tensor, pos: Tensor, k: Tensor
    ) -> Sequence[Tensor]:
        """Return the rows of tokens, normalised ones and positions kept."""
        shape = (-1, self.num_groups, self.num_rows, x.shape[2])
        queries = y.view(shape)[:, :, : self.num_front]
        scores = _score(
            self.layer.q(queries),
            k.view(shape),
            self.layer.num_heads,
            self.valid,
        )
        num_keep = self.num_slots + self.num_keep
        rows = _choose(scores, self.rank, num_keep)
        start = torch.arange(self.num_groups, device=x.device) * self.num_rows
        rows = (rows + start[:, None]).view(-1, self.num_groups * num_keep)
        return _take(rows, x, y, pos)


def _score(
    q: Tensor, k: Tensor, num_heads: int, valid: Tensor | None = None
) -> Tensor:
    """Return how much keys matter to queries, see ``softmax_pool``.

    Args:
        q: Queries, (B, G, Q, C).
        k: Keys, (B, G, L, C), or (B, 1, L, C).
        num_heads: H.
        valid: True where a query counts, (G, Q); None counts all.

    Returns:
        Scores in float32 or wider, (B, G, L).
    """
    if q.dtype.itemsize < 4:
        q, k = q.float(), k.float()
    heads = (num_heads, q.shape[-1] // num_heads)
    q = q.view(-1, *q.shape[1:3], *heads).transpose(2, 3)
    k = k.view(-1, *k.shape[1:3], *heads).permute(0, 1, 3, 4, 2)
    logits = q @ k  # (B, G, H, Q, L)
    if valid is not None:
        logits = logits.masked_fill(~valid[:, None, :, None], -_ALWAYS)
    weights = (logits - logits.amax(dim=(2, 3), keepdim=True)).exp()
    total = (weights * logits).sum(dim=(2, 3))
    return total / weights.sum(dim=(2, 3))


def _choose(scores: Tensor, rank: Tensor, num_keep: int) -> Tensor:
    """Return the rows of the best tokens; those with a rank come first.

    Args:
        scores: Importance of each token, (B, ..., T).
        rank: Falling numbers at rows that stay, 0 at others, negative at rows
            that never stay, int64, (1 or G, T).
        num_keep: Rows to keep.
    """
    # Not a buffer in floating point: half precision has no such number.
    scores = scores + rank.float() * _ALWAYS
    return scores.topk(num_keep, dim=-1).indices


def _take(rows: Tensor, *sequences: Tensor) -> list[Tensor]:
    """Return rows of token sequences.

    Args:
        rows: Rows in 0..T-1, (B, n).
        sequences: Tokens, (B, T, C), or the same for all images, (T, C).

    Returns:
        Tokens, each (B, n, C).
    """
    num = rows.shape[0]
    flat = rows
    if not isinstance(num, int) or num > 1:
        image = torch.arange(num, device=rows.device)[:, None]
        flat = rows + image * sequences[0].shape[1]
    return [
        F.embedding(rows, x)
        if x.dim() == 2
        else F.embedding(flat, x.view(-1, x.shape[2]))
        for x in sequences
    ]
