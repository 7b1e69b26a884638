"""Predict all people of an image at once; batch images of equal size."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from mmcv.transforms import Compose
from mmengine.dataset import pseudo_collate
from mmengine.structures import InstanceData
from mmpose.models.heads import AssociativeEmbeddingHead
from mmpose.models.pose_estimators.base import BasePoseEstimator
from torch import Tensor

from gtpt_mm.deploy.runtimes import Network

from .network import (
    CPU_PIXELS,
    explained_errors,
    with_checked_head,
    with_network,
)

#: Pixels that a GPU takes at once for each image of the batch size.
GPU_PIXELS = 512 * 512


class BottomUp:
    """Predicts the people in images as mmpose does, many images at a time.

    Only images that have the same size after the pipeline share a batch:
    padding would change the input of the network at the border.

    Args:
        model: A model with ``cfg`` and ``dataset_meta``, on its device.
        batch_size: Largest number of images in a pass of the network. It is
            smaller for large images: a CPU takes ``CPU_PIXELS``, a GPU
            ``batch_size`` times ``GPU_PIXELS``.
        network: Computes the outputs of the head; None: the model itself.
    """

    def __init__(
        self,
        model: BasePoseEstimator,
        batch_size: int,
        network: Network | None = None,
    ) -> None:
        self.model = model
        self.batch_size = batch_size
        self.pipeline = Compose(model.cfg.test_dataloader.dataset.pipeline)
        if network is not None:
            model = with_network(model, network)
        self.whole = with_checked_head(model)
        flags = ('flip_test', 'multiscale_test')
        if isinstance(model.head, AssociativeEmbeddingHead) and not any(
            model.test_cfg.get(flag) for flag in flags
        ):
            # mmpose's head then asks for a list, its estimator has a tuple.
            self.whole.extract_feat = lambda x: list(model.extract_feat(x))

    def __call__(self, images: Sequence[np.ndarray]) -> list[InstanceData]:
        """Return the people of each image, BGR, uint8, (H, W, 3)."""
        found: dict[int, InstanceData] = {}
        waiting: dict[Any, list[tuple[int, dict]]] = {}
        for index, image in enumerate(images):
            data = self.pipeline(dict(img=image, **self.model.dataset_meta))
            inputs = data['inputs']
            # Several scales of an image are in a list.
            shape = inputs.shape if isinstance(inputs, Tensor) else index
            group = waiting.setdefault(shape, [])
            group.append((index, data))
            if len(group) >= self._limit(inputs):
                found.update(self._predict(waiting.pop(shape)))
        for group in waiting.values():
            found.update(self._predict(group))
        return [found[index] for index in range(len(images))]

    def _limit(self, inputs: Tensor | list[Tensor]) -> int:
        """Return how many images of a size pass the network at once."""
        if not isinstance(inputs, Tensor):
            return 1
        pixels = inputs.shape[-2] * inputs.shape[-1]
        is_cpu = next(self.model.parameters()).device.type == 'cpu'
        most = CPU_PIXELS if is_cpu else self.batch_size * GPU_PIXELS
        return max(1, min(self.batch_size, most // pixels))

    def _predict(
        self, group: list[tuple[int, dict]]
    ) -> dict[int, InstanceData]:
        data = pseudo_collate([data for _, data in group])
        data = self.model.data_preprocessor(data)
        dtype = next(self.model.parameters()).dtype
        inputs = _cast(data['inputs'], dtype)
        with explained_errors(self.model):
            samples = self.whole.predict(inputs, data['data_samples'])
        return {
            index: sample.pred_instances
            for (index, _), sample in zip(group, samples, strict=True)
        }


def _cast(inputs: Tensor | list, dtype: torch.dtype) -> Any:
    if isinstance(inputs, Tensor):
        return inputs.to(dtype)
    return [_cast(one, dtype) for one in inputs]
