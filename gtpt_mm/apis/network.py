"""The network call of a predictor: images to outputs of the head."""

# B batch, (h, w) input in pixels

import contextlib
import copy
import re
from collections.abc import Callable, Iterator
from typing import Any

import torch
from mmpose.models.pose_estimators.base import BasePoseEstimator
from torch import Tensor

#: Pixels of a batch on a CPU: four crops of 256x192. Measured with a fused
#: GTPT-T: batches of twelve cost a twelfth more, single crops a sixth.
CPU_PIXELS = 4 * 256 * 192


class TorchNetwork:
    """Backbone, neck and head of a model, in batches of a good size.

    Networks of other runtimes have the same call.

    Args:
        model: A top-down model on its device.
        batch_size: Largest number of images at once.
    """

    def __init__(self, model: BasePoseEstimator, batch_size: int) -> None:
        self.model = model
        self.batch_size = batch_size

    def __call__(self, images: Tensor) -> Any:
        """Return the outputs of the head for normalised images (B, 3, h, w).

        They are a tensor, or tensors in lists and tuples, with B as the first
        axis, in float32 or wider.
        """
        size = micro_batch(images, self.batch_size)
        parts = [self._run(part) for part in images.split(size)]
        return _concatenate(parts)

    def _run(self, images: Tensor) -> Any:
        with explained_errors(self.model):
            outputs = self.model.head.forward(self.model.extract_feat(images))
        return check_outputs(outputs, self.model)


def micro_batch(images: Tensor, batch_size: int) -> int:
    """Return the number of images of this size in a pass of the network."""
    if images.device.type != 'cpu':
        return batch_size
    pixels = images.shape[-2] * images.shape[-1]
    return max(1, min(batch_size, CPU_PIXELS // pixels))


def _concatenate(parts: list) -> Any:
    if len(parts) == 1:
        return parts[0]
    if isinstance(parts[0], Tensor):
        return torch.cat(parts)
    return type(parts[0])(
        _concatenate(list(same)) for same in zip(*parts, strict=True)
    )


@contextlib.contextmanager
def explained_errors(model: BasePoseEstimator) -> Iterator[None]:
    """Explain what to do if torch lacks an operator in half precision."""
    try:
        yield
    except (RuntimeError, NotImplementedError) as error:
        words = str(error)
        if not re.search(r'not (implemented|supported) for', words):
            raise
        parameter = next(model.parameters())
        raise NotImplementedError(
            f'{type(model.backbone).__name__} does not run in '
            f'{parameter.dtype} on {parameter.device}: torch says {words!r}; '
            'use float32 or another half precision'
        ) from error


def check_outputs(outputs: Any, model: BasePoseEstimator) -> Any:
    """Return outputs in float32 or wider, since numpy has no bfloat16.

    Raises:
        ValueError: If they are not finite.
    """
    if isinstance(outputs, list | tuple):
        return type(outputs)(check_outputs(o, model) for o in outputs)
    if not isinstance(outputs, Tensor) or not outputs.is_floating_point():
        return outputs
    if not outputs.isfinite().all():
        raise ValueError(
            f'{type(model.head).__name__} returned values that are not '
            f'finite, in {outputs.dtype}; in half precision large values '
            'overflow: use float32 or bfloat16; in float32 the weights are '
            'broken'
        )
    return outputs.to(torch.promote_types(outputs.dtype, torch.float32))


def with_head(
    model: BasePoseEstimator, forward: Callable[..., Any]
) -> BasePoseEstimator:
    """Return a model that shares all weights but has another head.forward."""
    head = copy.copy(model.head)
    head.forward = forward
    other = copy.copy(model)
    other._modules = {**model._modules, 'head': head}
    return other


def with_network(
    model: BasePoseEstimator, network: Callable[[Tensor], Any]
) -> BasePoseEstimator:
    """Return a model whose backbone, neck and head another network computes.

    Its features are the images, which ``head.forward`` hands to the network;
    ``head.predict`` decodes as before.

    Raises:
        ValueError: In a prediction, if an image is padded.
    """

    def forward(feats: tuple[Tensor], samples: Any = None) -> Any:
        for sample in samples or ():
            padded, own = map(sample.get, ('batch_input_shape', 'img_shape'))
            if padded is not None and tuple(padded) != tuple(own):
                raise ValueError(
                    f'an image of {own} (h, w) is padded to {padded}, which '
                    'the exported file does not mask: set pad_size_divisor=1 '
                    "in the data preprocessor, or use runtime='torch'"
                )
        return network(feats[0])

    other = with_head(model, forward)
    other.extract_feat = lambda images: (images,)
    return other


def with_checked_head(model: BasePoseEstimator) -> BasePoseEstimator:
    """Return a model whose decoder gets finite values, float32 or wider."""
    forward = model.head.forward
    return with_head(model, lambda *x: check_outputs(forward(*x), model))
