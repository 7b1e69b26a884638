"""Pictures that are put together and enlarged."""

import numpy as np

from gtpt_mm.visualization.canvas import enlarge


def test_points_stay_on_their_pixels():
    img = np.zeros((10, 12, 3), np.uint8)
    img[3, 5] = 255
    part, move = enlarge(img, (2, 1, 8, 9), 80)
    assert part.shape == (80, 60, 3)
    y, x = np.mgrid[:80, :60]
    weight = part[..., 0] / part[..., 0].sum(dtype=float)
    center = (x * weight).sum(), (y * weight).sum()
    np.testing.assert_allclose(center, (34.5, 24.5), atol=0.05)
    np.testing.assert_allclose(move(np.array([5.0, 3.0])), (34.5, 24.5))
