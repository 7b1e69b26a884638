"""Convolution and batch norm, the unit that fuses into one convolution."""

from torch import nn


def conv_bn(
    in_channels: int,
    out_channels: int,
    kernel_size: int = 1,
    stride: int = 1,
    groups: int = 1,
    zero: bool = False,
) -> nn.Sequential:
    """Return a convolution without bias and its batch norm.

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of the output.
        kernel_size: Side of the kernel; (kernel_size - 1) // 2 zeros are
            added on each side of the map.
        stride: Stride.
        groups: Groups of the convolution.
        zero: Whether the norm starts with weight 0: a residual unit that ends
            in it is the identity before training.
    """
    conv = nn.Conv2d(
        in_channels,
        out_channels,
        kernel_size,
        stride,
        (kernel_size - 1) // 2,
        groups=groups,
        bias=False,
    )
    norm = nn.BatchNorm2d(out_channels)
    if zero:
        nn.init.zeros_(norm.weight)
    return nn.Sequential(conv, norm)
