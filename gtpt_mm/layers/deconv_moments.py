"""Batch statistics of a transposed convolution without its output."""

# B batch, n samples, C_in and C channels, (h, w) input, P pixels of the padded
# input, (k_h, k_w) kernel, s stride, d = (dy, dx) distance of two pixels

from typing import Any

import torch
import torch.nn.functional as F
from mmcv.cnn.bricks.wrappers import ConvTranspose2d
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from .batch_norm import has_plain_statistics, update_averages


def norm_of_batch(
    own: Tensor, rest: Tensor, deconv: nn.ConvTranspose2d, norm: nn.BatchNorm2d
) -> Tensor:
    """Normalise outputs by the statistics of a larger batch.

    Equal to ``norm(torch.cat((own, deconv(rest))))[:n]`` in training,
    gradients and running statistics included, but ``deconv(rest)`` is not
    computed. It is linear in ``rest``; its first two moments follow from sums
    over the input, see :func:`deconv_moments`.

    Args:
        own: Outputs of ``deconv``, (n, C, H, W); n may be 0.
        rest: Inputs of ``deconv`` whose outputs only enter the statistics,
            (B - n, C_in, h, w).
        deconv: See :func:`has_moments`.
        norm: BatchNorm behind it, see :func:`has_moments`.

    Returns:
        The normalised outputs, (n, C, H, W).

    Example:
        >>> deconv = nn.ConvTranspose2d(8, 4, 4, 2, 1, bias=False)
        >>> norm, x = nn.BatchNorm2d(4), torch.rand(5, 8, 6, 4)
        >>> out = norm_of_batch(deconv(x[:2]), x[2:], deconv, norm)
        >>> torch.allclose(out, norm(deconv(x))[:2], atol=1e-5)
        True
    """
    total, squares = deconv_moments(rest, deconv)
    count = (len(own) + len(rest)) * own.shape[2] * own.shape[3]
    mean = (total + own.sum((0, 2, 3))) / count
    var = (squares + own.square().sum((0, 2, 3))) / count - mean.square()
    var = var.clamp(min=0)
    update_averages(norm, mean, var, count)
    scale = norm.weight * (var + norm.eps).rsqrt()
    shift = norm.bias - mean * scale
    return torch.addcmul(shift[:, None, None], own, scale[:, None, None])


def has_moments(deconv: nn.Module, norm: nn.Module) -> bool:
    """Return whether :func:`norm_of_batch` supports the two modules.

    Args:
        deconv: Transposed convolution of torch or mmcv, without bias, groups
            and dilation, that crops at most a stride of its output on each
            side.
        norm: Plain BatchNorm in training, with weights and running averages.
    """
    if type(norm) is not nn.BatchNorm2d or not has_plain_statistics(norm):
        return False
    return (
        type(deconv) in (nn.ConvTranspose2d, ConvTranspose2d)
        and deconv.bias is None
        and deconv.groups == 1
        and deconv.dilation == (1, 1)
        and all(
            _pair(deconv.output_padding)[axis]
            <= _pair(deconv.padding)[axis]
            <= min(deconv.stride[axis], deconv.kernel_size[axis])
            for axis in range(2)
        )
    )


def deconv_moments(
    x: Tensor, deconv: nn.ConvTranspose2d
) -> tuple[Tensor, Tensor]:
    """Return the sums of a deconvolution's outputs and of their squares.

    An output pixel is a sum over taps t of x_i W_t. Two taps meet in a pixel
    if they differ by a multiple of the stride, so with the sums of products
    of pixels at a distance d,

        L_d = sum_i x_i x_(i+d)^T                          (C_in, C_in)
        sum y_c^2 = sum_d sum_t W_(t+sd)c^T L_d W_tc

    holds for the output before it is cropped; the cropped edges, a few rows
    and columns, are computed and subtracted. For a kernel of 4 and a stride
    of 2 there are nine d, four of which are transposes of others: 5 / 16 of
    the products of the deconvolution, in backward 9 / 32.

    Args:
        x: Input, (n, C_in, h, w).
        deconv: See :func:`has_moments`.

    Returns:
        Two sums over images and pixels, (C,) each.
    """
    total, squares = _uncropped_moments(x, deconv)
    for edge in _cropped_edges(x, deconv):
        total = total - edge.sum((0, 2, 3))
        squares = squares - edge.square().sum((0, 2, 3))
    return total, squares


