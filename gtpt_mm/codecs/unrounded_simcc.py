"""SimCC labels whose Gaussians sit where the keypoints are."""

# N instances, K keypoints, W bins

import numpy as np
from mmpose.codecs import SimCCLabel
from mmpose.registry import KEYPOINT_CODECS


@KEYPOINT_CODECS.register_module()
class UnroundedSimCCLabel(SimCCLabel):
    """SimCC labels around the exact keypoint, not around the nearest bin.

    Stock ``SimCCLabel`` rounds a keypoint to a whole bin before it draws the
    Gaussian, and drops keypoints whose Gaussian lies outside the input. This
    codec does not round, and drops keypoints by the rule of GTPT: those more
    than three sigma outside the input, where sigma counts **pixels** although
    the Gaussian is drawn in bins.

    Decoding expects probabilities. The keypoints equal those of
    ``SimCCLabel``; its scores are divided by the peak of the target,
    1 / (sigma sqrt(2 pi)). A perfect prediction then has a score of 1 for any
    sigma, and a distribution sharper than its target a higher one.

    Source: the target generator of the official code of GTPT.

    Args:
        input_size: Input size (w, h) in pixels.
        sigma: Standard deviation of the Gaussian in bins.
        simcc_split_ratio: Bins per pixel.
        border_unit: Unit of the three sigma by which a keypoint may lie
            outside the input and still keep its weight: ``'pixel'`` as in the
            official code, or ``'bin'``, the unit of the Gaussian's width.

    Raises:
        ValueError: If ``border_unit`` is neither.

    Example:
        >>> codec = UnroundedSimCCLabel((192, 256), sigma=4.0)
        >>> codec.encode(np.array([[[20.3, 40.0]]]))[
        ...     'keypoint_x_labels'].shape
        (1, 1, 384)
    """

    def __init__(
        self,
        input_size: tuple[int, int],
        sigma: float = 4.0,
        simcc_split_ratio: float = 2.0,
        border_unit: str = 'pixel',
    ) -> None:
        super().__init__(
            input_size=input_size,
            smoothing_type='gaussian',
            sigma=float(sigma),
            simcc_split_ratio=simcc_split_ratio,
            normalize=True,
        )
        if border_unit not in ('pixel', 'bin'):
            raise ValueError(
                f"border_unit must be 'pixel' or 'bin', got {border_unit!r}"
            )
        self.border_unit = border_unit

    def encode(
        self,
        keypoints: np.ndarray,
        keypoints_visible: np.ndarray | None = None,
    ) -> dict[str, np.ndarray]:
        """Return the target distributions and weights of keypoints.

        Args:
            keypoints: Coordinates (x, y) in input pixels, (N, K, 2).
            keypoints_visible: Visibility in [0, 1], (N, K); None is all 1.

        Returns:
            ``keypoint_x_labels`` (N, K, Wx) and ``keypoint_y_labels``
            (N, K, Wy), densities of the Gaussian at the bins, zero for
            keypoints with a visibility of at most 0.5 or outside;
            ``keypoint_weights`` (N, K), the visibility, zero outside.
        """
        if keypoints_visible is None:
            keypoints_visible = np.ones(keypoints.shape[:2], np.float32)
        weights = keypoints_visible.astype(np.float32, copy=True)
        weights[~self._is_near(keypoints)] = 0
        drawn = weights > 0.5
        labels = [
            self._gaussian(keypoints[..., axis], axis) * drawn[..., None]
            for axis in range(2)
        ]
        return dict(
            keypoint_x_labels=labels[0].astype(np.float32),
            keypoint_y_labels=labels[1].astype(np.float32),
            keypoint_weights=weights,
        )

    @property
    def peak(self) -> float:
        """Density at the center of a target; it corresponds to score 1."""
        return float(1 / (self.sigma[0] * np.sqrt(2 * np.pi)))

    def decode(
        self, simcc_x: np.ndarray, simcc_y: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return the bins with the highest probability as keypoints.

        Args:
            simcc_x: Probabilities of the horizontal bins, (N, K, Wx).
            simcc_y: Probabilities of the vertical bins, (N, K, Wy).

        Returns:
            Keypoints (x, y) in input pixels, (N, K, 2); and scores, (N, K):
            the lower of the two maxima, divided by :attr:`peak`. They are not
            clipped, so they may exceed 1.
        """
        keypoints, scores = super().decode(simcc_x, simcc_y)
        return keypoints, scores / self.peak

    def _is_near(self, keypoints: np.ndarray) -> np.ndarray:
        """Tell which keypoints keep their weight, (N, K)."""
        unit = 1.0 if self.border_unit == 'pixel' else self.simcc_split_ratio
        place = np.trunc(keypoints[..., :2] * unit)
        size = np.array(self.input_size) * unit
        reach = 3 * self.sigma
        inside = (place - reach < size) & (place + reach + 1 >= 0)
        return inside.all(axis=-1)

    def _gaussian(self, centers: np.ndarray, axis: int) -> np.ndarray:
        """Return densities at all bins of one axis, (N, K, W)."""
        ratio, sigma = self.simcc_split_ratio, self.sigma[axis]
        bins = np.arange(round(self.input_size[axis] * ratio))
        distance = (bins - centers[..., None] * ratio) / sigma
        return np.exp(-0.5 * distance**2) / (sigma * np.sqrt(2 * np.pi))
