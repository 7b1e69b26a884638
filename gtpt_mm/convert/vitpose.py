"""ViTPose checkpoints of its authors and of mmpose, to and from ours."""

import re
from math import isqrt
from typing import NamedTuple

import torch
from torch import Tensor

#: Parts of the backbone: ours, the authors', mmpose's (mmpretrain's).
PARTS = (
    ('pos_embed', 'pos_embed', 'pos_embed'),
    ('patch_embed.proj', 'patch_embed.proj', 'patch_embed.projection'),
    ('last_norm', 'last_norm', 'ln1'),
)
#: Parts of a layer, in the same order.
LAYER_PARTS = (
    ('norm1', 'norm1', 'ln1'),
    ('attn.qkv', 'attn.qkv', 'attn.qkv'),
    ('attn.proj', 'attn.proj', 'attn.proj'),
    ('norm2', 'norm2', 'ln2'),
    ('mlp.fc1', 'mlp.fc1', 'ffn.layers.0.0'),
    ('mlp.fc2', 'mlp.fc2', 'ffn.layers.1'),
)


class Layout(NamedTuple):
    """How a project names the tensors of a ViTPose.

    Attributes:
        column: Column of ``PARTS`` and ``LAYER_PARTS``.
        layers: Name of the list of layers.
        head: Name of the head.
        first_row_counts: Whether the first row of a position table with one
            row too many is added to every token. In the authors' code it is;
            mmpose's files of 2023 have it for a class token that is dropped.
    """

    column: int
    layers: str
    head: str
    first_row_counts: bool


OURS = Layout(0, 'layers', 'head', False)
#: What ``convert_vitpose`` reads and ``revert_vitpose`` writes.
LAYOUTS = {
    'authors': Layout(1, 'blocks', 'keypoint_head', True),
    'mmpose': Layout(2, 'layers', 'head', False),
}
#: Leftovers that the authors' own loader ignores: a class token that was
#: never used, further heads of a training on several datasets, and experts
#: that splitting a ViTPose++ leaves behind.
LEFTOVERS = re.compile(
    r'backbone\.cls_token|associate_keypoint_heads\.\d+\..+'
    r'|backbone\.blocks\.\d+\.mlp\.experts\.\d+\.(weight|bias)'
)


class ConvertedViTPose(NamedTuple):
    """A converted checkpoint.

    Attributes:
        state_dict: Weights for ``TopdownPoseEstimator(ViTPose, HeatmapHead)``.
        left_out: Names of the source's tensors that no ViTPose computes with.
    """

    state_dict: dict[str, Tensor]
    left_out: list[str]


def find_vitpose_layout(state_dict: dict[str, Tensor]) -> str | None:
    """Return the key of ``LAYOUTS`` that a checkpoint is in, None if none."""
    for name, layout in LAYOUTS.items():
        part = LAYER_PARTS[0][layout.column]
        probe = f'backbone.{layout.layers}.0.{part}.weight'
        last = f'backbone.{PARTS[-1][layout.column]}.weight'
        if {probe, last} <= {_strip(key) for key in state_dict}:
            return name
    return None


def is_our_vitpose(state_dict: dict[str, Tensor]) -> bool:
    """Return whether a state dict is of our ``ViTPose``."""
    return {
        'backbone.last_norm.weight',
        'backbone.layers.0.norm1.weight',
    } <= set(state_dict)


def convert_vitpose(state_dict: dict[str, Tensor]) -> ConvertedViTPose:
    """Return the weights of a dense ViTPose under our names.

    The authors add the first row of their position table to all tokens, so it
    is folded into the others. In a file with mmpose's names and one row too
    many it was never used, so it is left out; such a file is told by its class
    token, or by a number of rows that makes a grid of 1 : 1 or 4 : 3 only
    without the first.

    Args:
        state_dict: Flat state dict, the authors' or mmpose's; a prefix
            ``module.`` is ignored.

    Returns:
        The weights, and what was left out.

    Raises:
        ValueError: If it is of neither, is a ViTPose++ before its split, has
            keys of something else or lacks some.
    """
    name = find_vitpose_layout(state_dict)
    if name is None:
        raise ValueError(
            'not a ViTPose checkpoint of its authors or of mmpose; its first '
            f'keys are {list(state_dict)[:5]}'
        )
    layout = LAYOUTS[name]
    _refuse_experts(state_dict)
    converted, left_out, unknown = {}, [], []
    for key, value in state_dict.items():
        stripped = _strip(key)
        if LEFTOVERS.fullmatch(stripped):
            left_out.append(key)
            continue
        new = _rename(stripped, layout, OURS)
        if new is None:
            unknown.append(key)
        else:
            converted[new] = value
    if unknown:
        raise ValueError(
            f'{len(unknown)} keys are not of a ViTPose: {unknown[:5]}'
        )
    _refuse_gaps(converted)
    converted['backbone.pos_embed'], dead = _fold_positions(
        converted['backbone.pos_embed'],
        layout,
        'backbone.cls_token' in map(_strip, left_out),
    )
    left_out += dead
    return ConvertedViTPose(converted, left_out)


