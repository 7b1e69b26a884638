"""Name the sample in errors that occur while it is read.

Broken: an error in a transform or an image ends in the traceback of a worker
that names neither the dataset nor the image (mmpose <= 1.3.2, mmengine
<= 0.10.7).

Here: ``prepare_data`` of mmpose's datasets adds dataset, annotation file,
image and ids to the message. The error keeps its class if that can be created
from a message, else it becomes a RuntimeError; the original error is its
cause.

Can go: when mmengine's ``BaseDataset`` names the sample.
"""

import functools
from collections.abc import Callable
from typing import Any


def missing() -> str:
    """Say what is missing."""
    return 'errors of mmpose datasets do not name the sample'


def repair() -> None:
    """Name the sample in errors of ``prepare_data``."""
    from mmpose.datasets import CombinedDataset
    from mmpose.datasets.datasets.base import (
        BaseCocoStyleDataset,
        BaseMocapDataset,
    )

    for kind in (BaseCocoStyleDataset, BaseMocapDataset, CombinedDataset):
        kind.prepare_data = name_sample(kind.prepare_data)


def name_sample(prepare: Callable) -> Callable:
    """Wrap ``prepare_data``, so that its errors name the sample."""

    @functools.wraps(prepare)
    def prepare_data(self: Any, idx: int) -> Any:
        try:
            return prepare(self, idx)
        except Exception as error:
            if hasattr(error, '__sample__'):
                raise  # of a dataset within this one
            raise _named(error, _place(self, idx)) from error

    return prepare_data


def _place(dataset: Any, idx: int) -> str:
    """Return the description of a sample in messages."""
    name = dataset._metainfo.get('dataset_name')
    words = [f'sample {idx} of dataset {name!r} ({type(dataset).__name__}']
    words[0] += f', {dataset.ann_file})' if dataset.ann_file else ')'
    if hasattr(dataset, 'datasets'):
        return words[0]
    try:
        info = dataset.get_data_info(idx)
    except Exception:  # it may be the cause of the error
        return words[0]
    for key, word in dict(
        img_path='image', img_id='image id', id='annotation id'
    ).items():
        if key in info:
            words.append(f'{word} {str(info[key])[:200]}')
    return ', '.join(words)


def _named(error: Exception, place: str) -> Exception:
    """Return an error of the same class that names the sample."""
    message = f'{place}: {type(error).__name__}: {error}'
    try:
        named = type(error)(message)
        if place not in str(named):
            raise TypeError
    except Exception:  # its constructor takes other arguments
        named = RuntimeError(message)
    vars(named)['__sample__'] = place
    return named
