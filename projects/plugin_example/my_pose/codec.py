"""A codec: keypoints as offsets from the center of the crop."""

# N instances, K keypoints

import numpy as np
from mmpose.codecs.base import BaseKeypointCodec
from mmpose.registry import KEYPOINT_CODECS


@KEYPOINT_CODECS.register_module()
class CenteredLabel(BaseKeypointCodec):
    """Offsets from the center of the crop, in units of its size.

    Pixels have their centers at whole numbers, as everywhere in mmpose: the
    center of a crop of w pixels lies at (w - 1) / 2. So a mirrored keypoint
    has the negative offset in x.

    Args:
        input_size: Size (w, h) of the crop in pixels.

    Example:
        >>> codec = CenteredLabel((48, 64))
        >>> keypoints = np.array([[[23.5, 47.5]]])
        >>> labels = codec.encode(keypoints)['keypoint_labels']
        >>> labels.tolist()
        [[[0.0, 0.25]]]
        >>> codec.decode(labels)[0].tolist()
        [[[23.5, 47.5]]]
    """

    label_mapping_table = dict(
        keypoint_labels='keypoint_labels',
        keypoint_weights='keypoint_weights',
    )

    def __init__(self, input_size: tuple[int, int]) -> None:
        super().__init__()
        self.input_size = input_size
        self.size = np.array(input_size, np.float32)  # (w, h)

    def encode(
        self,
        keypoints: np.ndarray,
        keypoints_visible: np.ndarray | None = None,
    ) -> dict[str, np.ndarray]:
        """Return the training targets of keypoints.

        Args:
            keypoints: Coordinates (x, y) in pixels of the crop, (N, K, 2).
            keypoints_visible: Visibility in [0, 1], (N, K); None is all 1.

        Returns:
            ``keypoint_labels`` (N, K, 2), offsets (x, y);
            ``keypoint_weights`` (N, K), 0 for keypoints that are not
            labelled or lie outside the crop, else 1.
        """
        if keypoints_visible is None:
            keypoints_visible = np.ones(keypoints.shape[:2], np.float32)
        labels = (keypoints - (self.size - 1) / 2) / self.size
        is_inside = (keypoints >= 0) & (keypoints <= self.size - 1)
        weights = is_inside.all(axis=-1) & (keypoints_visible > 0.5)
        return dict(
            keypoint_labels=labels.astype(np.float32),
            keypoint_weights=weights.astype(np.float32),
        )

    def decode(self, encoded: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return keypoints in pixels of the crop and their scores.

        Args:
            encoded: Offsets (x, y), (N, K, 2).

        Returns:
            Keypoints (N, K, 2), and scores (N, K), all 1: a regression gives
            no confidence.
        """
        keypoints = encoded * self.size + (self.size - 1) / 2
        return keypoints, np.ones(keypoints.shape[:2], np.float32)
