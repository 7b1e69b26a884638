"""GTPT: group-based token pruning transformer."""

# B batch, N image patches, M image tokens kept, K sparse keypoints, P parts,
# G keypoint groups, C channels, (h, w) patch grid

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from mmengine.model import BaseModule
from mmpose.registry import MODELS
from torch import Tensor, nn

from gtpt_mm.layers.arch import read_arch
from gtpt_mm.layers.folded_stem import FoldedPatchEmbed, fold_stem
from gtpt_mm.layers.group_attention import (
    GroupTransformerLayer,
    TokenLayout,
)
from gtpt_mm.layers.pos_embed import sine_pos_embed
from gtpt_mm.layers.shuffle_stem import ShuffleStem, ShuffleUNetStem
from gtpt_mm.layers.token_pruning import keep_top_tokens, take_rows

from .keypoint_groups import KeypointGroups

#: How keypoint tokens come in (Table 5): a human token, then sparse keypoints
#: and parts, then dense keypoints; or from the second or third of these on.
INTRODUCTIONS = ('human-sparse-dense', 'sparse-dense', 'dense')

#: Head, upper body and lower body of the 17 COCO keypoints.
COCO_BODY_GROUPS = (
    dict(sparse=range(0, 5)),
    dict(sparse=range(5, 11)),
    dict(sparse=range(11, 17)),
)


class KeptTokens(NamedTuple):
    """Which image patches survive one pruning step.

    Attributes:
        stage: Where: ``layer3``, ``transition`` (between the encoders) or
            ``layer9`` for the usual depth of 12.
        places: Patch numbers in row-major order, (B, G, M); -1 marks the row
            of a dense keypoint or a filler. G is 1 before the transition.
    """

    stage: str
    places: Tensor


class Tokens(NamedTuple):
    """The state of an encoder: what is attended, where it came from.

    Attributes:
        x: Flat token sequence, (B, T, C); see ``TokenLayout``.
        places: Patch number of each non-keypoint row, (B, G, M); (1, 1, N)
            before the first pruning.
        kept: One entry for each pruning step so far.
    """

    x: Tensor
    places: Tensor
    kept: tuple[KeptTokens, ...] = ()


