"""Convolution and batch norm, the unit that folds into one convolution."""

from torch import nn


def conv_bn(
    in_channels: int,
    out_channels: int,
    kernel_size: int = 1,
    stride: int = 1,
    padding: int = 0,
    groups: int = 1,
    zero: bool = False,
) -> nn.Sequential:
    """Return a convolution without bias and its batch norm.

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of the output.
        kernel_size: Side of the kernel.
        stride: Stride.
        padding: Zeros added on each side.
        groups: Groups of the convolution.
        zero: Whether the norm starts with weight 0: a residual unit that ends
            in it is the identity before training.
    """
    norm = nn.BatchNorm2d(out_channels)
    if zero:
        nn.init.zeros_(norm.weight)
    return nn.Sequential(
        nn.Conv2d(
            in_channels,
            out_channels,
            kernel_size,
            stride,
            padding,
            groups=groups,
            bias=False,
        ),
        norm,
    )
