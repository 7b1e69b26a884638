"""Predict with models in bfloat16 or float16.

Broken: mmengine's preprocessor (<= 0.10.7) gives float32 images to a model
of ``model.to(torch.bfloat16)``, which raises, and normalizes with rounded
means; mmpose (<= 1.3.2) turns results into numpy arrays, which have no
bfloat16, also under autocast.

Here: images are normalized in float32 and then take the dtype of the weights;
bfloat16 becomes float32 on its way to numpy. Training and autocast keep
float32 weights and are not touched.

Can go: when mmengine's preprocessors know the dtype of the model.
"""

import functools
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from ..replacement import replace_everywhere

HALF = (torch.bfloat16, torch.float16)


def missing() -> str:
    """Say what is missing."""
    return 'mmpose predicts in float32 only'


def repair() -> None:
    """Cast images to the weights, bfloat16 to numpy."""
    from mmengine.model import ImgDataPreprocessor
    from mmpose.models.pose_estimators.base import BasePoseEstimator
    from mmpose.utils.tensor_utils import to_numpy

    ImgDataPreprocessor._apply = keep_means(ImgDataPreprocessor._apply)
    BasePoseEstimator.forward = cast_images(BasePoseEstimator.forward)
    replace_everywhere(to_numpy, widen(to_numpy))


def keep_means(apply: Callable) -> Callable:
    """Return ``_apply`` of a preprocessor that keeps its float32 means."""

    @functools.wraps(apply)
    def moved(self: Any, fn: Callable, *args: Any, **options: Any) -> Any:
        exact = {
            name: value.clone()
            for name, value in self.named_buffers(recurse=False)
            if value.dtype == torch.float32
        }
        found = apply(self, fn, *args, **options)
        for name, value in exact.items():
            now = getattr(self, name)
            if now.dtype in HALF:
                setattr(self, name, value.to(now.device))
        return found

    return moved


def cast_images(forward: Callable) -> Callable:
    """Return ``forward`` of a pose estimator that casts images if needed."""

    @functools.wraps(forward)
    def cast(self: Any, inputs: Any, *args: Any, **options: Any) -> Any:
        weights = next(self.parameters(), None)
        if weights is not None and weights.dtype in HALF:
            inputs = _cast(inputs, weights.dtype)
        return forward(self, inputs, *args, **options)

    return cast


def _cast(inputs: Any, dtype: torch.dtype) -> Any:
    if isinstance(inputs, Tensor):
        return inputs.to(dtype) if inputs.is_floating_point() else inputs
    if isinstance(inputs, list | tuple):
        return type(inputs)(_cast(one, dtype) for one in inputs)
    return inputs


def widen(to_numpy: Callable) -> Callable:
    """Return ``to_numpy`` that takes bfloat16."""

    @functools.wraps(to_numpy)
    def converted(x: Any, *args: Any, **options: Any) -> Any:
        return to_numpy(_widen(x), *args, **options)

    return converted


def _widen(x: Any) -> Any:
    if isinstance(x, Tensor) and x.dtype is torch.bfloat16:
        return x.float()
    if isinstance(x, list | tuple):
        return type(x)(_widen(one) for one in x)
    return x
