"""Sandwich blocks for inference: folded norms, pointwise matrix products."""

# B batch, C channels, (h, w) feature map; maps are channels-last in memory

import copy

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from .sandwich import (
    PatchMerging,
    ResidualDWConv,
    ResidualFFN,
    SandwichBlock,
    Subsample,
)


def fold_sandwich(module: nn.Module) -> nn.Module:
    """Return a trained module for inference, with equal outputs.

    Every convolution takes up its norm, every pointwise one becomes a matrix
    product over channels-last maps. A depthwise convolution takes up its
    shortcut, too; a feed-forward unit adds to its input in place.

    Args:
        module: A patch embedding, a stage or a block, any mixer in it; it
            stays as it is.
    """
    with torch.no_grad():
        return _fold(copy.deepcopy(module).eval()).requires_grad_(False)


def _fold(module: nn.Module) -> nn.Module:
    """Fold a module that may be changed."""
    if isinstance(module, Subsample):
        conv1, ffn1, merging, conv2, ffn2 = module
        return nn.Sequential(
            FoldedConvFFN(conv1, ffn1),
            FoldedMerging(merging),
            FoldedConvFFN(conv2, ffn2),
        )
    if isinstance(module, SandwichBlock):
        return FoldedBlock(module)
    if _is_conv_bn(module):
        return _fold_conv_bn(module)
    if isinstance(module, nn.Conv2d):
        return _fold_conv(module)
    for name, child in module.named_children():
        setattr(module, name, _fold(child))
    return module


def _is_conv_bn(module: nn.Module) -> bool:
    return (
        isinstance(module, nn.Sequential)
        and len(module) == 2
        and isinstance(module[0], nn.Conv2d | nn.ConvTranspose2d)
        and isinstance(module[1], nn.BatchNorm2d | nn.SyncBatchNorm)
    )


def _fold_conv_bn(conv_bn: nn.Sequential) -> nn.Module:
    conv, norm = conv_bn
    transpose = isinstance(conv, nn.ConvTranspose2d)
    conv = fuse_conv_bn_eval(conv, norm, transpose)
    return _fold_conv(conv) if not transpose else conv


def _fold_conv(conv: nn.Conv2d) -> nn.Module:
    """Return a convolution as a matrix product, if it is one."""
    if conv.kernel_size == conv.stride == (1, 1) and conv.groups == 1:
        return Pointwise(conv)
    return conv.to(memory_format=torch.channels_last)


class Pointwise(nn.Linear):
    """A pointwise convolution as a matrix product.

    Args:
        conv: The convolution, of kernel and stride 1 and one group.
    """

    def __init__(self, conv: nn.Conv2d) -> None:
        super().__init__(
            conv.in_channels,
            conv.out_channels,
            conv.bias is not None,
            conv.weight.device,
            conv.weight.dtype,
        )
        self.weight.data = conv.weight.data.flatten(1)
        if conv.bias is not None:
            self.bias.data = conv.bias.data

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C_in, h, w) to (B, C_out, h, w)."""
        return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class FoldedConvFFN(nn.Module):
    """A depthwise and a feed-forward unit, shortcuts and norms folded.

    With y the output of the depthwise convolution, the unit is

        y + b + W relu(V y + a) = z + W relu(V z + a - V b),  z = y + b

    and the convolution's own bias takes up b: what is left to do to z is to
    add a matrix product in place.

    Args:
        conv: The depthwise unit.
        ffn: The feed-forward unit behind it.
    """

    def __init__(self, conv: ResidualDWConv, ffn: ResidualFFN) -> None:
        super().__init__()
        depthwise = _fold_conv_bn(conv.conv)
        row, column = (side // 2 for side in depthwise.kernel_size)
        depthwise.weight.data[:, :, row, column] += 1
        expand = _fold_conv_bn(ffn.expand)
        reduce = _fold_conv_bn(ffn.reduce)
        depthwise.bias.data += reduce.bias
        expand.bias.data -= expand.weight @ reduce.bias
        self.depthwise = depthwise
        self.expand = expand
        self.reduce = nn.Parameter(reduce.weight.t().contiguous())

    def forward(self, x: Tensor) -> Tensor:
        """Return a map like ``x``, (B, C, h, w)."""
        x = self.depthwise(x)
        hidden = self.expand(x).relu_().permute(0, 2, 3, 1).flatten(0, 2)
        rows = x.permute(0, 2, 3, 1).flatten(0, 2)
        # Autocast leaves operations in place alone: cast by hand.
        out = rows.addmm_(hidden, self.reduce.to(hidden.dtype))
        return out.unflatten(0, (x.shape[0], *x.shape[2:])).permute(0, 3, 1, 2)


class FoldedMerging(nn.Module):
    """A :class:`PatchMerging` for inference."""

    def __init__(self, merging: PatchMerging) -> None:
        super().__init__()
        self.expand = _fold_conv_bn(merging.expand)
        self.depthwise = _fold_conv_bn(merging.depthwise)
        self.gate = _fold(merging.gate)
        self.reduce = _fold_conv_bn(merging.reduce)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C_in, h, w) to (B, C_out, h / 2, w / 2), rounded up."""
        x = self.depthwise(self.expand(x).relu_()).relu_()
        return self.reduce(self.gate(x))


class FoldedBlock(nn.Module):
    """A :class:`SandwichBlock` for inference."""

    def __init__(self, block: SandwichBlock) -> None:
        super().__init__()
        self.conv_ffn1 = FoldedConvFFN(block.conv1, block.ffn1)
        self.mixer = _fold(block.mixer)
        self.conv_ffn2 = FoldedConvFFN(block.conv2, block.ffn2)

    def forward(self, x: Tensor) -> Tensor:
        """Return a map like ``x``, (B, C, h, w)."""
        x = self.conv_ffn1(x)
        return self.conv_ffn2(self.mixer(x).add_(x))
