"""GTPT fused: norms folded into its stem, no channel shuffles."""

# B batch, C channels, (h, w) feature map; maps are channels-last here

import copy
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from gtpt_mm.layers.shuffle_stem import (
    PatchEmbed,
    ShuffleStem,
    ShuffleUNetStem,
    ShuffleUnit,
)
from gtpt_mm.models.backbones import GTPT

from .fuse import Chunked, fuse_module

# A channel shuffle only renames channels. Here channels stay where they are,
# and every module knows the order that they are stored in: ``order[i]`` is
# the channel of the original network that is stored at index i.


@fuse_module.register
def _fuse_gtpt(backbone: GTPT, chunk_size: int | None) -> nn.Module:
    """Fuse stem and patch projection; the transformer stays as it is."""
    fused = fuse_stem(backbone.stem, backbone.patch_embed)
    # The maps of the stem are the largest by far: one image at a time.
    stem = Chunked(fused, None if chunk_size is None else 1)
    backbone.register_module('stem', stem)
    backbone.register_module('patch_embed', nn.Identity())
    return Chunked(backbone, chunk_size)


@torch.no_grad()
def fuse_stem(
    stem: ShuffleStem | ShuffleUNetStem, patch_embed: PatchEmbed
) -> nn.Sequential:
    """Return stem and patch projection for inference, with equal tokens.

    BatchNorms are folded into the convolutions, pointwise convolutions are
    matrix products over channels-last maps, and shuffles are absorbed by the
    weights.

    Args:
        stem: A trained stem; it stays as it is.
        patch_embed: The trained projection of its map.
    """
    kinds = {
        ShuffleStem: FusedShuffleStem,
        ShuffleUNetStem: FusedShuffleUNetStem,
    }
    fused = kinds[type(stem)](copy.deepcopy(stem).eval())
    return nn.Sequential(fused, FusedPatchEmbed(patch_embed, fused.order))


class FusedShuffleStem(nn.Module):
    """A :class:`ShuffleStem` for inference, see :func:`fuse_stem`."""

    def __init__(self, stem: ShuffleStem) -> None:
        super().__init__()
        self.conv1 = _fused_conv(stem.conv1)
        self.stage1 = FusedStage(stem.stage1)
        self.out_channels = stem.out_channels
        self.order = self.stage1.order

    def forward(self, img: Tensor) -> list[Tensor]:
        """Map images (B, 3, 4h, 4w) to pieces (B, h, w, some channels)."""
        return self.stage1([_first_conv(self.conv1, img)])


class FusedShuffleUNetStem(nn.Module):
    """A :class:`ShuffleUNetStem` for inference, see :func:`fuse_stem`."""

    def __init__(self, stem: ShuffleUNetStem) -> None:
        super().__init__()
        self.conv1 = _fused_conv(stem.conv1)
        self.stage1 = FusedStage(stem.stage1)
        self.stage2 = FusedStage(stem.stage2, self.stage1.order)
        self.stage3 = FusedStage(stem.stage3, self.stage2.order)
        self.upsample1 = FusedUpsample(stem.upsample1, self.stage3.order)
        self.fuse1 = FusedFuse(stem.fuse1, self.stage2.order)
        self.upsample2 = FusedUpsample(stem.upsample2, self.fuse1.order)
        self.fuse2 = FusedFuse(stem.fuse2, self.stage1.order)
        self.out_channels = stem.out_channels
        self.order = self.fuse2.order

    def forward(self, img: Tensor) -> list[Tensor]:
        """Map images (B, 3, 4h, 4w) to pieces (B, h, w, some channels)."""
        x4 = _join(self.stage1([_first_conv(self.conv1, img)]))  # stride 4
        x8 = _join(self.stage2([x4]))
        x16 = _join(self.stage3([x8]))
        x8 = _join(self.fuse1(x8, self.upsample1(x16)))
        return self.fuse2(x4, self.upsample2(x8))


class FusedPatchEmbed(nn.Module):
    """A ``PatchEmbed`` for inference: its norm folded into the projection.

    Args:
        embed: The trained module.
        order: The trained channel that each input channel holds.
    """

    def __init__(self, embed: PatchEmbed, order: Sequence[int]) -> None:
        super().__init__()
        self.patch_size = embed.patch_size
        proj = embed.proj
        scale, shift = _read_norm(embed.norm)
        weight = proj.weight.unflatten(1, (-1, len(scale)))
        bias = proj.bias + (weight * shift).sum((1, 2))
        weight = (weight * scale)[:, :, list(order)]
        self.proj = _linear(weight.flatten(1), bias)

    def forward(self, pieces: list[Tensor]) -> Tensor:
        """Map pieces (B, H, W, some channels) to tokens (B, N, C)."""
        patch_h, patch_w = self.patch_size
        cut = [
            piece.unflatten(2, (-1, patch_w))
            .unflatten(1, (-1, patch_h))
            .transpose(2, 3)  # (B, h, w, patch_h, patch_w, some channels)
            for piece in pieces
        ]
        return self.proj(torch.cat(cut, dim=-1).flatten(3).flatten(1, 2))


