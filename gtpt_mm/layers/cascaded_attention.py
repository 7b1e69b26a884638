"""Cascaded group spatial-reduction multi-head attention (CGSR-MHA)."""

# B batch, C channels, G groups, c = C / G channels of a group,
# (h, w) feature map, N = h * w queries, S keys

import torch
from torch import Tensor, nn

from .arch import check_divides


class CGSRMHA(nn.Module):
    """Attention in channel groups, in cascade, with keys on a smaller grid.

    The channels are cut into G groups. Each group attends within itself, with
    keys and values from a map that a strided convolution shrinks by r, and its
    output is added to the next group's input:

        Y_1 = L(X_1),  Y_g = L(X_g + Y_(g-1))                       (Eq. 6)
        L(X) = LN(MHA(LN(X), LN(SR(X))))                            (Eq. 7)
        output = Linear(Concat(Y_1 ... Y_G))                        (Eq. 8)

    All groups share one SR and one MHA; each has its own norms. SR has kernel
    2 r - 1, stride r, padding r - 1, and is left out, with its norm, where
    r = 1. The grid of the keys is the grid of the queries over r, rounded up.

    Source: Wu et al., "HEViTPose", arXiv 2311.13615, Sec. 3.3. No code was
    published. This is a reconstruction from Fig. 3 and from the printed
    parameters and FLOPs. These determine the kernel, the sharing of SR and MHA
    over the groups and the dense projection, but not the norms and biases:
    projects/hevitpose_ablations has alternatives with the same counts.

    Args:
        embed_dims: Channels C.
        num_groups: Groups G; divides C.
        sr_ratio: Reduction r of both sides of the grid of keys and values.
        num_heads: Attention heads of one group; divides C / G.

    Raises:
        ValueError: If G does not divide C, the heads do not divide C / G, or
            the ratio is not positive.

    Example:
        >>> mixer = CGSRMHA(embed_dims=64, num_groups=4, sr_ratio=8,
        ...                 num_heads=2)
        >>> mixer(torch.rand(2, 64, 64, 48)).shape
        torch.Size([2, 64, 64, 48])
    """

    def __init__(
        self, embed_dims: int, num_groups: int, sr_ratio: int, num_heads: int
    ) -> None:
        super().__init__()
        check_divides('num_groups', num_groups, 'embed_dims', embed_dims)
        width = embed_dims // num_groups
        check_divides('num_heads', num_heads, 'embed_dims / num_groups', width)
        if sr_ratio < 1:
            raise ValueError(f'sr_ratio must be positive, got {sr_ratio}')
        self.num_groups = num_groups

        def make_norms() -> nn.ModuleList:
            return nn.ModuleList(
                nn.LayerNorm(width) for _ in range(num_groups)
            )

        self.norm_query = make_norms()
        self.sr = None
        self.norm_key = nn.ModuleList()
        if sr_ratio > 1:
            self.sr = nn.Conv2d(
                width, width, 2 * sr_ratio - 1, sr_ratio, sr_ratio - 1
            )
            self.norm_key = make_norms()
        self.mha = nn.MultiheadAttention(
            width, num_heads, bias=False, batch_first=True
        )
        self.norm_output = make_norms()
        # A Sequential of one layer, for the names in checkpoints.
        self.proj = nn.Sequential(nn.Conv2d(embed_dims, embed_dims, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Return a map like ``x``, (B, C, h, w)."""
        outputs: list[Tensor] = []
        for g, group in enumerate(x.chunk(self.num_groups, dim=1)):
            if outputs:
                group = group + to_map(outputs[-1], x.shape[2:])
            query = key = self.norm_query[g](to_tokens(group))  # (B, N, c)
            if self.sr is not None:
                key = self.norm_key[g](to_tokens(self.sr(group)))  # (B, S, c)
            attn_out, _ = self.mha(query, key, key, need_weights=False)
            outputs.append(self.norm_output[g](attn_out))
        return self.proj(to_map(torch.cat(outputs, dim=2), x.shape[2:]))


def to_tokens(x: Tensor) -> Tensor:
    """Map (B, c, h, w) to (B, N, c); a view if ``x`` is channels-last."""
    return x.flatten(2).transpose(1, 2)


def to_map(tokens: Tensor, grid_size: tuple[int, ...]) -> Tensor:
    """Map (B, N, c) to (B, c, h, w), a channels-last view."""
    return tokens.transpose(1, 2).unflatten(2, grid_size)
