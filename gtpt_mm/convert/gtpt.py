"""The authors' GTPT checkpoints, to and from ours."""

import re

import torch
from torch import Tensor

from gtpt_mm.models import GTPT

#: (authors' name, our name), regular expressions; the first match is used.
#: Every key of the authors must match one of them or one of ``STRUCTURE``.
NAMES = (
    (r'features\.human_token', 'backbone.human_token'),
    (r'features\.keypoint_token', 'backbone.sparse_embed'),
    (r'features\.extra_token', 'backbone.part_embed'),
    (r'features\.fine_keypoint_token', 'backbone.dense_embed'),
    (r'features\.stem\.conv1\.(.+)', r'backbone.stem.conv1.\1'),
    (r'features\.stem\.layer\.(.+)', r'backbone.stem.stage1.\1'),
    (r'features\.stem\.down_layer(\d)\.(.+)', r'backbone.stem.stage\1.\2'),
    (r'features\.stem\.upsample(\d)\.(.+)', r'backbone.stem.upsample\1.\2'),
    (r'features\.stem\.up_layer(\d)\.(.+)', r'backbone.stem.fuse\1.\2'),
    (r'features\.patch2emb_norm\.(.+)', r'backbone.patch_embed.norm.\1'),
    (r'features\.patch2emb_mlp\.(.+)', r'backbone.patch_embed.proj.\1'),
    (r'features\.transformer\.group_mask\.(.+)', r'backbone.group_mask.\1'),
    (r'mlp_head_([xy])\.0\.(.+)', r'head.norm_\1.\2'),
    (r'mlp_head_([xy])\.1\.(.+)', r'head.fc_\1.\2'),
)
#: Inside a transformer layer, after ``(group_)layers.N.``.
LAYER_NAMES = {
    '0.fn.norm': 'norm1',
    '0.fn.fn.to_qkv': 'attn.qkv',
    '0.fn.fn.to_out.0': 'attn.proj',
    '1.fn.norm': 'norm2',
    '1.fn.fn.net.0': 'mlp.fc1',
    '1.fn.fn.net.3': 'mlp.fc2',
}
LAYER = re.compile(
    r'features\.transformer\.(group_)?layers\.(\d+)\.(.+)\.(weight|bias)'
)
#: Constants that our model computes: the sine table, attention masks.
STRUCTURE = re.compile(r'(features\.pos_embedding|.+\.mask)')


def convert_gtpt(
    state_dict: dict[str, Tensor], half: str = 'ema'
) -> dict[str, Tensor]:
    """Return the weights of an authors' checkpoint under our names.

    An authors' checkpoint holds every tensor twice: trained, and averaged
    (``ema_`` in front); all published figures are of the average. A prefix
    ``module.`` is ignored.

    Args:
        state_dict: The authors' flat state dict, body or whole-body.
        half: ``'ema'`` for the averaged weights, ``'model'`` for the trained.

    Returns:
        A state dict for ``TopdownPoseEstimator(GTPT, GTPTHead)``. The fixed
        position table and the attention masks are left out: our model
        computes them.

    Raises:
        ValueError: If ``half`` or a key is unknown, or a tensor is missing.
    """
    if half not in ('ema', 'model'):
        raise ValueError(f"half must be 'ema' or 'model', got {half!r}")
    num_coarse = _num_coarse_layers(state_dict)
    converted, unknown = {}, []
    for key, value in state_dict.items():
        name = key.removeprefix('module.')
        is_ema = name.startswith('ema_')
        name = name.removeprefix('ema_')
        if STRUCTURE.fullmatch(name):
            continue
        new = our_gtpt_name(name, num_coarse)
        if new is None:
            unknown.append(key)
        elif is_ema == (half == 'ema'):
            converted[new] = value
    if unknown:
        raise ValueError(
            f'{len(unknown)} keys are not of a GTPT checkpoint: '
            f'{", ".join(unknown)}'
        )
    if not converted:
        raise ValueError(
            f'the checkpoint has no {half!r} half; try the other half'
        )
    missing = _expected_keys(converted) - set(converted)
    if missing:
        raise ValueError(
            f'the {half!r} half lacks {len(missing)} tensors, for example '
            f'{sorted(missing)[:5]}; the file is not complete'
        )
    return converted


