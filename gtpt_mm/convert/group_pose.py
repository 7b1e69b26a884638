"""The authors' Group Pose checkpoints, to and from ours."""

import re
from collections.abc import Iterable

import torch
from mmpose.models.backbones.utils.ckpt_convert import swin_converter
from torch import Tensor

from gtpt_mm.models import GroupPoseHead

#: What stands in braces in ``NAMES``.
FIELDS = dict(
    i=r'\d+',
    j=r'\d+',
    c='[012]',
    leaf='weight|bias',
    kind='within|across',
    linear='linear[12]',
    attn='sampling_offsets|attention_weights|value_proj|output_proj',
    rest='.+',
)
#: (authors' name, our name); used in both directions, the first match counts.
NAMES = (
    ('transformer.level_embed', 'head.level_embed'),
    ('transformer.enc_output.{leaf}', 'head.selector.fc.{leaf}'),
    ('transformer.enc_output_norm.{leaf}', 'head.selector.norm.{leaf}'),
    ('transformer.enc_out_class_embed.{leaf}', 'head.selector.fc_cls.{leaf}'),
    (
        'transformer.enc_pose_embed.layers.{i}.{leaf}',
        'head.proposer.mlp.layers.{i}.{leaf}',
    ),
    (
        'transformer.keypoint_embedding.weight',
        'head.decoder.queries.keypoints.weight',
    ),
    (
        'transformer.instance_embedding.weight',
        'head.decoder.queries.instance.weight',
    ),
    (
        'transformer.decoder.half_pose_ref_point_head.layers.{i}.{leaf}',
        'head.decoder.pos_mlp.layers.{i}.{leaf}',
    ),
    ('class_embed.{i}.{leaf}', 'head.decoder.fc_cls.{i}.{leaf}'),
    (
        'pose_embed.{i}.layers.{j}.{leaf}',
        'head.decoder.pose_mlps.{i}.layers.{j}.{leaf}',
    ),
    *(
        (f'transformer.{part}.layers.{{i}}.{theirs}',
         f'head.{part}.layers.{{i}}.{ours}')
        for part, attn in (
            ('encoder', 'self_attn'),
            ('decoder', 'cross_attn'),
        )
        for theirs, ours in (
            (f'{attn}.{{attn}}.{{leaf}}', f'{attn}.{{attn}}.{{leaf}}'),
            ('norm1.{leaf}', 'norm.{leaf}'),
            ('{linear}.{leaf}', 'ffn.{linear}.{leaf}'),
            ('norm2.{leaf}', 'ffn.norm.{leaf}'),
        )
    ),
    *(
        (f'transformer.decoder.layers.{{i}}.{{kind}}_{theirs}.{{leaf}}',
         f'head.decoder.layers.{{i}}.self_attn.{{kind}}_{ours}.{{leaf}}')
        for theirs, ours in (
            ('attn.out_proj', 'attn.proj'),
            ('norm', 'norm'),
        )
    ),
    (
        'transformer.decoder.layers.{i}.{kind}_attn.in_proj_{leaf}',
        'head.decoder.layers.{i}.self_attn.{kind}_attn.qkv.{leaf}',
    ),
    ('input_proj.{c}.0.{leaf}', 'neck.convs.{c}.conv.{leaf}'),
    ('input_proj.{c}.1.{leaf}', 'neck.convs.{c}.gn.{leaf}'),
    ('input_proj.3.0.{leaf}', 'neck.extra_convs.0.conv.{leaf}'),
    ('input_proj.3.1.{leaf}', 'neck.extra_convs.0.gn.{leaf}'),
    ('backbone.0.body.{rest}', 'backbone.{rest}'),
)  # fmt: skip
#: The authors save the heads twice; these are the copies.
COPY = re.compile(r'transformer\.decoder\.((?:class|pose)_embed\..+)')
SWIN = 'backbone.0.'
COUNTER = 'num_batches_tracked'