class FusedStage(nn.Module):
    """A sequence of units, without shuffles and without joining.

    Between units the map is a list of pieces, one from each branch that made
    it. A piece holds its channels in rising order, so that those which the
    next unit transforms are its last ones.

    Args:
        stage: The trained :class:`ShuffleUnit` modules; others are skipped.
        order: Order of the input channels; None is the natural one.
    """

    def __init__(
        self, stage: nn.Sequential, order: Sequence[int] | None = None
    ) -> None:
        super().__init__()
        units = [unit for unit in stage if isinstance(unit, ShuffleUnit)]
        channels = [order or range(units[0].in_channels)]
        self.units = nn.ModuleList()
        for unit in units:
            kind = FusedUnit if unit.stride == 1 else FusedDownUnit
            fused = kind(unit, channels)
            self.units.append(fused)
            channels = fused.channels
        self.order = [c for piece in channels for c in piece]

    def forward(self, pieces: list[Tensor]) -> list[Tensor]:
        """Map one piece (B, h, w, C_in) to pieces (B, h', w', some).

        Side by side, the new pieces have the channels of ``order``.
        """
        for unit in self.units:
            pieces = unit(pieces)
        return pieces


class FusedDownUnit(nn.Module):
    """A :class:`ShuffleUnit` of stride 2: two branches, two new pieces.

    Args:
        unit: The trained unit.
        channels: Original channels of the one input piece, in a list.
    """

    def __init__(
        self, unit: ShuffleUnit, channels: list[Sequence[int]]
    ) -> None:
        super().__init__()
        [order] = channels
        self.depthwise1 = _fused_conv(unit.branch1[:2], order)
        self.pointwise1 = _fused_linear(unit.branch1[2:4], order)
        self.pointwise2 = _fused_linear(unit.branch2[:2], order)
        self.depthwise2 = _fused_conv(unit.branch2[3:5])
        self.pointwise3 = _fused_linear(unit.branch2[5:7])
        half = self.pointwise3.out_features
        self.channels: list[Sequence[int]] = [
            range(0, 2 * half, 2),
            range(1, 2 * half, 2),
        ]

    def forward(self, pieces: list[Tensor]) -> list[Tensor]:
        """Map [(B, 2h, 2w, C)] to two pieces (B, h, w, C')."""
        [x] = pieces
        left = self.pointwise1(_depthwise(self.depthwise1, x)).relu_()
        right = _depthwise(self.depthwise2, self.pointwise2(x).relu_())
        return [left, self.pointwise3(right).relu_()]


class FusedUnit(nn.Module):
    """A :class:`ShuffleUnit` of stride 1: passes some channels, adds a piece.

    Args:
        unit: The trained unit.
        channels: Original channels of each input piece.
    """

    def __init__(
        self, unit: ShuffleUnit, channels: list[Sequence[int]]
    ) -> None:
        super().__init__()
        half = unit.in_channels // 2
        kept = [[c for c in piece if c < half] for piece in channels]
        used = [[c for c in piece if c >= half] for piece in channels]
        if [k + u for k, u in zip(kept, used, strict=True)] != [
            list(piece) for piece in channels
        ]:
            raise AssertionError('channels of a piece do not rise')
        self.sizes = [len(piece) for piece in kept]
        order = [c - half for piece in used for c in piece]
        self.pointwise2 = _fused_linear(unit.branch2[:2], order)
        self.depthwise2 = _fused_conv(unit.branch2[3:5])
        self.pointwise3 = _fused_linear(unit.branch2[5:7])
        self.channels: list[Sequence[int]] = [
            [2 * c for c in piece] for piece in kept
        ]
        self.channels.append(range(1, 2 * half, 2))

    def forward(self, pieces: list[Tensor]) -> list[Tensor]:
        """Map pieces (B, h, w, some channels each) to one piece more."""
        sized = list(zip(pieces, self.sizes, strict=True))
        x = torch.cat([piece[..., size:] for piece, size in sized], dim=-1)
        x = _depthwise(self.depthwise2, self.pointwise2(x).relu_())
        kept = [piece[..., :size] for piece, size in sized]
        return [*kept, self.pointwise3(x).relu_()]


