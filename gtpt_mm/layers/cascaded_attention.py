"""Cascaded group spatial-reduction multi-head attention (CGSR-MHA)."""

# B batch, C channels, G groups, c = C / G channels of a group, H heads,
# (h, w) feature map, N = h * w queries, S keys

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .conv_bn import conv_bn

#: Whose layer norm it is: one for each group, one for all, or none.
NORMS = ('group', 'shared', 'none')

#: What follows the joined groups: ``conv`` has a bias, the others have none.
PROJECTIONS = ('conv', 'relu-conv', 'conv-bn', 'relu-conv-bn')


class CGSRMHA(nn.Module):
    """Attention in channel groups, one after the other, keys on a small grid.

    The channels are cut into G groups. A group attends within itself, its
    keys and values read from a map that a strided convolution shrinks r
    times, and its output is added to the next group's input:

        Y_1 = L(X_1),  Y_g = L(X_g + Y_(g-1))                       (Eq. 6)
        L(X) = LN(MHA(LN(X), LN(SR(X))))                            (Eq. 7)
        output = Linear(Concat(Y_1 ... Y_G))                        (Eq. 8)

    SR and MHA are one module each for all groups. SR has kernel 2 r - 1,
    stride r, padding r - 1, and is left out, with its norm, where r = 1.
    The grid of the keys is the grid of the queries over r, rounded up.

    Source: Wu et al., "HEViTPose", arXiv 2311.13615, Sec. 3.3. No code was
    published. This is a reconstruction from Fig. 3 and from the printed
    parameters and FLOPs. They force the kernel, the sharing of SR and MHA
    over the groups and the dense projection. The options below are not
    forced: their defaults reach every printed number, other combinations
    reach them as well (projects/hevitpose_ablations), and nobody knows which
    of them the authors trained.

    The weights of the attention are applied as functions, not as modules:
    counters with hooks on modules, such as mmcv's, do not see them, as they
    did not see the authors'.

    Args:
        embed_dims: Channels C.
        num_groups: Groups G; divides C.
        sr_ratio: Reduction r of both sides of the grid of keys and values.
        num_heads: Heads H of one group; divides C / G.
        norm_query: Norm before the queries, one of ``NORMS``. A choice.
        norm_key_value: Norm after SR. A choice.
        norm_output: Norm after the attention. A choice.
        separate_kv_norms: Whether keys and values have norms of their own,
            as two boxes in Fig. 3c may mean. A choice.
        with_bias: Whether the attention's four projections have biases. A
            choice.
        proj: What makes Eq. 8's "Linear", one of ``PROJECTIONS``. A choice.
        cascade_normed: Whether the next group gets the output after its norm,
            as Fig. 3c draws, or before it. No number depends on it.
        with_identity: Whether the attention adds its queries to what it
            attended, as mmcv's ``MultiheadAttention`` does and Fig. 3c does
            not draw. No number depends on it.

    Raises:
        ValueError: If G does not divide C, H does not divide C / G, the
            ratio is not positive, or a choice is unknown.

    Example:
        >>> mixer = CGSRMHA(embed_dims=64, num_groups=4, sr_ratio=8,
        ...                 num_heads=2)
        >>> mixer(torch.rand(2, 64, 64, 48)).shape
        torch.Size([2, 64, 64, 48])
    """

    def __init__(
        self,
        embed_dims: int,
        num_groups: int,
        sr_ratio: int,
        num_heads: int,
        norm_query: str = 'group',
        norm_key_value: str = 'group',
        norm_output: str = 'group',
        separate_kv_norms: bool = False,
        with_bias: bool = False,
        proj: str = 'conv',
        cascade_normed: bool = True,
        with_identity: bool = False,
    ) -> None:
        super().__init__()
        if num_groups < 1 or embed_dims % num_groups:
            raise ValueError(
                f'num_groups={num_groups} does not divide '
                f'embed_dims={embed_dims}'
            )
        width = embed_dims // num_groups
        if num_heads < 1 or width % num_heads:
            raise ValueError(
                f'num_heads={num_heads} does not divide the {width} channels '
                f'of a group (embed_dims={embed_dims}, '
                f'num_groups={num_groups})'
            )
        if sr_ratio < 1:
            raise ValueError(f'sr_ratio must be positive, got {sr_ratio}')
        self.num_groups = num_groups
        self.num_heads = num_heads
        self.cascade_normed = cascade_normed
        self.with_identity = with_identity

        def make_norms(name: str, kind: str) -> nn.ModuleList:
            if kind not in NORMS:
                raise ValueError(
                    f'{name} must be one of {NORMS}, got {kind!r}'
                )
            if kind == 'none':
                return nn.ModuleList([nn.Identity()])
            count = num_groups if kind == 'group' else 1
            return nn.ModuleList(nn.LayerNorm(width) for _ in range(count))

        self.norm_query = make_norms('norm_query', norm_query)
        key_norms = make_norms('norm_key_value', norm_key_value)
        self.sr = self.norm_key = self.norm_value = None
        if sr_ratio > 1:
            self.sr = nn.Conv2d(
                width, width, 2 * sr_ratio - 1, sr_ratio, sr_ratio - 1
            )
            self.norm_key = key_norms
            if separate_kv_norms:
                self.norm_value = make_norms('norm_key_value', norm_key_value)
        # Holds the weights; ``_attend`` applies them.
        self.mha = nn.MultiheadAttention(width, num_heads, bias=with_bias)
        self.norm_output = make_norms('norm_output', norm_output)
        self.proj = _make_projection(proj, embed_dims)

    def forward(self, x: Tensor) -> Tensor:
        """Return a map like ``x``, (B, C, h, w)."""
        outputs = []
        passed_on = None
        for g, group in enumerate(x.chunk(self.num_groups, dim=1)):
            if passed_on is not None:
                group = group + passed_on
            query, key, value = self._normed_inputs(group, g)
            attended = self._attend(query, key, value)
            if self.with_identity:
                attended = attended + query
            output = _pick(self.norm_output, g)(attended)  # (B, N, c)
            outputs.append(output)
            passed_on = _to_map(
                output if self.cascade_normed else attended, x.shape[2:]
            )
        joined = torch.cat(outputs, dim=2)  # (B, N, C)
        return self.proj(_to_map(joined, x.shape[2:]))

    def _normed_inputs(
        self, group: Tensor, g: int
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return queries (B, N, c), keys and values (B, S, c)."""
        query = _pick(self.norm_query, g)(_to_tokens(group))
        if self.sr is None:
            return query, query, query
        reduced = _to_tokens(self.sr(group))
        key = _pick(self.norm_key, g)(reduced)
        if self.norm_value is None:
            return query, key, key
        return query, key, _pick(self.norm_value, g)(reduced)

    def _attend(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """Project and attend, (B, N, c)."""
        weight, bias = self.mha.in_proj_weight, self.mha.in_proj_bias
        width = query.shape[2]
        # What reads the same tokens is one product.
        if value is query:
            sources, sizes = (query,), (3 * width,)
        elif value is key:
            sources, sizes = (query, key), (width, 2 * width)
        else:
            sources, sizes = (query, key, value), (width,) * 3
        weights = weight.split(sizes)
        biases = [None] * len(sizes) if bias is None else bias.split(sizes)
        parts = [
            part
            for source, *matrix in zip(sources, weights, biases, strict=True)
            for part in F.linear(source, *matrix).split(width, dim=2)
        ]
        q, k, v = (
            part.unflatten(2, (self.num_heads, -1)).transpose(1, 2)
            for part in parts
        )  # (B, H, N or S, c / H)
        out = F.scaled_dot_product_attention(q, k, v)
        return F.linear(
            out.transpose(1, 2).flatten(2),
            self.mha.out_proj.weight,
            self.mha.out_proj.bias,
        )


def _pick(norms: nn.ModuleList, g: int) -> nn.Module:
    """Return the norm of group ``g``; there may be one for all."""
    return norms[g if len(norms) > 1 else 0]


def _to_tokens(x: Tensor) -> Tensor:
    """Map (B, c, h, w) to (B, N, c); a view if ``x`` is channels-last."""
    return x.flatten(2).transpose(1, 2)


def _to_map(tokens: Tensor, grid_size: torch.Size) -> Tensor:
    """Map (B, N, c) to (B, c, h, w), a channels-last view."""
    return tokens.transpose(1, 2).unflatten(2, grid_size)


def _make_projection(proj: str, embed_dims: int) -> nn.Sequential:
    if proj not in PROJECTIONS:
        raise ValueError(f'proj must be one of {PROJECTIONS}, got {proj!r}')
    layers = [nn.ReLU(inplace=True)] if proj.startswith('relu') else []
    if proj.endswith('bn'):
        layers.append(conv_bn(embed_dims, embed_dims, zero=True))
    else:
        layers.append(
            nn.Conv2d(embed_dims, embed_dims, 1, bias=proj == 'conv')
        )
    return nn.Sequential(*layers)
