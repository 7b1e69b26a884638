"""Stems of GTPT in an exported file: channels first, no map is split."""

# B batch, C channels, (h, w) feature map

from collections.abc import Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .fused_gtpt import (
    FusedDownUnit,
    FusedFuse,
    FusedPatchEmbed,
    FusedShuffleStem,
    FusedShuffleUNetStem,
    FusedStage,
    FusedUnit,
    FusedUpsample,
)

# Runtimes keep maps in blocks of channels, so cutting a map by channels copies
# it twice. Here each convolution is cut instead: one part for each later unit
# that reads the channels. A *bundle* is a list of maps, the channels of one
# fused piece in rising order.

#: Channels of a block; a map is cut at multiples only.
BLOCK = 16


class Source:
    """The channels of some maps side by side, and where the real ones are.

    Args:
        index: Position of each channel of the fused network, rising.
        width: Number of positions; others have weight 0 for the reader.
    """

    def __init__(self, index: Sequence[int], width: int) -> None:
        self.index = torch.tensor(list(index))
        self.width = width

    def spread(self, weight: Tensor, dim: int) -> Tensor:
        """Return a weight with zeros at positions without a channel."""
        shape = list(weight.shape)
        shape[dim] = self.width
        wide = weight.new_zeros(shape)
        return wide.index_copy_(dim, self.index.to(weight.device), weight)


def _plain(channels: int) -> Source:
    """Return a source in which each position is a channel."""
    return Source(range(channels), channels)


def _pointwise(linear: nn.Linear, source: Source) -> nn.Conv2d:
    """Return a linear layer over channels as a convolution."""
    weight = source.spread(linear.weight.data, 1)[:, :, None, None]
    return _conv(weight, linear.bias.data)


def _conv(
    weight: Tensor,
    bias: Tensor | None,
    stride: tuple[int, ...] = (1, 1),
    padding: tuple[int, ...] = (0, 0),
    groups: int = 1,
) -> nn.Conv2d:
    channels, per_group, height, width = weight.shape
    conv = nn.Conv2d(
        per_group * groups,
        channels,
        (height, width),
        (stride[0], stride[1]),
        (padding[0], padding[1]),
        groups=groups,
        bias=bias is not None,
    )
    conv.weight = nn.Parameter(weight.contiguous(), requires_grad=False)
    if bias is not None:
        conv.bias = nn.Parameter(bias.contiguous(), requires_grad=False)
    return conv


def _depthwise(conv: nn.Conv2d, source: Source) -> nn.Conv2d:
    """Return a depthwise convolution of the maps of a source."""
    assert conv.bias is not None
    assert isinstance(conv.padding, tuple)
    return _conv(
        source.spread(conv.weight.data, 0),
        source.spread(conv.bias.data, 0),
        conv.stride,
        conv.padding,
        source.width,
    )


class CutPointwise(nn.Module):
    """A rectified pointwise convolution whose output is a bundle.

    Args:
        linear: The fused layer.
        bounds: Channels at which the output is cut, 0 and the last included.
        source: Its input.
    """

    def __init__(
        self, linear: nn.Linear, bounds: Sequence[int], source: Source
    ) -> None:
        super().__init__()
        whole = _pointwise(linear, source)
        assert whole.bias is not None
        self.parts = nn.ModuleList(
            _conv(whole.weight.data[start:stop], whole.bias.data[start:stop])
            for start, stop in pairwise(bounds)
        )

    def forward(self, x: Tensor) -> list[Tensor]:
        """Map (B, C_in, h, w) to maps (B, some, h, w)."""
        return [part(x).relu() for part in self.parts]


class ExportUnit(nn.Module):
    """A :class:`FusedUnit`: reads some maps, adds a bundle.

    Args:
        unit: The fused unit.
        bounds: Bounds of the maps of each bundle before it.
        counts: Channels of each bundle that are still in use, in front.
        new_bounds: Bounds of the new bundle.
    """

    def __init__(
        self,
        unit: FusedUnit,
        bounds: Sequence[Sequence[int]],
        counts: Sequence[int],
        new_bounds: Sequence[int],
    ) -> None:
        super().__init__()
        #: Of each bundle: the first map that is read, the end of those kept.
        self.spans: list[tuple[int, int]] = []
        index: list[int] = []
        width = 0
        for cuts, num, size in zip(bounds, counts, unit.sizes, strict=True):
            if size < num:
                first = sum(cut <= size for cut in cuts[:-1]) - 1
                start = width - cuts[first]
                index += range(start + size, start + num)
                width = start + cuts[-1]
            else:
                first = len(cuts) - 1
            self.spans.append((first, sum(cut < size for cut in cuts[:-1])))
        half = unit.pointwise2.out_features
        self.pointwise2 = _pointwise(unit.pointwise2, Source(index, width))
        self.depthwise2 = _depthwise(unit.depthwise2, _plain(half))
        self.pointwise3 = CutPointwise(
            unit.pointwise3, new_bounds, _plain(half)
        )

    def forward(self, bundles: list[list[Tensor]]) -> list[list[Tensor]]:
        """Return the bundles that later units read, and a new one."""
        both = list(zip(bundles, self.spans, strict=True))
        read = [x for maps, (first, _) in both for x in maps[first:]]
        x = self.pointwise2(torch.cat(read, dim=1)).relu()
        kept = [maps[:last] for maps, (_, last) in both]
        return [*kept, self.pointwise3(self.depthwise2(x))]


