"""Attention of plain vision transformers for files."""

# B batch, N image tokens, C channels, H heads, D channels of a head

from torch import Tensor, nn

from gtpt_mm.layers.attention import SelfAttention
from gtpt_mm.layers.attention_heads import merge_heads, split_heads

from .export_modules import export_module, make_linear


@export_module.register
def _export_attention(module: SelfAttention) -> nn.Module:
    # Relative positions need queries without the scale; windows are a
    # different class.
    is_known = type(module).forward is SelfAttention.forward
    is_plain = is_known and module.rel_pos is None
    return ExportedSelfAttention(module) if is_plain else module


class ExportedSelfAttention(nn.Module):
    """A :class:`SelfAttention` in the fewest nodes of a graph.

    Exporters write ``scaled_dot_product_attention`` as a dozen nodes that
    compute shapes and scale queries and keys. Here the queries' weights have
    the scale. Three products cost less than one that is split: parts of rows
    would be copied.

    Args:
        module: The module, in eval mode.
    """

    def __init__(self, module: SelfAttention) -> None:
        super().__init__()
        self.num_heads = module.num_heads
        scale = (module.proj.in_features // module.num_heads) ** -0.5
        weights = module.qkv.weight.data.chunk(3)
        biases = module.qkv.bias.data.chunk(3)
        self.query = make_linear(weights[0] * scale, biases[0] * scale)
        self.key = make_linear(weights[1], biases[1])
        self.value = make_linear(weights[2], biases[2])
        self.proj = module.proj

    def forward(self, x: Tensor, grid_size: tuple[int, int]) -> Tensor:
        """Return the attended tokens, (B, N, C), as ``SelfAttention``."""
        q = split_heads(self.query(x), self.num_heads)  # (B, H, N, D)
        k = split_heads(self.key(x), self.num_heads)
        v = split_heads(self.value(x), self.num_heads)
        weights = (q @ k.transpose(-2, -1)).softmax(-1)
        return self.proj(merge_heads(weights @ v))
