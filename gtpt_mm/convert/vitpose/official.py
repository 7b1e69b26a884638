"""Official checkpoints of ViTPose and ViTPose++: import and export."""

from torch import Tensor

from ..names import NameTable
from . import native

MARKS = {'backbone.blocks.0.norm1.weight', 'backbone.last_norm.weight'}
#: Native names beside the official ones.
BACKBONE = (
    (native.POSITIONS, 'backbone.pos_embed'),
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
        (f'{native.HEADS}{native.DATASETS[0]}.**', 'keypoint_head.**'),
        *(
            (f'{native.HEADS}{name}.**', f'associate_keypoint_heads.{i}.**')
            for i, name in enumerate(native.DATASETS[1:])
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


def convert(state_dict: dict[str, Tensor]) -> native.ConvertedViTPose:
    """Return an official checkpoint under native names.

    A ViTPose++ keeps its experts and heads. One that was split before is a
    plain ViTPose; experts and heads that are still in the file are left out.

    Raises:
        ValueError: If keys are unknown or missing.
    """
    state_dict = native.strip_module(state_dict)
    # A second layer with too few channels needs its experts.
    shared = state_dict.get('backbone.blocks.0.mlp.fc2.bias', ())
    if len(shared) < len(state_dict['backbone.blocks.0.norm1.weight']):
        result = native.rename_all(state_dict, PLUS, CLASS_TOKEN)
        result = result._replace(state_dict=_sort_heads(result.state_dict))
    else:
        result = native.rename_all(state_dict, PLAIN, LEFTOVERS)
    native.fold_first_row(result.state_dict)
    return result


def export(state_dict: dict[str, Tensor]) -> native.ConvertedViTPose:
    """Return a native ViTPose or ViTPose++ under official names.

    Raises:
        ValueError: If a tensor has no official name, or the datasets of
            experts and heads, or their order, are not the official ones.
    """
    heads = native.find_datasets(state_dict)
    if len(heads) > 1 and heads != list(native.DATASETS):
        raise ValueError(
            'official files have heads and experts of '
            f'{list(native.DATASETS)}, in this order; got {heads}'
        )
    out = native.export_all(
        state_dict, PLUS if native.count_experts(state_dict) else PLAIN
    )
    out['backbone.pos_embed'] = native.add_zero_row(out['backbone.pos_embed'])
    return native.ConvertedViTPose(out, [])


def _sort_heads(converted: dict[str, Tensor]) -> dict[str, Tensor]:
    """Put heads into the order of the experts, as a split requires."""

    heads = [f'{native.HEADS}{name}.' for name in native.DATASETS]

    def position(item: tuple[str, Tensor]) -> int:
        return max(i * item[0].startswith(h) for i, h in enumerate(heads, 1))

    return dict(sorted(converted.items(), key=position))
