"""Name the samples of a batch in messages, and check their labels.

A batch of mmpose is a dict with ``data_samples`` made by ``PackPoseInputs``.
Other batches are neither named nor checked.
"""

# N instances, K keypoints

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from mmengine.structures import BaseDataElement
from torch import Tensor

#: Weights that a loss counts, (N, K) in each sample; the first that exists.
VISIBILITY = (
    ('gt_instance_labels', 'keypoint_weights'),
    ('gt_instance_labels', 'keypoints_visible'),
    ('gt_instances', 'keypoints_visible'),
)


def has_keypoint(batch: Any) -> bool:
    """Whether a batch has a visible keypoint; true if unknown."""
    samples = _find_samples(batch)
    for sample in samples:
        for part, field in VISIBILITY:
            values = getattr(sample, part, {}).get(field)
            if values is not None:
                break
        else:
            return True
        if (values > 0).any():
            return True
    return not samples


def describe_samples(batch: Any) -> str:
    """Name the samples of a batch by file and annotation id.

    Samples with labels, boxes or keypoints that are not finite come first; in
    images with several people, only these are listed.
    """
    samples = _find_samples(batch)
    if not samples:
        return 'The samples of the batch have no names.'
    spoilt, others = [], []
    for i, sample in enumerate(samples):
        if rows := _rows_not_finite(sample):
            spoilt.append(_name(sample, i, rows))
        else:
            others.append(_name(sample, i))
    words = f'Samples of the batch: {"; ".join(others)}.'
    if spoilt:
        words = f'Not finite in its labels: {"; ".join(spoilt)}.'
        if others:
            words += f' Others of the batch: {"; ".join(others)}.'
    return words


def _find_samples(batch: Any) -> Sequence[BaseDataElement]:
    samples = batch.get('data_samples') if isinstance(batch, dict) else None
    return samples or []


def _name(
    sample: BaseDataElement, index: int, rows: Sequence[int] | None = None
) -> str:
    """Return file and annotation id, as far as they were packed."""
    meta = sample.metainfo
    words = []
    if 'dataset_name' in meta:
        words.append(str(meta['dataset_name']))
    if 'img_path' in meta:
        words.append(str(meta['img_path']))
    elif 'img_id' in meta:
        words.append(f'image {meta["img_id"]}')
    ids = meta.get('id')
    if ids is not None:
        if not isinstance(ids, int | str):
            ids = list(ids)
            if rows and max(rows) < len(ids):
                ids = [ids[row] for row in rows]
            ids = ', '.join(map(str, ids)) or 'of nobody'
        words.append(f'id {ids}')
    return ' '.join(words) or f'number {index} of the batch'


def _rows_not_finite(sample: BaseDataElement) -> list[int]:
    """Return the instances with a value that is NaN or infinite."""
    rows = set()
    for values in _iterate_values(sample):
        for row in range(len(values)):
            if not values[row].isfinite().all():
                rows.add(row)
    return sorted(rows)


def _iterate_values(sample: BaseDataElement) -> Iterator[Tensor]:
    """Yield labels and annotations; instances are the first axis."""
    for part in ('gt_instances', 'gt_instance_labels'):
        for _, values in getattr(sample, part, {}).items():
            try:
                values = torch.as_tensor(values)
            except (TypeError, ValueError, RuntimeError):
                continue  # names and other objects
            if values.is_floating_point() and values.ndim:
                yield values
