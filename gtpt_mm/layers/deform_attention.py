"""Multi-scale deformable attention without compiled operators."""

# B batch, Q queries, V values of all levels, C channels, M heads,
# D = C / M channels of a head, L levels, P points per level

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from gtpt_mm.compat.mmcv_ops import compiled_mmcv
from gtpt_mm.ops.deform_attention import (
    IMPLEMENTATIONS,
    DeformSampler,
)

from .transfer import send

#: A way to sample: (places, weights) -> (B, Q, C); see ``DeformSampler``.
Sampler = Callable[[Tensor, Tensor], Tensor]
Shapes = Sequence[tuple[int, int]]


def level_sizes(shapes: Shapes, device: torch.device) -> Tensor:
    """Return the size (w, h) of each level of size (h, w), (L, 2)."""
    sizes = torch.tensor([[w, h] for h, w in shapes], dtype=torch.float32)
    return send(sizes, device)


class DeformableAttention(nn.Module):
    """Attend to a few learned places around a reference on every level.

    Source: Zhu et al., "Deformable DETR", Sec. 4.1, Eq. 3. Parameters are
    named as in its code and in mmcv. Places are computed in 32 bits under
    autocast, too: half precision cannot tell those of a large map apart.

    Args:
        embed_dims: Channels C.
        num_heads: Heads M; divides C.
        num_levels: Levels L.
        num_points: Points P per head and level.
        impl: How values are sampled: ``'row_gather'`` or ``'grid_sample'``
            in plain PyTorch, ``'compiled'`` by the operator of compiled
            mmcv, or ``'auto'``: compiled on CUDA where mmcv is, else the
            faster of the two on the device.

    Raises:
        ValueError: If the heads do not divide the channels, or ``impl`` is
            unknown.

    Example:
        >>> attention = DeformableAttention(32, num_heads=4, num_levels=2)
        >>> query, value = torch.rand(1, 5, 32), torch.rand(1, 24, 32)
        >>> references = torch.rand(1, 5, 2, 2)
        >>> attention(query, value, references, [(4, 5), (2, 2)]).shape
        torch.Size([1, 5, 32])
    """

    def __init__(
        self,
        embed_dims: int,
        num_heads: int = 8,
        num_levels: int = 4,
        num_points: int = 4,
        impl: str = 'auto',
    ) -> None:
        super().__init__()
        if num_heads < 1 or embed_dims % num_heads:
            raise ValueError(
                f'num_heads must divide embed_dims = {embed_dims}, got '
                f'{num_heads}'
            )
        known = ('auto', 'compiled', *IMPLEMENTATIONS)
        if impl not in known:
            raise ValueError(f'impl must be one of {known}, got {impl!r}')
        self.embed_dims = embed_dims
        self.num_heads = num_heads
        self.num_levels = num_levels
        self.num_points = num_points
        self.impl = impl
        num_places = num_heads * num_levels * num_points
        self.sampling_offsets = nn.Linear(embed_dims, num_places * 2)
        self.attention_weights = nn.Linear(embed_dims, num_places)
        self.value_proj = nn.Linear(embed_dims, embed_dims)
        self.output_proj = nn.Linear(embed_dims, embed_dims)
        self.init_weights()

    def init_weights(self) -> None:
        """Look in a different direction with every head, at equal weights.

        Point p of a head lies p + 1 cells from the reference.
        """
        angle = torch.arange(self.num_heads) * (2 * math.pi / self.num_heads)
        ring = torch.stack((angle.cos(), angle.sin()), dim=-1)
        ring = ring / ring.abs().amax(-1, keepdim=True)  # (M, 2)
        distance = torch.arange(1, self.num_points + 1).view(-1, 1)
        offsets = (ring[:, None, None] * distance).expand(
            -1, self.num_levels, -1, -1
        )
        nn.init.zeros_(self.sampling_offsets.weight)
        with torch.no_grad():
            self.sampling_offsets.bias.copy_(offsets.flatten())
        nn.init.zeros_(self.attention_weights.weight)
        nn.init.zeros_(self.attention_weights.bias)
        for linear in (self.value_proj, self.output_proj):
            nn.init.xavier_uniform_(linear.weight)
            nn.init.zeros_(linear.bias)

    def fuse(self) -> None:
        """Make one linear layer of two, for inference; not undone."""
        pair = (self.sampling_offsets, self.attention_weights)
        fused = nn.Linear(
            self.embed_dims, sum(linear.out_features for linear in pair)
        ).to(pair[0].weight)
        with torch.no_grad():
            fused.weight.copy_(torch.cat([linear.weight for linear in pair]))
            fused.bias.copy_(torch.cat([linear.bias for linear in pair]))
        self.offsets_and_weights = fused.requires_grad_(False)
        del self.sampling_offsets, self.attention_weights

    def forward(
        self,
        query: Tensor,
        value: Tensor,
        references: Tensor,
        shapes: Shapes,
        hidden: Tensor | None = None,
    ) -> Tensor:
        """Return what the queries see, without a residual.

        Args:
            query: Queries with their positions, (B, Q, C).
            value: Tokens of all levels, (B, V, C).
            references: Points (x, y), (B, Q, L, 2), or boxes (cx, cy, w, h),
                (B, Q, L, 4), with 0 and 1 at the outer edges of the padded
                maps. Offsets are in cells from a point, and in units of
                1 / (2 P) of its size from the center of a box.
            shapes: Size (h, w) of each level.
            hidden: True for tokens of padding, (B, V), which count as 0.

        Returns:
            (B, Q, C).

        Raises:
            ValueError: If references have neither 2 nor 4 numbers.
        """
        sampler = self.sampler(value, shapes, hidden)
        sizes = level_sizes(shapes, query.device)
        return self.attend(query, references, sizes, sampler)

    def sampler(
        self, value: Tensor, shapes: Shapes, hidden: Tensor | None = None
    ) -> Sampler:
        """Project the values; return the function that samples them."""
        value = self.value_proj(value)
        if hidden is not None:
            value = value.masked_fill(hidden[..., None], 0)
        value = value.unflatten(2, (self.num_heads, -1))
        compiled = self.impl == 'compiled' or (
            self.impl == 'auto' and value.is_cuda and bool(compiled_mmcv())
        )
        if compiled:
            return _CompiledSampler(value, shapes)
        return DeformSampler(value, shapes, self.impl)

    def attend(
        self,
        query: Tensor,
        references: Tensor,
        sizes: Tensor,
        sampler: Sampler,
    ) -> Tensor:
        """Do the part of :meth:`forward` that is of the queries.

        Args:
            query: As in :meth:`forward`.
            references: As in :meth:`forward`.
            sizes: Of :func:`level_sizes`; made once for all layers.
            sampler: Of :meth:`sampler`.
        """
        offsets, weights = self._offsets_and_weights(query)
        size = sizes.to(offsets)
        points = references[..., :2].to(offsets) * size - 0.5
        if references.shape[-1] == 4:
            reach = references[..., 2:].to(offsets) * size
            offsets = offsets * (
                reach[:, :, None, :, None] * (0.5 / self.num_points)
            )
        elif references.shape[-1] != 2:
            raise ValueError(
                'references must be points (x, y) or boxes (cx, cy, w, h), '
                f'got {references.shape[-1]} numbers each'
            )
        places = points[:, :, None, :, None] + offsets  # (B, Q, M, L, P, 2)
        output = sampler(places, weights)
        return self.output_proj(output.to(query.dtype))

    def _offsets_and_weights(self, query: Tensor) -> tuple[Tensor, Tensor]:
        """Return (B, Q, M, L, P, 2) and (B, Q, M, L, P), 32 bits or more."""
        shape = (self.num_heads, self.num_levels, self.num_points)
        if hasattr(self, 'offsets_and_weights'):
            both = self.offsets_and_weights(query)
            offsets, weights = both.split(
                (both.shape[2] // 3 * 2, both.shape[2] // 3), dim=2
            )
        else:
            offsets = self.sampling_offsets(query)
            weights = self.attention_weights(query)
        wide = torch.promote_types(offsets.dtype, torch.float32)
        weights = weights.to(wide).unflatten(2, (self.num_heads, -1))
        weights = weights.softmax(-1).unflatten(3, shape[1:])
        return offsets.to(wide).unflatten(2, (*shape, 2)), weights


class _CompiledSampler:
    """The operator of compiled mmcv in the place of ``DeformSampler``."""

    def __init__(self, value: Tensor, shapes: Shapes) -> None:
        # mmcv casts the places to the type of the values: both in 32 bits.
        self.value = value.to(
            torch.promote_types(value.dtype, torch.float32)
        ).contiguous()
        self.sizes = send(torch.tensor(shapes), value.device)
        self.starts = self.sizes.prod(1).cumsum(0) - self.sizes.prod(1)

    def __call__(self, places: Tensor, weights: Tensor) -> Tensor:
        from mmcv.ops.multi_scale_deform_attn import (
            MultiScaleDeformableAttnFunction,
        )

        size = self.sizes.flip(1)[:, None].to(places)
        return MultiScaleDeformableAttnFunction.apply(
            self.value,
            self.sizes,
            self.starts,
            ((places + 0.5) / size).contiguous(),
            weights.contiguous(),
            len(self.value),  # images at once
        )
