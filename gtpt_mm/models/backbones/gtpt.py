"""GTPT: group-based token pruning transformer."""

# B batch, N image patches, M image tokens of a group, K sparse keypoints,
# G keypoint groups, T tokens, n kept tokens, C channels, (h, w) patch grid

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, cast

import torch
import torch.nn.functional as F
from mmengine.model import BaseModule
from mmpose.registry import MODELS
from torch import Tensor, nn

from gtpt_mm.layers.arch import read_arch
from gtpt_mm.layers.group_attention import GroupTransformerLayer
from gtpt_mm.layers.legacy_export import refuse_legacy_export
from gtpt_mm.layers.pos_embed import sine_pos_embed
from gtpt_mm.layers.shuffle_stem import (
    PatchEmbed,
    ShuffleStem,
    ShuffleUNetStem,
    count_patches,
)
from gtpt_mm.layers.token_pruning import keep_top_tokens
from gtpt_mm.layers.tokens import TokenLayout, Tokens, take_rows

from .gtpt_plan import KeptTokens, Step, Trace, count_kept, make_plan
from .keypoint_groups import COCO_BODY_GROUPS, KeypointGroups, Stage


@MODELS.register_module()
class GTPT(BaseModule):
    """Group-based token pruning transformer.

    A convolutional stem cuts the image into tokens. The coarse encoder reads
    them with one human token; half-way it turns into one token for each sparse
    keypoint (and each part). At the transition the keypoints are divided into
    groups, each with its own image tokens, masked channel by channel; part
    tokens turn into dense keypoints, which displace image tokens. In the fine
    encoder, groups exchange information only through the sparse keypoints.
    Image tokens that matter little to the keypoints of their group are dropped
    at three points.

    In training, the same weights also encode the image without pruning, for
    the global-perceived loss; the stem and the layers before the first
    pruning run once for both.

    Source: Wang et al., "GTPT: Group-based Token Pruning Transformer for
    Efficient Human Pose Estimation", ECCV 2024, Sec. 3. Where the
    official code differs from the paper, this follows the code and loads its
    weights: the position table is added again before every layer, the dropped
    tokens are chosen by logits, the masks also scale the position table.

    Args:
        arch: ``'tiny'``, ``'small'`` or ``'base'``; or a dict with
            ``embed_dims`` and ``stem_channels`` (an int for the plain stem,
            three for the one with skips).
        img_size: Input size (h, w) in pixels; its stride-4 map is cut into
            patches of ``patch_size``.
        keypoint_groups: One dict for each group, see ``KeypointGroups``.
        keep_rates: Share of the N patches kept in each quarter of the layers;
            must not rise. 1.0 everywhere prunes nothing.
        patch_size: Patch (height, width) on the stride-4 map of the stem.
        depth: Number of layers, a multiple of 4, at least 8.
        num_heads: Attention heads of a layer.
        mlp_ratio: Width of the feed-forward networks in units of C.
        with_unpruned: Whether training also returns the tokens of the
            unpruned pass.
        qk_init_gain: Factor on the initial query and key weights, > 0. The
            logit scale C^-0.5 leaves the first attention almost uniform, and a
            short training spends most steps on predicting the mean pose; 2 to
            3 shortens that phase. 1 is the official initialisation.
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

    pos_table: Tensor
    arch_settings: dict[str, dict[str, Any]] = {
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
        with_unpruned: bool = True,
        qk_init_gain: float = 1.0,
        init_cfg: dict | list | None = None,
    ) -> None:
        super().__init__(init_cfg)
        settings = read_arch(arch, self.arch_settings)
        if depth < 8 or depth % 4:
            raise ValueError(
                f'depth must be a multiple of 4, at least 8, got {depth}'
            )
        self.embed_dims = settings['embed_dims']
        self.depth = depth
        self.with_unpruned = with_unpruned
        self.img_size = tuple(img_size)
        self.grid_size = count_patches(img_size, patch_size)
        self.groups: KeypointGroups = self._create_groups(keypoint_groups)
        self.set_keep_rates(keep_rates)

        channels = settings['stem_channels']
        self.stem = (
            ShuffleStem(channels)
            if isinstance(channels, int)
            else ShuffleUNetStem(channels)
        )
        self.patch_embed = PatchEmbed(
            self.stem.out_channels, self.embed_dims, patch_size
        )
        self._create_tokens()
        self.layers = nn.ModuleList(
            GroupTransformerLayer(self.embed_dims, num_heads, mlp_ratio)
            for _ in range(depth)
        )
        self.group_mask = self._create_group_mask()
        pos_table = sine_pos_embed(self.grid_size, self.embed_dims)
        self.register_buffer('pos_table', pos_table, persistent=False)
        self._init_stem()
        self._init_queries_and_keys(qk_init_gain)

    def set_keep_rates(self, keep_rates: Sequence[float]) -> None:
        """Set the share of patches kept in each quarter of the layers.

        Args:
            keep_rates: Four numbers in (0, 1] that do not rise.

        Raises:
            ValueError: If they do not fit the model, see ``count_kept``.
        """
        num_patches = self.grid_size[0] * self.grid_size[1]
        self.num_keeps = count_kept(keep_rates, num_patches, self.groups)
        self.plan = self._make_plan(self.num_keeps)
        self.unpruned_plan = self._make_plan([num_patches] * 4)
        both = zip(self.plan, self.unpruned_plan, strict=True)
        equal = [pruned == unpruned for pruned, unpruned in both]
        self.num_shared_layers = [*equal, False].index(False)

    def _make_plan(self, num_keeps: Sequence[int]) -> list[Step]:
        """Return a pass that keeps ``num_keeps`` patches in the quarters."""
        num_patches = self.grid_size[0] * self.grid_size[1]
        return make_plan(num_keeps, num_patches, self.depth, self.groups)

    def _create_groups(self, groups: Sequence[dict]) -> KeypointGroups:
        return KeypointGroups(groups)

    def _create_tokens(self) -> None:
        """Create the learned tokens."""
        self.human_token = self._new_tokens(1)
        self.sparse_embed = self._new_tokens(self.groups.num_sparse)
        if self.groups.num_parts:
            self.part_embed = self._new_tokens(self.groups.num_parts)
            self.dense_embed = self._new_tokens(len(self.groups.dense))

    def _new_tokens(self, count: int) -> nn.Parameter:
        tokens = nn.Parameter(torch.zeros(1, count, self.embed_dims))
        nn.init.trunc_normal_(tokens, std=0.02)
        return tokens

    def _create_group_mask(self) -> nn.Module | None:
        channels = self.embed_dims
        return nn.Sequential(
            nn.Linear(channels, channels // 2),
            nn.ReLU(),
            nn.Linear(channels // 2, self.groups.num_groups * channels),
            nn.Sigmoid(),
        )

    def _init_stem(self) -> None:
        """Draw small convolution weights, as the official code."""
        for module in self.stem.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.normal_(module.weight, std=0.001)

    def _init_queries_and_keys(self, gain: float) -> None:
        """Scale the initial query and key projections."""
        if gain <= 0:
            raise ValueError(f'qk_init_gain must be positive, got {gain}')
        with torch.no_grad():
            for layer in self.layers:
                assert isinstance(layer, GroupTransformerLayer)
                layer.attn.qkv.weight[: 2 * self.embed_dims] *= gain

    # --- forward -----------------------------------------------------------

    def forward(
        self, img: Tensor, note: Trace | None = None
    ) -> tuple[Tensor, ...]:
        """Return keypoint tokens.

        Args:
            img: Images, (B, 3, H, W) with (H, W) = ``img_size``.
            note: Called in each layer of the last pass, see ``Trace``.

        Returns:
            Tokens of all keypoints in the order of the skeleton,
            (B, num_keypoints, C), of the pruned pass; in training with
            ``with_unpruned`` also those of the unpruned pass.

        Raises:
            ValueError: If the images do not have ``img_size``.
        """
        plans = [self.plan]
        if self.training and self.with_unpruned:
            plans.append(self.unpruned_plan)
        shared = self.num_shared_layers
        tokens = self._encode(self._embed(img), self.plan[:shared], note)
        last = len(plans) - 1
        return tuple(
            self._encode(tokens, plan[shared:], note if i == last else None).x
            for i, plan in enumerate(plans)
        )

    def trace(self, img: Tensor, note: Trace, pruned: bool = True) -> Tensor:
        """Return the keypoint tokens of one pass; call ``note`` in each layer.

        Args:
            img: Images, as in :meth:`forward`.
            note: See ``Trace``.
            pruned: Whether tokens are pruned.
        """
        plan = self.plan if pruned else self.unpruned_plan
        return self._encode(self._embed(img), plan, note).x

    def trace_pruning(
        self, img: Tensor
    ) -> tuple[Tensor, tuple[KeptTokens, ...]]:
        """Return the keypoint tokens and the patches each step kept."""
        read: list[tuple[Step, Tensor]] = []
        x = self.trace(img, lambda s, t, q, k: read.append((s, t.indices)))
        kept = [
            KeptTokens(step, self.groups.layout(after.stage).split(indices)[1])
            for (step, _), (after, indices) in pairwise(read)
            if step.num_keep
        ]
        return x, tuple(kept)

    def _embed(self, img: Tensor) -> Tokens:
        """Cut the images into tokens; put the first keypoint tokens before."""
        refuse_legacy_export('GTPT')
        if tuple(img.shape[-2:]) != self.img_size:
            raise ValueError(
                f'GTPT was built for images of (h, w) = {self.img_size}, got '
                f'{tuple(img.shape[-2:])}; set img_size of the backbone and '
                'input_size of the codec to the same size'
            )
        patches = self.patch_embed(self.stem(img))
        batch, num_patches, _ = patches.shape
        first = self._first_tokens()
        num_first = first.shape[1]
        x = torch.cat((first.expand(batch, -1, -1), patches), dim=1)
        pos = F.pad(self.pos_table, (0, 0, num_first, 0))
        indices = torch.arange(-num_first, num_patches, device=x.device)
        indices = indices.clamp(min=-1)
        return Tokens(x, pos.expand_as(x), indices.expand(batch, -1))

    def _first_tokens(self) -> Tensor:
        """Return the learned tokens of the first layer, (1, n, C)."""
        return self.human_token

    def _sparse_tokens(self) -> Tensor:
        """Return the learned tokens of parts and sparse keypoints."""
        if not self.groups.num_parts:
            return self.sparse_embed
        return torch.cat((self.part_embed, self.sparse_embed), dim=1)

    def _encode(
        self, tokens: Tokens, plan: Sequence[Step], note: Trace | None = None
    ) -> Tokens:
        """Run the layers of a plan."""
        for step in plan:
            layer = cast(GroupTransformerLayer, self.layers[step.layer - 1])
            layout = self.groups.layout(step.stage)
            tokens = tokens.with_x(tokens.x + tokens.pos)
            qkv = layer.project(tokens.x)
            if note is not None:
                note(step, tokens, *qkv[:2])
            rows = self._choose(step, layer, layout, *qkv[:2])
            tokens = self._attend(
                layer, layout, tokens, qkv, None if step.divides else rows
            )
            if step.introduces:
                tokens = self._introduce_keypoints(tokens)
            elif step.next_stage is Stage.OUTPUT:
                tokens = self._select_keypoints(tokens)
            tokens = tokens.with_x(layer.feed_forward(tokens.x))
            if step.divides and rows is not None:
                tokens = self._divide(tokens, rows, step.num_keep)
        return tokens

    def _choose(
        self,
        step: Step,
        layer: GroupTransformerLayer,
        layout: TokenLayout,
        q: Tensor,
        k: Tensor,
    ) -> Tensor | None:
        """Return the rows that are kept, (B, n) or (n,); None keeps all.

        They are in rising order, so that dense keypoints stay in front of each
        group. At the transition they are image tokens, best first, the same
        number for each group.
        """
        if step.next_stage is Stage.OUTPUT:  # nothing reads the image tokens
            return self.groups.front_rows(q.shape[1])
        if not step.num_keep:
            return None
        _, keys = layout.split(k)
        queries, valid = self.groups.scoring_queries(
            q, step.stage, step.next_stage
        )
        scores = layer.attn.score(queries, keys, valid)  # (B, G, M)
        num_rest = scores.shape[2]
        if step.divides:
            fronts = self.groups.fronts
            if step.num_keep - max(fronts) < num_rest:
                # A group with more dense keypoints takes the first ones only.
                num_most = step.num_keep - min(fronts)
                best = scores.topk(num_most, dim=-1).indices
            else:
                best = torch.arange(num_rest, device=scores.device)
                best = best.expand_as(scores)
            return (layout.num_keypoints + best).flatten(1)
        if step.stage is Stage.DENSE:
            is_front = self.groups.is_front(num_rest)
            scores = scores.masked_fill(is_front, torch.inf)
        return layout.rows(keep_top_tokens(scores, step.num_keep), q.shape[1])

    def _attend(
        self,
        layer: GroupTransformerLayer,
        layout: TokenLayout,
        tokens: Tokens,
        qkv: tuple[Tensor, Tensor, Tensor],
        rows: Tensor | None,
    ) -> Tokens:
        """Attend, and return only the kept rows."""
        q, k, v = qkv
        if rows is not None:
            tokens, [q] = tokens.select(rows), take_rows(rows, q)
        return tokens.with_x(layer.attend(tokens.x, q, k, v, layout))

    def _introduce_keypoints(self, tokens: Tokens) -> Tokens:
        """Replace the human token by part and sparse tokens (Eq. 4)."""
        new = tokens.x[:, :1] + self._sparse_tokens()
        return Tokens.join([tokens.keypoints(new), tokens.cut(1)])

    def _divide(self, tokens: Tokens, rows: Tensor, num_keep: int) -> Tokens:
        """Divide the tokens into groups: the transition of the encoders.

        Args:
            tokens: Tokens of stage SPARSE.
            rows: Image tokens of each group, best first, (B, G * n).
            num_keep: Tokens of a group, including its dense keypoints.
        """
        groups = self.groups
        start = groups.layout(Stage.SPARSE).num_keypoints
        image = tokens.select(rows)
        image = self._mask(image, tokens.x[:, start:], rows - start)
        parts = [tokens.cut(groups.num_parts, start)]
        for g, dense in enumerate(self._dense_tokens(tokens.x[:, :start])):
            first = g * rows.shape[1] // groups.num_groups
            last = first + num_keep - dense.shape[1]
            parts += [tokens.keypoints(dense), image.cut(first, last)]
        return Tokens.join(parts)

    def _mask(self, image: Tokens, patches: Tensor, chosen: Tensor) -> Tokens:
        """Scale the tokens of each group, and their positions, by its mask.

        Args:
            image: Tokens of each group, (B, G * n, C).
            patches: All image tokens, (B, M, C).
            chosen: Indices of ``image`` in ``patches``, (B, G * n).
        """
        num_groups = self.groups.num_groups
        mask = self.group_mask(patches).unflatten(2, (num_groups, -1))
        group = torch.arange(num_groups, device=chosen.device)[:, None]
        rows = chosen.unflatten(1, (num_groups, -1)) * num_groups + group
        [mask] = take_rows(rows.flatten(1), mask.flatten(1, 2))
        return image._replace(x=image.x * mask, pos=image.pos * mask)

    def _dense_tokens(self, keypoints: Tensor) -> Sequence[Tensor]:
        """Return the dense tokens of each group, G times (B, n, C).

        Args:
            keypoints: Part and sparse tokens, (B, P + K, C).
        """
        groups = self.groups
        if not groups.num_parts:
            return [keypoints[:, :0]] * groups.num_groups
        dense = keypoints[:, groups.part_of_dense] + self.dense_embed
        return dense.split(groups.num_dense, dim=1)

    def _select_keypoints(self, tokens: Tokens) -> Tokens:
        """Return all keypoints in the order of the skeleton."""
        return tokens.select(self.groups.rows(Stage.DENSE, tokens.x.shape[1]))
