"""Native names of ViTPose and ViTPose++, and checks of their weights."""

import re
from typing import NamedTuple

import torch
from torch import Tensor

from ..names import NameTable, rename_tensors

#: Datasets of the released ViTPose++, in the order of their experts and
#: heads; the native head of a dataset is ``head.heads.<name>``.
DATASETS = ('coco', 'aic', 'mpii', 'ap10k', 'apt36k', 'wholebody')
POSITIONS = 'backbone.pos_embed'
HEADS = 'head.heads.'
MARKS = {'backbone.last_norm.weight', 'backbone.layers.0.norm1.weight'}
_LAYER = re.compile(r'backbone\.layers\.(\d+)\.')
_EXPERT = re.compile(r'\bmlp\.experts\.(\d+)\.')
LAYER_PARTS = (
    'norm1', 'attn.qkv', 'attn.proj', 'norm2', 'mlp.fc1', 'mlp.fc2',
)  # fmt: skip


class ConvertedViTPose(NamedTuple):
    """A checkpoint under new names.

    Attributes:
        state_dict: The weights. Under native names: of
            ``TopdownPoseEstimator`` with ``ViTPose`` and ``HeatmapHead``, of
            a ViTPose++, or of a backbone alone (MAE).
        left_out: Names of tensors of the source that it does not contain.
    """

    state_dict: dict[str, Tensor]
    left_out: list[str]


def is_native_vitpose(state_dict: dict[str, Tensor]) -> bool:
    """Return whether a state dict is a native ViTPose or ViTPose++."""
    return set(state_dict) >= MARKS


def count_experts(state_dict: dict[str, Tensor]) -> int:
    """Return the number of experts: 0 for a ViTPose, 6 for a ViTPose++."""
    matches = map(_EXPERT.search, state_dict)
    return 1 + max((int(m[1]) for m in matches if m), default=-1)


def find_datasets(state_dict: dict[str, Tensor]) -> list[str]:
    """Return the datasets for which a native checkpoint has heads."""
    names = (
        key.removeprefix(HEADS).partition('.')[0]
        for key in state_dict
        if key.startswith(HEADS)
    )
    return list(dict.fromkeys(names))


def strip_module(state_dict: dict[str, Tensor]) -> dict[str, Tensor]:
    """Drop the prefix ``module.`` that a parallel wrapper adds."""
    return {
        key.removeprefix('module.'): value for key, value in state_dict.items()
    }


def rename_all(
    state_dict: dict[str, Tensor],
    table: NameTable,
    leftovers: str = '',
    with_head: bool = True,
) -> ConvertedViTPose:
    """Rename every tensor of another project, or name it as left out.

    Args:
        state_dict: Tensors under foreign names.
        table: Native and foreign names.
        leftovers: Regular expression of names that no native model has.
        with_head: Whether a head and the last norm are required.

    Raises:
        ValueError: If a name is neither, or a tensor is missing.
    """
    left_out = [key for key in state_dict if re.fullmatch(leftovers, key)]
    kept = {k: v for k, v in state_dict.items() if k not in set(left_out)}
    converted = rename_tensors(kept, table.native, 'a ViTPose')
    check_complete(converted, with_head)
    return ConvertedViTPose(converted, left_out)


def export_all(
    state_dict: dict[str, Tensor], table: NameTable
) -> dict[str, Tensor]:
    """Return native tensors under foreign names.

    Args:
        state_dict: A native model, or a backbone alone.
        table: Native and foreign names.

    Raises:
        ValueError: If a tensor has no foreign name, or one is missing.
    """
    out = rename_tensors(
        state_dict, table.foreign, 'a ViTPose of the other format'
    )
    with_head = any(key.startswith('head.') for key in state_dict)
    check_complete(state_dict, with_head)
    return out


def check_complete(converted: dict[str, Tensor], with_head: bool) -> None:
    """Raise if a tensor is missing, or experts do not complete a layer."""
    modules = ['backbone.patch_embed.proj']
    if with_head:
        heads = [HEADS + name for name in find_datasets(converted)]
        modules += [f'{head}.final_layer' for head in heads or ['head']]
        modules.append('backbone.last_norm')
    experts = [f'mlp.experts.{e}' for e in range(count_experts(converted))]
    depth = 1 + max(
        (int(m[1]) for m in map(_LAYER.match, converted) if m), default=0
    )
    modules += [
        f'backbone.layers.{i}.{part}'
        for i in range(depth)
        for part in (*LAYER_PARTS, *experts)
    ]
    expected = {f'{m}.{leaf}' for m in modules for leaf in ('weight', 'bias')}
    missing = (expected | {POSITIONS}) - set(converted)
    if missing:
        raise ValueError(
            f'the file is not complete, it lacks {len(missing)} tensors: '
            f'{", ".join(sorted(missing))}'
        )
    embed_dims = len(converted['backbone.patch_embed.proj.bias'])
    for i in range(depth):
        layer = f'backbone.layers.{i}'
        shared = len(converted[f'{layer}.mlp.fc2.bias'])
        rows = {e: len(converted[f'{layer}.{e}.bias']) for e in experts}
        if {shared + n for n in rows.values() or (0,)} != {embed_dims}:
            raise ValueError(
                f'layer {i}: mlp.fc2 has {shared} rows and its experts '
                f'{rows or "are missing"}; one of each must give '
                f'{embed_dims} channels'
            )


def fold_first_row(converted: dict[str, Tensor]) -> None:
    """Add the first row of the positions to all others, in place.

    The official code adds it to every token; native positions include it.
    """
    table = converted[POSITIONS]
    converted[POSITIONS] = table[:, 1:] + table[:, :1]


def add_zero_row(table: Tensor) -> Tensor:
    """Return positions (1, 1 + N, C) with a first row that adds nothing."""
    return torch.cat((torch.zeros_like(table[:, :1]), table), 1)
