"""What mmpose's inferencers take, what they refuse and in which words."""

import urllib.error

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmpose.apis import MMPoseInferencer
from mmpose.apis.inferencers import Pose2DInferencer, base_mmpose_inferencer
from support.configs import ROOT, read_config, shrink

from gtpt_mm.compat.inference.inferencer_inputs import as_image

CONFIG = ROOT / 'configs/body_2d_keypoint'
TOP_DOWN = CONFIG / 'gtpt/sample/gtpt-t_1xb16-14e_sample-96x64.py'
BOX = [10.0, 20.0, 50.0, 90.0]


def small(path) -> Config:
    cfg = read_config(path)
    cfg.model = shrink(cfg.model)
    cfg.config_check = False
    return cfg


class Detector:
    """Called where no box is given; it is never built here."""

    def __call__(self, *args, **kwargs):
        raise AssertionError('the detector ran')


@pytest.fixture(scope='module')
def inferencer():
    torch.manual_seed(0)  # of the weights
    return MMPoseInferencer(
        pose2d=small(TOP_DOWN), det_model='whole_image', device='cpu'
    )


@pytest.fixture
def run(inferencer):
    """Return a function that predicts the people of each image."""

    def call(inputs, **options):
        results = inferencer(inputs, return_datasamples=True, **options)
        return [r['predictions'][0].pred_instances for r in results]

    return call


@pytest.fixture
def image():
    return np.random.default_rng(0).integers(0, 256, (100, 80, 3), np.uint8)


@pytest.fixture
def folder(tmp_path, image):
    cv2.imwrite(str(tmp_path / 'b.png'), image)
    cv2.imwrite(str(tmp_path / 'a.png'), image[:50])
    for name in ('README', 'notes.txt', 'Thumbs.db'):
        (tmp_path / name).write_text('no image')
    return tmp_path


# -------------------------------------------------------------------- images


def test_files_and_folders(run, folder, image):
    [expected] = run(image)
    for inputs in (str(folder / 'b.png'), folder / 'b.png', (image,)):
        [found] = run(inputs)
        np.testing.assert_array_equal(found.keypoints, expected.keypoints)
    # In their order; the other files are passed over.
    boxes = [people.bboxes[0].tolist() for people in run(str(folder))]
    assert boxes == [[0, 0, 80, 50], [0, 0, 80, 100]]
    generated = run(path for path in [folder / 'a.png', image])
    assert [p.bboxes[0].tolist() for p in generated] == boxes
    (folder / 'b.png').rename(folder / 'without_extension')
    [found] = run(str(folder / 'without_extension'))
    np.testing.assert_array_equal(found.keypoints, expected.keypoints)
    assert run([]) == []


def test_arrays_become_bgr(run, image):
    [expected] = run(image)
    alpha = np.full((100, 80, 1), 7, np.uint8)
    same = [np.dstack([image, alpha]), image.astype('i8'), image.astype('u2')]
    for people in run(same):
        np.testing.assert_array_equal(people.keypoints, expected.keypoints)
    # The crop of a float array is not rounded: nearly the same person.
    for array in (image.astype('f4'), image / 2, image.astype('f2')):
        found = as_image(array, 'the input')
        assert found.dtype == np.float32
        np.testing.assert_array_equal(found, array)
        [people] = run(array, return_vis=True)
        assert np.isfinite(people.keypoints).all()
    gray = image[..., 0]
    [expected] = run(np.dstack([gray] * 3))
    for people in run([gray, gray[..., None]], return_vis=True):
        np.testing.assert_array_equal(people.keypoints, expected.keypoints)


def encoded(kind: str) -> bytes:
    return cv2.imencode(kind, np.full((64, 64, 3), 9, np.uint8))[1].tobytes()


