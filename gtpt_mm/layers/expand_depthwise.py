"""Expanding and depthwise convolution whose wide map is never stored."""

# B batch, C_in input, C expanded channels, (h, w) input, (h', w') output,
# P = h * w pixels of an image, N = B * P

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from .batch_norm import update_averages


def expand_depthwise(
    x: Tensor, expand: nn.Conv2d, norm: nn.BatchNorm2d, depthwise: nn.Conv2d
) -> Tensor:
    """Return ``depthwise(relu(norm(expand(x))))``, without the wide map.

    Equal up to rounding, gradients and running averages included, but one
    image at a time. The statistics of the wide map y = W x follow from the
    moments of its input, so that norm and expansion are one product:

        mean = W m,  var_c = w_c^T S w_c    m, S mean and covariance of x

    The backward pass computes the wide map of an image again. The bias of
    ``expand`` cancels in the norm; its gradient is 0 exactly, and only the
    running mean has it. There are no second derivatives.

    Args:
        x: Feature map, (B, C_in, h, w).
        expand: Pointwise convolution.
        norm: BatchNorm in training, with weights and running averages.
        depthwise: Depthwise convolution, zeros at the edges.

    Returns:
        The map, (B, C, h', w'), channels-last.

    Example:
        >>> convs = nn.Conv2d(4, 8, 1), nn.Conv2d(8, 8, 3, 2, 1, groups=8)
        >>> norm, x = nn.BatchNorm2d(8), torch.rand(2, 4, 6, 6)
        >>> out = expand_depthwise(x, convs[0], norm, convs[1])
        >>> plain = convs[1](norm(convs[0](x)).relu())
        >>> torch.allclose(out, plain, atol=1e-5)
        True
    """
    out, mean, var = _ExpandDepthwise.apply(
        x, expand.weight, expand.bias, norm.weight, norm.bias,
        depthwise.weight, depthwise.bias, norm.eps, depthwise.stride,
        depthwise.padding, depthwise.dilation,
    )  # fmt: skip
    if expand.bias is not None:
        mean = mean + expand.bias
    update_averages(norm, mean, var, x.numel() // x.shape[1])
    return out


def _pixels(x: Tensor) -> Tensor:
    """Return the pixels of each image, (B, P, C), of a map."""
    return x.permute(0, 2, 3, 1).flatten(1, 2)


def _map(pixels: Tensor, height: int) -> Tensor:
    """Return one image's map (1, C, h, w), channels-last, of its pixels."""
    # Not [None] behind the permutation: its stride would hide the layout.
    return pixels[None].unflatten(1, (height, -1)).permute(0, 3, 1, 2)


def _moments(images: Tensor, weights: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return mean and covariance of pixels, and variances of their products.

    Args:
        images: Pixels, (B, P, C_in).
        weights: Weights w of the products, (C, C_in).

    Returns:
        Mean m, (C_in,); covariance S, (C_in, C_in); variances, (C,).
    """
    center = images.mean((0, 1))
    wide = weights.double()
    for dtype in (images.dtype, torch.float64):
        cov = wide.new_zeros(2 * center.shape)
        for pixels in images:
            centered = (pixels - center).to(dtype)
            cov += centered.mT @ centered
        cov /= images.shape[0] * images.shape[1]
        var = ((wide @ cov) * wide).sum(1)
        # The parts of a sum may cancel, of which single precision then leaves
        # too few digits.
        largest = (wide.abs() @ cov.diagonal().sqrt()).square()
        if not (var < 1e-3 * largest).any():
            break
    var = var.clamp(min=0)
    return center, cov.to(images.dtype), var.to(images.dtype)


class _ExpandDepthwise(torch.autograd.Function):
    """See :func:`expand_depthwise`."""

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        gain: Tensor,
        shift: Tensor,
        kernel: Tensor,
        kernel_bias: Tensor | None,
        eps: float,
        stride: tuple[int, int],
        padding: tuple[int, int],
        dilation: tuple[int, int],
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return the map, and mean and variance of the wide map."""
        ctx.conv = stride, padding, dilation
        images, height = _pixels(x), x.shape[2]
        weights = weight.flatten(1)  # (C, C_in)
        center, cov, var = _moments(images, weights)
        mean = weights @ center
        invstd = (var + eps).rsqrt()
        scale = gain * invstd
        folded = weights * scale[:, None]
        offset = torch.addcmul(shift, mean, scale, value=-1)
        out = []
        for pixels in images:
            wide_map = torch.addmm(offset, pixels, folded.mT).relu_()
            out.append(
                F.conv2d(
                    _map(wide_map, height), kernel, kernel_bias, stride,
                    padding, dilation, len(kernel),
                )
            )  # fmt: skip
        ctx.save_for_backward(
            x, weight, kernel, center, cov, mean, invstd, scale, folded,
            offset,
        )  # fmt: skip
        ctx.has_bias = bias is not None, kernel_bias is not None
        ctx.mark_non_differentiable(mean, var)
        return torch.cat(out), mean, var

    @staticmethod
    @once_differentiable
    def backward(
        ctx: Any, grad: Tensor, *_: Tensor
    ) -> tuple[Tensor | None, ...]:
        """Return the gradients of the input and of the parameters."""
        with torch.autocast(grad.device.type, enabled=False):
            return _ExpandDepthwise._backward(ctx, grad)

    @staticmethod
    def _backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        (
            x, weight, kernel, center, cov, mean, invstd, scale, folded,
            offset,
        ) = ctx.saved_tensors  # fmt: skip
        images, height = _pixels(x), x.shape[2]
        count = images.shape[0] * images.shape[1]
        weights = weight.flatten(1)
        grad_images = images.new_empty(images.shape)
        total = torch.zeros_like(mean)  # sums of g over the pixels, (C,)
        product = torch.zeros_like(weights)  # sums of g x^T
        grad_kernel = torch.zeros_like(kernel)
        for i, pixels in enumerate(images):
            wide_map = torch.addmm(offset, pixels, folded.mT).relu_()
            g_map, part, _ = torch.ops.aten.convolution_backward(
                grad[i : i + 1], _map(wide_map, height), kernel, None,
                *ctx.conv, False, [0, 0], len(kernel),
                [True, True, False],
            )  # fmt: skip
            grad_kernel += part
            g = _pixels(g_map)[0].contiguous()
            torch.ops.aten.threshold_backward.grad_input(
                g, wide_map, 0, grad_input=g
            )
            total += g.sum(0)
            product.addmm_(g.mT, pixels)
            if ctx.needs_input_grad[0]:
                torch.mm(g, folded, out=grad_images[i])
        grad_gain = invstd * ((product * weights).sum(1) - total * mean)
        grad_x = None
        if ctx.needs_input_grad[0]:
            # The gradient of y has a part that is linear in y, so in x.
            slope = scale * invstd * grad_gain / count
            back = weights.mT @ (slope[:, None] * weights)  # (C_in, C_in)
            grad_images += center @ back - (scale * total / count) @ weights
            grad_images.flatten(0, 1).addmm_(
                images.flatten(0, 1), back, alpha=-1
            )
            grad_x = grad_images.unflatten(1, (height, -1)).permute(0, 3, 1, 2)
        grad_weight = scale[:, None] * (
            product - total[:, None] * center
            - (invstd * grad_gain)[:, None] * (weights @ cov)
        )  # fmt: skip
        has_bias, has_kernel_bias = ctx.has_bias
        return (
            grad_x, grad_weight.view_as(weight),
            torch.zeros_like(total) if has_bias else None, grad_gain, total,
            grad_kernel, grad.sum((0, 2, 3)) if has_kernel_bias else None,
            None, None, None, None,
        )  # fmt: skip
