"""Resize an image with all its instances by its short side."""

from collections.abc import Sequence

import numpy as np
from mmcv.transforms import BaseTransform
from mmcv.transforms.utils import cache_randomness
from mmpose.registry import TRANSFORMS

from .pillow_resize import resize_bilinear


def resized(
    size: tuple[int, int], short_side: int, max_long_side: int | None
) -> tuple[int, int]:
    """Return the size (w, h) of an image after the resize.

    The short side gets ``short_side`` pixels or, if the long one would exceed
    its limit, the largest length that keeps it within the limit, rounded. The
    long side is rounded down; after the rounding of the short one it may pass
    its limit by a pixel or two (1335 instead of 1333 occurs). An image so long
    that the short side would be rounded to 0, where the official code fails,
    gets one pixel there and the limit on the other.

    Example:
        >>> resized((640, 480), 800, 1333), resized((100, 640), 800, 1333)
        ((1066, 800), (208, 1331))
    """
    short, long = min(size), max(size)
    if max_long_side and long / short * short_side > max_long_side:
        short_side = int(round(max_long_side * short / long))
    w, h = size
    if short_side == 0 and max_long_side:
        return (1, max_long_side) if w < h else (max_long_side, 1)
    if w < h:
        return short_side, int(short_side * h / w)
    return int(short_side * w / h), short_side


@TRANSFORMS.register_module()
class GroupPoseResize(BaseTransform):
    """Give the short side of an image one of several lengths, at random.

    Pixels equal those of Pillow's bilinear filter, which averages when it
    shrinks. Keypoints, boxes and areas are scaled with the image.

    Mirror images with ``GroupPoseFlip``: stock ``RandomFlip`` takes
    ``input_size``, which is (w, h), for (h, w).

    Required key: ``img``. Modified keys: ``img``, ``img_shape`` and, where
    present, ``keypoints``, ``bbox`` and ``area``. Added keys: ``input_size``
    (w, h) of the result; ``input_center`` and ``input_scale``, middle (x, y)
    and size (w, h) of the part it shows, in pixels of the first image.

    Source: transforms of the official code of Group Pose; sizes and pixels
    are equal.

    Args:
        short_sides: Lengths of the short side in pixels to draw from.
        max_long_side: Limit of the long side in pixels, or None.

    Raises:
        ValueError: If there is no length, or one is below 1.
    """

    def __init__(
        self, short_sides: Sequence[int], max_long_side: int | None = None
    ) -> None:
        super().__init__()
        limits = [] if max_long_side is None else [max_long_side]
        if not short_sides or min([*short_sides, *limits]) < 1:
            raise ValueError(
                f'short_sides {short_sides} and max_long_side '
                f'{max_long_side} must be lengths of at least 1 pixel'
            )
        self.short_sides = list(short_sides)
        self.max_long_side = max_long_side

    @cache_randomness
    def _choose_short_side(self) -> int:
        return self.short_sides[np.random.randint(len(self.short_sides))]

    def transform(self, results: dict) -> dict:
        """Return the sample with its image and instances resized."""
        return self.resize(results, self.choose_size(results))

    def choose_size(self, results: dict) -> tuple[int, int]:
        """Draw the size (w, h) of the new image."""
        h, w = results['img'].shape[:2]
        return resized((w, h), self._choose_short_side(), self.max_long_side)

    #: Returns the pixels of an image, a size and a region or None.
    resize_image = staticmethod(resize_bilinear)

    def resize(
        self,
        results: dict,
        size: tuple[int, int],
        region: tuple[int, int, int, int] | None = None,
    ) -> dict:
        """Return the sample resized; of the image only a region, if given."""
        h, w = results['img'].shape[:2]
        out = {
            'input_center': np.array((w / 2, h / 2), np.float32),
            'input_scale': np.array((w, h), np.float32),
            **results,  # an earlier step knows the first image
            'img': self.resize_image(results['img'], size, region),
            'img_shape': size[::-1],
            'input_size': size,
        }
        ratio = np.array(size, np.float32) / np.array((w, h), np.float32)
        factors = dict(keypoints=ratio, bbox=np.tile(ratio, 2))
        factors['area'] = ratio.prod()
        for key, factor in factors.items():
            if results.get(key) is not None:
                out[key] = results[key] * factor
        return out

    def __repr__(self) -> str:
        return (
            f'{type(self).__name__}(short_sides={self.short_sides}, '
            f'max_long_side={self.max_long_side})'
        )
