"""Rules: channels and strides of backbone, neck and head agree."""

# C channels; (w, h) sizes

import math
from collections.abc import Iterator
from typing import Any

from .finding import Finding
from .registered import find_class
from .view import Part, View, as_size, decoder_of, encoders

#: Torchvision's residual networks: maps double in channels from stage 1 on.
RESNETS = ('ResNet', 'ResNetV1d', 'SEResNet', 'ResNeXt')
SWINS = ('SwinTransformer', 'OfficialSwin')


def find_channels(view: View) -> Iterator[Finding]:
    """Compare the channels of backbone, neck and heads."""
    network = view.network
    channels = channels_of(network.backbone)
    if channels is None:
        return
    neck, maker = network.neck, network.backbone.place
    if neck.kind == 'ChannelMapper':
        given = neck.cfg.get('in_channels')
        if isinstance(given, list | tuple) and list(given) != channels:
            yield Finding(
                f'{neck.place}.in_channels',
                given,
                f'{maker} makes maps of {channels} channels',
                f'set it to {channels}',
            )
        return
    if neck.cfg and not _keeps_channels(neck):
        return
    for head in network.heads.values():
        given = head.cfg.get('in_channels')
        if isinstance(given, int) and given != channels[-1]:
            yield Finding(
                f'{head.place}.in_channels',
                given,
                f'{maker} ({_describe(network.backbone)}) has {channels[-1]} '
                'channels',
                f'set it to {channels[-1]}',
            )


def _keeps_channels(neck: Part) -> bool:
    if neck.kind == 'FeatureMapProcessor':
        return not neck.cfg.get('concat') and 'select_index' not in neck.cfg
    return neck.kind == 'GlobalAveragePooling'


def find_group_pose_levels(view: View) -> Iterator[Finding]:
    """Compare the maps of the neck with those that Group Pose reads."""
    neck, head = view.network.neck, view.part('model').child('head')
    if neck.kind != 'ChannelMapper' or head.kind != 'GroupPoseHead':
        return
    num_outs = neck.cfg.get('num_outs', len(neck.cfg.get('in_channels', ())))
    pairs = (
        ('embed_dims', 'out_channels', neck.get('out_channels')),
        ('num_levels', 'num_outs', num_outs),
    )
    for key, name, right in pairs:
        if head.get(key) != right:
            yield Finding(
                f'{head.place}.{key}',
                head.get(key),
                f'{neck.place}.{name}={right}',
                'give both the same',
            )