def convert_group_pose(state_dict: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return the weights of an authors' checkpoint under our names.

    Of ResNet or Swin. Counters of batches, which their frozen norms lack and
    ours have, are added as 0.

    Args:
        state_dict: The authors' state dict, their entry ``model``.

    Returns:
        A state dict for a ``BottomupPoseEstimator`` of ``ResNet`` or
        ``SwinTransformer``, ``ChannelMapper`` and ``GroupPoseHead``; without
        entries of a backbone or neck if there are none.

    Raises:
        ValueError: If a key is unknown, a tensor is missing, or the two
            copies of a head differ.
    """
    converted, swin, unknown = {}, {}, []
    for key, value in state_dict.items():
        if match := COPY.fullmatch(key):
            original = state_dict.get(match[1])
            if original is None or not torch.equal(original, value):
                raise ValueError(
                    f'{key} is not a copy of {match[1]}: the file is damaged'
                )
        elif new := our_group_pose_name(key):
            converted[new] = value
        elif key.startswith(SWIN):
            swin[key.removeprefix(SWIN)] = value
        else:
            unknown.append(key)
    if unknown:
        raise ValueError(
            f'{len(unknown)} keys are not of Group Pose: {", ".join(unknown)}'
        )
    converted |= swin_converter(swin)
    for key in list(converted):
        if key.endswith('.running_var'):
            counter = key.removesuffix('running_var') + COUNTER
            converted[counter] = torch.tensor(0)
    missing = _head_keys(converted) - set(converted)
    if missing:
        raise ValueError(
            f'the checkpoint lacks {len(missing)} tensors of ours, for '
            f'example {sorted(missing)[:5]}; the file is not complete'
        )
    return converted


def revert_group_pose(state_dict: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return our weights under the authors' names, with their copies.

    Args:
        state_dict: Weights of our Group Pose, as trained with the options of
            the paper.

    Raises:
        ValueError: If a key has no counterpart, as of ablations.
    """
    with_swin = 'backbone.patch_embed.projection.weight' in state_dict
    reverted, unknown = {}, []
    for key, value in state_dict.items():
        if key.endswith(COUNTER):
            continue
        if with_swin and key.startswith('backbone.'):
            name, value = _revert_swin(key.removeprefix('backbone.'), value)
            reverted[SWIN + name] = value
            continue
        name = _rename(key, (pair[::-1] for pair in NAMES))
        if name is None:
            unknown.append(key)
            continue
        reverted[name] = value
        copy = f'transformer.decoder.{name}'
        if COPY.fullmatch(copy):
            reverted[copy] = value
    if unknown:
        raise ValueError(
            f"{len(unknown)} keys are not of the authors' Group Pose: "
            f'{", ".join(unknown)}'
        )
    return reverted


def is_authors_group_pose(state_dict: dict[str, Tensor]) -> bool:
    """Return whether a state dict names its tensors as the authors do."""
    return 'transformer.instance_embedding.weight' in state_dict


def is_our_group_pose(state_dict: dict[str, Tensor]) -> bool:
    """Return whether a state dict is of an estimator with our head."""
    return 'head.selector.fc_cls.weight' in state_dict


def our_group_pose_name(name: str) -> str | None:
    """Return our name of an authors' tensor, None if there is none.

    Of a Swin's tensors there is none: ``swin_converter`` also reorders them.
    """
    return _rename(name, NAMES)


def _rename(name: str, pairs: Iterable[tuple[str, str]]) -> str | None:
    for old, new in pairs:
        pattern = re.escape(old)
        for field, values in FIELDS.items():
            pattern = pattern.replace(
                re.escape(f'{{{field}}}'), f'(?P<{field}>{values})'
            )
        if match := re.fullmatch(pattern, name):
            return new.format(**match.groupdict())
    return None


def _head_keys(converted: dict[str, Tensor]) -> set[str]:
    """Return the keys of the head that the tensors seem to be of."""

    def count(part: str) -> int:
        pattern = re.compile(rf'head\.{part}\.layers\.(\d+)\.')
        numbers = [int(m[1]) for key in converted if (m := pattern.match(key))]
        return max(numbers, default=0) + 1

    point = dict(name='any', id=0, color=[0, 0, 0], type='', swap='')
    metainfo = dict(
        dataset_name='any',
        keypoint_info={0: point},
        skeleton_info={},
        joint_weights=[1.0],
        sigmas=[0.1],
    )
    with torch.random.fork_rng(devices=[]):  # only its names matter
        head = GroupPoseHead(
            metainfo,
            embed_dims=8,
            encoder=dict(num_layers=count('encoder'), feedforward_dims=8),
            decoder=dict(num_layers=count('decoder'), feedforward_dims=8),
        )
    return {f'head.{key}' for key in head.state_dict()}


def _revert_swin(name: str, value: Tensor) -> tuple[str, Tensor]:
    """Undo mmpose's ``swin_converter`` for one tensor."""
    if 'downsample.' in name:  # (.., 4 C): channels of 4 pixels, interleaved
        last = value.shape[-1]
        value = value.unflatten(-1, (last // 4, 4)).transpose(-1, -2)
        value = value[..., [0, 2, 1, 3], :].flatten(-2)
    for theirs, ours in (
        ('layers.', 'stages.'),
        ('attn.', 'attn.w_msa.'),
        ('mlp.fc1.', 'ffn.layers.0.0.'),
        ('mlp.fc2.', 'ffn.layers.1.'),
        ('patch_embed.proj.', 'patch_embed.projection.'),
    ):
        name = name.replace(ours, theirs, 1)
    return name, value
