"""Pack samples of whole, large images."""

import cv2
import numpy as np
import torch
from mmpose.datasets.transforms import PackPoseInputs
from mmpose.registry import TRANSFORMS


@TRANSFORMS.register_module()
class PackImage(PackPoseInputs):
    """``PackPoseInputs`` that brings the channels to the front faster.

    Arguments, keys and results are those of ``PackPoseInputs``.
    """

    def transform(self, results: dict) -> dict:
        """Return ``inputs``, (3, h, w), and ``data_samples``."""
        image = results.get('img')
        if not isinstance(image, np.ndarray) or image.ndim != 3:
            return super().transform(results)
        packed = super().transform({**results, 'img': image[:1, :1]})
        planes = np.empty((image.shape[2], *image.shape[:2]), image.dtype)
        cv2.split(np.ascontiguousarray(image), list(planes))
        packed['inputs'] = torch.from_numpy(planes)
        return packed
