"""Associative embedding whose targets reach the loss."""

# N instances, K keypoints, (H, W) heatmap

import numpy as np
from mmpose.codecs import AssociativeEmbedding
from mmpose.registry import KEYPOINT_CODECS


@KEYPOINT_CODECS.register_module()
class ImageAssociativeEmbedding(AssociativeEmbedding):
    """mmpose's associative embedding, with the labels that training needs.

    The codec of mmpose 1.3.2 cannot be trained with: its
    ``label_mapping_table`` lacks the keypoint indices, so ``PackPoseInputs``
    drops them and the head finds none. It also marks a keypoint just below the
    map as visible, with an index outside the map.

    Heatmaps, decoding and arguments are as in ``AssociativeEmbedding``.

    Example:
        >>> codec = ImageAssociativeEmbedding((64, 64), (16, 16), sigma=1)
        >>> below = codec.encode(np.array([[[8.0, 63.9], [8.0, 8.0]]]))
        >>> below['keypoint_indices'].tolist()
        [[[258, 0], [34, 1]]]
    """

    label_mapping_table = dict(
        keypoint_indices='keypoint_indices',
        keypoint_weights='keypoint_weights',
    )

    def _encode_keypoint_indices(
        self,
        heatmap_size: tuple[int, int],
        keypoints: np.ndarray,
        keypoints_visible: np.ndarray,
    ) -> np.ndarray:
        """Return index y * W + x and visibility on the map, (N, K, 2)."""
        width, height = heatmap_size
        x, y = np.moveaxis(np.floor(keypoints + 0.5).astype(np.int64), -1, 0)
        inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
        visible = inside & (keypoints_visible > 0.5)
        return np.stack((y * width + x, visible), axis=-1)
