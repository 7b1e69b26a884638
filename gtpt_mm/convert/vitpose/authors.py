"""ViTPose and ViTPose++ of their authors, to and from ours.

Their position table has a first row that is added to every token; it is
folded into the others, and comes back as zeros.
"""

from torch import Tensor

from ..names import NameTable
from .ours import (
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

#: Ours beside the authors'.
BACKBONE = (
    (POSITIONS, 'backbone.pos_embed'),
    ('backbone.patch_embed.proj.*', 'backbone.patch_embed.proj.*'),
    ('backbone.layers.#.norm1.*', 'backbone.blocks.#.norm1.*'),
    ('backbone.layers.#.attn.qkv.*', 'backbone.blocks.#.attn.qkv.*'),
    ('backbone.layers.#.attn.proj.*', 'backbone.blocks.#.attn.proj.*'),
    ('backbone.layers.#.norm2.*', 'backbone.blocks.#.norm2.*'),
    ('backbone.layers.#.mlp.fc1.*', 'backbone.blocks.#.mlp.fc1.*'),
    ('backbone.layers.#.mlp.fc2.*', 'backbone.blocks.#.mlp.fc2.*'),
    (
        'backbone.layers.#.mlp.experts.#.*',
        'backbone.blocks.#.mlp.experts.#.*',
    ),
    ('backbone.last_norm.*', 'backbone.last_norm.*'),
)
DENSE = NameTable((*BACKBONE, ('head.**', 'keypoint_head.**')))
PLUS_PLUS = NameTable(
    (
        *BACKBONE,
        (f'{HEADS}{DATASETS[0]}.**', 'keypoint_head.**'),
        *(
            (f'{HEADS}{name}.**', f'associate_keypoint_heads.{i}.**')
            for i, name in enumerate(DATASETS[1:])
        ),
    )
)
#: A class token that no code of theirs uses.
CLASS_TOKEN = r'backbone\.cls_token'
#: What is of no use in a plain ViTPose: further heads of a training on
#: several data sets, and experts that their splitting script leaves behind.
LEFTOVERS = (
    rf'{CLASS_TOKEN}|associate_keypoint_heads\.\d+\..+'
    r'|backbone\.blocks\.\d+\.mlp\.experts\.\d+\.(weight|bias)'
)


def is_authors(state_dict: dict[str, Tensor]) -> bool:
    """Return whether a state dict names its tensors as the authors do."""
    return {
        'backbone.blocks.0.norm1.weight',
        'backbone.last_norm.weight',
    } <= set(strip_module(state_dict))


def convert_authors(state_dict: dict[str, Tensor]) -> ConvertedViTPose:
    """Return a checkpoint of the authors under our names.

    A ViTPose++ keeps its experts and heads. One that was split before is a
    plain ViTPose; experts and heads that are still in the file are left out.

    Raises:
        ValueError: If keys are unknown or missing.
    """
    state_dict = strip_module(state_dict)
    if _is_before_split(state_dict):
        result = rename_all(state_dict, PLUS_PLUS.ours, CLASS_TOKEN)
        result = result._replace(state_dict=_sort_heads(result.state_dict))
    else:
        result = rename_all(state_dict, DENSE.ours, LEFTOVERS)
    converted = result.state_dict
    check_complete(converted)
    converted[POSITIONS] = fold_first_row(converted[POSITIONS])
    return result


def revert_authors(state_dict: dict[str, Tensor]) -> ConvertedViTPose:
    """Return our ViTPose or ViTPose++ under the authors' names.

    Raises:
        ValueError: If a tensor has no name of theirs, or experts and heads
            are of other data sets, or in another order, than theirs.
    """
    heads = find_datasets(state_dict)
    if len(heads) > 1 and heads != list(DATASETS):
        raise ValueError(
            f'the authors have heads and experts of {list(DATASETS)}, in this '
            f'order; here they are of {heads}'
        )
    table = PLUS_PLUS if count_experts(state_dict) else DENSE
    out = revert_all(state_dict, table.theirs)
    out['backbone.pos_embed'] = add_zero_row(out['backbone.pos_embed'])
    return ConvertedViTPose(out, [])


def _sort_heads(converted: dict[str, Tensor]) -> dict[str, Tensor]:
    """Put heads into the order of the experts; ``split_vitpose`` wants it."""

    def place(key: str) -> int:
        name = key.removeprefix(HEADS).partition('.')[0]
        return 1 + DATASETS.index(name) if key.startswith(HEADS) else 0

    return dict(sorted(converted.items(), key=lambda item: place(item[0])))


def _is_before_split(state_dict: dict[str, Tensor]) -> bool:
    """A second layer that gives too few channels needs its experts."""
    shared = state_dict.get('backbone.blocks.0.mlp.fc2.bias', ())
    norm = state_dict['backbone.blocks.0.norm1.weight']
    return len(shared) < len(norm)
