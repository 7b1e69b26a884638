"""A person cut out of an image, for trainings without keypoints."""

import numpy as np
from mmcv.transforms import BaseTransform
from mmpose.registry import TRANSFORMS


@TRANSFORMS.register_module()
class CropBBox(BaseTransform):
    """Keep the part of an image around a person's box, at its own size.

    For pretraining without labels (ViTPose++, Sec. 4.3, Table 4: persons are
    cropped; the margin is not given). Nothing is resized or padded, and
    annotations of the whole image, keypoints and boxes, are dropped.

    Required keys: ``img``, ``bbox`` (1, 4) as (x1, y1, x2, y2) in pixels.
    Kept keys: ``img``, ``img_path``, ``img_shape``, ``ori_shape``.

    Args:
        padding: Size of the crop in units of the box, as ``padding`` of
            ``GetBBoxCenterScale``; the crop ends where the image does.

    Raises:
        ValueError: If ``padding`` is not positive, or a sample has not
            exactly one box.

    Example:
        >>> crop = CropBBox(padding=1.0)
        >>> data = dict(
        ...     img=np.zeros((9, 9, 3)), bbox=np.array([[2, 1, 5, 8]])
        ... )
        >>> crop(data)['img_shape']
        (7, 3)
    """

    def __init__(self, padding: float = 1.25) -> None:
        if padding <= 0:
            raise ValueError(f'padding must be positive, got {padding}')
        self.padding = padding

    def transform(self, results: dict) -> dict:
        """Return the cropped sample."""
        img, bbox = results['img'], np.asarray(results['bbox'])
        if bbox.shape != (1, 4):
            raise ValueError(
                f'CropBBox needs one box (x1, y1, x2, y2), got shape '
                f"{bbox.shape}; give the dataset data_mode='topdown'"
            )
        limits = np.array(img.shape[1::-1])  # (w, h)
        center = (bbox[0, :2] + bbox[0, 2:]) / 2
        half = (bbox[0, 2:] - bbox[0, :2]) / 2 * self.padding
        first = np.clip(np.floor(center - half), 0, limits - 1).astype(int)
        last = np.clip(np.ceil(center + half), first + 1, limits).astype(int)
        img = img[first[1] : last[1], first[0] : last[0]]
        kept = {k: results[k] for k in ('img_path',) if k in results}
        shape = img.shape[:2]
        return dict(kept, img=img, img_shape=shape, ori_shape=shape)
