"""Split channels into attention heads and join them again."""

# B any leading dimensions, N tokens, H heads, D channels of a head, C = H * D

from torch import Tensor


def split_heads(x: Tensor, num_heads: int) -> Tensor:
    """Return (B, H, N, D) of tokens (B, N, C)."""
    return x.unflatten(-1, (num_heads, -1)).transpose(-3, -2)


def merge_heads(x: Tensor) -> Tensor:
    """Return tokens (B, N, C) of (B, H, N, D)."""
    return x.transpose(-3, -2).flatten(-2)