def revert_gtpt(
    state_dict: dict[str, Tensor], trained: dict[str, Tensor] | None = None
) -> dict[str, Tensor]:
    """Return our weights under the authors' names, both halves filled.

    The constants of the authors' file (position table, masks) are not
    written; their code computes them when it builds the model.

    Args:
        state_dict: Weights that our model evaluates with, the average.
        trained: Weights behind the average; None uses ``state_dict`` for both
            halves.

    Returns:
        A flat state dict with the ``ema_`` half.

    Raises:
        ValueError: If a key is not of our GTPT.
    """
    numbers = [
        int(match[1])
        for key in state_dict
        if (match := re.match(r'backbone\.layers\.(\d+)\.', key))
    ]
    if not numbers:
        raise ValueError(
            "not a checkpoint of our GTPT: no 'backbone.layers.0...' in it"
        )
    num_layers = 1 + max(numbers)
    with_skips = any(k.startswith('backbone.stem.fuse') for k in state_dict)
    out = {}
    for prefix, half in (('', trained or state_dict), ('ema_', state_dict)):
        for key, value in half.items():
            name = _rename_back(key, num_layers // 2, with_skips)
            out[prefix + name] = value
    return out


def is_authors_gtpt(state_dict: dict[str, Tensor]) -> bool:
    """Return whether a state dict names its tensors as the authors do."""
    return any(our_gtpt_name(_strip(key)) is not None for key in state_dict)


def _expected_keys(converted: dict[str, Tensor]) -> set[str]:
    """Return the keys of the model that the tensors seem to be of."""
    layers = [
        int(match[1])
        for key in converted
        if (match := re.match(r'backbone\.layers\.(\d+)\.', key))
    ]
    with_skips = any('.stem.fuse' in key for key in converted)
    with torch.random.fork_rng(devices=[]):  # only its names matter
        backbone = GTPT(
            dict(embed_dims=8, stem_channels=(8,) * 3 if with_skips else 8),
            depth=max(8, -(-(max(layers, default=0) + 1) // 4) * 4),
        )
    expected = {f'backbone.{key}' for key in backbone.state_dict()}
    if {'backbone.part_embed', 'backbone.dense_embed'} & set(converted):
        expected |= {'backbone.part_embed', 'backbone.dense_embed'}
    for axis in 'xy':
        for module in ('norm', 'fc'):
            expected |= {
                f'head.{module}_{axis}.{leaf}' for leaf in ('weight', 'bias')
            }
    return expected


def _strip(key: str) -> str:
    return key.removeprefix('module.').removeprefix('ema_')


def _num_coarse_layers(state_dict: dict[str, Tensor]) -> int:
    layers = {
        int(match[2])
        for key in state_dict
        if (match := LAYER.fullmatch(_strip(key))) and not match[1]
    }
    return len(layers)


def our_gtpt_name(name: str, num_coarse: int = 6) -> str | None:
    """Return our name of an authors' tensor, None if there is none.

    Args:
        name: Their name, without ``module.`` and ``ema_``.
        num_coarse: Coarse layers, which come before the group layers.
    """
    if match := LAYER.fullmatch(name):
        is_group, index, part, leaf = match.groups()
        if part not in LAYER_NAMES:
            return None
        number = int(index) + (num_coarse if is_group else 0)
        return f'backbone.layers.{number}.{LAYER_NAMES[part]}.{leaf}'
    for pattern, new in NAMES:
        if match := re.fullmatch(pattern, name):
            return match.expand(new)
    return None


def _rename_back(key: str, num_coarse: int, with_skips: bool) -> str:
    """Return the authors' name of one of our tensors."""
    parts = {ours: theirs for theirs, ours in LAYER_NAMES.items()}
    if match := re.fullmatch(
        r'backbone\.layers\.(\d+)\.(.+)\.(weight|bias)', key
    ):
        number = int(match[1])
        kind = 'layers' if number < num_coarse else 'group_layers'
        return (
            f'features.transformer.{kind}.{number % num_coarse}.'
            f'{parts[match[2]]}.{match[3]}'
        )
    simple = {
        'backbone.human_token': 'features.human_token',
        'backbone.sparse_embed': 'features.keypoint_token',
        'backbone.part_embed': 'features.extra_token',
        'backbone.dense_embed': 'features.fine_keypoint_token',
    }
    if key in simple:
        return simple[key]
    stage = r'down_layer\1.' if with_skips else 'layer.'
    for pattern, name in (
        (r'^backbone\.stem\.stage(\d)\.', f'features.stem.{stage}'),
        (r'^backbone\.stem\.fuse(\d)\.', r'features.stem.up_layer\1.'),
        (r'^backbone\.stem\.', 'features.stem.'),
        (r'^backbone\.patch_embed\.norm\.', 'features.patch2emb_norm.'),
        (r'^backbone\.patch_embed\.proj\.', 'features.patch2emb_mlp.'),
        (r'^backbone\.group_mask\.', 'features.transformer.group_mask.'),
        (r'^head\.norm_([xy])\.', r'mlp_head_\1.0.'),
        (r'^head\.fc_([xy])\.', r'mlp_head_\1.1.'),
    ):
        renamed, count = re.subn(pattern, name, key)
        if count:
            return renamed
    raise ValueError(f'{key!r} is not a tensor of GTPT')
