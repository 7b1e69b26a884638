"""Sampling of values in multi-scale deformable attention."""

# B batch, V values of all levels, Q queries, M heads, D channels of a head,
# L levels, P points per level

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

IMPLEMENTATIONS = ('row_gather', 'grid_sample')


def deform_attention(
    value: Tensor,
    spatial_shapes: Tensor,
    sampling_locations: Tensor,
    attention_weights: Tensor,
) -> Tensor:
    """Sum values sampled at a few locations of every level.

    Source: Zhu et al., "Deformable DETR", Sec. 4.1, Eq. 3. Computed in 32
    bits at least: half precision cannot represent the locations in a large
    map.

    Args:
        value: Values of all levels, (B, V, M, D).
        spatial_shapes: Size (h, w) of each level, (L, 2).
        sampling_locations: Points (x, y), (B, Q, M, L, P, 2), with 0 and 1
            at the outer edges of the map.
        attention_weights: Weight of each point, (B, Q, M, L, P).

    Returns:
        (B, Q, M * D), in the type of ``value``.
    """
    dtype = torch.promote_types(value.dtype, torch.float32)
    sizes = spatial_shapes.flip(1).to(sampling_locations.device, dtype)
    points = sampling_locations.to(dtype) * sizes[:, None] - 0.5
    sampler = DeformSampler(value, spatial_shapes.tolist())
    return sampler(points, attention_weights).to(value.dtype)