class FusedUpsample(nn.Module):
    """Pointwise convolution to four times the channels, pixel shuffle."""

    def __init__(self, module: nn.Sequential, order: Sequence[int]) -> None:
        super().__init__()
        conv, norm = module[0], module[2]
        assert isinstance(conv, nn.Conv2d)
        assert isinstance(norm, nn.BatchNorm2d)
        assert conv.bias is not None
        # The norm comes after the shuffle: its channel c has the convolution
        # channels 4 c ... 4 c + 3. Stored as (row, column, channel) here.
        scale, shift = _read_norm(norm)
        weight = conv.weight[:, list(order), 0, 0].unflatten(0, (-1, 4))
        bias = conv.bias.unflatten(0, (-1, 4)) * scale[:, None]
        weight = (weight * scale[:, None, None]).transpose(0, 1)
        bias = (bias + shift[:, None]).transpose(0, 1)
        self.pointwise = _linear(weight.flatten(0, 1), bias.flatten())

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, h, w, C_in) to (B, 2h, 2w, C_out)."""
        x = self.pointwise(x).relu_().unflatten(-1, (2, 2, -1))
        return x.transpose(2, 3).flatten(3, 4).flatten(1, 2)


class FusedFuse(nn.Module):
    """Join a skip and an up-sampled map, then units of stride 1."""

    def __init__(
        self, module: nn.Sequential, skip_order: Sequence[int]
    ) -> None:
        super().__init__()
        joined = module[0]
        assert isinstance(joined, nn.Sequential)
        up = range(len(skip_order), 2 * len(skip_order))
        self.pointwise = _fused_linear(joined[:2], [*skip_order, *up])
        self.units = FusedStage(module)
        self.order = self.units.order

    def forward(self, skip: Tensor, up: Tensor) -> list[Tensor]:
        """Map two maps (B, h, w, C) to pieces of one."""
        x = self.pointwise(torch.cat((skip, up), dim=-1)).relu_()
        return self.units([x])


def _read_norm(norm: nn.BatchNorm2d) -> tuple[Tensor, Tensor]:
    """Return factor and offset of a norm in eval mode, (C,) each."""
    assert norm.running_mean is not None
    assert norm.running_var is not None
    scale = norm.weight * (norm.running_var + norm.eps).rsqrt()
    return scale, norm.bias - norm.running_mean * scale


def _fold(conv_bn: nn.Sequential) -> nn.Conv2d:
    """Return a convolution with the norm behind it folded into it."""
    conv, norm = conv_bn[0], conv_bn[1]
    assert isinstance(conv, nn.Conv2d)
    assert isinstance(norm, nn.BatchNorm2d)
    return fuse_conv_bn_eval(conv, norm).requires_grad_(False)


def _join(pieces: list[Tensor]) -> Tensor:
    return torch.cat(pieces, dim=-1)


def _linear(weight: Tensor, bias: Tensor) -> nn.Linear:
    linear = nn.Linear(weight.shape[1], weight.shape[0])
    linear.weight = nn.Parameter(weight.contiguous(), requires_grad=False)
    linear.bias = nn.Parameter(bias.contiguous(), requires_grad=False)
    return linear


def _fused_linear(
    conv_bn: nn.Sequential, order: Sequence[int] | None = None
) -> nn.Linear:
    """Return a pointwise convolution and its norm as a linear layer."""
    conv = _fold(conv_bn)
    assert conv.bias is not None
    weight = conv.weight[:, :, 0, 0]
    if order is not None:
        weight = weight[:, list(order)]
    return _linear(weight, conv.bias)


def _fused_conv(
    conv_bn: nn.Sequential, order: Sequence[int] | None = None
) -> nn.Conv2d:
    """Return a convolution with its norm folded; depthwise ones reordered."""
    conv = _fold(conv_bn)
    if order is not None and conv.bias is not None:
        conv.weight.data = conv.weight[list(order)]
        conv.bias.data = conv.bias[list(order)]
    return conv.to(memory_format=torch.channels_last)


def _first_conv(conv: nn.Conv2d, img: Tensor) -> Tensor:
    """Return the rectified convolution of an image, (B, h, w, C)."""
    img = img.contiguous(memory_format=torch.channels_last)
    return conv(img).relu_().permute(0, 2, 3, 1)


def _depthwise(conv: nn.Conv2d, x: Tensor) -> Tensor:
    """Convolve a channels-last map (B, h, w, C)."""
    return conv(x.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
