"""What the end-to-end models need of the people in an image."""

# N people, K keypoints

import numpy as np
from mmpose.codecs.base import BaseKeypointCodec
from mmpose.registry import KEYPOINT_CODECS


@KEYPOINT_CODECS.register_module()
class GroupPoseLabel(BaseKeypointCodec):
    """Give people to the loss of Group Pose: points as they are, and areas.

    Keypoints stay in pixels of the resized image; ``GroupPoseHead`` reads
    them from ``gt_instances`` and divides by the size of the image without
    its padding. What stock ``PackPoseInputs`` does not pack is the area by
    which OKS is scaled; this codec puts it into ``gt_instance_labels.areas``.

    Example:
        >>> points, area = np.zeros((2, 17, 2)), np.array([800.0, 90.0])
        >>> GroupPoseLabel().encode(points, area=area)
        {'areas': array([800.,  90.], dtype=float32)}
    """

    auxiliary_encode_keys = {'area', 'flip', 'flip_when_resized'}
    label_mapping_table = dict(areas='areas')

    def encode(
        self,
        keypoints: np.ndarray,
        keypoints_visible: np.ndarray | None = None,
        area: np.ndarray | None = None,
        flip: bool | None = None,
        flip_when_resized: bool | None = None,
    ) -> dict[str, np.ndarray]:
        """Return the areas of the people in an image.

        Args:
            keypoints: (N, K, 2), in pixels of the image.
            keypoints_visible: (N, K); not read here.
            area: In square pixels of the image, (N,).
            flip: Whether the image is mirrored, by ``RandomFlip``.
            flip_when_resized: The same when ``GroupPoseResize`` saw it.

        Returns:
            ``areas``, (N,), float32.

        Raises:
            ValueError: If there is no area for each person, or the image was
                mirrored after it was resized. (A second flip, after a first
                one before, is not noticed.)
        """
        if flip and flip_when_resized is False:
            raise ValueError(
                'RandomFlip comes after GroupPoseResize and takes its '
                'input_size (w, h) for (h, w), which puts people into wrong '
                'places; put RandomFlip before it'
            )
        if area is None:
            raise ValueError(
                'people have no area, by which OKS is scaled; load them with '
                "data_mode='bottomup' from a COCO-style data set"
            )
        if len(area) != len(keypoints):
            raise ValueError(
                f'{len(keypoints)} people have {len(area)} areas; a step of '
                'the pipeline removed people without their areas, as stock '
                'BottomupRandomCrop does'
            )
        return dict(areas=np.asarray(area, np.float32))

    def decode(
        self, encoded: tuple[np.ndarray, np.ndarray]
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return points (N, K, 2) in pixels and scores (N, K) as they are."""
        return encoded
