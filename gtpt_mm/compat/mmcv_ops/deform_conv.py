"""Deformable convolution with the signatures of ``mmcv._ext``.

torchvision's operator has the same layout of offsets, (y, x) for every kernel
cell of every deformable group, and the same rule outside of the map. The
``columns`` and ``ones`` that mmcv passes are scratch memory of its kernels
and ``im2col_step`` their batch size; neither is needed here.
"""

# B batch, C and O channels in and out, G deformable groups,
# (kH, kW) kernel, (H, W) and (h, w) map in and out

from collections.abc import Callable

import torch
import torchvision
from torch import Tensor


def deform_conv_forward(
    input: Tensor,
    weight: Tensor,
    offset: Tensor,
    output: Tensor,
    columns: Tensor,
    ones: Tensor,
    kW: int,
    kH: int,
    dW: int,
    dH: int,
    padW: int,
    padH: int,
    dilationW: int,
    dilationH: int,
    group: int,
    deformable_group: int,
    im2col_step: int,
) -> None:
    """Convolve at places moved by learned offsets.

    Source: Dai et al., "Deformable Convolutional Networks", Sec. 2.1.

    Args:
        input: Feature map, (B, C, H, W).
        weight: Kernel, (O, C / group, kH, kW).
        offset: Moves (y, x) in cells of the map, (B, 2 G kH kW, h, w).
        output: Receives the result, (B, O, h, w).
        columns: Unused.
        ones: Unused.
        kW: Kernel columns.
        kH: Kernel rows.
        dW: Stride along x.
        dH: Stride along y.
        padW: Zero padding along x.
        padH: Zero padding along y.
        dilationW: Dilation along x.
        dilationH: Dilation along y.
        group: Groups of the convolution; given by ``weight``.
        deformable_group: Groups of offsets G; given by ``offset``.
        im2col_step: Unused.
    """
    x, offset, weight = _widened(input, offset, weight)
    output.copy_(
        torchvision.ops.deform_conv2d(
            x,
            offset,
            weight,
            stride=(dH, dW),
            padding=(padH, padW),
            dilation=(dilationH, dilationW),
        )
    )


def deform_conv_backward_input(
    input: Tensor,
    offset: Tensor,
    gradOutput: Tensor,
    gradInput: Tensor,
    gradOffset: Tensor,
    weight: Tensor,
    columns: Tensor,
    kW: int,
    kH: int,
    dW: int,
    dH: int,
    padW: int,
    padH: int,
    dilationW: int,
    dilationH: int,
    group: int,
    deformable_group: int,
    im2col_step: int,
) -> None:
    """Write the gradients of the map and of the offsets.

    Arguments as in :func:`deform_conv_forward`; ``gradInput`` and
    ``gradOffset`` receive the results.
    """
    grad_input, grad_offset = _gradients(
        [input, offset],
        lambda x, moves, kernel: torchvision.ops.deform_conv2d(
            x,
            moves,
            kernel,
            stride=(dH, dW),
            padding=(padH, padW),
            dilation=(dilationH, dilationW),
        ),
        [weight],
        gradOutput,
    )
    gradInput.copy_(grad_input)
    gradOffset.copy_(grad_offset)


def deform_conv_backward_parameters(
    input: Tensor,
    offset: Tensor,
    gradOutput: Tensor,
    gradWeight: Tensor,
    columns: Tensor,
    ones: Tensor,
    kW: int,
    kH: int,
    dW: int,
    dH: int,
    padW: int,
    padH: int,
    dilationW: int,
    dilationH: int,
    group: int,
    deformable_group: int,
    scale: float,
    im2col_step: int,
) -> None:
    """Add ``scale`` times the gradient of the kernel to ``gradWeight``.

    Arguments as in :func:`deform_conv_forward`.
    """
    # The result is linear in the kernel: its values do not matter.
    (grad_weight,) = _gradients(
        [torch.zeros_like(gradWeight)],
        lambda kernel, x, moves: torchvision.ops.deform_conv2d(
            x,
            moves,
            kernel,
            stride=(dH, dW),
            padding=(padH, padW),
            dilation=(dilationH, dilationW),
        ),
        [input, offset],
        gradOutput,
    )
    gradWeight.add_(grad_weight * scale)


