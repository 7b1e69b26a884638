"""RoIAlign with the signatures of ``mmcv._ext``."""

# B batch, C channels, (H, W) map, R regions, (h, w) output,
# (p, q) sampling points of an output row and column: (h * g, w * g')

from collections.abc import Iterator

import torch
import torchvision
from torch import Tensor

MAX, AVG = range(2)  # mmcv's numbers of the pooling modes
NO_SAMPLE = -1.0  # argmax where a bin holds no sampling point


def roi_align_forward(
    input: Tensor,
    rois: Tensor,
    output: Tensor,
    argmax_y: Tensor,
    argmax_x: Tensor,
    aligned_height: int,
    aligned_width: int,
    spatial_scale: float,
    sampling_ratio: int,
    pool_mode: int,
    aligned: bool,
) -> None:
    """Pool each region of the map into a grid of fixed size.

    Source: He et al., "Mask R-CNN", Sec. 3. Pooling by maximum is mmcv's
    addition. A bin without a sampling point (a region of no extent) gives 0;
    mmcv gives 0 for the average, and for the maximum -10000 on the CPU and
    -FLT_MAX on CUDA, which no network could use.

    Args:
        input: Feature map, (B, C, H, W).
        rois: (image index, x1, y1, x2, y2), (R, 5), in pixels of the image.
        output: Receives the pooled regions, (R, C, h, w).
        argmax_y: Receives the place of each maximum, in rows of the map,
            (R, C, h, w); unused by the average.
        argmax_x: Likewise in columns.
        aligned_height: Output rows h.
        aligned_width: Output columns w.
        spatial_scale: Map size / image size.
        sampling_ratio: Sampling points per bin and side; 0 for about one per
            map cell.
        pool_mode: 0 maximum, 1 average.
        aligned: Whether pixel centers lie at half numbers, which moves the
            regions by -0.5; else regions are at least one cell large.
    """
    x = _at_least_float32(input)
    rois = rois.to(x)
    if pool_mode == AVG:
        size = (aligned_height, aligned_width)
        pooled = torchvision.ops.roi_align(
            x, rois, size, spatial_scale, sampling_ratio, aligned
        )
        output.copy_(pooled)
        return
    output.zero_()
    argmax_y.fill_(NO_SAMPLE)
    argmax_x.fill_(NO_SAMPLE)
    for chosen, rows, columns in _sampling_points(
        rois,
        (aligned_height, aligned_width),
        spatial_scale,
        sampling_ratio,
        aligned,
    ):
        best, at_y, at_x = _max_in_bins(
            x, rois[chosen, 0].long(), rows, columns
        )
        output[chosen] = best.to(output)
        argmax_y[chosen] = at_y.to(argmax_y)
        argmax_x[chosen] = at_x.to(argmax_x)


def roi_align_backward(
    grad_output: Tensor,
    rois: Tensor,
    argmax_y: Tensor,
    argmax_x: Tensor,
    grad_input: Tensor,
    aligned_height: int,
    aligned_width: int,
    spatial_scale: float,
    sampling_ratio: int,
    pool_mode: int,
    aligned: bool,
) -> None:
    """Add the gradient of the map to ``grad_input``, (B, C, H, W).

    ``grad_output`` is (R, C, h, w); the other arguments are those of
    :func:`roi_align_forward`.
    """
    grad = _at_least_float32(grad_output)
    rois = rois.to(grad)
    if pool_mode == AVG:
        # The average is linear in the map: its values do not matter.
        x = torch.zeros_like(grad_input, dtype=grad.dtype, requires_grad=True)
        size = (aligned_height, aligned_width)
        with torch.enable_grad():
            pooled = torchvision.ops.roi_align(
                x, rois, size, spatial_scale, sampling_ratio, aligned
            )
        grad_input.add_(torch.autograd.grad(pooled, x, grad)[0])
        return
    image = rois[:, 0].long()[:, None, None, None].expand_as(grad)
    channel = torch.arange(grad.shape[1], device=grad.device)
    channel = channel[:, None, None].expand_as(grad)
    grad = grad.masked_fill(argmax_y == NO_SAMPLE, 0)
    total = torch.zeros_like(grad_input, dtype=grad.dtype)
    for row, column, weight in _corners(
        argmax_y.to(grad), argmax_x.to(grad), grad_input.shape[-2:]
    ):
        total.index_put_(
            (image, channel, row, column), grad * weight, accumulate=True
        )
    grad_input.add_(total)


def _at_least_float32(x: Tensor) -> Tensor:
    """Widen half precision, in which places of a map cannot be told apart."""
    return x if x.dtype == torch.float64 else x.float()


def _sampling_points(
    rois: Tensor,
    size: tuple[int, int],
    spatial_scale: float,
    sampling_ratio: int,
    aligned: bool,
) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Yield regions with equally many points: indices, rows, columns.

    Rows are (R', h, g) and columns (R', w, g'), in cells of the map.
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

        def along(
            axis: int, num_bins: int, num_points: int, chosen: Tensor = chosen
        ) -> Tensor:
            step = torch.arange(num_bins * num_points).to(rois) + 0.5
            step = step.view(num_bins, num_points) / (num_bins * num_points)
            start = near[chosen, axis, None, None]
            return start + step * extent[chosen, axis, None, None]

        yield chosen, along(1, size[0], num_y), along(0, size[1], num_x)


def _corners(
    y: Tensor, x: Tensor, size: tuple[int, int]
) -> list[tuple[Tensor, Tensor, Tensor]]:
    """Return (row, column, weight) of the four cells around each place.

    Places within a cell outside of the map take the border's value; beyond,
    all weights are 0.
    """
    height, width = size
    inside = (y >= -1) & (y <= height) & (x >= -1) & (x <= width)
    y, x = y.clamp(0, height - 1), x.clamp(0, width - 1)
    top, left = y.floor(), x.floor()
    down, right = y - top, x - left
    top, left = top.long(), left.long()
    bottom = (top + 1).clamp(max=height - 1)
    beside = (left + 1).clamp(max=width - 1)
    return [
        (top, left, (1 - down) * (1 - right) * inside),
        (top, beside, (1 - down) * right * inside),
        (bottom, left, down * (1 - right) * inside),
        (bottom, beside, down * right * inside),
    ]


def _max_in_bins(
    x: Tensor, image: Tensor, rows: Tensor, columns: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the largest sample of every bin and where it lies.

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
    image = image[:, None, None]
    sample = 0
    for row, column, weight in _corners(y, at, x.shape[-2:]):
        value = x[image, :, row, column]  # (R, p, q, C)
        sample = sample + value * weight[..., None]

    def into_bins(points: Tensor) -> Tensor:
        """(R, p, q, ...) -> (R, h, w, g * g', ...)."""
        parts = points.reshape(num, h, g, w, g_x, *points.shape[3:])
        return parts.transpose(2, 3).flatten(3, 4)

    best, place = into_bins(sample).max(dim=3)  # (R, h, w, C)
    at_y = into_bins(y).gather(3, place)
    at_x = into_bins(at).gather(3, place)
    return tuple(t.permute(0, 3, 1, 2) for t in (best, at_y, at_x))
