"""Sandwich blocks and CGSR-MHA for files: convolutions, plain attention."""

# B batch, C channels, c channels of a group, (h, w) feature map, N = h * w
# queries, S keys, H heads

import torch
from torch import Tensor, nn

from gtpt_mm.layers.attention_heads import merge_heads, split_heads
from gtpt_mm.layers.cascaded_attention import CGSRMHA, to_map, to_tokens

from .export_modules import export_module, make_linear
from .fused_sandwich import FusedConvFFN, Pointwise


@export_module.register
def _export_pointwise(module: Pointwise) -> nn.Module:
    return make_conv(module.weight, module.bias)


@export_module.register
def _export_conv_ffn(module: FusedConvFFN) -> nn.Module:
    return ExportedConvFFN(module)


@export_module.register
def _export_mixer(module: CGSRMHA) -> nn.Module:
    # A subclass may attend differently.
    is_known = type(module).forward is CGSRMHA.forward
    return ExportedCGSRMHA(module) if is_known else module


def make_conv(weight: Tensor, bias: Tensor | None) -> nn.Conv2d:
    """Return a pointwise convolution with a weight (C_out, C_in).

    Runtimes keep maps in blocks of channels between convolutions; matrix
    products would bring them into another layout and back.
    """
    out_channels, in_channels = weight.shape
    conv = nn.Conv2d(in_channels, out_channels, 1, device='meta')
    conv.weight = nn.Parameter(weight.data[:, :, None, None])
    parameter = None if bias is None else nn.Parameter(bias.data)
    conv.register_parameter('bias', parameter)
    return conv


class ExportedConvFFN(nn.Module):
    """A :class:`FusedConvFFN` of convolutions, which a runtime fuses.

    Args:
        unit: The fused unit.
    """

    def __init__(self, unit: FusedConvFFN) -> None:
        super().__init__()
        self.depthwise = unit.depthwise
        self.expand = make_conv(unit.expand.weight, unit.expand.bias)
        self.reduce = make_conv(unit.reduce.t(), None)

    def forward(self, x: Tensor) -> Tensor:
        """Return a map like ``x``, (B, C, h, w)."""
        x = self.depthwise(x)
        return x + self.reduce(self.expand(x).relu())


class ExportedCGSRMHA(nn.Module):
    """A :class:`CGSRMHA` whose tokens stay in rows.

    ``nn.MultiheadAttention`` brings the batch behind the tokens and back,
    and scales queries and keys; here the queries' weight has the scale.

    Args:
        mixer: The module, in eval mode.
    """

    def __init__(self, mixer: CGSRMHA) -> None:
        super().__init__()
        self.num_groups = mixer.num_groups
        self.num_heads = mixer.mha.num_heads
        self.norm_query, self.norm_key = mixer.norm_query, mixer.norm_key
        self.sr = mixer.sr
        query, key, value = mixer.mha.in_proj_weight.data.chunk(3)
        self.query = make_linear(query * mixer.mha.head_dim**-0.5)
        self.key, self.value = make_linear(key), make_linear(value)
        self.out_proj = make_linear(mixer.mha.out_proj.weight.data)
        self.norm_output = mixer.norm_output
        self.proj = mixer.proj

    def forward(self, x: Tensor) -> Tensor:
        """Return a map like ``x``, (B, C, h, w)."""
        grid_size = x.shape[2:]
        outputs: list[Tensor] = []
        for g, group in enumerate(to_tokens(x).chunk(self.num_groups, dim=2)):
            if outputs:
                group = group + outputs[-1]  # (B, N, c)
            query = key = self.norm_query[g](group)
            if self.sr is not None:
                key = to_tokens(self.sr(to_map(group, grid_size)))
                key = self.norm_key[g](key)  # (B, S, c)
            outputs.append(self.norm_output[g](self.attend(query, key)))
        return self.proj(to_map(torch.cat(outputs, dim=2), grid_size))

    def attend(self, query: Tensor, key: Tensor) -> Tensor:
        """Return what queries (B, N, c) read from the map, (B, N, c)."""
        q = split_heads(self.query(query), self.num_heads)
        k = split_heads(self.key(key), self.num_heads)
        v = split_heads(self.value(key), self.num_heads)
        weights = (q @ k.transpose(-2, -1)).softmax(-1)  # (B, H, N, S)
        return self.out_proj(merge_heads(weights @ v))
