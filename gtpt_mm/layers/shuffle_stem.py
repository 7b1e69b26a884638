"""Stems of ShuffleNetV2 units at stride 4, and the cut into patches."""

# B batch, N patches, C channels, (h, w) feature map

from collections.abc import Sequence
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .autocast import is_autocast_on
from .batch_norm import has_plain_statistics
from .expand_depthwise import expand_depthwise
from .norm_linear import norm_linear
from .recomputed_norm import (
    RecomputedNorm,
    recompute_norms,
    recomputes_norms,
)


def _padded_conv_bn(
    in_channels: int,
    out_channels: int,
    kernel_size: int,
    stride: int = 1,
    groups: int = 1,
    relu: bool = True,
) -> list[nn.Module]:
    """Return a padded convolution, its BatchNorm and, if asked, a ReLU.

    The convolution has a bias although a BatchNorm follows, as in the
    official checkpoints.
    """
    modules: list[nn.Module] = [
        nn.Conv2d(
            in_channels,
            out_channels,
            kernel_size,
            stride,
            kernel_size // 2,
            groups=groups,
        ),
    ]
    if not relu:
        return [*modules, nn.BatchNorm2d(out_channels)]
    return [*modules, RecomputedNorm(out_channels), nn.ReLU(inplace=True)]


def _lay_out(img: Tensor, training: bool) -> Tensor:
    """Return images in the faster memory layout for a stem.

    Channels-last in training on a CPU: the statistics of norms and their
    gradient are then vectorised, and convolutions need no copies in another
    layout.
    """
    if training and img.device.type == 'cpu':
        return img.contiguous(memory_format=torch.channels_last)
    return img


def _saves_memory(img: Tensor, training: bool) -> bool:
    """Return whether a stem stores no outputs of norms.

    Half precision would lose the statistics.
    """
    return (
        training
        and img.device.type == 'cpu'
        and img.dtype.itemsize >= 4
        and torch.is_grad_enabled()
        and not torch.compiler.is_compiling()
    )


def _interleave(left: Tensor, right: Tensor) -> Tensor:
    """Interleave the channels of two channels-last maps."""
    if (
        left.dtype == right.dtype
        and left.dtype in (torch.float32, torch.float64)
        and not torch.compiler.is_compiling()
    ):
        return _InterleaveLast.apply(left, right)
    pairs = [half.permute(0, 2, 3, 1) for half in (left, right)]
    return torch.stack(pairs, dim=4).flatten(3).permute(0, 3, 1, 2)


class _InterleaveLast(torch.autograd.Function):
    """Interleave two channels-last maps as parts of complex numbers."""

    @staticmethod
    def forward(ctx: Any, left: Tensor, right: Tensor) -> Tensor:
        """Return the map, channels-last."""
        left, right = (half.permute(0, 2, 3, 1) for half in (left, right))
        # Complex numbers are pairs in memory: five times as fast as a stack.
        pairs = torch.view_as_real(torch.complex(left, right))
        return pairs.flatten(3).permute(0, 3, 1, 2)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor]:
        """Return the gradients of both, contiguous in memory.

        The next kernels of the backward pass are many times slower on a
        gradient that reads every second number.
        """
        pairs = grad.permute(0, 2, 3, 1).unflatten(3, (-1, 2))
        left, right = (
            pairs[..., i].contiguous().permute(0, 3, 1, 2) for i in range(2)
        )
        return left, right


class _Branch(nn.Sequential):
    """Branch of a unit: [pointwise,] depthwise, pointwise convolution.

    Each with a norm, the pointwise ones with a ReLU.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Return the map; in training on a CPU, with fewer passes over it."""
        if (
            not recomputes_norms()
            or torch.compiler.is_compiling()
            or len(self) not in (5, 8)  # a slice of a branch is one, too
            or not all(map(_is_plain, self))
        ):
            return super().forward(x)
        modules: list[Any] = list(self)
        *head, depthwise, norm, project, last_norm, last_relu = modules
        if not head:
            x = depthwise(x)
        elif _is_costly(head[0], depthwise):
            x = expand_depthwise(x, head[0], head[1], depthwise)
        else:
            expand, first_norm, first_relu = head
            pixels = F.linear(
                x.permute(0, 2, 3, 1), expand.weight.flatten(1), expand.bias
            )
            x = first_relu(first_norm(pixels.permute(0, 3, 1, 2)))
            x = depthwise(x)
        pixels = x.permute(0, 2, 3, 1)
        rows = norm_linear(
            pixels.flatten(0, 2), norm, project.weight.flatten(1), project.bias
        )
        pixels = rows.unflatten(0, pixels.shape[:3])
        return last_relu(last_norm(pixels.permute(0, 3, 1, 2)))