def revert_vitpose(
    state_dict: dict[str, Tensor], layout: str = 'authors'
) -> dict[str, Tensor]:
    """Return our weights under the names of the authors or of mmpose.

    The authors' position table gets a first row of zeros.

    Args:
        state_dict: Weights of ``TopdownPoseEstimator(ViTPose, HeatmapHead)``.
        layout: A key of ``LAYOUTS``.

    Raises:
        ValueError: If the layout or a key is unknown.
    """
    if layout not in LAYOUTS:
        raise ValueError(
            f'layout must be one of {sorted(LAYOUTS)}, got {layout!r}'
        )
    out = {}
    for key, value in state_dict.items():
        name = _rename(key, OURS, LAYOUTS[layout])
        if name is None:
            raise ValueError(f'{key!r} is not a tensor of ViTPose')
        if key == 'backbone.pos_embed' and LAYOUTS[layout].first_row_counts:
            value = torch.cat((torch.zeros_like(value[:, :1]), value), 1)
        out[name] = value
    return out


def _strip(key: str) -> str:
    return key.removeprefix('module.')


def _rename(key: str, old: Layout, new: Layout) -> str | None:
    """Return the name of a tensor in another layout, None if it has none."""
    if key.startswith(f'{old.head}.'):
        return f'{new.head}.{key.removeprefix(f"{old.head}.")}'
    where, parts = 'backbone.', PARTS
    match = re.match(rf'backbone\.{old.layers}\.(\d+)\.', key)
    if match:
        where, parts = f'backbone.{new.layers}.{match[1]}.', LAYER_PARTS
    rest = key[match.end() :] if match else key.removeprefix('backbone.')
    for row in parts:
        theirs = row[old.column]
        leaves = ('',) if theirs == 'pos_embed' else ('.weight', '.bias')
        for leaf in leaves:
            if rest == theirs + leaf:
                return where + row[new.column] + leaf
    return None


def _refuse_experts(state_dict: dict[str, Tensor]) -> None:
    """A second layer that is too narrow needs experts: a ViTPose++."""
    for key, value in state_dict.items():
        if key.endswith('.mlp.fc2.weight') and len(value) * 4 < value.shape[1]:
            raise ValueError(
                f'{key} has {len(value)} rows of {value.shape[1] // 4}: a '
                'ViTPose++ before its split, which this version does not '
                'convert; split it into one file for each dataset first'
            )


def _refuse_gaps(converted: dict[str, Tensor]) -> None:
    """Raise if a tensor of the backbone, or the head, is missing."""
    numbers = [
        int(match[1])
        for key in converted
        if (match := re.match(r'backbone\.layers\.(\d+)\.', key))
    ]
    names = [f'backbone.{row[0]}' for row in PARTS] + [
        f'backbone.layers.{i}.{row[0]}'
        for i in range(1 + max(numbers))
        for row in LAYER_PARTS
    ]
    names.append('head.final_layer')
    expected = {
        name if name.endswith('pos_embed') else f'{name}.{leaf}'
        for name in names
        for leaf in ('weight', 'bias')
    }
    missing = expected - set(converted)
    if missing:
        raise ValueError(
            f'the checkpoint lacks {len(missing)} tensors, for example '
            f'{sorted(missing)[:5]}; the file is not complete'
        )


def _fold_positions(
    table: Tensor, layout: Layout, with_cls_token: bool
) -> tuple[Tensor, list[str]]:
    """Return a table of one row for each patch, and what it left out."""
    if layout.first_row_counts:
        return table[:, 1:] + table[:, :1], []
    num_rows = table.shape[1]
    if with_cls_token or (
        _is_usual_grid(num_rows - 1) and not _is_usual_grid(num_rows)
    ):
        return table[:, 1:], ['backbone.pos_embed[:, :1]']
    return table, []


def _is_usual_grid(num_patches: int) -> bool:
    """Tell a grid whose sides are as 1 : 1 or 4 : 3."""
    return any(
        num_patches == area * isqrt(num_patches // area) ** 2
        for area in (1, 12)
    )
