"""VitPose of Hugging Face's transformers.

Queries, keys and values are three layers there and one here. The first row of
their position table is added to every token, as in the official code.

The weights do not contain the epsilon of the norms. It is 1e-6 in the
official code and here, 1e-12 in transformers unless its configuration says
``layer_norm_eps=1e-6``; heatmaps of magnitude 1 differ by 2e-6.
"""

import re

import torch
from torch import Tensor

from ..names import NameTable
from . import native

MARKS = {
    'backbone.encoder.layer.0.layernorm_before.weight',
    'backbone.layernorm.weight',
}
_LAYER = 'backbone.encoder.layer.#'
#: Native names beside those of transformers; queries, keys and values joined.
BACKBONE = (
    (native.POSITIONS, 'backbone.embeddings.position_embeddings'),
    ('backbone.patch_embed.proj.*',
     'backbone.embeddings.patch_embeddings.projection.*'),
    ('backbone.layers.#.norm1.*', f'{_LAYER}.layernorm_before.*'),
    ('backbone.layers.#.attn.qkv.*', f'{_LAYER}.attention.attention.qkv.*'),
    ('backbone.layers.#.attn.proj.*', f'{_LAYER}.attention.output.dense.*'),
    ('backbone.layers.#.norm2.*', f'{_LAYER}.layernorm_after.*'),
    ('backbone.layers.#.mlp.fc1.*', f'{_LAYER}.mlp.fc1.*'),
    ('backbone.layers.#.mlp.fc2.*', f'{_LAYER}.mlp.fc2.*'),
    ('backbone.layers.#.mlp.experts.#.*', f'{_LAYER}.mlp.experts.#.*'),
    ('backbone.last_norm.*', 'backbone.layernorm.*'),
)  # fmt: skip
#: Names within a head: classic, or simple with the last row only.
HEAD = (
    ('deconv_layers.0.*', 'head.deconv1.*'),
    ('deconv_layers.1.**', 'head.batchnorm1.**'),
    ('deconv_layers.3.*', 'head.deconv2.*'),
    ('deconv_layers.4.**', 'head.batchnorm2.**'),
    ('final_layer.*', 'head.conv.*'),
)


def _make_table(prefix: str) -> NameTable:
    return NameTable((*BACKBONE, *((prefix + a, b) for a, b in HEAD)))


PLAIN = _make_table('head.')
#: ViTPose++ of transformers has all experts, but one head.
PLUS = _make_table(f'{native.HEADS}{native.DATASETS[0]}.')
_THIRDS = ('query', 'key', 'value')
_THIRD = re.compile(rf'(.+\.attention)\.({"|".join(_THIRDS)})\.(weight|bias)')
_QKV = re.compile(r'(.+\.attention)\.qkv\.(weight|bias)')


def convert(state_dict: dict[str, Tensor]) -> native.ConvertedViTPose:
    """Return a VitPose of transformers under native names.

    A ViTPose++ has all experts and the head of COCO; the files do not contain
    the other heads.

    Raises:
        ValueError: If keys are unknown or missing.
    """
    joined = _join_qkv(native.strip_module(state_dict))
    with_experts = any('.experts.' in key for key in joined)
    result = native.rename_all(joined, PLUS if with_experts else PLAIN)
    native.fold_first_row(result.state_dict)
    return result


def export(
    state_dict: dict[str, Tensor], head: str | None = None
) -> native.ConvertedViTPose:
    """Return a native ViTPose or ViTPose++ under the names of transformers.

    Args:
        state_dict: Native weights.
        head: Dataset of a ViTPose++ whose head is kept; None for COCO.

    Returns:
        The weights; and the heads without a place in transformers, all but
        one.

    Raises:
        ValueError: If the head is neither classic nor simple, or it is a
            ViTPose++ without the head that is kept.
    """
    table, left_out = PLAIN, []
    if native.count_experts(state_dict):
        name = head or native.DATASETS[0]
        prefix = f'{native.HEADS}{name}.'
        table = _make_table(prefix)
        if name not in native.find_datasets(state_dict):
            raise ValueError(
                f'transformers keeps the head of {name!r}; this one has heads '
                f'of {native.find_datasets(state_dict)}'
            )
        left_out = [
            key
            for key in state_dict
            if key.startswith(native.HEADS) and not key.startswith(prefix)
        ]
    kept = {k: v for k, v in state_dict.items() if k not in set(left_out)}
    out = native.export_all(kept, table)
    positions = BACKBONE[0][1]
    out[positions] = native.add_zero_row(out[positions])
    _check_head(out)
    return native.ConvertedViTPose(_split_qkv(out), left_out)


def _join_qkv(state_dict: dict[str, Tensor]) -> dict[str, Tensor]:
    """Put queries, keys and values of a layer into one tensor each."""
    out: dict[str, Tensor] = {}
    thirds: dict[str, dict[str, Tensor]] = {}
    for key, value in state_dict.items():
        if match := _THIRD.fullmatch(key):
            name = f'{match[1]}.qkv.{match[3]}'
            thirds.setdefault(name, {})[match[2]] = value
        else:
            out[key] = value
    for name, parts in thirds.items():
        missing = set(_THIRDS) - set(parts)
        if missing:
            raise ValueError(
                f'{name.replace("qkv", "*")} lacks its {sorted(missing)}; '
                'the file is not complete'
            )
        out[name] = torch.cat([parts[third] for third in _THIRDS])
    return out


def _split_qkv(state_dict: dict[str, Tensor]) -> dict[str, Tensor]:
    """Cut each joint tensor into queries, keys and values."""
    out = {}
    for key, value in state_dict.items():
        if match := _QKV.fullmatch(key):
            for third, part in zip(_THIRDS, value.chunk(3), strict=True):
                out[f'{match[1]}.{third}.{match[2]}'] = part
        else:
            out[key] = value
    return out


def _check_head(out: dict[str, Tensor]) -> None:
    """Raise unless transformers has this decoder: classic or simple."""
    if 'head.conv.weight' not in out:
        raise ValueError('a backbone alone; transformers also requires a head')
    kernel = tuple(out['head.conv.weight'].shape[2:])
    is_classic = 'head.deconv2.weight' in out
    if kernel != ((1, 1) if is_classic else (3, 3)):
        raise ValueError(
            f'a head with a last kernel of {kernel} and '
            f'{"two" if is_classic else "no"} deconvolutions is neither the '
            'classic nor the simple decoder, the only ones of transformers'
        )
