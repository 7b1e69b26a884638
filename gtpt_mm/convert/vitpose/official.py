"""ViTPose and ViTPose++ of their authors."""

from torch import Tensor

from ..names import NameTable
from .native import (
    DATASETS,
    HEADS,
    POSITIONS,
    ConvertedViTPose,
    add_zero_row,
    check_complete,
    count_experts,
    find_datasets,
    fold_first_row,
    rename_all,
    revert_all,
    strip_module,
)

MARKS = {'backbone.blocks.0.norm1.weight', 'backbone.last_norm.weight'}
#: Native names beside the official ones.
BACKBONE = (
    (POSITIONS, 'backbone.pos_embed'),
    ('backbone.patch_embed.proj.*', 'backbone.patch_embed.proj.*'),
    ('backbone.layers.#.norm1.*', 'backbone.blocks.#.norm1.*'),
    ('backbone.layers.#.attn.qkv.*', 'backbone.blocks.#.attn.qkv.*'),
    ('backbone.layers.#.attn.proj.*', 'backbone.blocks.#.attn.proj.*'),
    ('backbone.layers.#.norm2.*', 'backbone.blocks.#.norm2.*'),
    ('backbone.layers.#.mlp.fc1.*', 'backbone.blocks.#.mlp.fc1.*'),
    ('backbone.layers.#.mlp.fc2.*', 'backbone.blocks.#.mlp.fc2.*'),
    ('backbone.layers.#.mlp.experts.#.*',
     'backbone.blocks.#.mlp.experts.#.*'),
    ('backbone.last_norm.*', 'backbone.last_norm.*'),
)  # fmt: skip
PLAIN = NameTable((*BACKBONE, ('head.**', 'keypoint_head.**')))
PLUS = NameTable(
    (
        *BACKBONE,
        (f'{HEADS}{DATASETS[0]}.**', 'keypoint_head.**'),
        *(
            (f'{HEADS}{name}.**', f'associate_keypoint_heads.{i}.**')
            for i, name in enumerate(DATASETS[1:])
        ),
    )
)
#: A class token that no official code reads.
CLASS_TOKEN = r'backbone\.cls_token'
#: Tensors that a plain ViTPose does not have: further heads of a training on
#: several datasets, and experts that the official splitting script keeps.
LEFTOVERS = (
    rf'{CLASS_TOKEN}|associate_keypoint_heads\.\d+\..+'
    r'|backbone\.blocks\.\d+\.mlp\.experts\.\d+\.(weight|bias)'
)


def convert(state_dict: dict[str, Tensor]) -> ConvertedViTPose:
    """Return an official checkpoint under native names.

    A ViTPose++ keeps its experts and heads. One that was split before is a
    plain ViTPose; experts and heads that are still in the file are left out.

    Raises:
        ValueError: If keys are unknown or missing.
    """
    state_dict = strip_module(state_dict)
    # A second layer with too few channels needs its experts.
    shared = state_dict.get('backbone.blocks.0.mlp.fc2.bias', ())
    if len(shared) < len(state_dict['backbone.blocks.0.norm1.weight']):
        result = rename_all(state_dict, PLUS, CLASS_TOKEN)
        result = result._replace(state_dict=_sort_heads(result.state_dict))
    else:
        result = rename_all(state_dict, PLAIN, LEFTOVERS)
    converted = result.state_dict
    check_complete(converted)
    converted[POSITIONS] = fold_first_row(converted[POSITIONS])
    return result


def revert(state_dict: dict[str, Tensor]) -> ConvertedViTPose:
    """Return a native ViTPose or ViTPose++ under official names.

    Raises:
        ValueError: If a tensor has no official name, or the datasets of
            experts and heads, or their order, are not the official ones.
    """
    heads = find_datasets(state_dict)
    if len(heads) > 1 and heads != list(DATASETS):
        raise ValueError(
            f'official files have heads and experts of {list(DATASETS)}, in '
            f'this order; here they are of {heads}'
        )
    out = revert_all(state_dict, PLUS if count_experts(state_dict) else PLAIN)
    out['backbone.pos_embed'] = add_zero_row(out['backbone.pos_embed'])
    return ConvertedViTPose(out, [])


def _sort_heads(converted: dict[str, Tensor]) -> dict[str, Tensor]:
    """Put heads into the order of the experts, as a split requires."""

    def position(key: str) -> int:
        name = key.removeprefix(HEADS).partition('.')[0]
        return 1 + DATASETS.index(name) if key.startswith(HEADS) else 0

    return dict(sorted(converted.items(), key=lambda item: position(item[0])))