class PatchEmbed(nn.Module):
    """Normalise a feature map, cut it into patches and project them.

    A patch is flattened in the order (row, column, channel).

    Args:
        in_channels: Channels of the feature map.
        embed_dims: Channels C of a token.
        patch_size: Patch (height, width) in pixels of the feature map.
    """

    def __init__(
        self, in_channels: int, embed_dims: int, patch_size: tuple[int, int]
    ) -> None:
        super().__init__()
        self.patch_size = patch_size
        self.norm = nn.BatchNorm2d(in_channels)
        self.proj = nn.Linear(
            in_channels * patch_size[0] * patch_size[1], embed_dims
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map features (B, C_in, H, W) to tokens (B, N, C), row-major."""
        patch_h, patch_w = self.patch_size
        x = self.norm(x)
        x = x.unflatten(3, (-1, patch_w)).unflatten(2, (-1, patch_h))
        x = x.permute(0, 2, 4, 3, 5, 1)  # (B, h, w, patch_h, patch_w, C_in)
        return self.proj(x.flatten(3).flatten(1, 2))


@MODELS.register_module()
class GTPT(BaseModule):
    """Group-based token pruning transformer.

    A convolutional stem cuts the image into tokens. The coarse encoder reads
    them with one human token, which turns into a token for each sparse
    keypoint (and each part) half-way. At the transition the keypoints are
    divided into groups, each with image tokens of its own, masked channel by
    channel; part tokens turn into dense keypoints, which displace image
    tokens. The fine encoder lets groups meet in the sparse keypoints only.
    Image tokens that matter little to the keypoints of their group are
    dropped at three places.

    In training, the same weights also encode the image without pruning, for
    the global-perceived loss; the stem and the layers before the first
    pruning run once for both.

    Source: Wang et al., "GTPT: Group-based Token Pruning Transformer for
    Efficient Human Pose Estimation", ECCV 2024, Sec. 3. Where the authors'
    code differs from the paper, this follows the code, whose weights it
    loads: the position table is added again before every layer, the dropped
    tokens are chosen by logits, the masks scale the position table too.

    Args:
        arch: ``'tiny'``, ``'small'`` or ``'base'``; or a dict with
            ``embed_dims`` and ``stem_channels`` (an int for the plain stem,
            three for the one with skips).
        img_size: Input size (h, w) in pixels; its stride-4 map is cut into
            patches of ``patch_size``.
        keypoint_groups: One dict for each group, see ``KeypointGroups``.
        keep_rates: Share of the N patches kept in each quarter of the
            layers, falling. 1.0 everywhere prunes nothing.
        patch_size: Patch (height, width) on the stride-4 map of the stem.
        depth: Number of layers, a multiple of 4, at least 8.
        num_heads: Attention heads of a layer.
        mlp_ratio: Width of the feed-forward networks in units of C.
        introduction: When keypoint tokens come in, one of
            ``INTRODUCTIONS`` (Table 5).
        with_group_mask: Whether a group sees the image tokens through a
            learned mask of its own (Table 3).
        share_sparse: Whether every group attends to the sparse keypoints of
            all groups (MHGA, Eqs. 7-9) or to its own only (MHSA, Table 4).
        displace: Whether dense keypoints take the places of image tokens
            (Eq. 11), so that a group keeps ``num_keep`` rows; otherwise they
            are added to them.
        with_shortcuts: Whether rows that nobody reads are skipped: queries of
            tokens about to be dropped, image tokens in the last layer. False
            computes them, as the authors' code does, with equal results: for
            counting operations as the paper does.
        with_unpruned: Whether training returns the tokens of the unpruned
            pass too.
        qk_init_gain: Factor on the initial query and key weights, > 0. The
            logit scale C^-0.5 leaves the first attention almost uniform, and
            a short training spends itself on leaving the mean pose; 2 to 3
            shortens that. 1 is the authors' initialisation.
        init_cfg: Initialisation, see mmengine.

    Raises:
        ValueError: If ``arch`` is unknown; if the sizes, rates, depth or
            groups do not fit each other.

    Example:
        >>> model = GTPT('tiny').eval()
        >>> [tokens] = model(torch.rand(1, 3, 256, 192))
        >>> tokens.shape
        torch.Size([1, 17, 128])
    """

    arch_settings = {
        'tiny': dict(embed_dims=128, stem_channels=128),
        'small': dict(embed_dims=192, stem_channels=256),
        'base': dict(embed_dims=192, stem_channels=(256, 384, 512)),
    }

    def __init__(
        self,
        arch: str | dict = 'tiny',
        img_size: tuple[int, int] = (256, 192),
        keypoint_groups: Sequence[dict] = COCO_BODY_GROUPS,
        keep_rates: Sequence[float] = (1.0, 0.7, 0.3, 0.1),
        patch_size: tuple[int, int] = (4, 3),
        depth: int = 12,
        num_heads: int = 8,
        mlp_ratio: float = 3.0,
        introduction: str = 'human-sparse-dense',
        with_group_mask: bool = True,
        share_sparse: bool = True,
        displace: bool = True,
        with_shortcuts: bool = True,
        with_unpruned: bool = True,
        qk_init_gain: float = 1.0,
        init_cfg: dict | list | None = None,
    ) -> None:
        super().__init__(init_cfg)
        settings = read_arch(arch, self.arch_settings)
        if introduction not in INTRODUCTIONS:
            raise ValueError(
                f'introduction must be one of {INTRODUCTIONS}, got '
                f'{introduction!r}'
            )
        if depth < 8 or depth % 4:
            raise ValueError(
                f'depth must be a multiple of 4, at least 8, got {depth}'
            )
        self.embed_dims = settings['embed_dims']
        self.introduction = introduction
        self.share_sparse = share_sparse
        self.displace = displace
        self.with_shortcuts = with_shortcuts
        self.with_unpruned = with_unpruned
        self.chunk_size = None
        self.img_size = tuple(img_size)
        self.grid_size = self._read_grid(self.img_size, patch_size)
        self.groups = KeypointGroups(keypoint_groups)
        self.set_keep_rates(keep_rates)

        channels = settings['stem_channels']
        self.stem = (
            ShuffleStem(channels)
            if isinstance(channels, int)
            else ShuffleUNetStem(channels)
        )
        self.patch_embed = PatchEmbed(
            self.stem.out_channels, self.embed_dims, tuple(patch_size)
        )
        self._create_tokens()
        self.layers = nn.ModuleList(
            GroupTransformerLayer(self.embed_dims, num_heads, mlp_ratio)
            for _ in range(depth)
        )
        self.group_mask = (
            nn.Sequential(
                nn.Linear(self.embed_dims, self.embed_dims // 2),
                nn.ReLU(),
                nn.Linear(
                    self.embed_dims // 2,
                    self.groups.num_groups * self.embed_dims,
                ),
                nn.Sigmoid(),
            )
            if with_group_mask
            else None
        )
        self._register_tables()
        self._init_stem()
        self._init_queries_and_keys(qk_init_gain)

    @staticmethod
    def _read_grid(
        img_size: tuple[int, int], patch_size: tuple[int, int]
    ) -> tuple[int, int]:
        cell = (4 * patch_size[0], 4 * patch_size[1])
        if img_size[0] % cell[0] or img_size[1] % cell[1]:
            raise ValueError(
                f'img_size (h, w) = {img_size} is not divisible by the patch '
                f'of {cell} pixels (stride 4 x patch_size {patch_size})'
            )
        return img_size[0] // cell[0], img_size[1] // cell[1]

    def set_keep_rates(self, keep_rates: Sequence[float]) -> None:
        """Set the share of patches kept in each quarter of the layers.

        Args:
            keep_rates: Four numbers in (0, 1], falling.

        Raises:
            ValueError: If there are not four, one lies outside, they rise, or
                leave no place beside the dense keypoints.
        """
        rates = list(keep_rates)
        if len(rates) != 4:
            raise ValueError(f'keep_rates needs 4 numbers, got {rates}')
        if not all(0 < rate <= 1 for rate in rates):
            raise ValueError(f'keep_rates must lie in (0, 1], got {rates}')
        if rates != sorted(rates, reverse=True):
            raise ValueError(
                f'keep_rates must not rise, got {rates}: a dropped token '
                'cannot come back'
            )
        num_patches = self.grid_size[0] * self.grid_size[1]
        # 90 * 0.7 is 62.99... in floats.
        num_keeps = [int(num_patches * rate + 1e-6) for rate in rates]
        num_displaced = max(self.groups.num_dense) if self.displace else 0
        if num_keeps[3] <= num_displaced:
            raise ValueError(
                f'keep_rates {rates} keep {num_keeps[3]} of {num_patches} '
                'tokens in the last quarter, but one group puts '
                f'{num_displaced} dense keypoints in their place; raise the '
                'last rate or the input size, or set displace=False'
            )
        self.num_keeps = num_keeps

    def _create_tokens(self) -> None:
        """Create the learned tokens that the introduction needs."""
        groups = self.groups
        if self.introduction == 'human-sparse-dense':
            self.human_token = self._new_tokens(1)
        self.sparse_embed = self._new_tokens(groups.num_sparse)
        if groups.num_parts:
            if self.introduction != 'dense':
                self.part_embed = self._new_tokens(groups.num_parts)
            self.dense_embed = self._new_tokens(len(groups.dense))

    def _new_tokens(self, count: int) -> nn.Parameter:
        tokens = nn.Parameter(torch.zeros(1, count, self.embed_dims))
        return nn.init.trunc_normal_(tokens, std=0.02)

    def _register_tables(self) -> None:
        """Keep constant tables on the model's device, out of checkpoints."""
        groups = self.groups
        slots, slot_valid, owner = groups.slots()
        per_part = self.introduction != 'dense'
        query_rows, query_valid = groups.transition_queries(per_part)
        num_dense = torch.tensor(groups.num_dense)
        width = max(groups.num_dense)
        tables = dict(
            pos_table=sine_pos_embed(self.grid_size, self.embed_dims),
            slots=slots,
            slot_valid=slot_valid,
            owner=owner,
            query_rows=query_rows,
            query_valid=query_valid,
            num_dense=num_dense,
            # Rows of a group that are never dropped, in front.
            num_front=num_dense
            if self.displace
            else torch.full_like(num_dense, width),
            hidden_keys=self._hidden_keys(slot_valid, num_dense, width),
            part_of_dense=groups.part_of_dense(),
            output_rows=groups.output_rows(),
        )
        for name, table in tables.items():
            self.register_buffer(name, table, persistent=False)

    def _hidden_keys(
        self, slot_valid: Tensor, num_dense: Tensor, width: int
    ) -> Tensor | None:
        """Mark the keys of each group that only fill up, (G, some), if any."""
        if self.share_sparse:
            sparse = slot_valid.new_zeros(
                self.groups.num_groups, self.groups.num_sparse
            )
        else:
            sparse = ~slot_valid
        hidden = sparse
        if not self.displace:
            fillers = torch.arange(width) >= num_dense[:, None]
            hidden = torch.cat((sparse, fillers), dim=1)
        return hidden if hidden.any() else None

    def _init_stem(self) -> None:
        """Draw convolution weights small, as the authors do."""
        for module in self.stem.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.normal_(module.weight, std=0.001)

    def _init_queries_and_keys(self, gain: float) -> None:
        """Scale the initial query and key projections."""
        if gain <= 0:
            raise ValueError(f'qk_init_gain must be positive, got {gain}')
        with torch.no_grad():
            for layer in self.layers:
                layer.attn.qkv.weight[: 2 * self.embed_dims] *= gain

    @torch.no_grad()
    def fold_for_inference(self, chunk_size: int | None = None) -> None:
        """Fold norms and channel shuffles into weights; for good.

        Outputs stay equal up to rounding. A folded model neither trains nor
        saves a checkpoint that another model could read; see
        :func:`gtpt_mm.deploy.fuse`, which folds a copy.

        Args:
            chunk_size: Images that pass the transformer at once on a CPU,
                where big buffers cost more than they bring; the stem takes
                one at a time. None passes all at once.

        Raises:
            ValueError: If ``chunk_size`` is not positive.
        """
        if chunk_size is not None and chunk_size <= 0:
            raise ValueError(f'chunk_size must be positive, got {chunk_size}')
        self.stem = fold_stem(self.stem)
        patches = self.patch_embed
        self.patch_embed = FoldedPatchEmbed(
            patches.norm, patches.proj, patches.patch_size, self.stem.order
        )
        self.chunk_size = chunk_size
        self.eval().requires_grad_(False)

    # --- forward -----------------------------------------------------------

    def forward(self, img: Tensor) -> tuple[Tensor, ...]:
        """Return keypoint tokens.

        Args:
            img: Images, (B, 3, H, W) with (H, W) = ``img_size``.

        Returns:
            Tokens of all keypoints in the order of the skeleton,
            (B, num_keypoints, C), of the pruned pass; in training with
            ``with_unpruned`` also those of the unpruned pass.

        Raises:
            ValueError: If the images do not have ``img_size``.
        """
        if self._in_chunks(img):
            chunks = img.split(self.chunk_size)
            return (torch.cat([self._predict(chunk) for chunk in chunks]),)
        tokens = self._embed(img)
        num_shared = self._num_shared_layers()
        tokens = self._coarse(tokens, range(num_shared), self.num_keeps)
        pruned = self._encode(tokens, num_shared, self.num_keeps)
        if not (self.training and self.with_unpruned):
            return (pruned.x,)
        num_patches = self.pos_table.shape[0]
        full = self._encode(tokens, num_shared, [num_patches] * 4)
        return pruned.x, full.x

    def _in_chunks(self, img: Tensor) -> bool:
        """Whether a folded model takes fewer images at a time.

        Not in a graph that is compiled or exported: it would be unrolled, and
        bound to one batch size.
        """
        return (
            self.chunk_size is not None
            and img.device.type == 'cpu'
            and not torch.compiler.is_compiling()
        )

    def _predict(self, img: Tensor) -> Tensor:
        """Return the keypoint tokens of the pruned pass, (B, K, C)."""
        return self._encode(self._embed(img), 0, self.num_keeps).x

    def trace_pruning(
        self, img: Tensor
    ) -> tuple[Tensor, tuple[KeptTokens, ...]]:
        """Return the keypoint tokens and what each pruning step kept."""
        tokens = self._encode(self._embed(img), 0, self.num_keeps)
        return tokens.x, tokens.kept

    def _embed(self, img: Tensor) -> Tokens:
        """Cut the images into tokens; put the first keypoint tokens before."""
        if tuple(img.shape[-2:]) != self.img_size:
            raise ValueError(
                f'GTPT was built for images of (h, w) = {self.img_size}, got '
                f'{tuple(img.shape[-2:])}; set img_size of the backbone and '
                'input_size of the codec to the same size'
            )
        # The maps of the stem are the largest by far.
        chunks = img.split(1) if self._in_chunks(img) else [img]
        patches = [self.patch_embed(self.stem(chunk)) for chunk in chunks]
        patches = torch.cat(patches) + self.pos_table  # (B, N, C)
        rows = (
            self.human_token
            if self.introduction == 'human-sparse-dense'
            else self._keypoint_rows()
        )
        x = torch.cat((rows.expand(img.shape[0], -1, -1), patches), dim=1)
        places = torch.arange(patches.shape[1], device=img.device)
        return Tokens(x, places.expand(1, 1, -1))

    def _keypoint_rows(self) -> Tensor:
        """Return the learned tokens of the coarse encoder, (1, rows, C)."""
        if not self.groups.num_parts:
            return self.sparse_embed
        lead = (
            self.dense_embed
            if self.introduction == 'dense'
            else self.part_embed
        )
        return torch.cat((lead, self.sparse_embed), dim=1)

    def _num_shared_layers(self) -> int:
        """Count the layers before the first pruning."""
        num_patches = self.pos_table.shape[0]
        return len(self.layers) // 4 if self.num_keeps[0] == num_patches else 0

    def _encode(
        self, tokens: Tokens, first: int, num_keeps: list[int]
    ) -> Tokens:
        """Run the layers from ``first`` on, the transition between them."""
        middle = len(self.layers) // 2
        last = self.layers[middle - 1]
        tokens = self._coarse(tokens, range(first, middle - 1), num_keeps)

        layout = self._coarse_layout(middle - 1)
        x = tokens.x + self._positions(tokens.places, layout)
        q, k, v = last.project(x)
        scores = last.attn.score(
            q[:, self.query_rows], layout.split(k)[1], self.query_valid
        )  # (B, G, M)
        x = last.feed_forward(last.attend(x, q, k, v, layout))
        tokens, pos = self._transition(
            tokens._replace(x=x), scores, num_keeps[2]
        )
        return self._fine(tokens, pos, num_keeps)

    def _coarse_layout(self, index: int) -> TokenLayout:
        """Return the layout that coarse layer ``index`` attends in."""
        born = len(self.layers) // 4
        if self.introduction == 'human-sparse-dense' and index <= born:
            return TokenLayout(1)
        return TokenLayout(self._keypoint_rows().shape[1])

    def _positions(self, places: Tensor, layout: TokenLayout) -> Tensor:
        """Return what one group adds to its rows: nothing to keypoints."""
        pos = F.embedding(places[:, 0], self.pos_table)
        return F.pad(pos, (0, 0, layout.num_keypoints, 0))

    def _coarse(
        self, tokens: Tokens, indices: range, num_keeps: list[int]
    ) -> Tokens:
        """Run coarse layers: human token first, keypoint tokens later."""
        x, places, kept = tokens
        quarter = len(self.layers) // 4
        pos = None
        for i in indices:
            layer, layout = self.layers[i], self._coarse_layout(i)
            if i > 0:  # the embedding has added the first one
                if pos is None:
                    pos = self._positions(places, layout)
                x = x + pos
            q, k, v = layer.project(x)
            num_keep = num_keeps[i // quarter]
            num_rest = places.shape[2]
            if num_keep < num_rest:
                queries = layout.split(q)[0].unsqueeze(1)
                scores = layer.attn.score(queries, layout.split(k)[1])
                best = keep_top_tokens(scores, num_keep)
                rows = layout.rows(best, num_rest)
                x = self._attend_rows(layer, x, q, k, v, layout, rows)
                places = places.expand(x.shape[0], -1, -1).gather(2, best)
                kept += (KeptTokens(f'layer{i}', places),)
                pos = None
            else:
                x = layer.attend(x, q, k, v, layout)
            if i == quarter and self.introduction == 'human-sparse-dense':
                x = self._introduce_keypoints(x)
                pos = None
            x = layer.feed_forward(x)
        return Tokens(x, places, kept)

    def _attend_rows(
        self,
        layer: GroupTransformerLayer,
        x: Tensor,
        q: Tensor,
        k: Tensor,
        v: Tensor,
        layout: TokenLayout,
        rows: Tensor,
    ) -> Tensor:
        """Attend, and keep the given rows, (B, n), of the result."""
        if self.with_shortcuts:
            x, q = take_rows(x, rows), take_rows(q, rows)
            return layer.attend(x, q, k, v, layout)
        return take_rows(layer.attend(x, q, k, v, layout), rows)

    def _introduce_keypoints(self, x: Tensor) -> Tensor:
        """Replace the human token by part and sparse tokens (Eq. 4)."""
        human, patches = x[:, :1], x[:, 1:]
        return torch.cat((human + self._keypoint_rows(), patches), dim=1)

    def _transition(
        self, tokens: Tokens, scores: Tensor, num_keep: int
    ) -> tuple[Tokens, Tensor]:
        """Divide the tokens into groups, mask, prune, add dense keypoints.

        Args:
            tokens: State after the coarse encoder.
            scores: Score of each image token for each group, (B, G, M).
            num_keep: Image tokens of a group; with ``displace`` less its
                dense keypoints.

        Returns:
            State in the fine layout, and what its rows add to themselves
            before each layer: masked positions, zero at keypoints, (B, T, C).
        """
        groups = self.groups
        layout = self._coarse_layout(len(self.layers) // 2 - 1)
        rows, patches = tokens.x.split(
            (layout.num_keypoints, scores.shape[2]), dim=1
        )
        counts = [
            num_keep - num_dense if self.displace else num_keep
            for num_dense in groups.num_dense
        ]
        places = tokens.places.expand(rows.shape[0], groups.num_groups, -1)
        mask = None
        if self.group_mask is not None:  # (B, M * G, C)
            mask = self.group_mask(patches).unflatten(2, (-1, self.embed_dims))
            mask = mask.flatten(1, 2)
        if min(counts) < scores.shape[2]:
            # Falling scores: a group that keeps fewer takes the first ones.
            best = scores.topk(max(counts), dim=-1).indices
        else:
            best = torch.arange(scores.shape[2], device=scores.device)
            best = best.expand(*scores.shape[:2], -1)
        places = places.gather(2, best)
        pos = F.embedding(places, self.pos_table)  # (B, G, count, C)
        patches = take_rows(patches, best.flatten(1)).view_as(pos)
        if mask is not None:
            own = torch.arange(groups.num_groups, device=best.device)
            own = best * groups.num_groups + own[:, None]
            mask = take_rows(mask, own.flatten(1)).view_as(pos)
            patches, pos = patches * mask, pos * mask

        dense = self._dense_tokens(rows)
        num_lead = layout.num_keypoints - groups.num_sparse
        new_x, new_pos, new_places = [rows[:, num_lead:]], [], []
        for g, count in enumerate(counts):
            num_dense = groups.num_dense[g]
            num_front = num_dense if self.displace else max(groups.num_dense)
            if num_front:
                filled = (0, 0, 0, num_front - num_dense)
                new_x.append(F.pad(dense[g], filled))
            new_x.append(patches[:, g, :count])
            new_pos.append(F.pad(pos[:, g, :count], (0, 0, num_front, 0)))
            new_places.append(
                F.pad(places[:, g, :count], (num_front, 0), value=-1)
            )
        places = torch.stack(new_places, dim=1)
        kept = tokens.kept + (KeptTokens('transition', places),)
        pos = F.pad(torch.cat(new_pos, dim=1), (0, 0, groups.num_sparse, 0))
        return Tokens(torch.cat(new_x, dim=1), places, kept), pos

    def _dense_tokens(self, rows: Tensor) -> tuple[Tensor, ...]:
        """Return the dense tokens of each group, G times (B, n, C)."""
        groups = self.groups
        if not groups.num_parts:
            return (rows[:, :0],) * groups.num_groups
        if self.introduction == 'dense':
            dense = rows[:, : len(groups.dense)]
        else:
            dense = rows[:, self.part_of_dense] + self.dense_embed
        return dense.split(groups.num_dense, dim=1)

    def _fine_layout(self) -> TokenLayout:
        groups = self.groups
        if groups.num_groups == 1:
            return TokenLayout(groups.num_sparse)
        return TokenLayout(
            groups.num_sparse,
            groups.num_groups,
            self.slots,
            self.owner,
            self.share_sparse,
            self.hidden_keys,
        )

    def _fine(
        self, tokens: Tokens, pos: Tensor, num_keeps: list[int]
    ) -> Tokens:
        """Run the fine layers; return the keypoints in skeleton order."""
        x, places, kept = tokens
        layout = self._fine_layout()
        num_front = 0 if self.displace else max(self.groups.num_dense)
        depth = len(self.layers)
        for i in range(depth // 2, depth):
            layer = self.layers[i]
            x = x + pos
            q, k, v = layer.project(x)
            num_rest, num_keep = places.shape[2], num_keeps[4 * i // depth]
            if num_keep + num_front < num_rest:
                scores = self._fine_scores(layer, q, k, layout)
                best = keep_top_tokens(scores, num_keep + num_front)
                rows = layout.rows(best, num_rest)
                x = self._attend_rows(layer, x, q, k, v, layout, rows)
                pos, places = take_rows(pos, rows), places.gather(2, best)
                kept += (KeptTokens(f'layer{i}', places),)
            elif i == depth - 1 and self.with_shortcuts:
                # Nobody reads the image tokens any more.
                x, q = self._dense_rows(x, layout), self._dense_rows(q, layout)
                x = layer.attend(x, q, k, v, layout)[:, self.output_rows]
                return Tokens(layer.feed_forward(x), places, kept)
            else:
                x = layer.attend(x, q, k, v, layout)
            x = layer.feed_forward(x)
        x = self._dense_rows(x, layout)[:, self.output_rows]
        return Tokens(x, places, kept)

    def _dense_rows(self, x: Tensor, layout: TokenLayout) -> Tensor:
        """Drop all but the keypoint rows, equally many of each group."""
        sparse, rest = layout.split(x)
        return layout.join(sparse, rest[:, :, : max(self.groups.num_dense)])

    def _fine_scores(
        self,
        layer: GroupTransformerLayer,
        q: Tensor,
        k: Tensor,
        layout: TokenLayout,
    ) -> Tensor:
        """Score the rows of each group by its own keypoints, (B, G, M).

        Dense keypoints get an infinite score, so that they stay, in front.
        """
        sparse_q, rest_q = layout.split(q)
        width = max(self.groups.num_dense)
        queries = torch.cat(
            (sparse_q[:, self.slots], rest_q[:, :, :width]), dim=2
        )
        rows = torch.arange(rest_q.shape[2], device=q.device)
        is_front = rows < self.num_front[:, None]  # (G, M)
        is_dense = rows[:width] < self.num_dense[:, None]
        valid = torch.cat((self.slot_valid, is_dense), dim=1)
        scores = layer.attn.score(queries, layout.split(k)[1], valid)
        return scores.masked_fill(is_front, torch.inf)
