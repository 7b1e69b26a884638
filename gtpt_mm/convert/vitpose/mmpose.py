"""ViTPose of stock mmpose 1.x, with the names of mmpretrain."""

from torch import Tensor

from gtpt_mm.layers.pos_embed import guess_grid_size

from ..names import NameTable
from . import native

MARKS = {
    'backbone.layers.0.ln1.weight',
    'backbone.ln1.weight',
    'head.final_layer.weight',
}
#: Native names beside those of mmpretrain.
BACKBONE = (
    (native.POSITIONS, 'backbone.pos_embed'),
    ('backbone.patch_embed.proj.*', 'backbone.patch_embed.projection.*'),
    ('backbone.layers.#.norm1.*', 'backbone.layers.#.ln1.*'),
    ('backbone.layers.#.attn.qkv.*', 'backbone.layers.#.attn.qkv.*'),
    ('backbone.layers.#.attn.proj.*', 'backbone.layers.#.attn.proj.*'),
    ('backbone.layers.#.norm2.*', 'backbone.layers.#.ln2.*'),
    ('backbone.layers.#.mlp.fc1.*', 'backbone.layers.#.ffn.layers.0.0.*'),
    ('backbone.layers.#.mlp.fc2.*', 'backbone.layers.#.ffn.layers.1.*'),
    ('backbone.last_norm.*', 'backbone.ln1.*'),
)
TABLE = NameTable((*BACKBONE, ('head.**', 'head.**')))
CLASS_TOKEN = 'backbone.cls_token'


def convert(state_dict: dict[str, Tensor]) -> native.ConvertedViTPose:
    """Return a checkpoint of mmpose under native names.

    Files of 2023 have a position table with one row too many, for a class
    token that was dropped; it never had an effect, so it is left out. Such a
    file has a class token, or a number of rows that makes a grid of 1 : 1 or
    4 : 3 only without the first.

    Raises:
        ValueError: If keys are unknown or missing.
    """
    converted, left_out = native.rename_all(
        native.strip_module(state_dict), TABLE, CLASS_TOKEN.replace('.', r'\.')
    )
    table = converted[native.POSITIONS]
    if CLASS_TOKEN in left_out or _has_dead_row(table.shape[1]):
        converted[native.POSITIONS] = table[:, 1:]
        left_out.append('backbone.pos_embed[:, :1]')
    return native.ConvertedViTPose(converted, left_out)


def export(state_dict: dict[str, Tensor]) -> native.ConvertedViTPose:
    """Return a native ViTPose under the names that mmpose's configs load.

    Raises:
        ValueError: If it is a ViTPose++, which mmpose does not have, or a
            tensor is unknown.
    """
    if native.count_experts(state_dict):
        raise ValueError(
            'mmpose has no ViTPose++; choose one dataset and its plain ViTPose'
        )
    return native.ConvertedViTPose(native.export_all(state_dict, TABLE), [])


def _has_dead_row(num_rows: int) -> bool:
    grid_size, without_first = map(guess_grid_size, (num_rows, num_rows - 1))
    return without_first is not None and grid_size is None