def _is_costly(expand: nn.Conv2d, depthwise: nn.Conv2d) -> bool:
    """Return whether the map between the two is the largest of a unit.

    With fewer channels than the input, computing the map costs less than the
    moments of the input.
    """
    return (
        depthwise.stride[0] > 1 and expand.in_channels <= expand.out_channels
    )


def _is_plain(module: nn.Module) -> bool:
    """Return whether a module may be replaced by its formula.

    It is of the class that the stem creates, without hooks and changes, and
    not under autocast.
    """
    hooks = (
        module._forward_pre_hooks,
        module._forward_hooks,
        module._backward_pre_hooks,
        module._backward_hooks,
    )
    if any(hooks) or 'forward' in vars(module) or is_autocast_on('cpu'):
        return False
    if type(module) in (nn.BatchNorm2d, RecomputedNorm):
        return has_plain_statistics(cast(nn.BatchNorm2d, module))
    if type(module) is nn.Conv2d:
        return module.bias is not None and module.padding_mode == 'zeros'
    if type(module) is nn.Linear:
        return module.bias is not None
    return type(module) is nn.ReLU


class ShuffleUnit(nn.Module):
    """Unit of ShuffleNetV2: two branches, then interleaved channels.

    With stride 1 the first half of the channels passes unchanged and the
    second half is transformed; with stride 2 both branches see the whole
    input and halve the map.

    Source: Ma et al., "ShuffleNet V2", ECCV 2018, Fig. 3 (c) and (d).

    Args:
        in_channels: Input channels; with stride 1 equal to ``out_channels``.
        out_channels: Output channels, even.
        stride: 1 or 2.

    Raises:
        ValueError: If stride is 1 and the channels differ.
    """

    def __init__(
        self, in_channels: int, out_channels: int, stride: int = 1
    ) -> None:
        super().__init__()
        if stride == 1 and in_channels != out_channels:
            raise ValueError(
                'a ShuffleUnit with stride 1 keeps its channels, got '
                f'in_channels={in_channels}, out_channels={out_channels}'
            )
        half = out_channels // 2
        self.stride = stride
        self.in_channels = in_channels
        if stride > 1:
            self.branch1 = _Branch(
                *_padded_conv_bn(
                    in_channels, in_channels, 3, stride, in_channels, False
                ),
                *_padded_conv_bn(in_channels, half, 1),
            )
        self.branch2 = _Branch(
            *_padded_conv_bn(in_channels if stride > 1 else half, half, 1),
            *_padded_conv_bn(half, half, 3, stride, half, False),
            *_padded_conv_bn(half, half, 1),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C_in, h, w) to (B, C_out, h / stride, w / stride)."""
        if self.stride > 1:
            left, right = self.branch1(x), self.branch2(x)
        else:
            left, right = x.chunk(2, dim=1)
            right = self.branch2(right)
        if self.training and not right.is_contiguous():
            return _interleave(left, right)
        return torch.stack((left, right), dim=2).flatten(1, 2)


def _stage(
    in_channels: int, out_channels: int, num_units: int
) -> nn.Sequential:
    """Return a stage of units, the first of which halves the map."""
    return nn.Sequential(
        ShuffleUnit(in_channels, out_channels, stride=2),
        *(
            ShuffleUnit(out_channels, out_channels)
            for _ in range(num_units - 1)
        ),
    )


class ShuffleStem(nn.Module):
    """Strided convolution and one stage of four ShuffleNetV2 units.

    Source: the official code of GTPT (sizes tiny and small); the paper says
    only "ShuffleNet V2" (Sec. 3.1).

    Args:
        out_channels: Channels of the output map.

    Example:
        >>> ShuffleStem(128)(torch.rand(1, 3, 64, 48)).shape
        torch.Size([1, 128, 16, 12])
    """

    def __init__(self, out_channels: int) -> None:
        super().__init__()
        self.out_channels = out_channels
        self.conv1 = nn.Sequential(*_padded_conv_bn(3, 64, 3, stride=2))
        self.stage1 = _stage(64, out_channels, 4)

    def forward(self, img: Tensor) -> Tensor:
        """Map images (B, 3, 4h, 4w) to features (B, C, h, w)."""
        img = _lay_out(img, self.training)
        if not _saves_memory(img, self.training):
            return self._run(img)
        with recompute_norms():
            return self._run(img)

    def _run(self, img: Tensor) -> Tensor:
        return self.stage1(self.conv1(img))


class ShuffleUNetStem(nn.Module):
    """ShuffleNetV2 down to stride 16 and, with skips, up to stride 4.

    An up-sampling step is a 1x1 convolution to four times the channels and a
    pixel shuffle; the skip comes first in the concatenation.

    Source: the official code of GTPT (size base).

    Args:
        channels: Channels at strides 4, 8 and 16; the output has the first.
    """

    def __init__(self, channels: tuple[int, int, int]) -> None:
        super().__init__()
        c4, c8, c16 = channels
        self.out_channels = c4
        self.conv1 = nn.Sequential(*_padded_conv_bn(3, 64, 3, stride=2))
        self.stage1 = _stage(64, c4, 4)
        self.stage2 = _stage(c4, c8, 4)
        self.stage3 = _stage(c8, c16, 4)
        self.upsample1 = self._upsample(c16, c8)
        self.fuse1 = self._fuse(c8)
        self.upsample2 = self._upsample(c8, c4)
        self.fuse2 = self._fuse(c4)

    @staticmethod
    def _upsample(in_channels: int, out_channels: int) -> nn.Sequential:
        return nn.Sequential(
            nn.Conv2d(in_channels, 4 * out_channels, 1),
            nn.PixelShuffle(2),
            nn.BatchNorm2d(out_channels),
            nn.ReLU(inplace=True),
        )

    @staticmethod
    def _fuse(channels: int) -> nn.Sequential:
        return nn.Sequential(
            nn.Sequential(*_padded_conv_bn(2 * channels, channels, 1)),
            ShuffleUnit(channels, channels),
            ShuffleUnit(channels, channels),
        )

    def forward(self, img: Tensor) -> Tensor:
        """Map images (B, 3, 4h, 4w) to features (B, C, h, w)."""
        img = _lay_out(img, self.training)
        if not _saves_memory(img, self.training):
            return self._run(img)
        with recompute_norms():
            return self._run(img)

    def _run(self, img: Tensor) -> Tensor:
        x4 = self.stage1(self.conv1(img))  # stride 4
        x8 = self.stage2(x4)
        x16 = self.stage3(x8)
        x8 = self.fuse1(torch.cat((x8, self.upsample1(x16)), dim=1))
        return self.fuse2(torch.cat((x4, self.upsample2(x8)), dim=1))


def count_patches(
    img_size: Sequence[int], patch_size: Sequence[int]
) -> tuple[int, int]:
    """Return the grid (h, w) of patches.

    Args:
        img_size: Image (h, w) in pixels.
        patch_size: Patch (height, width) on the stride-4 map.

    Raises:
        ValueError: If patches do not fill the image.
    """
    cell = (4 * patch_size[0], 4 * patch_size[1])
    if img_size[0] % cell[0] or img_size[1] % cell[1]:
        raise ValueError(
            f'img_size (h, w) = {tuple(img_size)} is not divisible by the '
            f'patch of {cell} pixels (stride 4 x patch_size {patch_size})'
        )
    return img_size[0] // cell[0], img_size[1] // cell[1]


class PatchEmbed(nn.Module):
    """Normalise a feature map, cut it into patches and project them.

    A patch is flattened in the order (row, column, channel).

    Args:
        in_channels: Channels of the feature map.
        embed_dims: Channels C of a token.
        patch_size: Patch (height, width) in pixels of the feature map.
    """

    def __init__(
        self, in_channels: int, embed_dims: int, patch_size: tuple[int, int]
    ) -> None:
        super().__init__()
        self.patch_size = tuple(patch_size)
        self.norm = nn.BatchNorm2d(in_channels)
        self.proj = nn.Linear(
            in_channels * patch_size[0] * patch_size[1], embed_dims
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map features (B, C_in, H, W) to tokens (B, N, C), row-major."""
        if not self.training:
            return self.proj(self._cut(self.norm(x)))
        patches = self._cut(x)
        if not _saves_memory(x, self.training) or not all(
            map(_is_plain, self.children())
        ):
            return self.proj(self._norm_pixels(patches))
        rows = norm_linear(
            patches.flatten(0, 1), self.norm, self.proj.weight, self.proj.bias
        )
        return rows.unflatten(0, patches.shape[:2])

    def _cut(self, x: Tensor) -> Tensor:
        """Return the pixels of the patches, (B, N, patch_h * patch_w * C).

        The gradient of a channels-last map is channels-last, too.
        """
        patch_h, patch_w = self.patch_size
        x = x.permute(0, 2, 3, 1).unflatten(2, (-1, patch_w))
        x = x.unflatten(1, (-1, patch_h)).transpose(2, 3)
        return x.flatten(3).flatten(1, 2)

    def _norm_pixels(self, patches: Tensor) -> Tensor:
        """Normalise after the cut into patches, in training.

        Before the cut, the norm's gradient would not be contiguous. Its kernel
        then takes many times as long: a fiftieth of a training step.
        """
        channels = self.norm.num_features
        pixels = patches.view(1, -1, 1, channels).permute(0, 3, 1, 2)
        return self.norm(pixels).permute(0, 2, 3, 1).view(patches.shape)
