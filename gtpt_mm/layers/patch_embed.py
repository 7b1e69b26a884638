"""Patch embedding."""

# B batch, N patches, C channels, (h, w) patch grid

from torch import Tensor, nn


class ConvPatchEmbed(nn.Module):
    """Cut an image into square patches, which may overlap; project each.

    Args:
        embed_dims: Channels C of a token.
        patch_size: Side of a patch in pixels.
        stride: Distance of two patches in pixels.
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
        self.proj = nn.Conv2d(3, embed_dims, patch_size, stride, padding)

    def grid_size(self, img_size: tuple[int, int]) -> tuple[int, int]:
        """Return the patch grid (h, w) of an image (h, w) in pixels."""
        h, w = (
            (length + 2 * padding - patch) // stride + 1
            for length, padding, patch, stride in zip(
                img_size,
                self.proj.padding,
                self.proj.kernel_size,
                self.proj.stride,
                strict=True,
            )
        )
        return h, w

    def forward(self, img: Tensor) -> tuple[Tensor, tuple[int, int]]:
        """Return tokens (B, N, C), row-major, and their grid (h, w)."""
        x = self.proj(img)
        return x.flatten(2).transpose(1, 2), tuple(x.shape[2:])
