"""Rules: sizes and codecs agree between the model and the pipelines."""

# (w, h) input_size, heatmap_size; (h, w) img_size

import math
from collections import Counter
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


#: Packages whose backbones, except GTPT, make feature maps.
KNOWN_PACKAGES = ('gtpt_mm', 'mmpose', 'mmdet', 'mmpretrain')
#: A threshold below this is meant for densities, whose peak was 0.1 or less.
LOW_THRESHOLD = 0.05


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
        if key == 'input_size':
            continue  # compared in all places at once
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
    """Tell whether the test resizes heatmaps to the input."""
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
        [key for key in CODEC_KEYS if _differ(view, codec, other, key)]
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


def _differ(view: View, one: Part, other: Part, key: str) -> bool:
    if key == 'heatmap_size' and _restores(view):
        return False
    return _as_value(one.cfg.get(key)) != _as_value(other.cfg.get(key))


def find_input_sizes(view: View) -> Iterator[Finding]:
    """Compare the sizes of the input in codecs, pipelines and backbone.

    The most frequent size is taken as correct.
    """
    for name, head in view.network.heads.items():
        sizes = list(_input_sizes(view, name, head))
        if not sizes:
            continue
        counts = Counter(size for _, size in sizes)
        right = max(counts, key=lambda size: counts[size])
        witness = next(place for place, size in sizes if size == right)
        for place, size in sizes:
            if size == right:
                continue
            convention = '(w, h)'
            if place.endswith('img_size'):
                size, convention = size[::-1], '(h, w)'
            elif witness.endswith('img_size'):
                convention += f' where {witness} is (h, w)'
            yield Finding(
                place,
                size,
                f'{witness} makes the input (w, h) = {right}',
                f'give all places the same size, here as {convention}',
            )


def _input_sizes(
    view: View, name: str, head: Part
) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Yield the places with an input size, and this size as (w, h)."""
    leaves = view.leaves_of(name)
    parts = [encoder for leaf in leaves for encoder in encoders(leaf)]
    parts += [decoder_of(head)]
    for leaf in leaves:
        parts += [step for step in leaf.steps if step.kind in RESIZES]
        if head.kind == 'AssociativeEmbeddingHead':  # others take any size
            parts += [s for s in leaf.steps if s.kind == 'BottomupResize']
    if 'input_size' in head.cfg:
        parts.append(head)
    for part in parts:
        size = as_size(part.get('input_size')) if part.cfg else None
        if size:
            yield f'{part.place}.input_size', size
    backbone = view.network.backbone
    img_size = as_size(backbone.get('img_size'))
    if img_size:
        yield f'{backbone.place}.img_size', img_size[::-1]


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


def find_split_ratio(view: View) -> Iterator[Finding]:
    """Compare the bins of a SimCC head with those of its codec."""
    for head in view.network.heads.values():
        decoder = decoder_of(head)
        given = head.cfg.get('simcc_split_ratio')
        right = decoder.get('simcc_split_ratio')
        if given is not None and decoder.cfg and given != right:
            yield Finding(
                f'{head.place}.simcc_split_ratio',
                given,
                f'{decoder.place}.simcc_split_ratio={right!r}',
                'give both the same',
            )


def find_score_thresholds(view: View) -> Iterator[Finding]:
    """Find a threshold of a metric that is meant for densities.

    The scores of GTPT's codec were densities once, as they are in the official
    code; now they are parts of the target's peak.
    """
    decoders = [decoder_of(head) for head in view.network.heads.values()]
    if {d.kind for d in decoders} != {'UnroundedSimCCLabel'}:
        return
    scale = decoders[0].get('sigma') * (2 * math.pi) ** 0.5
    for name in ('val_evaluator', 'test_evaluator'):
        for metric in find_metrics(name, view.cfg.get(name)):
            threshold = metric.cfg.get('keypoint_score_thr')
            if threshold and 0 < threshold < LOW_THRESHOLD:
                yield Finding(
                    f'{metric.place}.keypoint_score_thr',
                    threshold,
                    'the scores of UnroundedSimCCLabel are parts of the '
                    "target's peak, no longer densities",
                    f'for the same AP as before set {threshold * scale:.4g}',
                    'warning',
                )


def find_metrics(place: str, value: Any) -> Iterator[Part]:
    """Yield an evaluator and the metrics in it, also those by name."""
    if isinstance(value, dict):
        if 'type' in value:
            yield Part(place, value)
            value = dict(metrics=value.get('metrics'))
        for name, metric in value.items():
            yield from find_metrics(f'{place}.{name}', metric)
    elif isinstance(value, list | tuple):
        for i, metric in enumerate(value):
            yield from find_metrics(f'{place}.{i}', metric)


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
            _is_known(head)
            and _is_known(backbone)
            and _is_plain_gtpt(backbone)
        ):
            yield Finding(
                f'{head.place}.type',
                head.kind,
                f'the backbone is {backbone.kind}; GTPT makes tokens of '
                'keypoints, which GTPTHead alone reads',
                'use GTPT with GTPTHead',
            )


def _is_known(part: Part) -> bool:
    """Tell whether a class is not a user's own, which may do anything."""
    cls = find_class(part.cfg, part.place)
    return getattr(cls, '__module__', '').split('.')[0] in KNOWN_PACKAGES


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
