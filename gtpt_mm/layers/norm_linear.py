"""A linear layer that absorbs the BatchNorm before it, in training."""

# N rows, p pixels of a row, C channels, O output channels

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable


def norm_linear(
    x: Tensor, norm: nn.BatchNorm2d, weight: Tensor, bias: Tensor
) -> Tensor:
    """Return ``linear(norm(x))`` without computing ``norm(x)``.

    A norm multiplies and shifts each channel, so it can be a part of the
    weights once its statistics are known. Equal up to rounding, gradients and
    running averages included. Of the passes over the map, the norm keeps one
    for the statistics and one in the gradient. There are no second
    derivatives.

    Args:
        x: Rows of p pixels of C channels, (N, p * C).
        norm: BatchNorm in training, with weights and running averages.
        weight: Weights, (O, p * C).
        bias: Bias, (O,).

    Returns:
        Rows, (N, O).

    Example:
        >>> norm, linear = nn.BatchNorm2d(4), nn.Linear(12, 8)
        >>> x = torch.rand(5, 12)
        >>> out = norm_linear(x, norm, linear.weight, linear.bias)
        >>> pixels = x.view(-1, 4, 1, 1)
        >>> plain = linear(norm(pixels).view(5, 12))
        >>> torch.allclose(out, plain, atol=1e-5)
        True
    """
    assert norm.num_batches_tracked is not None and norm.momentum is not None
    norm.num_batches_tracked += 1
    pixels = x.detach().view(1, -1, 1, norm.num_features).permute(0, 3, 1, 2)
    mean, var = torch.batch_norm_update_stats(
        pixels, norm.running_mean, norm.running_var, norm.momentum
    )
    return _NormLinear.apply(
        x, norm.weight, norm.bias, weight, bias, mean, (var + norm.eps).rsqrt()
    )


class _NormLinear(torch.autograd.Function):
    """See :func:`norm_linear`."""

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        gain: Tensor,
        shift: Tensor,
        weight: Tensor,
        bias: Tensor,
        mean: Tensor,
        invstd: Tensor,
    ) -> Tensor:
        """Return the rows, (N, O)."""
        scale = gain * invstd
        offset = shift - mean * scale
        taps = weight.unflatten(1, (-1, len(gain)))  # (O, p, C)
        folded = (taps * scale).flatten(1)
        ctx.save_for_backward(x, gain, weight, mean, invstd, scale, offset,
                              folded)  # fmt: skip
        return torch.addmm(bias + taps.sum(1) @ offset, x, folded.mT)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        """Return the gradients of the rows and of the parameters."""
        with torch.autocast(grad.device.type, enabled=False):
            return _NormLinear._backward(ctx, grad)

    @staticmethod
    def _backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, gain, weight, mean, invstd, scale, offset, folded = (
            ctx.saved_tensors
        )
        taps = weight.unflatten(1, (-1, len(gain)))
        total = grad.sum(0)
        product = (grad.mT @ x).view_as(taps)
        grad_weight = product * scale + total[:, None, None] * offset
        grad_shift = total @ taps.sum(1)
        grad_gain = (product * taps).sum((0, 1)) - mean * grad_shift
        grad_gain *= invstd  # the sum of the gradient times the normed map
        grad_x = None
        if ctx.needs_input_grad[0]:
            count = x.numel() // len(gain)
            slope = scale * invstd * grad_gain / -count
            constant = -scale * grad_shift / count - mean * slope
            grad_x = torch.addmm(constant.repeat(taps.shape[1]), grad, folded)
            grad_x.view(-1, len(gain)).addcmul_(x.view(-1, len(gain)), slope)
        return (
            grad_x, grad_gain, grad_shift, grad_weight.view_as(weight), total,
            None, None,
        )  # fmt: skip