def find_mae_sizes(view: View) -> Iterator[Finding]:
    """Compare the patches and channels of a masked autoencoder."""
    network = view.network
    backbone, neck = network.backbone, network.neck
    head = network.model.child('head')
    if neck.kind != 'MAEPretrainDecoder':
        return
    patch, size = backbone.get('patch_size'), as_size(backbone.get('img_size'))
    dims = channels_of(backbone)
    if patch is None:
        return  # another project's backbone
    rights = [(part, 'patch_size', patch) for part in (neck, head)]
    if size is not None:
        num = math.prod(length // patch for length in size)
        rights.append((neck, 'num_patches', num))
    if dims is not None:
        rights.append((neck, 'embed_dim', dims[-1]))
    for part, key, right in rights:
        if part.get(key) != right:
            yield Finding(
                f'{part.place}.{key}',
                part.get(key),
                f'{backbone.place} ({_describe(backbone)}) needs {right}',
                f'set it to {right}',
            )
    for step in (step for leaf in view.leaves for step in leaf.steps):
        scale = as_size(step.cfg.get('scale'))
        if step.kind == 'RandomResizedCrop' and size not in (None, scale):
            yield Finding(
                f'{step.place}.scale',
                scale,
                f'{backbone.place}.img_size={size}',
                'give both the same size',
            )


def _describe(backbone: Part) -> str:
    for key in ('arch', 'depth'):
        if key in backbone.cfg:
            return f'{backbone.kind}, {key}={backbone.cfg[key]!r}'
    return backbone.kind


def channels_of(backbone: Part) -> list[int] | None:
    """Return the channels of each map of a backbone; None if not known."""
    cls = find_class(backbone.cfg, backbone.place)
    arch = backbone.get('arch')
    # mmpretrain's transformers have a zoo.
    settings = getattr(cls, 'arch_zoo', None) or getattr(
        cls, 'arch_settings', None
    )
    if isinstance(arch, str) and isinstance(settings, dict):
        chosen = settings.get(arch)
    else:
        chosen = arch
    if isinstance(chosen, dict) and 'embed_dims' in chosen:
        return _choose(chosen['embed_dims'], backbone)
    if backbone.kind in RESNETS:
        expansion = 4 if backbone.get('depth') >= 50 else 1
        expansion = backbone.get('expansion') or expansion
        first = backbone.get('base_channels') * expansion
        return _choose([first * 2**i for i in range(4)], backbone)
    if backbone.kind in SWINS:
        first = backbone.get('embed_dims')
        return _choose([first * 2**i for i in range(4)], backbone)
    return _channels_of_others(backbone)


def _channels_of_others(backbone: Part) -> list[int] | None:
    if backbone.kind in ('HRNet', 'HRFormer'):
        stage = backbone.child('extra', 'stage4').cfg
        channels = list(stage['num_channels'])
        many = stage.get('multiscale_output', False)
        return channels if many else channels[:1]
    if backbone.kind == 'CSPNeXt' and tuple(backbone.get('out_indices')) == (
        4,
    ):
        return [int(1024 * backbone.get('widen_factor'))]
    return None


def _choose(dims: Any, backbone: Part) -> list[int]:
    if isinstance(dims, int):
        return [dims]
    indices = backbone.get('out_indices') or (-1,)
    return [dims[i] for i in indices]


# ----------------------------------------------------------------- strides


def find_heatmap_sizes(view: View) -> Iterator[Finding]:
    """Compare the heatmap size of a head with that of its codec."""
    network = view.network
    stride = stride_of(network.backbone)
    scale = 1
    if network.neck.kind == 'FeatureMapProcessor':
        scale = network.neck.cfg.get('scale_factor', 1)
    elif network.neck.cfg:
        return
    if stride is None:
        return
    for name, head in network.heads.items():
        factor = _upscale(head)
        if factor is None:
            continue
        codecs = [decoder_of(head)]
        options = network.model.child('test_cfg').cfg
        if options.get('restore_heatmap_size') or not codecs[0].cfg:
            leaves = view.leaves_of(name)
            codecs = [codec for leaf in leaves for codec in encoders(leaf)]
        for codec in codecs[:1]:
            size = as_size(codec.get('input_size'))
            given = as_size(codec.get('heatmap_size'))
            if not size or not given:
                continue
            made = tuple(
                round(math.ceil(s / stride) * scale * factor) for s in size
            )
            if made != given:
                yield Finding(
                    f'{codec.place}.heatmap_size',
                    given,
                    f'{head.place} makes heatmaps of {made} (w, h) from '
                    f'images of {size}',
                    f'set it to {made}',
                )


def find_feature_sizes(view: View) -> Iterator[Finding]:
    """Compare ``in_featuremap_size`` of a SimCC head with the backbone."""
    stride = stride_of(view.network.backbone)
    for head in view.network.heads.values():
        given = as_size(head.cfg.get('in_featuremap_size'))
        size = as_size(decoder_of(head).get('input_size'))
        if not given or not size or stride is None:
            continue
        made = tuple(math.ceil(s / stride) for s in size)
        if given != made:
            yield Finding(
                f'{head.place}.in_featuremap_size',
                given,
                f'the backbone makes maps of {made} (w, h) from images of '
                f'{size}',
                f'set it to {made}',
            )


def stride_of(backbone: Part) -> int | None:
    """Return the pixels of a cell of the last map; None if not known."""
    if backbone.kind == 'ViTPose':
        return backbone.get('patch_stride')
    if backbone.kind in ('HEViTPose', 'EfficientViT'):
        return _stride_of_pyramid(backbone)
    if backbone.kind in RESNETS and backbone.get('out_indices') == (3,):
        return 32
    if backbone.kind in ('HRNet', 'HRFormer'):
        return 4
    if backbone.kind == 'CSPNeXt':
        return 32
    return None


def _stride_of_pyramid(backbone: Part) -> int | None:
    patch_embed = backbone.child('patch_embed').cfg
    if tuple(backbone.get('out_indices')) != (-1,):
        return None
    first = math.prod(patch_embed.get('strides', (4,)))
    if patch_embed.get('with_upsample'):
        first //= 2
    cls, arch = find_class(backbone.cfg, backbone.place), backbone.get('arch')
    if isinstance(arch, str):
        arch = getattr(cls, 'arch_settings', {})[arch]
    return first * 2 ** (len(arch['depths']) - 1)


def _upscale(head: Part) -> int | None:
    """Return how many times a head enlarges its map; None if not known."""
    if head.kind == 'PixelShuffleHead':
        return head.get('upscale_factor')
    if head.kind not in (
        'HeatmapHead', 'FrozenPredictorHead', 'AssociativeEmbeddingHead'
    ):  # fmt: skip
        return None
    return 2 ** len(head.get('deconv_out_channels') or ())