def modulated_deform_conv_forward(
    input: Tensor,
    weight: Tensor,
    bias: Tensor,
    ones: Tensor,
    offset: Tensor,
    mask: Tensor,
    output: Tensor,
    columns: Tensor,
    kernel_h: int,
    kernel_w: int,
    stride_h: int,
    stride_w: int,
    pad_h: int,
    pad_w: int,
    dilation_h: int,
    dilation_w: int,
    group: int,
    deformable_group: int,
    with_bias: bool,
) -> None:
    """Convolve at places moved and weighted by learned values.

    Source: Zhu et al., "Deformable ConvNets v2", Sec. 3.2.

    Args:
        input: Feature map, (B, C, H, W).
        weight: Kernel, (O, C / group, kH, kW).
        bias: Added to each output channel, (O,); ignored without
            ``with_bias``.
        ones: Unused.
        offset: Moves (y, x) in cells of the map, (B, 2 G kH kW, h, w).
        mask: Weight of every sample, (B, G kH kW, h, w).
        output: Receives the result, (B, O, h, w).
        columns: Unused.
        kernel_h: Kernel rows kH.
        kernel_w: Kernel columns kW.
        stride_h: Stride along y.
        stride_w: Stride along x.
        pad_h: Zero padding along y.
        pad_w: Zero padding along x.
        dilation_h: Dilation along y.
        dilation_w: Dilation along x.
        group: Groups of the convolution; given by ``weight``.
        deformable_group: Groups of offsets G; given by ``offset``.
        with_bias: Whether ``bias`` is added.
    """
    x, offset, mask, weight, bias = _widened(input, offset, mask, weight, bias)
    output.copy_(
        torchvision.ops.deform_conv2d(
            x,
            offset,
            weight,
            bias if with_bias else None,
            stride=(stride_h, stride_w),
            padding=(pad_h, pad_w),
            dilation=(dilation_h, dilation_w),
            mask=mask,
        )
    )


def modulated_deform_conv_backward(
    input: Tensor,
    weight: Tensor,
    bias: Tensor,
    ones: Tensor,
    offset: Tensor,
    mask: Tensor,
    columns: Tensor,
    grad_input: Tensor,
    grad_weight: Tensor,
    grad_bias: Tensor,
    grad_offset: Tensor,
    grad_mask: Tensor,
    grad_output: Tensor,
    kernel_h: int,
    kernel_w: int,
    stride_h: int,
    stride_w: int,
    pad_h: int,
    pad_w: int,
    dilation_h: int,
    dilation_w: int,
    group: int,
    deformable_group: int,
    with_bias: bool,
) -> None:
    """Write or add all gradients of the modulated convolution.

    Arguments as in :func:`modulated_deform_conv_forward`. The gradients of
    kernel and bias are added, the others written, as mmcv does.
    """
    of_input, of_offset, of_mask, of_weight = _gradients(
        [input, offset, mask, weight],
        lambda x, moves, weights, kernel: torchvision.ops.deform_conv2d(
            x,
            moves,
            kernel,
            stride=(stride_h, stride_w),
            padding=(pad_h, pad_w),
            dilation=(dilation_h, dilation_w),
            mask=weights,
        ),
        [],
        grad_output,
    )
    grad_input.copy_(of_input)
    grad_offset.copy_(of_offset)
    grad_mask.copy_(of_mask)
    grad_weight.add_(of_weight)
    if with_bias:
        grad_bias.add_(grad_output.sum(dim=(0, 2, 3)))


def _widened(*tensors: Tensor) -> list[Tensor]:
    """Bring all tensors to one type of at least 32 bits."""
    dtype = torch.float32
    for tensor in tensors:
        dtype = torch.promote_types(dtype, tensor.dtype)
    return [tensor.to(dtype) for tensor in tensors]


def _gradients(
    wanted: list[Tensor],
    function: Callable[..., Tensor],
    others: list[Tensor],
    grad_output: Tensor,
) -> tuple[Tensor, ...]:
    """Differentiate ``function(*wanted, *others)`` by each of ``wanted``."""
    tensors = _widened(*wanted, *others, grad_output)
    *tensors, grad_output = (tensor.detach() for tensor in tensors)
    leaves = [t.requires_grad_() for t in tensors[: len(wanted)]]
    with torch.enable_grad():
        result = function(*leaves, *tensors[len(wanted) :])
    return torch.autograd.grad(result, leaves, grad_output)