def _uncropped_moments(
    x: Tensor, deconv: nn.ConvTranspose2d
) -> tuple[Tensor, Tensor]:
    weight = deconv.weight  # (C_in, C, k_h, k_w)
    (k_h, k_w), (s_h, s_w) = weight.shape[2:], _pair(deconv.stride)
    reach_h, reach_w = (k_h - 1) // s_h, (k_w - 1) // s_w
    # Zeros behind rows and columns: a distance is a shift of the flat pixels.
    maps = F.pad(x, (0, reach_w, 0, reach_h)).permute(0, 2, 3, 1)
    width = maps.shape[2]
    pixels = maps.flatten(0, 2)  # (P, C_in)
    distances = [
        (dy, dx)
        for dy in range(reach_h + 1)
        for dx in range(-reach_w, reach_w + 1)
        if (dy, dx) >= (0, 0)
    ]
    products = _ShiftedProducts.apply(
        pixels, tuple(dy * width + dx for dy, dx in distances)
    )
    squares = x.new_zeros(weight.shape[1])
    for (dy, dx), product in zip(distances, products, strict=True):
        y, right, left = s_h * dy, s_w * max(dx, 0), s_w * max(-dx, 0)
        first = weight[:, :, y:, right : k_w - left]  # W_(t+sd)
        second = weight[:, :, : k_h - y, left : k_w - right]  # W_t
        part = (first * torch.tensordot(product, second, 1)).sum((0, 2, 3))
        squares = squares + (part if (dy, dx) == (0, 0) else 2 * part)
    return pixels.sum(0) @ weight.sum((2, 3)), squares


def _cropped_edges(x: Tensor, deconv: nn.ConvTranspose2d) -> list[Tensor]:
    """Return what padding crops: rows of full length, then columns."""
    weight, (k_h, k_w) = deconv.weight, deconv.kernel_size
    (s_h, s_w), (top, left) = _pair(deconv.stride), _pair(deconv.padding)
    more_h, more_w = _pair(deconv.output_padding)
    bottom, right = top - more_h, left - more_w
    edges = []
    for rows, taps in (
        (x[:, :, :1], weight[:, :, :top]),
        (x[:, :, -1:], weight[:, :, k_h - bottom :]),
    ):
        if taps.shape[2]:
            edges.append(F.conv_transpose2d(rows, taps, None, (s_h, s_w)))
    for columns, taps in (
        (x[..., :1], weight[..., :left]),
        (x[..., -1:], weight[..., k_w - right :]),
    ):
        if taps.shape[3]:
            edges.append(
                F.conv_transpose2d(
                    columns, taps, None, (s_h, s_w), (top, 0), (more_h, 0)
                )
            )
    return edges


def _pair(option: Any) -> tuple[int, int]:
    """Return a size option of a convolution; it may be a string."""
    return option


class _ShiftedProducts(torch.autograd.Function):
    """Sums of products of pixels at several distances in flat order.

    Its backward pass accumulates into one tensor, where that of autograd would
    create one for each distance.
    """

    @staticmethod
    def forward(
        ctx: Any,
        pixels: Tensor,
        shifts: tuple[int, ...],
    ) -> tuple[Tensor, ...]:
        """Return X[:P - shift]^T X[shift:], (C_in, C_in), for each shift."""
        ctx.save_for_backward(pixels)
        ctx.shifts = shifts
        last = len(pixels)
        return tuple(pixels[: last - n].mT @ pixels[n:] for n in shifts)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        """Return the gradient of the pixels."""
        [pixels] = ctx.saved_tensors
        out, last = torch.zeros_like(pixels), len(pixels)
        for n, grad in zip(ctx.shifts, grads, strict=True):
            if n == 0:
                out.addmm_(pixels, grad + grad.mT)
            else:
                out[: last - n].addmm_(pixels[n:], grad.mT)
                out[n:].addmm_(pixels[: last - n], grad)
        return out, None
