"""Official GTPT checkpoints: import and export."""

import re

import torch
from torch import Tensor

from gtpt_mm.models import GTPT

from .names import NameTable, check_present, count_layers, rename_tensors

#: Native and official names outside the transformer's layers.
ROWS = (
    ('backbone.human_token', 'features.human_token'),
    ('backbone.sparse_embed', 'features.keypoint_token'),
    ('backbone.part_embed', 'features.extra_token'),
    ('backbone.dense_embed', 'features.fine_keypoint_token'),
    ('backbone.stem.conv1.**', 'features.stem.conv1.**'),
    ('backbone.stem.upsample#.**', 'features.stem.upsample#.**'),
    ('backbone.stem.fuse#.**', 'features.stem.up_layer#.**'),
    ('backbone.patch_embed.norm.**', 'features.patch2emb_norm.**'),
    ('backbone.patch_embed.proj.*', 'features.patch2emb_mlp.*'),
    ('backbone.group_mask.**', 'features.transformer.group_mask.**'),
    ('head.norm_x.*', 'mlp_head_x.0.*'),
    ('head.norm_y.*', 'mlp_head_y.0.*'),
    ('head.fc_x.*', 'mlp_head_x.1.*'),
    ('head.fc_y.*', 'mlp_head_y.1.*'),
)
#: Names within a layer.
LAYER = (
    ('norm1.*', '0.fn.norm.*'),
    ('attn.qkv.*', '0.fn.fn.to_qkv.*'),
    ('attn.proj.*', '0.fn.fn.to_out.0.*'),
    ('norm2.*', '1.fn.norm.*'),
    ('mlp.fc1.*', '1.fn.fn.net.0.*'),
    ('mlp.fc2.*', '1.fn.fn.net.3.*'),
)
#: The stem of T and S has one stage, that of B three and skip connections.
PLAIN_STAGE = ('backbone.stem.stage1.**', 'features.stem.layer.**')
SKIP_STAGES = ('backbone.stem.stage#.**', 'features.stem.down_layer#.**')
#: Constants that the native model computes: position table, masks.
CONSTANTS = re.compile(r'features\.pos_embedding|.+\.mask')


def gtpt_names(depth: int = 12, with_skips: bool = False) -> NameTable:
    """Return native beside official names, without ``ema_``.

    Args:
        depth: Layers; official files number the two halves separately.
        with_skips: Whether the stem has skip connections, which decides the
            official name of its first stage.
    """
    stages = [PLAIN_STAGE, SKIP_STAGES][:: -1 if with_skips else 1]
    half = depth // 2
    layers = [
        (
            f'backbone.layers.{start + i}.{native}',
            f'features.transformer.{kind}.{i}.{official}',
        )
        for start, kind in ((0, 'layers'), (half, 'group_layers'))
        for i in range(half)
        for native, official in LAYER
    ]
    return NameTable((*ROWS, *stages, *layers))


def convert_gtpt(
    state_dict: dict[str, Tensor], half: str = 'ema'
) -> dict[str, Tensor]:
    """Return the weights of an official checkpoint under native names.

    An official checkpoint contains every tensor twice: trained, and averaged
    (prefix ``ema_``); all published figures use the average. A prefix
    ``module.`` is ignored.

    Args:
        state_dict: The official flat state dict, body or whole-body.
        half: ``'ema'`` for the averaged weights, ``'model'`` for the trained
            ones.

    Returns:
        A state dict for ``TopdownPoseEstimator(GTPT, GTPTHead)``, without the
        fixed position table and the attention masks: the native model
        computes them.

    Raises:
        ValueError: If ``half`` or a key is unknown, or a tensor is missing.
    """
    halves: dict[str, dict[str, Tensor]] = {'ema': {}, 'model': {}}
    if half not in halves:
        raise ValueError(f"half must be 'ema' or 'model', got {half!r}")
    for key, value in state_dict.items():
        name = _strip(key)
        if not CONSTANTS.fullmatch(name):
            is_ema = key.removeprefix('module.').startswith('ema_')
            halves['ema' if is_ema else 'model'][name] = value
    if not halves[half]:
        raise ValueError(
            f'the checkpoint has no {half!r} half; try the other half'
        )
    depth = 2 * count_layers(
        map(_strip, state_dict), 'features.transformer.layers.'
    )
    names = gtpt_names(depth)
    converted = {
        kind: rename_tensors(tensors, names.native, 'GTPT')
        for kind, tensors in halves.items()
    }[half]
    check_present(converted, _expected_keys(converted))
    return converted


def export_gtpt(
    state_dict: dict[str, Tensor], trained: dict[str, Tensor] | None = None
) -> dict[str, Tensor]:
    """Return native weights under official names, both halves filled.

    The constants of official files (position table, masks) are not written;
    the official code computes them when it builds the model.

    Args:
        state_dict: Native weights for evaluation: the average.
        trained: The trained weights that were averaged; None uses
            ``state_dict`` for both halves.

    Returns:
        A flat state dict with the ``ema_`` half.

    Raises:
        ValueError: If a key is not of the native GTPT.
    """
    depth = count_layers(state_dict, 'backbone.layers.')
    if not depth:
        raise ValueError(
            "not a native GTPT checkpoint: no 'backbone.layers.0...' in it"
        )
    names = gtpt_names(depth, _has_skips(state_dict))
    out: dict[str, Tensor] = {}
    for prefix, half in (('', trained or state_dict), ('ema_', state_dict)):
        renamed = rename_tensors(half, names.foreign, 'GTPT')
        out |= {prefix + name: value for name, value in renamed.items()}
    return out


def _strip(key: str) -> str:
    return key.removeprefix('module.').removeprefix('ema_')


def _has_skips(state_dict: dict[str, Tensor]) -> bool:
    return any(key.startswith('backbone.stem.fuse') for key in state_dict)


def _expected_keys(converted: dict[str, Tensor]) -> set[str]:
    """Return the keys of the model that the tensors seem to belong to."""
    depth = count_layers(converted, 'backbone.layers.')
    with torch.random.fork_rng(devices=[]):  # only the names matter
        channels = (8,) * 3 if _has_skips(converted) else 8
        backbone = GTPT(
            dict(embed_dims=8, stem_channels=channels),
            depth=max(8, -(-depth // 4) * 4),
        )
    expected = {f'backbone.{key}' for key in backbone.state_dict()}
    whole_body = {'backbone.part_embed', 'backbone.dense_embed'}
    if whole_body & set(converted):
        expected |= whole_body
    return expected | {
        f'head.{module}_{axis}.{leaf}'
        for module in ('norm', 'fc')
        for axis in 'xy'
        for leaf in ('weight', 'bias')
    }
