"""Mirror an image with all its instances."""

import cv2
import numpy as np
from mmpose.datasets.transforms import RandomFlip
from mmpose.registry import TRANSFORMS


@TRANSFORMS.register_module()
class GroupPoseFlip(RandomFlip):
    """Mirror images at random, left to right, with the boxes' true borders.

    Keypoints are mirrored as pixels are, x to w - 1 - x. Corners of boxes lie
    on borders of pixels and go to w - x; stock ``RandomFlip`` moves them as
    pixels, one pixel too far to the left, which changes the areas of cropped
    instances. It also takes the ``input_size`` (w, h) of a resized image for
    (h, w); this transform may come before or after ``GroupPoseResize``.

    Required keys: ``img``, ``img_shape``; modified and added keys as in
    ``RandomFlip``.

    Source: transforms of the official code of Group Pose.

    Args:
        prob: Probability that an image is mirrored.
    """

    def __init__(self, prob: float = 0.5) -> None:
        super().__init__(float(prob))

    @staticmethod
    def mirror(image: np.ndarray) -> np.ndarray:
        """Return the mirror image; mmcv's view would be copied slowly."""
        return cv2.flip(image, 1)

    def transform(self, results: dict) -> dict:
        """Return the sample, mirrored or as it is."""
        h, w = results['img_shape']
        out = super().transform({**results, 'input_size': (h, w)})
        if 'input_size' in results:
            out['input_size'] = results['input_size']
        else:
            del out['input_size']
        if out['flip'] and out.get('bbox') is not None:
            out['bbox'][:, ::2] += 1  # stock boxes are copies
        if out['flip'] and isinstance(results['img'], np.ndarray):
            out['img'] = self.mirror(results['img'])
        return out
