"""Cut a rectangle out of an image with all its instances."""

from collections.abc import Sequence

import numpy as np
from mmcv.transforms import BaseTransform
from mmcv.transforms.utils import cache_randomness
from mmpose.registry import TRANSFORMS

from .group_pose_resize import GroupPoseResize

#: Keys of a sample that hold one value per instance, as an array or a list.
PER_INSTANCE = (
    'bbox',
    'bbox_score',
    'keypoints',
    'keypoints_visible',
    'area',
    'num_keypoints',
    'iscrowd',
    'id',
    'category_id',
    'raw_ann_info',
)


@TRANSFORMS.register_module()
class GroupPoseCrop(BaseTransform):
    """Cut out a rectangle of random size at a random position.

    Width and height are drawn independently, uniformly from [min_size,
    max_size] limited by the side of the image. As in the official code,

    - boxes are clipped, and instances with an empty box are removed; an
      image may be left without instances;
    - the area becomes that of the clipped box, also for instances that are not
      cut;
    - keypoints outside move to the border **and stay visible**.

    Required keys: ``img``, ``keypoints``, ``bbox``. Modified keys: ``img``,
    ``img_shape``, every value per instance, and ``input_size``,
    ``input_center``, ``input_scale`` if present. ``segmentation`` is dropped.

    Source: transforms of the official code of Group Pose (384 to 600).

    Args:
        min_size: Least width and height in pixels.
        max_size: Most width and height in pixels.

    Raises:
        ValueError: If not 1 <= min_size <= max_size; if the sample has no
            boxes or keypoints.
    """

    def __init__(self, min_size: int, max_size: int) -> None:
        super().__init__()
        if not 1 <= min_size <= max_size:
            raise ValueError(
                f'min_size {min_size} and max_size {max_size} must be '
                '1 <= min_size <= max_size'
            )
        self.min_size = min_size
        self.max_size = max_size

    @cache_randomness
    def _choose_region(self, w: int, h: int) -> tuple[int, int, int, int]:
        """Draw left, top, width and height of the crop."""
        width, height = (
            np.random.randint(
                min(self.min_size, side), min(self.max_size, side) + 1
            )
            for side in (w, h)
        )
        left = np.random.randint(w - width + 1)
        top = np.random.randint(h - height + 1)
        return left, top, width, height

    def transform(self, results: dict) -> dict:
        """Return the sample with its image and instances cropped."""
        self._check(results)
        h, w = results['img'].shape[:2]
        return self._crop(results, *self._choose_region(w, h))

    @staticmethod
    def _check(results: dict) -> None:
        if 'bbox' not in results or 'keypoints' not in results:
            raise ValueError(
                'GroupPoseCrop is for training: the sample has no bbox or no '
                f'keypoints, only {sorted(results)}'
            )

    def _crop(
        self, results: dict, left: int, top: int, width: int, height: int
    ) -> dict:
        """Return the sample cropped to a region."""
        img = results['img'][top : top + height, left : left + width]
        cropped = {**results, 'img': img}
        return self._crop_instances(cropped, left, top, width, height)

    def _crop_instances(
        self, results: dict, left: int, top: int, width: int, height: int
    ) -> dict:
        """Return the sample, whose image is cropped, with its instances."""
        corner = np.array((left, top), np.float32)
        size = np.array((width, height), np.float32)
        box = (results['bbox'] - np.tile(corner, 2)).clip(0, np.tile(size, 2))
        sides = box[:, 2:] - box[:, :2]
        cropped = {
            'bbox': box,
            'area': sides.prod(axis=1),
            'keypoints': (results['keypoints'] - corner).clip(0, size),
        }
        keep = (sides > 0).all(axis=1)
        out = {**results, **cropped, 'img_shape': (height, width)}
        out.pop('segmentation', None)
        for key in PER_INSTANCE:
            if key in out:
                out[key] = _select(out[key], keep)
        if 'input_size' in results:
            out.update(_crop_geometry(results, corner, size))
        return out

    def __repr__(self) -> str:
        return (
            f'{type(self).__name__}(min_size={self.min_size}, '
            f'max_size={self.max_size})'
        )


@TRANSFORMS.register_module()
class GroupPoseResizedCrop(GroupPoseCrop):
    """``GroupPoseResize`` and ``GroupPoseCrop`` in one, on fewer pixels.

    It resizes only the pixels in the crop. Random numbers, keys and results
    are those of the two transforms in sequence.

    Args:
        short_sides: See ``GroupPoseResize``.
        min_size: See ``GroupPoseCrop``.
        max_size: See ``GroupPoseCrop``.
        max_long_side: See ``GroupPoseResize``.
    """

    def __init__(
        self,
        short_sides: Sequence[int],
        min_size: int,
        max_size: int,
        max_long_side: int | None = None,
    ) -> None:
        super().__init__(min_size, max_size)
        self.resizer = GroupPoseResize(short_sides, max_long_side)

    def transform(self, results: dict) -> dict:
        """Return the sample resized and cropped."""
        self._check(results)
        size = self.resizer.choose_size(results)
        region = self._choose_region(*size)
        resized = self.resizer.resize(results, size, region)
        return self._crop_instances(resized, *region)

    def __repr__(self) -> str:
        return (
            f'{type(self).__name__}(short_sides={self.resizer.short_sides}, '
            f'min_size={self.min_size}, max_size={self.max_size}, '
            f'max_long_side={self.resizer.max_long_side})'
        )


def _select(values: np.ndarray | list, keep: np.ndarray) -> np.ndarray | list:
    if isinstance(values, np.ndarray):
        return values[keep]
    return [value for value, kept in zip(values, keep, strict=True) if kept]


def _crop_geometry(
    results: dict, corner: np.ndarray, size: np.ndarray
) -> dict:
    """Return which part of the first image a crop shows."""
    zoom = results['input_scale'] / np.array(results['input_size'])
    start = results['input_center'] - results['input_scale'] / 2
    center = start + (corner + size / 2) * zoom
    return dict(
        input_size=tuple(int(side) for side in size),
        input_center=center.astype(np.float32),
        input_scale=(size * zoom).astype(np.float32),
    )
