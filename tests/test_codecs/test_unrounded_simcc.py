import cv2
import numpy as np
import pytest
from mmengine.config import Config
from mmpose.registry import KEYPOINT_CODECS

from gtpt_mm.codecs import UnroundedSimCCLabel

SIMCC_CONFIGS = [
    f'configs/{path}.py'
    for path in (
        'body_2d_keypoint/gtpt/coco/gtpt-t_4xb64-300e_coco-256x192',
        'body_2d_keypoint/gtpt/coco/gtpt-b_4xb64-300e_coco-384x288',
        'body_2d_keypoint/gtpt/sample/gtpt-t_1xb16-14e_sample-96x64',
        'wholebody_2d_keypoint/gtpt/coco-wholebody/'
        'gtpt-t_4xb64-300e_coco-wholebody-256x192',
        'wholebody_2d_keypoint/gtpt/coco-wholebody/'
        'gtpt-t_4xb64-300e_coco-wholebody-384x288',
        'wholebody_2d_keypoint/gtpt/sample/'
        'gtpt-t_1xb16-14e_sample-wholebody-96x64',
        '../projects/gtpt_ablations/configs/sample/'
        'gtpt_1xb16-6e_sample-wholebody-96x64',
    )
]


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


@pytest.mark.parametrize('sigma', [2.5, 4.0, 6.0])
def test_perfect_prediction_has_a_score_of_1(sigma):
    """On a bin; half a bin beside it the nearest bin is a little lower."""
    codec = UnroundedSimCCLabel((192, 256), sigma=sigma)
    encoded = codec.encode(np.array([[[50.0, 60.5], [50.25, 60.0]]]))
    labels = encoded['keypoint_x_labels'], encoded['keypoint_y_labels']
    _, scores = codec.decode(*labels)
    beside = np.exp(-0.125 / sigma**2)
    np.testing.assert_allclose(scores, [[1, beside]], 1e-6)
    assert scores.dtype == labels[0].dtype == np.float32


def test_score_is_the_lower_one_of_both_axes_and_not_clipped():
    codec = UnroundedSimCCLabel((64, 96), sigma=4.0)
    x, y = np.zeros((1, 2, 128)), np.zeros((1, 2, 192))
    x[0, :, 7], y[0, 0, 9], y[0, 1, 9] = 0.5, 0.02, 0.7
    keypoints, scores = codec.decode(x, y)
    np.testing.assert_allclose(keypoints, [[[3.5, 4.5]] * 2])
    unit = 4 * np.sqrt(2 * np.pi)
    np.testing.assert_allclose(scores, [[0.02 * unit, 0.5 * unit]])
    assert scores[0, 1] > 5


@pytest.mark.parametrize('path', SIMCC_CONFIGS)
def test_threshold_of_the_metric_is_that_of_the_official_code(path, repo_root):
    """0.01 as a density, in the unit of the codec's scores."""
    cfg = Config.fromfile(repo_root / path)
    metrics = cfg.val_evaluator
    metric = metrics[0] if isinstance(metrics, list) else metrics
    codec = KEYPOINT_CODECS.build(cfg.model.head.decoder)
    assert metric.keypoint_score_thr * codec.peak == pytest.approx(0.01)
    assert cfg.test_evaluator == cfg.val_evaluator


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
