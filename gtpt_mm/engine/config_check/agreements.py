"""Sizes and codecs that must be the same in the model and the pipelines."""

# (w, h) input_size, heatmap_size; (h, w) img_size

from collections.abc import Iterator
from typing import Any

from .finding import MISSING, Finding
from .registered import find_class, is_codec
from .signatures import read_arguments
from .view import RESIZES, Part, View, as_size, decoder_of, encoders

#: Arguments of a codec that change what a heatmap or a bin means.
CODEC_KEYS = (
    'type', 'input_size', 'heatmap_size', 'simcc_split_ratio', 'heatmap_type',
)  # fmt: skip
#: Arguments that only shape the targets; a difference is suspicious.
TARGET_KEYS = ('sigma', 'smoothing_type', 'normalize', 'use_dark')
#: Argument of the codec that a head reads, by the class of the head.
HEAD_READS = {
    'GTPTHead': 'simcc_split_ratio',
    'SimCCHead': 'simcc_split_ratio',
    'RTMCCHead': 'simcc_split_ratio',
    'HeatmapHead': 'heatmap_size',
    'PixelShuffleHead': 'heatmap_size',
    'FrozenPredictorHead': 'heatmap_size',
}


def find_codec_differences(view: View) -> Iterator[Finding]:
    """Compare the codec of a head with those of its pipelines."""
    for name, head in view.network.heads.items():
        decoder = decoder_of(head)
        if not decoder.cfg.get('type'):
            continue
        for leaf in view.leaves_of(name):
            codecs = encoders(leaf)
            differing = [
                list(_compare(view, decoder, codec)) for codec in codecs
            ]
            if differing:
                yield from min(differing, key=len)


def _compare(view: View, decoder: Part, encoder: Part) -> Iterator[Finding]:
    """Compare two codecs; the finding is placed in the head."""
    if not encoder.cfg.get('type'):
        return
    for key in (*CODEC_KEYS, *TARGET_KEYS):
        ours, theirs = (
            part.kind if key == 'type' else _as_value(part.get(key))
            for part in (decoder, encoder)
        )
        if ours == theirs or (key == 'heatmap_size' and _restores(view)):
            continue
        if key in TARGET_KEYS and (
            key not in decoder.cfg or key not in encoder.cfg
        ):
            continue
        yield Finding(
            f'{decoder.place}.{key}',
            ours,
            f'the pipeline makes its targets with {encoder.place}.{key}='
            f'{theirs!r}',
            'give both the same codec',
            'error' if key in CODEC_KEYS else 'warning',
        )
        if key == 'type':
            return