@pytest.mark.parametrize(
    'name, content, words',
    [
        ('page.jpg', b'\n<html>404</html>', 'HTML'),
        ('empty.png', b'', r'empty \(0 bytes\)'),
        ('torn.jpg', encoded('.jpg')[:-30], 'torn'),
        ('torn.png', encoded('.png')[:60], 'torn'),
        ('other.jpg', b'no image', 'cannot be decoded'),
        ('plain', b'no image', 'cannot be decoded'),
        ('page.mp4', b'<html>404</html>', 'video'),
        ('text.txt', b'no image', 'text'),
    ],
)
@pytest.mark.parametrize('options', [{}, dict(bboxes=[BOX])])
def test_files_that_are_no_images(
    run, tmp_path, name, content, words, options
):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(ValueError, match=f'{path}.*{words}'):
        run(str(path), **options)


def test_missing_files_and_empty_folders(run, tmp_path):
    for name in ('missing.jpg', 'missing'):
        with pytest.raises(FileNotFoundError, match=f'{tmp_path}/{name}'):
            run(str(tmp_path / name))
    (tmp_path / 'notes.txt').touch()
    with pytest.raises(
        ValueError, match=f'{tmp_path} holds no image .1 other'
    ):
        run(str(tmp_path))


@pytest.mark.parametrize(
    'value', [None, 3, b'bytes', np.array(['x']), np.ones((9, 9), bool)]
)
def test_other_types(run, image, value):
    with pytest.raises(TypeError, match='input'):
        run(value)
    with pytest.raises(TypeError, match='input 1 is .*numpy array'):
        run([image, value])


@pytest.mark.parametrize(
    'value, words',
    [
        (np.full((9, 9, 3), np.nan), 'finite'),
        (np.full((9, 9, 3), np.inf), 'finite'),
        (np.full((9, 9, 3), 256.0), '0..255'),
        (np.full((9, 9), -1), '0..255'),
        (np.full((9, 9, 3), 1000, np.uint16), '0..255'),
        (np.full((9, 9, 3), 0.5), '0..255'),  # scaled to 0..1
        (np.zeros((0, 0, 3), np.uint8), 'empty'),
        (np.zeros((9, 9, 2), np.uint8), r'shape \(9, 9, 2\)'),
        (np.zeros((2, 9, 9, 3), np.uint8), r'shape \(2, 9, 9, 3\)'),
        (np.zeros(9, np.uint8), r'shape \(9,\)'),
    ],
)
def test_arrays_that_are_no_images(run, value, words):
    with pytest.raises(ValueError, match=f'the input.*{words}'):
        run(value)


# --------------------------------------------------------------------- boxes


@pytest.mark.parametrize('detector', [None, Detector()])
def test_boxes_are_used(run, inferencer, image, monkeypatch, detector):
    monkeypatch.setattr(inferencer.inferencer, 'detector', detector)
    two = [BOX, [0, 0, 30, 30]]
    [people] = run(image, bboxes=[two])
    assert people.bboxes.tolist() == two
    assert people.bbox_scores.tolist() == [1, 1]
    # Cut out, the person is the same.
    [alone] = run(image, bboxes=[[BOX]])
    np.testing.assert_allclose(
        alone.keypoints, people.keypoints[:1], atol=1e-3
    )
    [scored] = run(image, bboxes=[np.array([[*BOX, 0.25]])])
    assert scored.bbox_scores.tolist() == [0.25]
    for given in (two, np.array(two), np.array([two])):
        [found] = run(image, bboxes=given)
        np.testing.assert_array_equal(found.keypoints, people.keypoints)
    # One box, and one box of each of two images.
    assert [p.bboxes.tolist() for p in run(image, bboxes=BOX)] == [[BOX]]
    found = run([image, image], bboxes=two)
    assert [p.bboxes.tolist() for p in found] == [[box] for box in two]


def test_without_boxes_the_detector_runs(run, inferencer, image, monkeypatch):
    monkeypatch.setattr(inferencer.inferencer, 'detector', Detector())
    for given in (None, []):
        with pytest.raises(AssertionError, match='the detector ran'):
            run(image, bboxes=given)


