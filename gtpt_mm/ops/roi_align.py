"""RoIAlign with max pooling; torchvision has only the average."""

# B batch, C channels, (H, W) map, R regions, (h, w) output,
# (p, q) sampling points of an output row and column: (h * g, w * g')

from collections.abc import Iterator

import torch
from torch import Tensor

from .precision import widen

NO_SAMPLE = -2.0  # coordinate where a bin holds no sampling point


def roi_align_max(
    x: Tensor,
    rois: Tensor,
    size: tuple[int, int],
    spatial_scale: float,
    sampling_ratio: int,
    aligned: bool,
) -> tuple[Tensor, Tensor, Tensor]:
    """Pool each region of the map into a grid by maximum.

    Source: He et al., "Mask R-CNN", Sec. 3; the maximum is mmcv's addition. A
    bin without a sampling point (a region of no extent) gives 0; mmcv gives
    -10000 on the CPU and -FLT_MAX on CUDA, which no network could use.

    Args:
        x: Feature map, (B, C, H, W).
        rois: (image index, x1, y1, x2, y2), (R, 5), in pixels of the image.
        size: Output size (h, w).
        spatial_scale: Map size / image size.
        sampling_ratio: Sampling points per bin and side; 0 for about one per
            map cell.
        aligned: Whether pixel centers lie at half numbers, which moves the
            regions by -0.5; else regions are at least one cell large.

    Returns:
        Maxima, and their rows and columns in cells of the map; each
        (R, C, h, w), in 32 bits at least.
    """
    x, rois = widen(x, rois)
    shape = (len(rois), x.shape[1], *size)
    output = x.new_zeros(shape)
    at_y, at_x = (x.new_full(shape, NO_SAMPLE) for _ in range(2))
    for chosen, rows, columns in _sampling_points(
        rois, size, spatial_scale, sampling_ratio, aligned
    ):
        output[chosen], at_y[chosen], at_x[chosen] = _max_in_bins(
            x, rois[chosen, 0].long(), rows, columns
        )
    return output, at_y, at_x


def sample_regions(
    x: Tensor, rois: Tensor, rows: Tensor, columns: Tensor
) -> Tensor:
    """Sample the map where :func:`roi_align_max` found its maxima.

    Args:
        x: Feature map, (B, C, H, W).
        rois: As in :func:`roi_align_max`; only the image indices are read.
        rows: Rows of the maxima, (R, C, h, w).
        columns: Columns of the maxima, (R, C, h, w).

    Returns:
        The maxima, (R, C, h, w), differentiable with respect to ``x``.
    """
    image = rois[:, 0].long().view(-1, 1, 1, 1)
    channel = torch.arange(x.shape[1], device=x.device).view(-1, 1, 1)
    x, rows, columns = widen(x, rows, columns)
    return _sample(x, image, channel, rows, columns)


def _sampling_points(
    rois: Tensor,
    size: tuple[int, int],
    spatial_scale: float,
    sampling_ratio: int,
    aligned: bool,
) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Yield groups of regions with equally many sampling points.

    Each is a triple of region indices (R',), rows (R', h, g) and columns
    (R', w, g') of the points, in cells of the map.
    """
    near, far = (rois[:, 1:] * spatial_scale - 0.5 * aligned).split(2, dim=1)
    extent = far - near if aligned else (far - near).clamp(min=1)
    bins = rois.new_tensor(size[::-1])  # (w, h), as extent is (x, y)
    if sampling_ratio > 0:
        num = torch.full_like(extent, sampling_ratio, dtype=torch.long)
    else:
        num = (extent / bins).ceil().long()
    for num_x, num_y in num.unique(dim=0).tolist():
        if num_x <= 0 or num_y <= 0:
            continue
        chosen = ((num[:, 0] == num_x) & (num[:, 1] == num_y)).nonzero()[:, 0]
        rows, columns = (
            _points_along(
                near[chosen, axis], extent[chosen, axis], num_bins, num_points
            )
            for axis, num_bins, num_points in (
                (1, size[0], num_y),
                (0, size[1], num_x),
            )
        )
        yield chosen, rows, columns


def _points_along(
    start: Tensor, extent: Tensor, num_bins: int, num_points: int
) -> Tensor:
    """Return the points of every bin along one axis, (R', bins, points)."""
    step = torch.arange(num_bins * num_points).to(start) + 0.5
    step = step.view(num_bins, num_points) / (num_bins * num_points)
    return start[:, None, None] + step * extent[:, None, None]


def _sample(
    x: Tensor, image: Tensor, channel: Tensor, row: Tensor, column: Tensor
) -> Tensor:
    """Interpolate the map (B, C, H, W) at broadcastable indices.

    Up to one cell outside the map the value is that of the border; farther
    outside it is 0.
    """
    height, width = x.shape[-2:]
    inside = (row >= -1) & (row <= height) & (column >= -1) & (column <= width)
    row, column = row.clamp(0, height - 1), column.clamp(0, width - 1)
    top, left = row.long(), column.long()
    down, right = row - top, column - left
    bottom = (top + 1).clamp(max=height - 1)
    beside = (left + 1).clamp(max=width - 1)
    output = torch.zeros((), dtype=x.dtype, device=x.device)
    for i, j, weight in (
        (top, left, (1 - down) * (1 - right)),
        (top, beside, (1 - down) * right),
        (bottom, left, down * (1 - right)),
        (bottom, beside, down * right),
    ):
        output = output + x[image, channel, i, j] * (weight * inside)
    return output


def _max_in_bins(
    x: Tensor, image: Tensor, rows: Tensor, columns: Tensor
) -> tuple[Tensor, ...]:
    """Return the largest sample of every bin, its row and its column.

    Args:
        x: Feature map, (B, C, H, W).
        image: Image of each region, (R,).
        rows: Rows of the sampling points, (R, h, g).
        columns: Columns of the sampling points, (R, w, g').

    Returns:
        Maxima and their rows and columns, each (R, C, h, w).
    """
    num, h, g = rows.shape
    w, g_x = columns.shape[1:]
    y = rows.flatten(1)[:, :, None].expand(-1, -1, w * g_x)  # (R, p, q)
    at = columns.flatten(1)[:, None, :].expand(-1, h * g, -1)
    channel = torch.arange(x.shape[1], device=x.device)
    sample = _sample(
        x, image.view(-1, 1, 1, 1), channel, y[..., None], at[..., None]
    )  # (R, p, q, C)

    def into_bins(points: Tensor) -> Tensor:
        """(R, p, q, ...) -> (R, h, w, g * g', ...)."""
        parts = points.reshape(num, h, g, w, g_x, *points.shape[3:])
        return parts.transpose(2, 3).flatten(3, 4)

    best, index = into_bins(sample).max(dim=3)  # (R, h, w, C)
    at_y = into_bins(y).gather(3, index)
    at_x = into_bins(at).gather(3, index)
    return tuple(t.permute(0, 3, 1, 2) for t in (best, at_y, at_x))
