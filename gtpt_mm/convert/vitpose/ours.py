"""Our names of ViTPose and ViTPose++, and what must be true of them."""

import re
from collections import defaultdict
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

#: Data sets of the released ViTPose++, in the order of their experts and
#: heads; our head of a data set is ``head.heads.<name>``.
DATASETS = ('coco', 'aic', 'mpii', 'ap10k', 'apt36k', 'wholebody')
POSITIONS = 'backbone.pos_embed'
HEADS = 'head.heads.'
_LAYER = re.compile(r'backbone\.layers\.(\d+)\.(.+)')
_EXPERT = re.compile(r'mlp\.experts\.(\d+)\.(weight|bias)')


class ConvertedViTPose(NamedTuple):
    """A checkpoint under new names.

    Attributes:
        state_dict: The weights. Under our names: of ``TopdownPoseEstimator``
            with ``ViTPose`` and ``HeatmapHead``, of a ViTPose++, or of a
            backbone alone (MAE).
        left_out: Names of the source's tensors that have no place there.
    """

    state_dict: dict[str, Tensor]
    left_out: list[str]


def is_our_vitpose(state_dict: dict[str, Tensor]) -> bool:
    """Return whether a state dict is of our ViTPose or ViTPose++."""
    return {
        'backbone.last_norm.weight',
        'backbone.layers.0.norm1.weight',
    } <= set(state_dict)


def count_experts(state_dict: dict[str, Tensor]) -> int:
    """Return the experts of each layer: 0 for a ViTPose, 6 for a ++."""
    numbers = [
        int(expert[1])
        for key in state_dict
        if (layer := _LAYER.fullmatch(key))
        and (expert := _EXPERT.fullmatch(layer[2]))
    ]
    return 1 + max(numbers, default=-1)


def find_datasets(state_dict: dict[str, Tensor]) -> list[str]:
    """Return the data sets that a checkpoint of ours has its own heads for."""
    names = (
        key.removeprefix(HEADS).partition('.')[0]
        for key in state_dict
        if key.startswith(HEADS)
    )
    return list(dict.fromkeys(names))


def split_vitpose(
    state_dict: dict[str, Tensor], dataset: str
) -> dict[str, Tensor]:
    """Return the plain ViTPose that a ViTPose++ is for one data set.

    The last rows of a layer's output are its expert's. Below the shared rows
    they make a plain second layer, so the outputs are exactly those of the
    ViTPose++. Source: paper, Sec. 3.5; the authors' script does the same but
    leaves the experts in the file.

    Args:
        state_dict: A ViTPose++ under our names.
        dataset: Name of one of its data sets.

    Raises:
        ValueError: If there are no experts, or no head of this data set.
    """
    index = _find_expert(state_dict, dataset)
    head = f'{HEADS}{dataset}.'
    dense = {}
    for key, value in state_dict.items():
        if key.startswith(head):
            dense['head.' + key.removeprefix(head)] = value
        elif key.startswith(HEADS) or '.mlp.experts.' in key:
            continue
        elif '.mlp.fc2.' in key:
            expert = key.replace('.fc2.', f'.experts.{index}.')
            dense[key] = torch.cat((value, state_dict[expert]))
        else:
            dense[key] = value
    return dense


def _find_expert(state_dict: dict[str, Tensor], dataset: str) -> int:
    """Return the number of a data set's expert.

    Heads are in the order of the experts. A file with fewer heads (of
    transformers) has the experts of the released models.
    """
    num_experts = count_experts(state_dict)
    if not num_experts and any('.mlp.experts.' in key for key in state_dict):
        raise ValueError(
            'the experts of this checkpoint are networks of their own, not '
            'the last rows of a layer as in the released ViTPose++; such '
            'weights cannot be split'
        )
    if not num_experts:
        raise ValueError(
            'nothing to split: no experts take part in this checkpoint. It '
            'is a plain ViTPose, or a ViTPose++ that was split before; it '
            'holds the weights of one data set, so leave the data set out'
        )
    heads = find_datasets(state_dict)
    if dataset not in heads:
        raise ValueError(
            f'no head of {dataset!r}; this checkpoint has heads of {heads}'
        )
    if len(heads) == num_experts:
        return heads.index(dataset)
    if num_experts == len(DATASETS) and set(heads) <= set(DATASETS):
        return DATASETS.index(dataset)
    raise ValueError(
        f'{num_experts} experts and heads of {heads}: it cannot be told which '
        f'expert is of {dataset!r}'
    )


