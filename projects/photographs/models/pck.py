"""PCK of some keypoints."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from mmpose.evaluation.metrics import PCKAccuracy
from mmpose.registry import METRICS


@METRICS.register_module()
class SubsetPCK(PCKAccuracy):
    """``PCKAccuracy`` over some of the keypoints.

    Args:
        indices: Keypoints that count.
        **kwargs: As for ``PCKAccuracy``.
    """

    def __init__(self, indices: Sequence[int], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.indices = list(indices)

    def process(
        self, data_batch: Sequence[dict], data_samples: Sequence[dict]
    ) -> None:
        """Note predictions and labels; other keypoints count as unlabelled."""
        start = len(self.results)
        super().process(data_batch, data_samples)
        for result in self.results[start:]:
            mask = np.zeros_like(result['mask'])
            mask[:, self.indices] = result['mask'][:, self.indices]
            result['mask'] = mask
