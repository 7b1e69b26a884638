"""Targets of the end-to-end models: points and sizes in parts of the image."""

# N people, K keypoints

import numpy as np
from mmpose.codecs.base import BaseKeypointCodec
from mmpose.registry import KEYPOINT_CODECS


@KEYPOINT_CODECS.register_module()
class GroupPoseLabel(BaseKeypointCodec):
    """Give keypoints, boxes and areas as shares of the image, and back.

    With an image of (w, h) pixels before it is padded in a batch,

        keypoint (x / w, y / h), box (cx / w, cy / h, bw / w, bh / h),
        area / (w h).

    All people of an image are encoded at once; ``GenerateTarget`` and
    ``PackPoseInputs`` put the labels into ``gt_instance_labels`` of the data
    sample.

    Source: Liu et al., "Group Pose", ICCV 2023; targets of the released code.

    Example:
        >>> codec = GroupPoseLabel()
        >>> labels = codec.encode(
        ...     np.array([[[10.0, 50.0]]]), np.array([[2.0]]),
        ...     img_shape=(100, 40),
        ...     bbox=np.array([[0.0, 20.0, 20.0, 100.0]]),
        ...     area=np.array([800.0]))
        >>> labels['keypoint_labels'].tolist(), labels['areas'].tolist()
        ([[[0.25, 0.5]]], [0.20000000298023224])
        >>> codec.decode(labels['keypoint_labels'], input_size=(40, 100))
        array([[[10., 50.]]], dtype=float32)
    """

    auxiliary_encode_keys = {'img_shape', 'bbox', 'area'}
    label_mapping_table = dict(
        keypoint_labels='keypoint_labels',
        keypoint_weights='keypoint_weights',
        bbox_labels='bbox_labels',
        areas='areas',
    )

    def encode(
        self,
        keypoints: np.ndarray,
        keypoints_visible: np.ndarray | None = None,
        img_shape: tuple[int, int] | None = None,
        bbox: np.ndarray | None = None,
        area: np.ndarray | None = None,
    ) -> dict[str, np.ndarray]:
        """Return the labels of the people in an image.

        Args:
            keypoints: (N, K, 2), in pixels of the image.
            keypoints_visible: (N, K), above 0 for annotated keypoints; None
                for all.
            img_shape: (h, w) of the image.
            bbox: Corners (x1, y1, x2, y2) in pixels, (N, 4).
            area: In square pixels, (N,); it scales the OKS.

        Returns:
            ``keypoint_labels`` (N, K, 2), ``keypoint_weights`` (N, K) of 0
            and 1, ``bbox_labels`` (N, 4) and ``areas`` (N,), all float32.

        Raises:
            ValueError: If ``img_shape``, ``bbox`` or ``area`` is missing, or
                not of as many people as ``keypoints``.
        """
        given = dict(img_shape=img_shape, bbox=bbox, area=area)
        missing = [name for name, value in given.items() if value is None]
        if missing:
            raise ValueError(
                f'GroupPoseLabel needs {missing}; load people with '
                "data_mode='bottomup' from a data set with boxes and areas"
            )
        if not len(keypoints) == len(bbox) == len(area):
            raise ValueError(
                f'{len(keypoints)} people have {len(bbox)} boxes and '
                f'{len(area)} areas; a step of the pipeline removed people '
                'without their boxes or areas'
            )
        if keypoints_visible is None:
            keypoints_visible = np.ones(keypoints.shape[:2])
        h, w = img_shape
        size = np.array((w, h), np.float32)
        low, high = bbox[:, :2], bbox[:, 2:]
        box = np.concatenate(((low + high) / 2, high - low), axis=1)
        labels = dict(
            keypoint_labels=keypoints / size,
            keypoint_weights=keypoints_visible > 0,
            bbox_labels=box / np.tile(size, 2),
            areas=area / (w * h),
        )
        return {k: v.astype(np.float32) for k, v in labels.items()}

    def decode(
        self, encoded: np.ndarray, input_size: tuple[int, int]
    ) -> np.ndarray:
        """Return points (..., 2) in pixels of an image of size (w, h)."""
        return encoded * np.array(input_size, encoded.dtype)