class ExportDownUnit(nn.Module):
    """A :class:`FusedDownUnit`: two branches, two new bundles.

    Args:
        unit: The fused unit.
        source: Its input.
        bounds: Bounds of the two bundles.
    """

    def __init__(
        self,
        unit: FusedDownUnit,
        source: Source,
        bounds: Sequence[Sequence[int]],
    ) -> None:
        super().__init__()
        half = unit.pointwise3.out_features
        self.depthwise1 = _depthwise(unit.depthwise1, source)
        self.pointwise1 = CutPointwise(unit.pointwise1, bounds[0], source)
        self.pointwise2 = _pointwise(unit.pointwise2, source)
        self.depthwise2 = _depthwise(unit.depthwise2, _plain(half))
        self.pointwise3 = CutPointwise(
            unit.pointwise3, bounds[1], _plain(half)
        )

    def forward(self, x: Tensor) -> list[list[Tensor]]:
        """Map (B, C, 2h, 2w) to two bundles of maps (B, some, h, w)."""
        left = self.pointwise1(self.depthwise1(x))
        right = self.depthwise2(self.pointwise2(x).relu())
        return [left, self.pointwise3(right)]


class ExportStage(nn.Module):
    """A :class:`FusedStage` without splits.

    Args:
        stage: The fused stage.
        source: Its input, or that of the layer before units of stride 1.
        first: That layer, whose output is the first bundle; None if the
            stage begins with a unit of stride 2.

    Attributes:
        source: The maps that ``forward`` returns.
        widths: Channels of each.
    """

    def __init__(
        self, stage: FusedStage, source: Source, first: nn.Linear | None = None
    ) -> None:
        super().__init__()
        units = list(stage.units)
        self.first: nn.Module
        if first is None:
            down = units.pop(0)
            assert isinstance(down, FusedDownUnit)
            counts = [down.pointwise3.out_features] * 2
            bounds = [_bounds(n, units, i) for i, n in enumerate(counts)]
            self.first = ExportDownUnit(down, source, bounds)
        else:
            counts = [first.out_features]
            bounds = [_bounds(counts[0], units, 0)]
            self.first = _Bundle(CutPointwise(first, bounds[0], source))
        self.units = nn.ModuleList()
        for i, unit in enumerate(units):
            assert isinstance(unit, FusedUnit)
            num_new = unit.pointwise3.out_features
            new = _bounds(num_new, units[i + 1 :], len(bounds))
            one = ExportUnit(unit, bounds, counts, new)
            self.units.append(one)
            kept = zip(bounds, one.spans, strict=True)
            bounds = [*(cuts[: end + 1] for cuts, (_, end) in kept), new]
            counts = [*unit.sizes, num_new]
        index: list[int] = []
        width = 0
        for cuts, num in zip(bounds, counts, strict=True):
            index += range(width, width + num)
            width += cuts[-1]
        self.source = Source(index, width)
        self.widths = [b - a for cuts in bounds for a, b in pairwise(cuts)]

    def forward(self, x: Tensor) -> list[Tensor]:
        """Map (B, C, h, w) to maps (B, some, h', w')."""
        bundles = self.first(x)
        for unit in self.units:
            bundles = unit(bundles)
        return [x for maps in bundles for x in maps]


class _Bundle(nn.Module):
    """A layer whose output is the only bundle."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, x: Tensor) -> list[list[Tensor]]:
        """Return one bundle."""
        return [self.module(x)]


def _bounds(
    channels: int, units: Sequence[nn.Module], piece: int
) -> list[int]:
    """Return the channels at which a piece is cut for later units."""
    sizes = {int(unit.sizes[piece]) for unit in units}  # type: ignore
    inner = [s for s in sorted(sizes) if 0 < s < channels and not s % BLOCK]
    return [0, *inner, channels]


class ExportUpsample(nn.Module):
    """A :class:`FusedUpsample`: pointwise convolution, pixel shuffle."""

    def __init__(self, module: FusedUpsample, source: Source) -> None:
        super().__init__()
        conv = _pointwise(module.pointwise, source)
        assert conv.bias is not None
        # From (row, column, channel) to the order of the pixel shuffle.
        weight, bias = (
            x.data.unflatten(0, (4, -1)).transpose(0, 1).flatten(0, 1)
            for x in (conv.weight, conv.bias)
        )
        self.conv = _conv(weight, bias)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C_in, h, w) to (B, C_out, 2h, 2w)."""
        return F.pixel_shuffle(self.conv(x).relu(), 2)


