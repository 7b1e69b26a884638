"""Units of Group Pose: targets in units of the image, poses in pixels."""

# N instances, K keypoints

import numpy as np
from mmpose.codecs.base import BaseKeypointCodec
from mmpose.registry import KEYPOINT_CODECS

#: Classes of the official code: 1 is a person, 0 never occurs.
NUM_CLASSES, PERSON = 2, 1


@KEYPOINT_CODECS.register_module()
class GroupPoseLabel(BaseKeypointCodec):
    """Normalise instances by the size of their image; scale poses back.

    x is in units of the width of the image without padding, y in units of its
    height, an area in units of width times height. The targets go to
    ``gt_instance_labels`` as the loss reads them; ``gt_instances`` stays in
    pixels.

    Example:
        >>> codec = GroupPoseLabel()
        >>> targets = codec.encode(
        ...     np.full((1, 17, 2), 32.0), area=np.array([512.0]),
        ...     bbox=np.array([[0, 0, 64, 32]]), img_shape=(64, 128))
        >>> points = targets['keypoint_labels']
        >>> points[0, 0], targets['area_labels']
        (array([0.25, 0.5 ], dtype=float32), array([0.0625], dtype=float32))
        >>> codec.decode(points, np.ones(1), (64, 128))[0][0, 0]
        array([32., 32.], dtype=float32)
    """

    auxiliary_encode_keys = {'area', 'bbox', 'img_shape'}
    label_mapping_table = dict(
        keypoint_labels='keypoints',
        visible_labels='keypoints_visible',
        bbox_labels='bboxes',
        area_labels='areas',
        class_labels='labels',
    )

    def encode(
        self,
        keypoints: np.ndarray,
        keypoints_visible: np.ndarray | None = None,
        area: np.ndarray | None = None,
        bbox: np.ndarray | None = None,
        img_shape: tuple[int, int] | None = None,
    ) -> dict[str, np.ndarray]:
        """Return the targets of an image: float32, the classes int64.

        Args:
            keypoints: (N, K, 2), in pixels of the image.
            keypoints_visible: Labelled where above 0, (N, K); None: all are.
            area: In square pixels of the image, (N,).
            bbox: Corners (x1, y1, x2, y2) in pixels of the image, (N, 4).
            img_shape: Size (h, w) of the image.

        Returns:
            ``keypoint_labels``, (N, K, 2), ``visible_labels``, (N, K), 0 or
            1, ``bbox_labels``, (N, 4), and ``area_labels``, (N,), in units of
            the image; ``class_labels``, (N,).

        Raises:
            ValueError: If the size of the image is missing, or there is not
                exactly one area and one box for each instance.
        """
        if img_shape is None:
            raise ValueError('targets need img_shape, set by LoadImage')
        if keypoints_visible is None:
            keypoints_visible = np.ones(keypoints.shape[:2])
        h, w = img_shape[:2]
        num = len(keypoints)
        labels = dict(
            keypoint_labels=keypoints / np.array((w, h)),
            visible_labels=keypoints_visible > 0,
            bbox_labels=_check('bbox', bbox, num) / np.array((w, h, w, h)),
            area_labels=_check('area', area, num) / (w * h),
        )
        labels = {k: v.astype(np.float32) for k, v in labels.items()}
        return dict(labels, class_labels=np.full(num, PERSON, np.int64))

    def decode(
        self,
        keypoints: np.ndarray,
        scores: np.ndarray,
        img_shape: tuple[int, int],
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return keypoints in pixels of the image, and their scores.

        Args:
            keypoints: (N, K, 2), in units of the image.
            scores: Scores of the instances, (N,).
            img_shape: Size (h, w) of the image without padding.

        Returns:
            (N, K, 2); and the score of the instance for each keypoint, (N,
            K).
        """
        h, w = img_shape[:2]
        scores = scores[:, None].repeat(keypoints.shape[1], axis=1)
        return keypoints * np.array((w, h), np.float32), scores


def _check(name: str, values: np.ndarray | None, num: int) -> np.ndarray:
    """Return the values if there is one for each instance."""
    if values is None:
        raise ValueError(
            f"instances have no {name}; load them with data_mode='bottomup' "
            'from a COCO-style dataset'
        )
    if len(values) != num:
        raise ValueError(
            f'{num} instances have {len(values)} values of {name}; a step of '
            f'the pipeline removed instances without their {name}, as stock '
            'BottomupRandomCrop does'
        )
    return values
