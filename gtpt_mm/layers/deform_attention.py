"""Multi-scale deformable attention without compiled operators."""

# B batch, Q queries, V values of all levels, C channels, M heads,
# D = C / M channels of a head, L levels, P points per level

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from gtpt_mm.compat.stack.mmcv_ops import compiled_mmcv
from gtpt_mm.ops.deform_attention import (
    IMPLEMENTATIONS,
    DeformSampler,
)

from .arch import check_divides
from .token_maps import TokenMaps
from .transfer import send

#: Samples values at (sampling locations, weights) -> (B, Q, C); see
#: ``DeformSampler``.
ValueSampler = Callable[[Tensor, Tensor], Tensor]


class DeformableAttention(nn.Module):
    """Attend to a few learned points around a reference on every level.

    Source: Zhu et al., "Deformable DETR", Sec. 4.1, Eq. 3. Parameters are
    named as in its code and in mmcv. Sampling locations are computed in 32
    bits also under autocast: half precision does not resolve a large map.

    Args:
        embed_dims: Channels C.
        num_heads: Heads M; divides C.
        num_levels: Levels L.
        num_points: Points P per head and level.
        impl: How values are sampled: ``'row_gather'`` or ``'grid_sample'``
            in plain PyTorch, ``'compiled'`` by the operator of compiled mmcv,
            or ``'auto'``: on CUDA the compiled operator if mmcv has it, else
            the faster of the other two on the device.

    Raises:
        ValueError: If the heads do not divide the channels, or ``impl`` is
            unknown.

    Example:
        >>> attention = DeformableAttention(32, num_heads=4, num_levels=2)
        >>> query, value = torch.rand(1, 5, 32), torch.rand(1, 24, 32)
        >>> maps = TokenMaps.without_padding([(4, 5), (2, 2)], query.device)
        >>> attention(query, value, torch.rand(1, 5, 2, 2), maps).shape
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
        check_divides('num_heads', num_heads, 'embed_dims', embed_dims)
        known = ('auto', 'compiled', *IMPLEMENTATIONS)
        if impl not in known:
            raise ValueError(f'impl must be one of {known}, got {impl!r}')
        self.embed_dims = embed_dims
        self.num_heads = num_heads
        self.num_levels = num_levels
        self.num_points = num_points
        self.impl = impl
        num_weights = num_heads * num_levels * num_points
        self.sampling_offsets = nn.Linear(embed_dims, num_weights * 2)
        self.attention_weights = nn.Linear(embed_dims, num_weights)
        self.value_proj = nn.Linear(embed_dims, embed_dims)
        self.output_proj = nn.Linear(embed_dims, embed_dims)
        self.init_weights()

    def init_weights(self) -> None:
        """Point each head in a different direction, with equal weights.

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

    def forward(
        self,
        query: Tensor,
        value: Tensor,
        reference_points: Tensor,
        maps: TokenMaps,
    ) -> Tensor:
        """Return the attention's output, (B, Q, C), without a residual.

        Args:
            query: Queries with their positions, (B, Q, C).
            value: Tokens of all levels, (B, V, C); those of padding count
                as 0.
            reference_points: Points (x, y), (B, Q, L, 2), or boxes (cx, cy,
                w, h), (B, Q, L, 4), with 0 and 1 at the outer edges of the
                padded maps. Offsets are in cells from a point, and in units
                of 1 / (2 P) of its size from the center of a box.
            maps: The layout of the tokens.

        Raises:
            ValueError: If reference points have neither 2 nor 4 numbers.
        """
        sampler = self.build_sampler(value, maps)
        return self.attend(query, reference_points, maps, sampler)

    def build_sampler(self, value: Tensor, maps: TokenMaps) -> ValueSampler:
        """Project the values: the part of :meth:`forward` without queries."""
        value = self.value_proj(value)
        if maps.key_padding_mask is not None:
            value = value.masked_fill(maps.key_padding_mask[..., None], 0)
        value = value.unflatten(2, (self.num_heads, -1))
        compiled = self.impl == 'compiled' or (
            self.impl == 'auto' and value.is_cuda and bool(compiled_mmcv())
        )
        if compiled:
            return _CompiledSampler(value, maps.spatial_shapes)
        return DeformSampler(value, maps.spatial_shapes, self.impl)

    def attend(
        self,
        query: Tensor,
        reference_points: Tensor,
        maps: TokenMaps,
        sampler: ValueSampler,
    ) -> Tensor:
        """Sample the values: the part of :meth:`forward` with the queries.

        Takes its arguments, and the sampler from :meth:`build_sampler`.
        """
        offsets, weights = self._predict_offsets_and_weights(query)
        size = maps.level_sizes.to(offsets)
        points = reference_points[..., :2].to(offsets) * size - 0.5
        if reference_points.shape[-1] == 4:
            reach = reference_points[..., 2:].to(offsets) * size
            offsets = offsets * (
                reach[:, :, None, :, None] * (0.5 / self.num_points)
            )
        elif reference_points.shape[-1] != 2:
            raise ValueError(
                'reference points must be (x, y) or boxes (cx, cy, w, h), '
                f'got {reference_points.shape[-1]} numbers each'
            )
        locations = points[:, :, None, :, None] + offsets
        output = sampler(locations, weights)  # (B, Q, M, L, P, 2) -> (B, Q, C)
        return self.output_proj(output.to(query.dtype))

    def _predict_offsets_and_weights(
        self, query: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return (B, Q, M, L, P, 2) and (B, Q, M, L, P), 32 bits or more."""
        shape = (self.num_heads, self.num_levels, self.num_points)
        offsets, weights = self.project(query)
        wide = torch.promote_types(offsets.dtype, torch.float32)
        weights = weights.to(wide).unflatten(2, (self.num_heads, -1))
        weights = weights.softmax(-1).unflatten(3, shape[1:])
        return offsets.to(wide).unflatten(2, (*shape, 2)), weights

    def project(self, query: Tensor) -> tuple[Tensor, Tensor]:
        """Return offsets and weights before the softmax, (B, Q, ...)."""
        return self.sampling_offsets(query), self.attention_weights(query)


class _CompiledSampler:
    """The operator of compiled mmcv in place of ``DeformSampler``."""

    def __init__(
        self, value: Tensor, spatial_shapes: Sequence[tuple[int, int]]
    ) -> None:
        # mmcv casts locations to the type of the values: both in 32 bits.
        self.value = value.to(
            torch.promote_types(value.dtype, torch.float32)
        ).contiguous()
        self.shapes = send(torch.tensor(spatial_shapes), value.device)
        self.starts = self.shapes.prod(1).cumsum(0) - self.shapes.prod(1)

    def __call__(self, locations: Tensor, weights: Tensor) -> Tensor:
        from mmcv.ops.multi_scale_deform_attn import (
            MultiScaleDeformableAttnFunction,
        )

        size = self.shapes.flip(1)[:, None].to(locations)
        return MultiScaleDeformableAttnFunction.apply(
            self.value,
            self.shapes,
            self.starts,
            ((locations + 0.5) / size).contiguous(),
            weights.contiguous(),
            len(self.value),  # images at once
        )
