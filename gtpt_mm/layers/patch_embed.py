"""Patch embedding by one convolution, or by several that overlap."""

# B batch, N patches, C channels, (H, W) image, (h, w) patch grid

from collections.abc import Sequence
from math import prod

from torch import Tensor, nn

from .conv_bn import conv_bn


class OverlapPatchEmbed(nn.Sequential):
    """Embed overlapping patches of an image by strided convolutions.

    The patch embedding overlap width (PEOW) is the number of rows, or
    columns, that neighbouring patches share:

        PEOW = kernel size - stride

    HEViTPose has one convolution of stride 4 and PEOW 3; EfficientViT begins
    with two of stride 2 and PEOW 1. With several convolutions, each doubles
    the channels, with a ReLU between them. Padding is (kernel - 1) // 2: the
    grid is the image divided by the strides, rounded up.

    Source: Wu et al., "HEViTPose", Sec. 3.2 and Table 4. The table calls
    two convolutions of kernel 7 and stride 2 "PEOW 3"; by the definition,
    and here, it is 5.

    Args:
        in_channels: Channels of the image.
        embed_dims: Channels C of the patches.
        overlap_width: PEOW of each convolution, in pixels of its input, >= 0.
        strides: Stride of each convolution.
        with_upsample: Whether a single convolution embeds to 2 C channels and
            a transposed one, 4x4 of stride 2, doubles the grid (Table 4).
        with_act: Whether a ReLU follows the last norm. Neither the paper nor
            its parameter counts tell; EfficientViT has none.

    Attributes:
        stride: Pixels of the image per patch along one side.

    Raises:
        ValueError: If there is no stride, one is not positive, the overlap is
            negative, ``with_upsample`` is used with several strides or an odd
            one, or the channels cannot be halved often enough.

    Example:
        >>> import torch
        >>> embed = OverlapPatchEmbed(3, 64)
        >>> embed[0][0].kernel_size, embed(torch.rand(1, 3, 64, 48)).shape
        ((7, 7), torch.Size([1, 64, 16, 12]))
    """

    def __init__(
        self,
        in_channels: int,
        embed_dims: int,
        overlap_width: int = 3,
        strides: Sequence[int] = (4,),
        with_upsample: bool = False,
        with_act: bool = False,
    ) -> None:
        super().__init__()
        strides = list(strides)
        if not strides or min(strides) < 1:
            raise ValueError(
                f'strides must be positive, at least one, got {strides}'
            )
        if overlap_width < 0:
            raise ValueError(
                f'overlap_width must not be negative, got {overlap_width}: '
                'patches would leave pixels out'
            )
        if with_upsample and (len(strides) > 1 or strides[0] % 2):
            raise ValueError(
                f'with_upsample requires a single even stride, got {strides}'
            )
        if embed_dims % 2 ** (len(strides) - 1):
            raise ValueError(
                f'embed_dims={embed_dims} cannot be halved for each of the '
                f'{len(strides)} convolutions but the last'
            )
        widths = [
            embed_dims // 2**i if not with_upsample else 2 * embed_dims
            for i in reversed(range(len(strides)))
        ]
        self.stride = prod(strides) // (2 if with_upsample else 1)
        for width, stride in zip(widths, strides, strict=True):
            kernel = stride + overlap_width
            self.append(conv_bn(in_channels, width, kernel, stride))
            self.append(nn.ReLU(inplace=True))
            in_channels = width
        if with_upsample:
            deconv = nn.ConvTranspose2d(
                in_channels, embed_dims, 4, 2, 1, bias=False
            )
            self.append(nn.Sequential(deconv, nn.BatchNorm2d(embed_dims)))
            self.append(nn.ReLU(inplace=True))
        if not with_act:
            del self[-1]

    def forward(self, img: Tensor) -> Tensor:
        """Map images (B, C_in, H, W) to patches (B, C, h, w)."""
        return super().forward(img)


class ConvPatchEmbed(nn.Module):
    """Cut an image into square patches, which may overlap; project each.

    Args:
        embed_dims: Channels C of a token.
        patch_size: Side of a patch in pixels.
        stride: Distance between neighbouring patches in pixels.
        padding: Pixels of zeros around the image.

    Example:
        >>> import torch
        >>> x, grid_size = ConvPatchEmbed(32)(torch.rand(1, 3, 64, 48))
        >>> x.shape, grid_size
        (torch.Size([1, 12, 32]), (4, 3))
    """

    def __init__(
        self,
        embed_dims: int,
        patch_size: int = 16,
        stride: int = 16,
        padding: int = 0,
    ) -> None:
        super().__init__()
        self.patch_size, self.stride = patch_size, stride
        self.padding = padding
        self.proj = nn.Conv2d(3, embed_dims, patch_size, stride, padding)

    def grid_size(self, img_size: tuple[int, int]) -> tuple[int, int]:
        """Return the patch grid (h, w) of an image (h, w) in pixels."""
        h, w = (
            (side + 2 * self.padding - self.patch_size) // self.stride + 1
            for side in img_size
        )
        return h, w

    def forward(self, img: Tensor) -> tuple[Tensor, tuple[int, int]]:
        """Return tokens (B, N, C), row-major, and their grid (h, w)."""
        x = self.proj(img)
        return x.flatten(2).transpose(1, 2), tuple(x.shape[2:])
