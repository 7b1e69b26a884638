"""The reconstruction's choices as options of CGSR-MHA and HEViTPose."""

# B batch, C channels, G groups, c = C / G channels of a group,
# (h, w) feature map, N = h * w queries, S keys

from collections.abc import Sequence
from functools import partial

import torch
from mmpose.registry import MODELS
from torch import Tensor, nn

from gtpt_mm.layers.cascaded_attention import CGSRMHA, to_map, to_tokens
from gtpt_mm.layers.conv_bn import conv_bn
from gtpt_mm.models import HEViTPose

#: Kinds of a layer norm: one for each group, one for all groups, or none.
NORMS = ('group', 'shared', 'none')

#: Layers after the joined groups; only ``conv`` has a bias.
PROJECTIONS = ('conv', 'relu-conv', 'conv-bn', 'relu-conv-bn')


class CGSRMHAVariant(CGSRMHA):
    """CGSR-MHA with options for all that the printed numbers leave open.

    The defaults are those of ``CGSRMHA``. Other combinations match every
    printed number as well; it is unknown which one the authors trained.

    Args:
        embed_dims: See ``CGSRMHA``, as the next three.
        num_groups: Groups G.
        sr_ratio: Reduction of the keys' grid.
        num_heads: Attention heads of one group.
        norm_query: Norm before the queries, one of ``NORMS``.
        norm_key_value: Norm after the spatial reduction.
        norm_output: Norm after the attention.
        separate_kv_norms: Whether keys and values have separate norms, a
            possible meaning of the two boxes in Fig. 3c.
        with_bias: Whether the attention's four projections have biases.
        proj: Layers of Eq. 8's "Linear", one of ``PROJECTIONS``.
        cascade_normed: Whether the next group gets the output after its norm,
            as Fig. 3c draws, or before it. No number depends on it.
        with_identity: Whether the attention adds the queries to its output,
            as mmcv's ``MultiheadAttention`` does and Fig. 3c does not draw.
            No number depends on it.

    Each option is one choice that the paper leaves to its reader, hence 12
    arguments.

    Raises:
        ValueError: If sizes do not fit each other, or an option is unknown.
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
        super().__init__(embed_dims, num_groups, sr_ratio, num_heads)
        self.cascade_normed = cascade_normed
        self.with_identity = with_identity
        width = embed_dims // num_groups
        self.norm_query = _make_norms(
            'norm_query', norm_query, width, num_groups
        )
        key_norms = _make_norms(
            'norm_key_value', norm_key_value, width, num_groups
        )
        self.norm_value = None
        if self.sr is not None:
            self.norm_key = key_norms
            if separate_kv_norms:
                self.norm_value = _make_norms(
                    'norm_key_value', norm_key_value, width, num_groups
                )
        if with_bias:
            self.mha = nn.MultiheadAttention(
                width, num_heads, batch_first=True
            )
        self.norm_output = _make_norms(
            'norm_output', norm_output, width, num_groups
        )
        self.proj = _make_projection(proj, embed_dims)

    def forward(self, x: Tensor) -> Tensor:
        """Return a map like ``x``, (B, C, h, w)."""
        outputs = []
        passed_on = None
        for g, group in enumerate(x.chunk(self.num_groups, dim=1)):
            if passed_on is not None:
                group = group + to_map(passed_on, x.shape[2:])
            query, key, value = self._inputs(group, g)
            attn_out, _ = self.mha(query, key, value, need_weights=False)
            if self.with_identity:
                attn_out = attn_out + query
            outputs.append(_pick(self.norm_output, g)(attn_out))  # (B, N, c)
            passed_on = outputs[-1] if self.cascade_normed else attn_out
        return self.proj(to_map(torch.cat(outputs, dim=2), x.shape[2:]))

    def _inputs(self, group: Tensor, g: int) -> tuple[Tensor, Tensor, Tensor]:
        """Return queries (B, N, c), keys and values (B, S, c)."""
        query = _pick(self.norm_query, g)(to_tokens(group))
        if self.sr is None:
            return query, query, query
        reduced = to_tokens(self.sr(group))
        key = _pick(self.norm_key, g)(reduced)
        if self.norm_value is None:
            return query, key, key
        return query, key, _pick(self.norm_value, g)(reduced)


@MODELS.register_module()
class HEViTPoseVariant(HEViTPose):
    """HEViTPose with options of its attention.

    Args:
        arch: See ``HEViTPose``, as the next four.
        num_groups: Attention groups of each stage.
        sr_ratios: Spatial reduction in each stage.
        num_heads: Attention heads of one group in each stage.
        patch_embed: Arguments of the patch embedding.
        attention: Options of ``CGSRMHAVariant`` for all stages.
    """

    def __init__(
        self,
        arch: str | dict = 'base',
        num_groups: Sequence[int] | None = None,
        sr_ratios: Sequence[int] = (8, 4, 2),
        num_heads: Sequence[int] = (2, 4, 8),
        patch_embed: dict | None = None,
        attention: dict | None = None,
    ) -> None:
        self.mixer = partial(CGSRMHAVariant, **(attention or {}))
        super().__init__(
            arch,
            num_groups=num_groups,
            sr_ratios=sr_ratios,
            num_heads=num_heads,
            patch_embed=patch_embed,
        )


def _make_norms(
    name: str, kind: str, width: int, num_groups: int
) -> nn.ModuleList:
    if kind not in NORMS:
        raise ValueError(f'{name} must be one of {NORMS}, got {kind!r}')
    if kind == 'none':
        return nn.ModuleList([nn.Identity()])
    count = num_groups if kind == 'group' else 1
    return nn.ModuleList(nn.LayerNorm(width) for _ in range(count))


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


def _pick(norms: nn.ModuleList, g: int) -> nn.Module:
    """Return the norm of group ``g``; all groups may share one."""
    return norms[g if len(norms) > 1 else 0]
