"""Official Group Pose checkpoints: import and export."""

import re

import torch
from torch import Tensor

from gtpt_mm.models import GroupPoseHead

from .names import NameTable, check_present, count_layers, rename_tensors

_SWIN = 'backbone.0.layers.#.blocks.#'
_BLOCK = 'backbone.stages.#.blocks.#'
#: Native beside official names, ResNet or Swin.
GROUP_POSE_NAMES = NameTable((
    ('head.level_embed', 'transformer.level_embed'),
    ('head.selector.fc.*', 'transformer.enc_output.*'),
    ('head.selector.norm.*', 'transformer.enc_output_norm.*'),
    ('head.selector.fc_cls.*', 'transformer.enc_out_class_embed.*'),
    ('head.proposer.mlp.layers.#.*', 'transformer.enc_pose_embed.layers.#.*'),
    ('head.decoder.queries.keypoints.*', 'transformer.keypoint_embedding.*'),
    ('head.decoder.queries.instance.*', 'transformer.instance_embedding.*'),
    ('head.decoder.pos_mlp.layers.#.*',
     'transformer.decoder.half_pose_ref_point_head.layers.#.*'),
    ('head.decoder.fc_cls.#.*', 'class_embed.#.*'),
    ('head.decoder.pose_mlps.#.layers.#.*', 'pose_embed.#.layers.#.*'),
    *(
        (f'head.{part}.layers.#.{native}',
         f'transformer.{part}.layers.#.{official}')
        for part, attn in (('encoder', 'self_attn'), ('decoder', 'cross_attn'))
        for native, official in (
            ('norm.*', 'norm1.*'),
            ('ffn.linear#.*', 'linear#.*'),
            ('ffn.norm.*', 'norm2.*'),
            *((f'{attn}.{linear}.*',) * 2 for linear in (
                'sampling_offsets', 'attention_weights', 'value_proj',
                'output_proj',
            )),
        )
    ),
    *(
        (f'head.decoder.layers.#.self_attn.{kind}_{native}',
         f'transformer.decoder.layers.#.{kind}_{official}')
        for kind in ('within', 'across')
        for native, official in (
            ('attn.proj.*', 'attn.out_proj.*'),
            ('attn.qkv.*', 'attn.in_proj_*'),
            ('norm.*', 'norm.*'),
        )
    ),
    ('neck.extra_convs.0.conv.*', 'input_proj.3.0.*'),
    ('neck.extra_convs.0.gn.*', 'input_proj.3.1.*'),
    ('neck.convs.#.conv.*', 'input_proj.#.0.*'),
    ('neck.convs.#.gn.*', 'input_proj.#.1.*'),
    ('backbone.patch_embed.projection.*', 'backbone.0.patch_embed.proj.*'),
    ('backbone.patch_embed.norm.*', 'backbone.0.patch_embed.norm.*'),
    (f'{_BLOCK}.norm#.*', f'{_SWIN}.norm#.*'),
    (f'{_BLOCK}.attn.w_msa.**', f'{_SWIN}.attn.**'),
    (f'{_BLOCK}.ffn.layers.0.0.*', f'{_SWIN}.mlp.fc1.*'),
    (f'{_BLOCK}.ffn.layers.1.*', f'{_SWIN}.mlp.fc2.*'),
    ('backbone.stages.#.downsample.**', 'backbone.0.layers.#.downsample.**'),
    ('backbone.norm#.*', 'backbone.0.norm#.*'),
    ('backbone.**', 'backbone.0.body.**'),
))  # fmt: skip
#: Official files contain the heads twice; these are the copies.
COPY = re.compile(r'transformer\.decoder\.((?:class|pose)_embed\..+)')
#: Swin's channels of 2 x 2 pixels, whose order differs in mmpose.
DOWNSAMPLE = re.compile(r'backbone\.stages\.\d+\.downsample\..+')
COUNTER = 'num_batches_tracked'


def convert_group_pose(state_dict: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return the weights of an official checkpoint under native names.

    The backbone is ResNet or Swin. Counters of batches, which official frozen
    norms lack, are added as 0.

    Args:
        state_dict: The official state dict, the entry ``model`` of a file.

    Returns:
        A state dict for a ``BottomupPoseEstimator`` of ``ResNet`` or
        ``SwinTransformer``, ``ChannelMapper`` and ``GroupPoseHead``; without
        entries of a backbone or neck if there are none.

    Raises:
        ValueError: If a key is unknown, a tensor is missing, or the two
            copies of a head differ.
    """
    tensors = {}
    for key, value in state_dict.items():
        if match := COPY.fullmatch(key):
            original = state_dict.get(match[1])
            if original is None or not torch.equal(original, value):
                raise ValueError(
                    f'{key} is not a copy of {match[1]}: the file is damaged'
                )
        else:
            tensors[key] = value
    converted = rename_tensors(tensors, GROUP_POSE_NAMES.native, 'Group Pose')
    for key, value in list(converted.items()):
        if DOWNSAMPLE.fullmatch(key):  # (.., 4 C): pixels, then channels
            value = value.unflatten(-1, (4, -1))[..., [0, 2, 1, 3], :]
            converted[key] = value.transpose(-1, -2).flatten(-2)
        if key.endswith('.running_var'):
            counter = key.removesuffix('running_var') + COUNTER
            converted[counter] = torch.tensor(0)
    check_present(converted, _head_keys(converted))
    return converted


def export_group_pose(state_dict: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return native weights under official names, the heads twice.

    Args:
        state_dict: Weights of a native Group Pose, as trained with the
            options of the paper.

    Raises:
        ValueError: If a key has no counterpart, as in ablations.
    """
    tensors = {k: v for k, v in state_dict.items() if not k.endswith(COUNTER)}
    for key, value in tensors.items():
        if DOWNSAMPLE.fullmatch(key):
            value = value.unflatten(-1, (-1, 4)).transpose(-1, -2)
            tensors[key] = value[..., [0, 2, 1, 3], :].flatten(-2)
    out = rename_tensors(
        tensors, GROUP_POSE_NAMES.foreign, 'the official Group Pose'
    )
    copies = {f'transformer.decoder.{k}': v for k, v in out.items()}
    return out | {k: v for k, v in copies.items() if COPY.fullmatch(k)}


def _head_keys(converted: dict[str, Tensor]) -> set[str]:
    """Return the keys of the head that the tensors seem to belong to."""
    point = dict(name='any', id=0, color=[0, 0, 0], type='', swap='')
    metainfo = dict(
        dataset_name='any',
        keypoint_info={0: point},
        skeleton_info={},
        joint_weights=[1.0],
        sigmas=[0.1],
    )
    encoder, decoder = (
        dict(
            num_layers=max(1, count_layers(converted, f'head.{part}.layers.')),
            feedforward_dims=8,
        )
        for part in ('encoder', 'decoder')
    )
    with torch.random.fork_rng(devices=[]):  # only the names matter
        head = GroupPoseHead(
            metainfo, embed_dims=8, encoder=encoder, decoder=decoder
        )
    return {f'head.{key}' for key in head.state_dict()}
