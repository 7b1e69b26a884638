"""Fit any checkpoint to the model that a training starts with."""

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from gtpt_mm.datasets.keypoint_names import match_names

from .checkpoint_keypoints import (
    Keypoints,
    find_groups,
    find_names,
    read_names,
)
from .files import find_weights
from .multi_dataset import split_state_dict
from .skeletons import (
    Transferred,
    count_keypoints,
    list_names,
    list_rows,
    transfer,
)
from .sources import convert_to_native
from .vitpose import find_datasets

KEPT = (
    'no name of a keypoint is one of the model, which has as many: the rows '
    'are kept in their order'
)


def fit_checkpoint(
    content: Mapping[str, Any],
    model: nn.Module,
    metainfo: Mapping,
    source: str | Sequence[str] | None = None,
    dataset: str | None = None,
    new: str = 'random',
    file: str = '',
) -> tuple[dict[str, Tensor], str]:
    """Fit the weights of a checkpoint to a model and its skeleton.

    Names of other projects become native ones if the model has those. For a
    plain ViTPose, one dataset of a ViTPose++ is chosen. Rows of keypoints are
    arranged by name, see :func:`transfer`.

    Args:
        content: Content of the file.
        model: Pose estimator, initialised; not changed.
        metainfo: Its parsed metainfo.
        source: Keypoints of the checkpoint, see :func:`read_names`; None
            finds them, see :func:`find_names`.
        dataset: Head and experts of a ViTPose++ to start from; None takes
            those with most of the model's keypoints.
        new: See :func:`transfer`.
        file: Name of the file.

    Returns:
        The weights, and a description of the changes; '' if there are none.

    Raises:
        ValueError: If the names of the checkpoint are unknown and its head
            does not fit, or a name is wrong.
    """
    own = model.state_dict()
    weights = _rename(find_weights(dict(content)), own)
    meta, words = content.get('meta'), []
    heads = find_datasets(weights)
    if heads and find_datasets(own):
        return weights, ''
    if heads:
        dataset = dataset or _choose_dataset(weights, meta, metainfo)
        weights = split_state_dict(weights, dataset)
        words.append(f'head and experts of {dataset} of {", ".join(heads)}')
    elif dataset is not None:
        raise ValueError(
            f'dataset={dataset!r} is for a ViTPose++; the checkpoint has one '
            'head'
        )
    if not list_rows(weights):
        return weights, ''
    if source is not None:
        found: Keypoints | None = Keypoints(read_names(source), 'the config')
    else:
        # After the split the head has the name of a plain model's.
        found = find_names(weights, meta, file, dataset)
    if found is None and not _fits(weights, own):
        raise ValueError(
            f'the checkpoint has {count_keypoints(weights)} keypoints without '
            f'names, the model {len(list_names(metainfo))}: give the skeleton '
            "of the checkpoint, default_hooks=dict(keypoints=dict(source='"
            "coco')), by the name of one of mmpose, the file of a metainfo, "
            'or a list of names'
        )
    if found is not None and found.names != list_names(metainfo):
        groups = find_groups(meta, len(found.names))
        moved = transfer(weights, found.names, model, metainfo, new, groups)
        is_other = all(row.how == 'new' for row in moved.rows)
        if is_other and _fits(weights, own):
            words.append(f'{KEPT} (names of {found.where})')
        else:
            weights = moved.state_dict
            words.append(_describe(moved, found))
    return weights, '; '.join(words)


def _rename(
    weights: dict[str, Tensor], own: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    """Return weights under native names if the model has those."""
    weights = {k.removeprefix('module.'): v for k, v in weights.items()}
    if weights.keys() & own.keys():
        return weights
    return convert_to_native(weights)


def _choose_dataset(
    weights: Mapping[str, Tensor], meta: Mapping | None, metainfo: Mapping
) -> str:
    """Return the dataset of a ViTPose++ with the most common keypoints."""
    targets = list_names(metainfo)

    def count(name: str) -> int:
        found = find_names(weights, meta, dataset=name)
        names = found.names if found else []
        matches = match_names(names, targets).values()
        return sum(match is not None for match in matches)

    return max(find_datasets(dict(weights)), key=count)


def _fits(weights: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> bool:
    """Return whether the rows of keypoints have the shapes of the model."""
    return all(
        own[key].shape == weights[key].shape
        for key in list_rows(weights)
        if key in own
    )


def _describe(moved: Transferred, found: Keypoints) -> str:
    counts = {
        how: sum(row.how == how for row in moved.rows)
        for how in ('copied', 'averaged', 'new')
    }
    numbers = ', '.join(f'{n} {how}' for how, n in counts.items() if n)
    return (
        f'rows of {len(moved.rows)} keypoints by name, {numbers} (names of '
        f'{found.where}):\n{moved}'
    )
