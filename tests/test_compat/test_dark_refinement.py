"""DARK on flat heatmaps, and the same numbers on others."""

import numpy as np
import pytest
from mmpose.codecs import MSRAHeatmap
from mmpose.codecs.utils import refine_keypoints_dark

from gtpt_mm.compat.inference.dark_refinement import one_by_one

CODEC = dict(input_size=(96, 128), heatmap_size=(24, 32), sigma=2)


def make_heatmaps() -> np.ndarray:
    codec = MSRAHeatmap(**CODEC)
    points = np.array([[[40.3, 51.7], [20.9, 90.2], [70.5, 33.1]]])
    heatmaps = codec.encode(points)['heatmaps']
    noise = np.random.default_rng(0).random(heatmaps.shape)
    return (heatmaps + 0.01 * noise).astype(np.float32)


def test_keypoints_have_the_numbers_of_mmpose():
    stock = refine_keypoints_dark.__wrapped__
    points = np.array(
        [[[10.0, 13], [5, 22], [17, 8]], [[9, 9], [3, 4], [6, 6]]]
    )
    new, old = (
        refine(points.copy(), make_heatmaps(), 11)
        for refine in (refine_keypoints_dark, stock)
    )
    assert (old != points).any()
    np.testing.assert_array_equal(new, old)


@pytest.mark.parametrize('value', [0.0, 1e-12, -0.5])
def test_a_flat_heatmap_leaves_the_keypoint_alone(value):
    heatmaps = make_heatmaps()
    expected, _ = MSRAHeatmap(**CODEC, unbiased=True).decode(heatmaps.copy())
    heatmaps[1] = value
    keypoints, scores = MSRAHeatmap(**CODEC, unbiased=True).decode(heatmaps)
    assert np.isfinite(keypoints).all() and np.isfinite(scores).all()
    np.testing.assert_array_equal(keypoints[:, [0, 2]], expected[:, [0, 2]])


def test_a_singular_matrix_leaves_only_its_keypoint_alone():
    """NumPy raises for matrices with exact pivots of zero."""

    def refine(points, heatmaps, kernel):
        points += 0.25
        if heatmaps[0, 0, 0] < 0:
            raise np.linalg.LinAlgError('Singular matrix')

    heatmaps = np.array([1, -1, 1]).reshape(3, 1, 1)
    points = one_by_one(refine)(np.zeros((2, 3, 2)), heatmaps, 11)
    np.testing.assert_array_equal(points[0, :, 0], [0.25, 0, 0.25])
    np.testing.assert_array_equal(points[1], points[0])
