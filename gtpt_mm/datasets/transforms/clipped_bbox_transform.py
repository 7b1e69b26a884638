"""Random scale and rotation of a box, drawn from clipped normals."""

import numpy as np
from mmcv.transforms.utils import cache_randomness
from mmpose.datasets.transforms import RandomBBoxTransform
from mmpose.registry import TRANSFORMS


@TRANSFORMS.register_module()
class ClippedRandomBBoxTransform(RandomBBoxTransform):
    """Scale and rotate boxes as the code of HRNet, TokenPose and GTPT does.

    Stock ``RandomBBoxTransform`` draws from normals truncated at one sigma;
    here a normal of given sigma is clipped, so that the limits themselves
    come up often:

        scale    = clip(1 + scale_sigma z, 1 - scale_sigma, 1 + scale_sigma)
        rotation = clip(rotate_sigma z, -2 rotate_sigma, 2 rotate_sigma)

    The box is not shifted.

    Args:
        scale_sigma: Standard deviation of the scale, >= 0.
        rotate_sigma: Standard deviation of the rotation in degrees, >= 0.
        rotate_prob: Probability of a rotation.
    """

    def __init__(
        self,
        scale_sigma: float = 0.35,
        rotate_sigma: float = 45.0,
        rotate_prob: float = 0.6,
    ) -> None:
        super().__init__(
            shift_prob=0.0,
            scale_factor=(1 - scale_sigma, 1 + scale_sigma),
            scale_prob=1.0,
            rotate_factor=2 * rotate_sigma,
            rotate_prob=rotate_prob,
        )
        self.scale_sigma = scale_sigma
        self.rotate_sigma = rotate_sigma

    @cache_randomness
    def _get_transform_params(
        self, num_bboxes: int
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Draw offsets (n, 2), scales (n, 1), rotations in degrees (n,)."""
        offset = np.zeros((num_bboxes, 2), np.float32)
        scale = np.clip(
            1 + self.scale_sigma * np.random.randn(num_bboxes, 1),
            *self.scale_factor,
        )
        rotate = np.clip(
            self.rotate_sigma * np.random.randn(num_bboxes),
            -self.rotate_factor,
            self.rotate_factor,
        )
        rotated = np.random.rand(num_bboxes) < self.rotate_prob
        return (
            offset,
            scale.astype(np.float32),
            np.where(rotated, rotate, 0.0).astype(np.float32),
        )
