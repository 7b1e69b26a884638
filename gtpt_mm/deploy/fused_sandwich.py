"""Sandwich blocks for inference: fused norms, pointwise matrix products."""

# B batch, C channels, (h, w) feature map; maps are channels-last in memory

import torch
from torch import Tensor, nn

from gtpt_mm.layers.sandwich import ResidualDWConv, ResidualFFN
from gtpt_mm.models.backbones.sandwich_pyramid import SandwichPyramid

from .fuse import Chunked, fuse_module, fuse_norms, fuse_pairs


@fuse_module.register
def _fuse_pyramid(
    module: SandwichPyramid, chunk_size: int | None
) -> nn.Module:
    return Chunked(fuse_sandwich(module), chunk_size)


@torch.no_grad()
def fuse_sandwich(module: nn.Module) -> nn.Module:
    """Return a trained module for inference, with equal outputs.

    Every convolution absorbs its norm, every pointwise one becomes a matrix
    product over channels-last maps. A depthwise convolution also absorbs its
    shortcut; a feed-forward unit adds to its input in place.

    Args:
        module: A pyramid, a patch embedding, a stage or a block with any
            mixer, in eval mode; it is changed in place.
    """
    module = fuse_norms(module)
    fuse_pairs(module, ResidualDWConv, ResidualFFN, FusedConvFFN)
    _make_pointwise(module)
    return module.to(memory_format=torch.channels_last)


def _make_pointwise(module: nn.Module) -> None:
    """Replace each 1x1 convolution by a matrix product."""
    for name, child in module.named_children():
        if (
            isinstance(child, nn.Conv2d)
            and child.kernel_size == child.stride == (1, 1)
            and child.groups == 1
        ):
            setattr(module, name, Pointwise(child))
        else:
            _make_pointwise(child)


class Pointwise(nn.Linear):
    """A pointwise convolution as a matrix product.

    Args:
        conv: The convolution, of kernel and stride 1 and one group.
    """

    def __init__(self, conv: nn.Conv2d) -> None:
        super().__init__(conv.in_channels, conv.out_channels, device='meta')
        self.weight = nn.Parameter(conv.weight.data.flatten(1))
        bias = None if conv.bias is None else nn.Parameter(conv.bias.data)
        self.register_parameter('bias', bias)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C_in, h, w) to (B, C_out, h, w)."""
        return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


def _conv(fused: nn.Sequential) -> nn.Conv2d:
    """Return the convolution of a ``conv_bn`` whose norm is fused."""
    conv = fused[0]
    assert isinstance(conv, nn.Conv2d)
    return conv


class FusedConvFFN(nn.Module):
    """A depthwise and a feed-forward unit with their shortcuts.

    With y the output of the depthwise convolution, the unit is

        y + b + W relu(V y + a) = z + W relu(V z + a - V b),  z = y + b

    The convolution's bias absorbs b, so a matrix product added to z in place
    is all that follows.

    Args:
        conv: The depthwise unit, its norm fused.
        ffn: The feed-forward unit behind it, its norms fused.
    """

    def __init__(self, conv: ResidualDWConv, ffn: ResidualFFN) -> None:
        super().__init__()
        self.depthwise = _conv(conv.conv)
        assert self.depthwise.bias is not None  # of its norm
        row, column = (side // 2 for side in self.depthwise.kernel_size)
        self.depthwise.weight.data[:, :, row, column] += 1
        self.expand = Pointwise(_conv(ffn.expand))
        reduce = Pointwise(_conv(ffn.reduce))
        self.depthwise.bias.data += reduce.bias
        self.expand.bias.data -= self.expand.weight @ reduce.bias
        self.reduce = nn.Parameter(reduce.weight.t().contiguous())

    def forward(self, x: Tensor) -> Tensor:
        """Return a map like ``x``, (B, C, h, w)."""
        x = self.depthwise(x)
        hidden = self.expand(x).relu_().permute(0, 2, 3, 1).flatten(0, 2)
        rows = x.permute(0, 2, 3, 1).flatten(0, 2)
        # Autocast ignores in-place operations: cast by hand.
        out = rows.addmm_(hidden, self.reduce.to(hidden.dtype))
        return out.unflatten(0, (x.shape[0], *x.shape[2:])).permute(0, 3, 1, 2)
