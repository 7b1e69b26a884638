"""Let flip indices and metainfo follow a KeypointConverter in a pipeline.

Broken in mmpose (<= 1.3.2): the converter changes the keypoints of a sample,
but neither its flip indices, body parts and weights nor the metainfo of the
dataset. A model of 9 of COCO's 17 keypoints gets 17 flip indices, sigmas and
annotated points in the flip test, in the evaluation and in its checkpoint.

Here: all of these follow the mapping. The metainfo keeps the mapping and the
sigmas of the file, for the metric, under ``keypoint_converter``.

Can go: when mmpose converts flip indices and metainfo.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..replacement import replace_class

PARTS = ('upper_body_ids', 'lower_body_ids')


def missing() -> str:
    """Say what is missing."""
    return (
        'KeypointConverter leaves flip indices, sigmas and names as they were'
    )


def repair() -> None:
    """Convert samples and metainfo with the keypoints."""
    from mmpose.datasets import dataset_wrappers
    from mmpose.datasets.datasets.base import BaseCocoStyleDataset
    from mmpose.datasets.transforms import converting
    from mmpose.registry import TRANSFORMS

    replace_class(FollowedConverter, converting.KeypointConverter, TRANSFORMS)
    for kind, decorate in (
        (BaseCocoStyleDataset, _convert),
        (dataset_wrappers.CombinedDataset, _join),
    ):
        kind.metainfo = property(decorate(kind.metainfo.fget))


class FollowedConverter:
    """Mixin before ``KeypointConverter``: flip indices follow as well."""

    num_keypoints: int
    mapping: Sequence

    def transform(self, results: dict) -> dict:
        """Convert the keypoints of a sample and what depends on them."""
        number = np.shape(results['keypoints'])[1]
        new = _convert_sample(
            results, number, self.num_keypoints, self.mapping
        )
        results = dict(results)
        if results.get('flip_indices') is not None:  # stock writes in it
            results['flip_indices'] = list(results['flip_indices'])
        converted = super().transform(results)  # type: ignore[misc]
        return {**converted, **new}


def _convert(get: Callable) -> Callable:
    """Return the metainfo of the keypoints that a pipeline returns."""

    @functools.wraps(get)
    def metainfo(self: Any) -> dict:
        meta = get(self)
        # Detections are read with as many keypoints as the file has.
        if self._fully_initialized:
            for step in getattr(self.pipeline, 'transforms', ()):
                if isinstance(step, FollowedConverter):
                    meta = convert_metainfo(
                        meta, step.num_keypoints, step.mapping
                    )
        return meta

    return metainfo


def _join(get: Callable) -> Callable:
    """Return metainfo as given, and the mapping that all datasets share."""

    @functools.wraps(get)
    def metainfo(self: Any) -> dict:
        meta = get(self)
        found = [d.metainfo.get('keypoint_converter') for d in self.datasets]
        if found and found[0] and all(_same(found[0], f) for f in found):
            meta['keypoint_converter'] = found[0]
        return meta

    return metainfo


def _same(first: dict, other: dict | None) -> bool:
    keys = ('num_keypoints', 'mapping')
    return other is not None and all(first[k] == other[k] for k in keys)


def convert_flips(
    flip_indices: Sequence[int], num_keypoints: int, mapping: Sequence
) -> list[int]:
    """Return the flip indices of the targets of a mapping.

    A target whose mirror image is not in the mapping maps to itself.

    Example:
        >>> convert_flips([0, 2, 1], 3, [(1, 0), (2, 1)])
        [1, 0, 2]
    """
    targets = {_sources(source): target for source, target in mapping}
    flips = list(range(num_keypoints))
    for sources, target in targets.items():
        mirrored = frozenset(int(flip_indices[i]) for i in sources)
        flips[target] = targets.get(mirrored, target)
    return flips


def _sources(source: Any) -> frozenset[int]:
    """Return the source, or the pair of sources, of a target."""
    return frozenset(int(i) for i in np.atleast_1d(source))


def _convert_sample(
    results: dict, number: int, num_keypoints: int, mapping: Sequence
) -> dict:
    """Return what changes in a sample of ``number`` keypoints."""
    new: dict = {}
    flips = results.get('flip_indices')
    # A different length means that a wrapper has set its own.
    if flips is not None and len(flips) == number:
        new['flip_indices'] = convert_flips(flips, num_keypoints, mapping)
        if 'flip_pairs' in results:
            new['flip_pairs'] = _pairs(new['flip_indices'])
        for part in PARTS:
            if part in results:
                ids = set(results[part])
                new[part] = [t for s, t in mapping if _sources(s) <= ids]
    weights = results.get('dataset_keypoint_weights')
    if weights is not None and len(weights) == number:
        new['dataset_keypoint_weights'] = convert_numbers(
            weights, num_keypoints, mapping
        )
    return new


def _pairs(flip_indices: Sequence[int]) -> list[list[int]]:
    return [[i, j] for i, j in enumerate(flip_indices) if i < j]


def convert_numbers(
    numbers: Sequence[float], num_keypoints: int, mapping: Sequence
) -> np.ndarray:
    """Return a number for each target: 1, or the mean of its sources'."""
    values = np.asarray(numbers)
    new = np.ones(num_keypoints, values.dtype)
    for source, target in mapping:
        new[target] = values[sorted(_sources(source))].mean()
    return new


def convert_metainfo(
    metainfo: dict, num_keypoints: int, mapping: Sequence
) -> dict:
    """Return the parsed metainfo of the targets of a mapping.

    Args:
        metainfo: What mmpose's ``parse_pose_metainfo`` returned.
        num_keypoints: Number of targets; one that the mapping leaves out has
            no name and is never annotated.
        mapping: (source, target) of each keypoint; a pair of sources stands
            for the point between them.
    """
    old = metainfo['keypoint_id2name']
    names = {i: f'keypoint_{i}' for i in range(num_keypoints)}
    colors = np.zeros((num_keypoints, 3), np.uint8)
    target_of = {}
    for source, target in mapping:
        sources = sorted(_sources(source))
        names[target] = '+'.join(old[i] for i in sources)
        colors[target] = metainfo['keypoint_colors'][sources[0]]
        if len(sources) == 1:
            target_of[sources[0]] = target
    links = metainfo['skeleton_links']
    kept = [n for n, link in enumerate(links) if set(link) <= set(target_of)]
    number = metainfo['num_keypoints']
    new = metainfo | _convert_sample(metainfo, number, num_keypoints, mapping)
    for key in ('sigmas', 'dataset_keypoint_weights'):
        if len(metainfo[key]) == number:  # else the metric raises
            new[key] = convert_numbers(metainfo[key], num_keypoints, mapping)
    return new | dict(
        num_keypoints=num_keypoints,
        keypoint_id2name=names,
        keypoint_name2id={name: i for i, name in names.items()},
        keypoint_colors=colors,
        skeleton_links=[tuple(target_of[i] for i in links[n]) for n in kept],
        skeleton_link_colors=metainfo['skeleton_link_colors'][kept],
        num_skeleton_links=len(kept),
        keypoint_converter=dict(
            num_keypoints=num_keypoints,
            mapping=[
                (tuple(sorted(_sources(source))), target)
                for source, target in mapping
            ],
            source={key: metainfo[key] for key in ('sigmas', 'num_keypoints')},
        ),
    )