class DeformSampler:
    """Sums values sampled at a few locations of every level.

    Both implementations give equal numbers and gradients. ``row_gather``
    reads whole rows of D numbers with one ``F.embedding_bag``: on one CPU
    core it took a quarter of the time of ``grid_sample``, which reads one
    number at a time. Exporters support ``grid_sample``.

    Args:
        value: Values of all levels, (B, V, M, D).
        spatial_shapes: Size (h, w) of each level; L pairs of integers.
        impl: ``'row_gather'``, ``'grid_sample'``, or ``'auto'``: the first
            on a CPU, the second on other devices and in graphs for export.

    Raises:
        ValueError: If ``impl`` is none of the three.

    Example:
        >>> sampler = DeformSampler(torch.rand(1, 20, 2, 8), [(4, 5)])
        >>> points, weights = torch.rand(1, 3, 2, 1, 4, 2), torch.rand(4)
        >>> sampler(points, weights.expand(1, 3, 2, 1, 4)).shape
        torch.Size([1, 3, 16])
    """

    def __init__(
        self,
        value: Tensor,
        spatial_shapes: Sequence[Sequence[int]],
        impl: str = 'auto',
    ) -> None:
        if impl == 'auto':
            exporting = torch.onnx.is_in_onnx_export() or _is_exporting()
            on_cpu = value.device.type == 'cpu'
            impl = IMPLEMENTATIONS[not on_cpu or exporting]
        if impl not in IMPLEMENTATIONS:
            raise ValueError(
                f"impl must be 'auto' or one of {IMPLEMENTATIONS}, got "
                f'{impl!r}'
            )
        value = value.to(torch.promote_types(value.dtype, torch.float32))
        self.spatial_shapes = spatial_shapes
        self.impl = impl
        self.batch, _, self.heads, self.channels = value.shape
        if impl == 'row_gather':
            self._frame_levels(value)
        else:
            self.value, self.dtype = value, value.dtype

    def __call__(self, points: Tensor, weights: Tensor) -> Tensor:
        """Sample.

        Args:
            points: Locations (x, y), (B, Q, M, L, P, 2), in cells of their
                level, with the centers of cells at whole numbers.
            weights: Weight of each location, (B, Q, M, L, P).

        Returns:
            (B, Q, M * D), in float32, or wider if the values are.
        """
        points, weights = points.to(self.dtype), weights.to(self.dtype)
        # Autocast computes none of the operators below in half precision.
        if self.impl == 'row_gather':
            return self._gather_rows(points, weights)
        return self._sample_grids(points, weights)

    def _sample_grids(self, points: Tensor, weights: Tensor) -> Tensor:
        queries = points.shape[1]
        points = points.transpose(1, 2).flatten(0, 1)  # (B * M, Q, L, P, 2)
        weights = weights.transpose(1, 2).flatten(0, 1)
        levels = self.value.split(
            [h * w for h, w in self.spatial_shapes], dim=1
        )
        outputs = []
        for i, ((h, w), maps) in enumerate(
            zip(self.spatial_shapes, levels, strict=True)
        ):
            maps = maps.permute(0, 2, 3, 1)  # (B, M, D, h * w)
            maps = maps.reshape(self.batch * self.heads, -1, h, w)
            x, y = (2 * points[:, :, i] + 1).unbind(-1)
            grid = torch.stack((x / w, y / h), dim=-1) - 1  # edges at -1, 1
            sampled = F.grid_sample(maps, grid, align_corners=False)
            outputs.append((sampled * weights[:, None, :, i]).sum(-1))
        output = sum(outputs[1:], outputs[0]).view(
            self.batch, self.heads * self.channels, queries
        )
        return output.transpose(1, 2)

    def _frame_levels(self, value: Tensor) -> None:
        """Frame each level with zeros: one row before it, two behind it.

        A point that is clamped to the frame samples 0 and needs no mask.
        """
        shapes = self.spatial_shapes
        levels = value.flatten(2).split([h * w for h, w in shapes], dim=1)
        framed, starts, start = [], [], 0
        for (h, w), level in zip(shapes, levels, strict=True):
            level = F.pad(level.unflatten(1, (h, w)), (0, 0, 1, 2, 1, 2))
            framed.append(level.flatten(1, 2))
            starts.append(start + (w + 3) + 1)
            start += (h + 3) * (w + 3)
        rows = torch.cat(framed, dim=1)
        self.rows = rows.view(-1, self.channels)  # (B * start * M, D)
        self.dtype = rows.dtype
        self.last = rows.new_tensor([[w, h] for h, w in shapes])[:, None]
        ints = torch.arange(
            max(self.heads, self.batch), dtype=torch.int32, device=rows.device
        )
        # For each level, head and image: the number of rows from one line to
        # the next, and the row of the cell (0, 0).
        width = ints.new_tensor([w + 3 for _, w in shapes])
        self.stride = width[:, None] * self.heads  # (L, 1)
        level = ints.new_tensor(starts)[:, None] * self.heads
        head = ints[: self.heads, None, None]
        image = ints[: self.batch] * (start * self.heads)
        self.origin = image.view(-1, 1, 1, 1, 1) + head + level
        right = torch.full_like(self.stride, self.heads)
        self.corners = torch.stack(
            (right * 0, right, self.stride, self.stride + right), dim=-1
        )  # (L, 1, 4)

    def _gather_rows(self, points: Tensor, weights: Tensor) -> Tensor:
        """Sum the four rows around every point."""
        batch, queries = points.shape[:2]
        # fmin and fmax also replace NaN, which clamp keeps.
        points = points.fmax(self.last.new_tensor(-1.0)).fmin(self.last)
        corner = points.detach().floor()
        right, down = (points - corner).unbind(-1)  # (B, Q, M, L, P)
        lower = weights * down
        upper = weights - lower
        upper_right, lower_right = upper * right, lower * right
        shares = torch.stack(
            (
                upper - upper_right,
                upper_right,
                lower - lower_right,
                lower_right,
            ),
            dim=-1,
        )
        column, line = corner.int().unbind(-1)
        index = line * self.stride + column * self.heads + self.origin
        index = index[..., None] + self.corners  # (B, Q, M, L, P, 4)
        output = F.embedding_bag(
            index.flatten(0, 2).flatten(1),
            self.rows,
            mode='sum',
            per_sample_weights=shares.flatten(0, 2).flatten(1),
        )
        return output.view(batch, queries, self.heads * self.channels)


def _is_exporting() -> bool:
    """Tell whether torch.export is tracing; False before torch 2.7."""
    is_exporting = getattr(torch.compiler, 'is_exporting', None)
    return is_exporting is not None and is_exporting()
