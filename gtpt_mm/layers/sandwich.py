"""Units of EfficientViT: a token mixer between convolutions, subsampling."""

# B batch, C channels, (h, w) feature map

from collections.abc import Callable

from torch import Tensor, nn

from .arch import check_divides
from .conv_bn import conv_bn


class ResidualDWConv(nn.Module):
    """Add a depthwise 3x3 convolution of the map to itself.

    Args:
        embed_dims: Channels C.
    """

    def __init__(self, embed_dims: int) -> None:
        super().__init__()
        self.conv = conv_bn(
            embed_dims, embed_dims, 3, groups=embed_dims, zero=True
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return a map like ``x``, (B, C, h, w)."""
        return x + self.conv(x)


class ResidualFFN(nn.Module):
    """Add two pointwise convolutions, a ReLU between them, to the map.

    Args:
        embed_dims: Channels C.
        mlp_ratio: Channels between the convolutions in units of C.
    """

    def __init__(self, embed_dims: int, mlp_ratio: float = 2.0) -> None:
        super().__init__()
        hidden = int(embed_dims * mlp_ratio)
        self.expand = conv_bn(embed_dims, hidden)
        self.act = nn.ReLU(inplace=True)
        self.reduce = conv_bn(hidden, embed_dims, zero=True)

    def forward(self, x: Tensor) -> Tensor:
        """Return a map like ``x``, (B, C, h, w)."""
        return x + self.reduce(self.act(self.expand(x)))


class SqueezeExcite(nn.Module):
    """Squeeze-and-excitation: gate each channel by the means of all.

    Args:
        channels: Channels C.
        ratio: C divided by the channels between the two layers.

    Raises:
        ValueError: If ``ratio`` does not divide ``channels``.
    """

    def __init__(self, channels: int, ratio: int = 4) -> None:
        super().__init__()
        check_divides('ratio', ratio, 'channels', channels)
        self.reduce = nn.Conv2d(channels, channels // ratio, 1)
        self.act = nn.ReLU(inplace=True)
        self.expand = nn.Conv2d(channels // ratio, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Return a map like ``x``, (B, C, h, w)."""
        means = x.mean((2, 3), keepdim=True)
        return x * self.expand(self.act(self.reduce(means))).sigmoid()


class PatchMerging(nn.Module):
    """Halve the grid by a wide inverted bottleneck; not residual.

    Args:
        in_channels: Channels before; four times as many in between.
        out_channels: Channels after.
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        hidden = 4 * in_channels
        self.expand = conv_bn(in_channels, hidden)
        self.act = nn.ReLU(inplace=True)
        self.depthwise = conv_bn(hidden, hidden, 3, 2, groups=hidden)
        self.gate = SqueezeExcite(hidden)
        self.reduce = conv_bn(hidden, out_channels)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C_in, h, w) to (B, C_out, h / 2, w / 2), rounded up."""
        x = self.act(self.depthwise(self.act(self.expand(x))))
        return self.reduce(self.gate(x))


class Subsample(nn.Sequential):
    """Residual convolutions around a :class:`PatchMerging`.

    Source: Liu et al., "EfficientViT: Memory Efficient Vision Transformer
    with Cascaded Group Attention", CVPR 2023, Sec. 3.

    Args:
        in_channels: Channels before.
        out_channels: Channels after.
        mlp_ratio: See :class:`ResidualFFN`.

    Example:
        >>> import torch
        >>> Subsample(8, 12)(torch.rand(1, 8, 16, 12)).shape
        torch.Size([1, 12, 8, 6])
    """

    def __init__(
        self, in_channels: int, out_channels: int, mlp_ratio: float = 2.0
    ) -> None:
        super().__init__(
            ResidualDWConv(in_channels),
            ResidualFFN(in_channels, mlp_ratio),
            PatchMerging(in_channels, out_channels),
            ResidualDWConv(out_channels),
            ResidualFFN(out_channels, mlp_ratio),
        )


class SandwichBlock(nn.Module):
    """One token mixer between two pairs of convolutional units.

    Source: as :class:`Subsample`, "sandwich layout".

    Args:
        embed_dims: Channels C.
        make_mixer: Returns the mixer, a module from maps to maps like them;
            the block adds its output to its input.
        mlp_ratio: See :class:`ResidualFFN`.
    """

    def __init__(
        self,
        embed_dims: int,
        make_mixer: Callable[[], nn.Module],
        mlp_ratio: float = 2.0,
    ) -> None:
        super().__init__()
        self.conv1 = ResidualDWConv(embed_dims)
        self.ffn1 = ResidualFFN(embed_dims, mlp_ratio)
        self.mixer = make_mixer()
        self.conv2 = ResidualDWConv(embed_dims)
        self.ffn2 = ResidualFFN(embed_dims, mlp_ratio)

    def forward(self, x: Tensor) -> Tensor:
        """Return a map like ``x``, (B, C, h, w)."""
        x = self.ffn1(self.conv1(x))
        x = x + self.mixer(x)
        return self.ffn2(self.conv2(x))
