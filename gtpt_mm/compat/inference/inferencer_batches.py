"""Let mmpose's inferencers run the model with their ``batch_size``.

Broken: mmpose (<= 1.3.2) accepts ``batch_size`` and runs images one by one.

Here: the model gets batches of ``batch_size`` people (top-down) or of
``batch_size`` images of equal input size (bottom-up, where padding would
change the result). The inferencer still yields one result for each image, in
order. With ``batch_size=1``, the default, all people of an image are one
batch, as in mmpose. The 3D lifting of a sequence needs the frames one by one,
so there ``batch_size`` has no effect.

Can go: when mmpose's inferencers use ``batch_size``.
"""

import copy
import functools
import types
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import torch

from .heatmaps import request_heatmaps
from .inferencer_people import Nobody


class Predicted(NamedTuple):
    """Predictions of one image, in place of the inputs of ``forward``."""

    samples: list


def missing() -> str:
    """Say what is missing."""
    return 'the inferencers of mmpose ignore batch_size'


def repair() -> None:
    """Run the models of inferencers on whole batches."""
    from mmpose.apis.inferencers import Hand3DInferencer, Pose2DInferencer
    from mmpose.apis.inferencers.base_mmpose_inferencer import (
        BaseMMPoseInferencer as Base,
    )

    Base.preprocess = predict_ahead(Base.preprocess)
    for kind in (Pose2DInferencer, Hand3DInferencer):
        kind.forward = take_predictions(kind.forward)


def predict_ahead(preprocess: Callable) -> Callable:
    """Return ``preprocess`` that runs the model on several images at once."""

    @functools.wraps(preprocess)
    def in_batches(
        self: Any, inputs: Any, batch_size: int = 1, *args: Any, **options: Any
    ) -> Iterator[tuple[Any, list]]:
        if isinstance(batch_size, bool) or not isinstance(batch_size, int):
            raise TypeError(f'batch_size must be an int, got {batch_size!r}')
        if batch_size < 1:
            raise ValueError(f'batch_size must be positive, got {batch_size}')
        images = preprocess(self, inputs, 1, *args, **options)
        if batch_size == 1 or hasattr(self, 'pose2d_model'):
            yield from images
            return
        error: Exception | None = None
        while error is None:
            chunk, error = _take(images, batch_size)
            if not chunk:
                break
            request_heatmaps(self)  # forward comes too late for these
            predictions = _predict(
                self.model, [c[0] for c in chunk], batch_size
            )
            for found, (_, image) in zip(predictions, chunk, strict=True):
                yield found, image
        if not isinstance(error, StopIteration | None):
            raise error

    return in_batches


def _take(
    images: Iterator[tuple[Any, list]], number: int
) -> tuple[list[tuple[Any, list]], Exception | None]:
    """Return the next images and the error or StopIteration behind them.

    Images before one that cannot be read still get their results.
    """
    chunk: list[tuple[Any, list]] = []
    try:
        while len(chunk) < number:
            chunk.append(next(images))
    except Exception as error:
        return chunk, error
    return chunk, None


def _predict(model: Any, batches: list, batch_size: int) -> list:
    """Return the predictions of each image.

    Args:
        model: The pose estimator.
        batches: The collated samples of each image, or Nobody.
        batch_size: Largest number of samples in a batch.
    """
    found: list = [
        b if isinstance(b, Nobody) else Predicted([None] * len(b['inputs']))
        for b in batches
    ]
    groups: dict[tuple, list] = {}
    for i, batch in enumerate(batches):
        if isinstance(batch, Nobody):
            continue
        for j, pixels in enumerate(batch['inputs']):
            if not isinstance(pixels, torch.Tensor):  # several scales
                return batches
            sample = batch['data_samples'][j]
            groups.setdefault(pixels.shape, []).append((i, j, pixels, sample))
    for group in groups.values():
        for start in range(0, len(group), batch_size):
            part = group[start : start + batch_size]
            inputs = dict(
                inputs=[pixels for _, _, pixels, _ in part],
                data_samples=[sample for *_, sample in part],
            )
            with torch.no_grad():
                predictions = model.test_step(inputs)
            for (i, j, *_), one in zip(part, predictions, strict=True):
                found[i].samples[j] = one
    return found


def take_predictions(forward: Callable) -> Callable:
    """Return ``forward`` that continues from the model's predictions."""

    @functools.wraps(forward)
    def after_model(
        self: Any, inputs: Any, *args: Any, **options: Any
    ) -> list[Any]:
        if not isinstance(inputs, Predicted):
            return forward(self, inputs, *args, **options)
        stand_in = copy.copy(self)
        stand_in.model = types.SimpleNamespace(
            test_step=lambda _: inputs.samples
        )
        return forward(stand_in, inputs, *args, **options)

    return after_model
