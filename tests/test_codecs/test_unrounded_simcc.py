import cv2
import numpy as np
import pytest
from mmpose.registry import KEYPOINT_CODECS

from gtpt_mm.codecs import UnroundedSimCCLabel


@pytest.fixture
def codec():
    return KEYPOINT_CODECS.build(
        dict(type='UnroundedSimCCLabel', input_size=(192, 256), sigma=4.0)
    )


def test_targets_match_authors(codec, gtpt_goldens):
    arrays = gtpt_goldens.npz('targets')
    encoded = codec.encode(arrays['joints'][None], arrays['vis'][None])
    np.testing.assert_allclose(
        encoded['keypoint_weights'][0], arrays['weight'][:, 0], 1e-7
    )
    for axis in 'xy':
        np.testing.assert_allclose(
            encoded[f'keypoint_{axis}_labels'][0],
            arrays[f'target_{axis}'],
            0,
            1e-7,
        )


def test_crop_and_targets_of_an_image_match_authors(codec, gtpt_goldens):
    """Box to crop to targets, through stock transforms."""
    from mmcv.transforms import Compose
    from mmpose.datasets.transforms import GetBBoxCenterScale, TopdownAffine

    arrays = gtpt_goldens.npz('pipeline_val')
    x, y, w, h = arrays['bbox']
    results = dict(
        img=arrays['image_bgr'],
        bbox=np.array([[x, y, x + w, y + h]], np.float32),
        keypoints=arrays['joints_image'][None],
        keypoints_visible=arrays['vis'][None],
    )
    results = Compose([GetBBoxCenterScale(1.25), TopdownAffine((192, 256))])(
        results
    )
    # Recorded with OpenCV 5. OpenCV 4 interpolates with weights of 5 bits,
    # which moves a pixel by one grey level at most.
    grey_levels = 0 if int(cv2.__version__.split('.')[0]) >= 5 else 1
    np.testing.assert_allclose(
        results['img'][..., ::-1].astype(int),
        arrays['crop_rgb'].astype(int),
        0,
        grey_levels,
    )
    points = results['transformed_keypoints'].astype(np.float64)
    seen = arrays['vis'] > 0  # the authors leave the others where they are
    np.testing.assert_allclose(
        points[0][seen], arrays['joints_crop'][seen], 0, 1e-3
    )
    encoded = codec.encode(arrays['joints_crop'][None], arrays['vis'][None])
    np.testing.assert_allclose(
        encoded['keypoint_x_labels'][0], arrays['target_x'], 0, 1e-7
    )


def test_convention_decode_returns_the_encoded_point(codec):
    points = np.random.uniform((0, 0), (191.5, 255.5), (1, 50, 2))
    encoded = codec.encode(points)
    decoded, scores = codec.decode(
        encoded['keypoint_x_labels'], encoded['keypoint_y_labels']
    )
    assert np.abs(decoded - points).max() <= 0.25 + 1e-6  # half a bin
    assert scores.shape == (1, 50)


def test_border_unit_bin_drops_keypoints_without_target(codec):
    points = np.array([[[-8.0, 100.0], [100.0, 100.0]]])
    in_bins = UnroundedSimCCLabel((192, 256), border_unit='bin')
    assert codec.encode(points)['keypoint_weights'].tolist() == [[1, 1]]
    assert in_bins.encode(points)['keypoint_weights'].tolist() == [[0, 1]]


def test_encode_leaves_its_arguments_alone(codec):
    points = np.array([[[-80.0, 100.0]]])
    visible = np.ones((1, 1), np.float32)
    codec.encode(points, visible)
    assert visible[0, 0] == 1
    assert points[0, 0, 0] == -80


def test_unknown_border_unit_is_refused():
    with pytest.raises(ValueError, match='inch'):
        UnroundedSimCCLabel((192, 256), border_unit='inch')
