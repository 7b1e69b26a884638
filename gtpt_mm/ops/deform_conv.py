"""Deformable convolution, plain and modulated."""

# B batch, C and O channels in and out, G deformable groups,
# (kH, kW) kernel, (H, W) and (h, w) map in and out

import torchvision
from torch import Tensor

from .precision import widen


def deform_conv(
    x: Tensor,
    offset: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    mask: Tensor | None = None,
    stride: tuple[int, int] = (1, 1),
    padding: tuple[int, int] = (0, 0),
    dilation: tuple[int, int] = (1, 1),
) -> Tensor:
    """Convolve at locations shifted by learned offsets.

    Computed by torchvision in 32 bits at least.

    Source: Dai et al., "Deformable Convolutional Networks", Sec. 2.1; with
    ``mask`` Zhu et al., "Deformable ConvNets v2", Sec. 3.2.

    Args:
        x: Feature map, (B, C, H, W).
        offset: Offsets (y, x) in cells of the map, (B, 2 G kH kW, h, w).
        weight: Kernel, (O, C / groups, kH, kW).
        bias: Added to each output channel, (O,).
        mask: Weight of every sample, (B, G kH kW, h, w).
        stride: Along (y, x).
        padding: Zeros around the map along (y, x).
        dilation: Along (y, x).

    Returns:
        (B, O, h, w), in the type of ``x``.
    """
    dtype = x.dtype
    x, offset, weight = widen(x, offset, weight)
    if bias is not None:
        bias = bias.to(x)
    if mask is not None:
        mask = mask.to(x)
    return torchvision.ops.deform_conv2d(
        x, offset, weight, bias, stride, padding, dilation, mask
    ).to(dtype)