def strip_module(state_dict: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return it without the ``module.`` that a parallel wrapper adds."""
    return {
        key.removeprefix('module.'): value for key, value in state_dict.items()
    }


def rename_all(
    state_dict: dict[str, Tensor],
    rename: Callable[[str], str | None],
    leftovers: str,
) -> ConvertedViTPose:
    """Rename every tensor, or name it as left out.

    Args:
        state_dict: Tensors under foreign names.
        rename: Gives our name, or None.
        leftovers: Regular expression of names that are known to be of no use.

    Raises:
        ValueError: If a name is neither.
    """
    converted, left_out, unknown = {}, [], []
    for key, value in state_dict.items():
        if re.fullmatch(leftovers, key):
            left_out.append(key)
        elif (name := rename(key)) is None:
            unknown.append(key)
        else:
            converted[name] = value
    if unknown:
        raise ValueError(
            f'{len(unknown)} keys are not of a ViTPose: {", ".join(unknown)}'
        )
    return ConvertedViTPose(converted, left_out)


def check_complete(
    converted: dict[str, Tensor], with_head: bool = True
) -> None:
    """Raise if a tensor is missing, or experts do not complete a layer.

    Args:
        converted: Tensors under our names.
        with_head: Whether a head and the last norm have to be there.

    Raises:
        ValueError: If something is missing or does not fit together.
    """
    layers = defaultdict(dict)
    for key, value in converted.items():
        if match := _LAYER.fullmatch(key):
            layers[int(match[1])][match[2]] = value
    modules = ['backbone.patch_embed.proj']
    if with_head:
        heads = [HEADS + name for name in find_datasets(converted)]
        modules += [f'{head}.final_layer' for head in heads or ['head']]
        modules.append('backbone.last_norm')
    parts = ['norm1', 'attn.qkv', 'attn.proj', 'norm2', 'mlp.fc1', 'mlp.fc2']
    parts += [f'mlp.experts.{e}' for e in range(count_experts(converted))]
    modules += [
        f'backbone.layers.{i}.{part}'
        for i in range(1 + max(layers, default=0))
        for part in parts
    ]
    expected = {POSITIONS} | {
        f'{module}.{leaf}' for module in modules for leaf in ('weight', 'bias')
    }
    missing = expected - set(converted)
    if missing:
        raise ValueError(
            f'the file is not complete, it lacks {len(missing)} tensors: '
            f'{", ".join(sorted(missing))}'
        )
    embed_dims = len(converted['backbone.patch_embed.proj.bias'])
    for number, tensors in layers.items():
        _check_rows(number, tensors, embed_dims)


def _check_rows(
    number: int, tensors: dict[str, Tensor], embed_dims: int
) -> None:
    """A second layer and one expert must give all channels, C."""
    shared = len(tensors['mlp.fc2.bias'])
    experts = {
        name: len(value)
        for name, value in tensors.items()
        if (match := _EXPERT.fullmatch(name)) and match[2] == 'bias'
    }
    if {shared + rows for rows in experts.values() or (0,)} != {embed_dims}:
        raise ValueError(
            f'layer {number}: mlp.fc2 has {shared} rows and its experts '
            f'{experts or "are missing"}; one of each must give '
            f'{embed_dims} channels'
        )


def fold_first_row(table: Tensor) -> Tensor:
    """Return the positions with their first row added to all others.

    Args:
        table: Positions, (1, 1 + N, C), the first of them for every token.

    Returns:
        Positions, (1, N, C).
    """
    return table[:, 1:] + table[:, :1]


def add_zero_row(table: Tensor) -> Tensor:
    """Return positions (1, 1 + N, C) with a first row that adds nothing."""
    return torch.cat((torch.zeros_like(table[:, :1]), table), 1)


def revert_all(
    state_dict: dict[str, Tensor], rename: Callable[[str], str | None]
) -> dict[str, Tensor]:
    """Return tensors of ours under foreign names.

    Args:
        state_dict: A model of ours, or a backbone alone.
        rename: Gives the foreign name, or None.

    Raises:
        ValueError: If a tensor has no foreign name, or one is missing.
    """
    out = {}
    for key, value in state_dict.items():
        name = rename(key)
        if name is None:
            raise ValueError(
                f'{key!r} has no place there: not a tensor of ViTPose, or of '
                'a part that only ours has'
            )
        out[name] = value
    with_head = any(key.startswith('head.') for key in state_dict)
    check_complete(state_dict, with_head)
    return out