class ExportPatchEmbed(nn.Module):
    """A :class:`FusedPatchEmbed` as convolutions that are summed.

    Args:
        embed: The fused projection.
        stage: The stage in front of it.
    """

    def __init__(self, embed: FusedPatchEmbed, stage: ExportStage) -> None:
        super().__init__()
        weight = embed.proj.weight.data.unflatten(1, (*embed.patch_size, -1))
        weight = stage.source.spread(weight.permute(0, 3, 1, 2), 1)
        bias: Tensor | None = embed.proj.bias.data
        self.parts = nn.ModuleList()
        for part in weight.split(stage.widths, dim=1):
            self.parts.append(_conv(part, bias, stride=embed.patch_size))
            bias = None

    def forward(self, maps: list[Tensor]) -> Tensor:
        """Map maps (B, some, H, W) to tokens (B, h, w, C)."""
        both = zip(self.parts, maps, strict=True)
        parts = [part(x) for part, x in both]
        total = parts[0]
        for part in parts[1:]:
            total = total + part
        return total.permute(0, 2, 3, 1)


class ExportShuffleStem(nn.Module):
    """A :class:`FusedShuffleStem` and the patch projection."""

    def __init__(self, stem: FusedShuffleStem, embed: FusedPatchEmbed) -> None:
        super().__init__()
        self.conv1 = stem.conv1.to(memory_format=torch.contiguous_format)
        source = _plain(stem.conv1.out_channels)
        self.stage1 = ExportStage(stem.stage1, source)
        self.patch_embed = ExportPatchEmbed(embed, self.stage1)

    def forward(self, img: Tensor) -> Tensor:
        """Map images (B, 3, H, W) to tokens (B, h, w, C)."""
        return self.patch_embed(self.stage1(self.conv1(img).relu()))


class ExportShuffleUNetStem(nn.Module):
    """A :class:`FusedShuffleUNetStem` and the patch projection."""

    def __init__(
        self, stem: FusedShuffleUNetStem, embed: FusedPatchEmbed
    ) -> None:
        super().__init__()
        self.conv1 = stem.conv1.to(memory_format=torch.contiguous_format)
        source = _plain(stem.conv1.out_channels)
        self.stage1 = ExportStage(stem.stage1, source)
        self.stage2 = ExportStage(stem.stage2, self.stage1.source)
        self.stage3 = ExportStage(stem.stage3, self.stage2.source)
        self.upsample1 = ExportUpsample(stem.upsample1, self.stage3.source)
        self.fuse1 = _fuse(stem.fuse1, self.stage2.source)
        self.upsample2 = ExportUpsample(stem.upsample2, self.fuse1.source)
        self.fuse2 = _fuse(stem.fuse2, self.stage1.source)
        self.patch_embed = ExportPatchEmbed(embed, self.fuse2)

    def forward(self, img: Tensor) -> Tensor:
        """Map images (B, 3, H, W) to tokens (B, h, w, C)."""
        x4 = self.stage1(self.conv1(img).relu())  # stride 4
        x8 = self.stage2(torch.cat(x4, dim=1))
        x16 = self.stage3(torch.cat(x8, dim=1))
        x8 = self.fuse1(
            torch.cat((*x8, self.upsample1(torch.cat(x16, dim=1))), dim=1)
        )
        x4 = self.fuse2(
            torch.cat((*x4, self.upsample2(torch.cat(x8, dim=1))), dim=1)
        )
        return self.patch_embed(x4)


def _fuse(module: FusedFuse, skip: Source) -> ExportStage:
    """Return a :class:`FusedFuse` without splits."""
    num_up = module.pointwise.in_features - len(skip.index)
    width = skip.width + num_up
    source = Source([*skip.index.tolist(), *range(skip.width, width)], width)
    return ExportStage(module.units, source, module.pointwise)


def export_stem(stem: nn.Sequential) -> nn.Module:
    """Return a fused stem with its patch projection for a file."""
    fused, embed = stem
    assert isinstance(embed, FusedPatchEmbed)
    if isinstance(fused, FusedShuffleStem):
        return ExportShuffleStem(fused, embed)
    assert isinstance(fused, FusedShuffleUNetStem)
    return ExportShuffleUNetStem(fused, embed)