def _as_value(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _restores(view: View) -> bool:
    """Tell whether the test reads heatmaps as large as the input."""
    options = view.network.model.child('test_cfg').cfg
    return bool(options.get('restore_heatmap_size'))


def find_unused_codec(view: View) -> Iterator[Finding]:
    """Find a ``codec`` that is changed where nothing reads it any more.

    A base is evaluated before its child: head and pipelines keep the codec
    that they were given there.
    """
    codec = view.part('codec')
    used = [decoder_of(head) for head in view.network.heads.values()]
    used += [encoder for leaf in view.leaves for encoder in encoders(leaf)]
    used = [other for other in used if other.cfg]
    if not used or not is_codec(codec.cfg, codec.place):
        return
    differing = [
        [key for key in CODEC_KEYS if _differ(codec, other, key)]
        for other in used
    ]
    keys = min(differing, key=len)
    if keys:
        other = used[differing.index(keys)]
        yield Finding(
            f'codec.{keys[0]}',
            codec.cfg.get(keys[0], MISSING),
            f'nothing uses this codec; {other.place}.{keys[0]}='
            f'{other.cfg.get(keys[0])!r}',
            'change the head and the pipelines: they were given the codec of '
            'the base',
            'warning',
        )


def _differ(one: Part, other: Part, key: str) -> bool:
    return _as_value(one.cfg.get(key)) != _as_value(other.cfg.get(key))


def find_resize_differences(view: View) -> Iterator[Finding]:
    """Compare the size that images get with the size of the codec."""
    for name, head in view.network.heads.items():
        decoder = decoder_of(head)
        for leaf in view.leaves_of(name):
            codecs = encoders(leaf) or ([decoder] if decoder.cfg else [])
            sizes = [as_size(codec.get('input_size')) for codec in codecs]
            if not sizes or None in sizes:
                continue
            for step in leaf.steps:
                size = as_size(step.cfg.get('input_size'))
                if step.kind in RESIZES and size and size not in sizes:
                    yield Finding(
                        f'{step.place}.input_size',
                        size,
                        f'{codecs[0].place}.input_size={sizes[0]}',
                        'give both the same size (w, h)',
                    )


def find_udp_differences(view: View) -> Iterator[Finding]:
    """Compare the convention of pixels of the codec with the affine's."""
    for name, head in view.network.heads.items():
        decoder = decoder_of(head)
        if decoder.kind not in ('UDPHeatmap', 'MSRAHeatmap'):
            continue
        is_udp = decoder.kind == 'UDPHeatmap'
        for leaf in view.leaves_of(name):
            for step in leaf.steps:
                use_udp = bool(step.cfg.get('use_udp', False))
                if step.kind == 'TopdownAffine' and use_udp != is_udp:
                    yield Finding(
                        f'{step.place}.use_udp',
                        use_udp,
                        f'the codec of the head is a {decoder.kind}: keypoints'
                        ' are shifted by a part of a pixel',
                        f'set use_udp={is_udp}',
                        'warning',
                    )


def find_image_size(view: View) -> Iterator[Finding]:
    """Compare ``img_size`` of the backbone with the codec's input."""
    backbone = view.network.backbone
    img_size = as_size(backbone.get('img_size'))
    if not img_size:
        return
    for place, size in _input_sizes(view):
        if size == img_size[::-1]:
            continue
        swapped = ' and not (w, h)' if size == img_size else ''
        yield Finding(
            f'{backbone.place}.img_size',
            img_size,
            f'{place}={size} (w, h) gives images of (h, w) = {size[::-1]}',
            f'set img_size={size[::-1]}; it is (h, w){swapped}',
        )
        return


def _input_sizes(view: View) -> Iterator[tuple[str, tuple]]:
    """Yield the places and sizes of all inputs of the network."""
    for head in view.network.heads.values():
        decoder = decoder_of(head)
        size = as_size(decoder.get('input_size')) if decoder.cfg else None
        if size:
            yield f'{decoder.place}.input_size', size
    for leaf in view.leaves:
        for step in leaf.steps:
            size = as_size(step.cfg.get('input_size'))
            if step.kind == 'TopdownAffine' and size:
                yield f'{step.place}.input_size', size


def find_head_sizes(view: View) -> Iterator[Finding]:
    """Compare sizes that a SimCC head has beside its codec."""
    for head in view.network.heads.values():
        decoder = decoder_of(head)
        for key in ('input_size', 'simcc_split_ratio'):
            if key not in head.cfg or not decoder.cfg:
                continue
            given, right = (
                _as_value(head.cfg[key]),
                _as_value(decoder.get(key)),
            )
            if given != right:
                yield Finding(
                    f'{head.place}.{key}',
                    given,
                    f'{decoder.place}.{key}={right!r}',
                    'give both the same',
                )


def find_unfit_codec(view: View) -> Iterator[Finding]:
    """Find heads with a codec of another kind, and backbones of another."""
    for head in view.network.heads.values():
        decoder = decoder_of(head)
        cls = find_class(decoder.cfg, decoder.place)
        key = HEAD_READS.get(head.kind)
        if cls is None or key is None:
            continue
        if key not in read_arguments(cls).names:
            yield Finding(
                f'{decoder.place}.type',
                decoder.kind,
                f'{head.kind} needs a codec with {key}',
                'choose a codec that has it, in the pipelines as well',
            )
    backbone = view.network.backbone
    for head in view.network.heads.values():
        if (backbone.kind == 'GTPT') != (head.kind == 'GTPTHead') and (
            head.kind and backbone.kind and _is_plain_gtpt(backbone)
        ):
            yield Finding(
                f'{head.place}.type',
                head.kind,
                f'the backbone is {backbone.kind}; GTPT makes tokens of '
                'keypoints, which GTPTHead alone reads',
                'use GTPT with GTPTHead',
            )


def _is_plain_gtpt(backbone: Part) -> bool:
    """Tell whether a backbone is not one of the variants of GTPT."""
    cls = find_class(backbone.cfg, backbone.place)
    names = {base.__name__ for base in getattr(cls, '__mro__', ())}
    return backbone.kind == 'GTPT' or 'GTPT' not in names


def find_missing_model(view: View) -> Iterator[Finding]:
    """Find a config without a model."""
    if not view.part('model').cfg:
        yield Finding(
            'model',
            view.cfg.get('model', MISSING),
            'there is no model',
            "give one: model=dict(type='TopdownPoseEstimator', ...)",
        )
