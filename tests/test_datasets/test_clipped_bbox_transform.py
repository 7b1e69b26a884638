import numpy as np
from mmpose.registry import TRANSFORMS


def test_draws_clipped_normals():
    transform = TRANSFORMS.build(dict(type='ClippedRandomBBoxTransform'))
    num = 20000
    results = transform(
        dict(bbox_center=np.ones((num, 2)), bbox_scale=np.ones((num, 2)))
    )
    np.testing.assert_array_equal(results['bbox_center'], np.ones((num, 2)))
    scale, angle = results['bbox_scale'], results['bbox_rotation']
    assert scale.shape == (num, 2)
    np.testing.assert_array_equal(scale[:, 0], scale[:, 1])
    assert np.isclose(scale.min(), 0.65)
    assert np.isclose(scale.max(), 1.35)
    # 15.9 % of a normal lie beyond one sigma, 2.3 % beyond two.
    assert abs((scale[:, 0] >= 1.35 - 1e-6).mean() - 0.159) < 0.01
    assert abs((angle != 0).mean() - 0.6) < 0.02
    assert abs((angle >= 90 - 1e-4).mean() - 0.6 * 0.023) < 0.005
    assert abs(angle).max() <= 90