@pytest.mark.parametrize(
    'bboxes, words',
    [
        ([[10, 10, 10, 50]], 'empty'),
        ([[50, 10, 10, 50]], 'reversed'),
        ([[[*BOX], [np.nan] * 4]], r'box 1 of bboxes\[0\] is not finite'),
        ([[0, 0, np.inf, 9]], 'finite'),
        ([[*BOX, np.nan]], 'finite'),
        ([[1, 2, 3]], r'bboxes\[0\] has shape \(3,\)'),
        ([[[BOX]]], r'shape \(1, 1, 4\)'),
        ([[]], r'shape \(0,\)'),
        ([[BOX], [BOX]], r'shape \(2, 1, 4\)'),
        ([['a', 'b', 'c', 'd']], 'not boxes'),
        ([[80, 0, 90, 9]], r'outside .*\(100, 80\)'),
        ([[0, -9, 9, 0]], 'outside'),
    ],
)
def test_boxes_that_are_none(run, image, bboxes, words):
    with pytest.raises(ValueError, match=words):
        run(image, bboxes=bboxes)


def test_boxes_of_other_images(run, image):
    with pytest.raises(ValueError, match='bboxes has 1 entries for 2 images'):
        run([image, image], bboxes=[BOX])
    with pytest.raises(TypeError, match='bboxes .* got 3'):
        run(image, bboxes=3)
    with pytest.raises(TypeError, match='requires the images in a list'):
        run((i for i in [image]), bboxes=[BOX])


def test_model_without_boxes(inferencer, image, monkeypatch):
    monkeypatch.delattr(inferencer.inferencer, 'detector')
    with pytest.raises(ValueError, match='top-down'):
        next(inferencer(image, bboxes=[BOX]))


def test_no_detector_and_no_network(monkeypatch):
    def fetch(**options):
        raise urllib.error.URLError('no route')

    monkeypatch.setattr(base_mmpose_inferencer, 'has_mmdet', True)
    monkeypatch.setattr(
        base_mmpose_inferencer, 'DetInferencer', fetch, raising=False
    )
    cfg = small(TOP_DOWN)
    with pytest.raises(ConnectionError, match="no route.*'whole_image'"):
        MMPoseInferencer(pose2d=cfg, device='cpu')
    # A detector that was asked for keeps its own error.
    with pytest.raises(urllib.error.URLError, match='no route'):
        MMPoseInferencer(pose2d=cfg, det_model='rtmdet-m', device='cpu')


# ------------------------------------------------------- options, and folders


@pytest.mark.parametrize(
    'name, near',
    [
        ('kpt_th', 'kpt_thr'),
        ('bbox', 'bboxes'),
        ('vis_outdir', 'vis_out_dir'),
        ('outdir', 'out_dir'),
        ('batchsize', 'batch_size'),
    ],
)
def test_misspelt_options_are_refused_at_the_call(inferencer, name, near):
    for one in (inferencer, inferencer.inferencer):
        words = f"{type(one).__name__} has no option '{name}'.*'{near}'\\?"
        with pytest.raises(TypeError, match=words):
            one('image.jpg', **{name: 1})


def test_options_of_the_stock_demo_are_known(run, image):
    """It hands those of 3D models to all."""
    [_] = run(image, use_oks_tracking=True, num_instances=1, nms_thr=0.5)


def test_output_folders(run, inferencer, folder, monkeypatch):
    def forward(*args, **kwargs):
        raise AssertionError('the inference ran')

    picture = str(folder / 'a.png')
    results = inferencer(picture, out_dir=str(folder / 'new/out'))
    assert len(list(results)) == 1
    assert (folder / 'new/out/visualizations/a.png').is_file()
    assert (folder / 'new/out/predictions/a.json').is_file()
    run(picture, vis_out_dir=str(folder / 'named.jpg'))
    assert (folder / 'named.jpg').is_file()
    monkeypatch.setattr(Pose2DInferencer, 'forward', forward)
    for name in ('vis_out_dir', 'pred_out_dir', 'out_dir'):
        for path in (folder / 'README', folder / 'README/deeper'):
            words = f'{name}=.{path}.*/README is a file'
            with pytest.raises(NotADirectoryError, match=words):
                inferencer(picture, **{name: str(path)})
    with pytest.raises(ValueError, match='vis_out_dir=.*v1.2'):
        inferencer(picture, vis_out_dir=str(folder / 'v1.2'))
