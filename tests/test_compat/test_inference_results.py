"""Whom mmpose's inferencers find, in which passes, and what they write."""

import json
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from mmengine.structures import InstanceData
from mmpose.apis import MMPoseInferencer
from mmpose.apis.inferencers import base_mmpose_inferencer
from mmpose.structures import PoseDataSample, split_instances
from mmpose.visualization import Pose3dLocalVisualizer
from support.stock_inference import (
    FoundBoxes,
    draw_noise,
    make_inferencer,
    small_config,
    write_video,
)

BOXES = [[10, 20, 50, 90], [30, 10, 70, 60]]
NOBODY = FoundBoxes([], [], [])


@pytest.fixture(scope='module')
def inferencer():
    return make_inferencer('vitpose')


@pytest.fixture
def image():
    return draw_noise(100, 80)


# -------------------------------------------------------------------- nobody


@pytest.mark.parametrize(
    'found', [NOBODY, FoundBoxes(BOXES, [0.2, 0.1], [0, 0])]
)
def test_nobody_is_found(inferencer, image, tmp_path, monkeypatch, found):
    monkeypatch.setattr(inferencer.inferencer, 'detector', found)
    monkeypatch.setattr(
        inferencer.inferencer, 'det_cat_ids', (0,), raising=False
    )
    options = dict(return_vis=True, out_dir=str(tmp_path))
    [result] = inferencer(image, **options)
    assert result['predictions'] == [[]]
    np.testing.assert_array_equal(result['visualization'][0], image[..., ::-1])
    assert json.loads((tmp_path / 'predictions/000000.json').read_text()) == []
    [sample] = next(inferencer(image, return_datasamples=True))['predictions']
    assert sample.pred_instances.keypoints.shape == (0, 17, 2)
    assert sample.ori_shape == (100, 80)
    assert sample.img_path == '000000.jpg'
    [batch] = [list(inferencer([image] * 3, batch_size=2))]
    assert [r['predictions'] for r in batch] == [[[]]] * 3


def test_nobody_is_found_in_a_video(inferencer, tmp_path, monkeypatch):
    path = write_video(tmp_path / 'v.mp4', [draw_noise(64, 64)] * 3)
    monkeypatch.setattr(inferencer.inferencer, 'detector', NOBODY)
    monkeypatch.setattr(
        inferencer.inferencer, 'det_cat_ids', (0,), raising=False
    )
    found = list(inferencer(path, out_dir=str(tmp_path / 'out')))
    assert [r['predictions'] for r in found] == [[[]]] * 3
    frames = json.loads((tmp_path / 'out/predictions/v.json').read_text())
    assert [frame['instances'] for frame in frames] == [[]] * 3


def test_detected_people_are_cropped(inferencer, image, monkeypatch):
    detector = FoundBoxes([*BOXES, BOXES[0]], [0.9, 0.8, 0.95], [0, 0, 1])
    monkeypatch.setattr(inferencer.inferencer, 'detector', detector)
    monkeypatch.setattr(
        inferencer.inferencer, 'det_cat_ids', (0,), raising=False
    )
    [people] = next(inferencer(image))['predictions']
    assert [p['bbox'] for p in people] == [[BOXES[0]], [BOXES[1]]]
    assert [p['bbox_score'] for p in people] == pytest.approx([0.9, 0.8])
    [given] = next(inferencer(image, bboxes=[BOXES]))['predictions']
    assert [p['keypoints'] for p in people] == [p['keypoints'] for p in given]


@pytest.mark.parametrize(
    'classes, expected',
    [(('car', 'person'), 1), (('person', 'car'), 0), (('cat', 'dog'), 0)],
)
def test_categories_left_out_are_people(monkeypatch, classes, expected):
    class Detector(FoundBoxes):
        def __init__(self, **options):
            super().__init__([], [], [], classes)

    monkeypatch.setattr(base_mmpose_inferencer, 'has_mmdet', True)
    monkeypatch.setattr(
        base_mmpose_inferencer, 'DetInferencer', Detector, raising=False
    )
    cfg = small_config('vitpose')
    made = MMPoseInferencer(pose2d=cfg, det_model='some', device='cpu')
    assert tuple(made.inferencer.det_cat_ids) == (expected,)
    asked = MMPoseInferencer(
        pose2d=cfg, det_model='some', det_cat_ids=[5], device='cpu'
    )
    assert asked.inferencer.det_cat_ids == [5]


# ------------------------------------------------------------------- batches


def _count_passes(inferencer):
    model, passes = inferencer.inferencer.model, []
    model.test_cfg['flip_test'] = False
    handle = model.backbone.register_forward_pre_hook(
        lambda module, args: passes.append(len(args[0]))
    )
    return passes, handle


def test_batches_of_people_equal_one_by_one(inferencer):
    images = [draw_noise(100, 80, seed) for seed in range(5)]
    boxes = [BOXES[:1], BOXES, BOXES[1:], BOXES, BOXES]
    alone = list(inferencer(images, bboxes=boxes))
    passes, handle = _count_passes(inferencer)
    alone = list(inferencer(images, bboxes=boxes))
    assert passes == [1, 2, 1, 2, 2]  # all people of an image, as in mmpose
    passes.clear()
    together = list(inferencer(images, bboxes=boxes, batch_size=3))
    handle.remove()
    assert passes == [3, 1, 3, 1]
    for one, other in zip(alone, together, strict=True):
        [people], [others] = one['predictions'], other['predictions']
        for person, same in zip(people, others, strict=True):
            assert person['bbox'] == same['bbox']
            np.testing.assert_allclose(
                person['keypoints'], same['keypoints'], atol=1e-2
            )


def test_batches_of_images_of_equal_size():
    inferencer = make_inferencer('bottom_up')
    shapes = [(96, 64), (64, 96), (96, 64), (64, 96)]
    images = [draw_noise(*shape, i) for i, shape in enumerate(shapes)]
    passes, handle = _count_passes(inferencer)
    options = dict(return_datasamples=True)
    alone = list(inferencer(images, **options))
    passes.clear()
    together = list(inferencer(images, batch_size=4, **options))
    handle.remove()
    assert passes == [2, 2, 2, 2]  # two sizes, each also flipped
    for one, other in zip(alone, together, strict=True):
        [a], [b] = one['predictions'], other['predictions']
        assert a.ori_shape == b.ori_shape and a.img_path == b.img_path
        np.testing.assert_allclose(
            a.pred_instances.keypoints, b.pred_instances.keypoints, atol=1e-2
        )


def test_batches_of_a_bottom_up_model_have_their_heatmaps():
    inferencer = make_inferencer('bottom_up')
    images = [draw_noise(96, 64, seed) for seed in range(3)]
    options = dict(draw_heatmap=True, return_vis=True)
    alone = list(inferencer(images, **options))
    inferencer = make_inferencer('bottom_up')
    together = list(inferencer(images, batch_size=2, **options))
    for one, other in zip(alone, together, strict=True):
        [a], [b] = one['visualization'], other['visualization']
        assert a.shape == (192, 64, 3)  # the image above its heatmaps
        np.testing.assert_allclose(a.astype(int), b, atol=3)


def test_images_before_an_unreadable_one_have_results(inferencer, tmp_path):
    (tmp_path / 'bad.jpg').write_bytes(b'abc')
    inputs = [draw_noise(9, 9), draw_noise(9, 9), str(tmp_path / 'bad.jpg')]
    results = inferencer(inputs, batch_size=8)
    next(results), next(results)
    with pytest.raises(ValueError, match='bad.jpg'):
        next(results)


@pytest.mark.parametrize('value', [0, -1, 2.0, True])
def test_wrong_batch_sizes(inferencer, image, value):
    with pytest.raises((TypeError, ValueError), match='batch_size must be'):
        next(inferencer(image, batch_size=value))


# --------------------------------------------------------------------- files


def test_results_are_json(inferencer, image):
    result = next(inferencer(image, bboxes=[BOXES]))
    again = json.loads(json.dumps(result))
    assert again['predictions'] == result['predictions']
    person = result['predictions'][0][0]
    assert type(person['bbox_score']) is float
    assert person['bbox'] == [BOXES[0]] and type(person['bbox']) is list
    assert split_instances(None) == []


def test_samples_are_returned_and_json_is_written(inferencer, image, tmp_path):
    options = dict(return_datasamples=True, pred_out_dir=str(tmp_path))
    [result] = inferencer(image, **options)
    assert isinstance(result['predictions'][0], PoseDataSample)
    [person] = json.loads((tmp_path / '000000.json').read_text())
    assert len(person['keypoints']) == 17


def test_equal_names_do_not_overwrite_each_other(inferencer, tmp_path):
    files = []
    for i, folder in enumerate('ab'):
        (tmp_path / folder).mkdir()
        files.append(str(tmp_path / folder / 'x.png'))
        cv2.imwrite(files[-1], draw_noise(20 + i, 20))
    out = tmp_path / 'out'
    list(inferencer(files, out_dir=str(out)))
    list(inferencer(files[1], out_dir=str(out)))  # its own file again
    for seed in range(2):
        list(inferencer(draw_noise(30, 30, seed), out_dir=str(out)))
    stems = ['000000', '000000_1', 'x', 'x_1']
    found = sorted(p.name for p in (out / 'predictions').iterdir())
    assert found == [f'{stem}.json' for stem in stems]
    pictures = {p.name: p for p in (out / 'visualizations').iterdir()}
    assert sorted(pictures) == [
        '000000.jpg', '000000_1.jpg', 'x.png', 'x_1.png'
    ]  # fmt: skip
    assert cv2.imread(str(pictures['x_1.png'])).shape == (21, 20, 3)
    boxes = json.loads((out / 'predictions/x_1.json').read_text())[0]['bbox']
    assert boxes == [[0, 0, 20, 21]]


def test_pictures_never_replace_their_images(inferencer, image, tmp_path):
    path = tmp_path / 'x.png'
    cv2.imwrite(str(path), image)
    with pytest.raises(ValueError, match='would replace the image'):
        list(inferencer(str(path), vis_out_dir=str(tmp_path)))
    np.testing.assert_array_equal(cv2.imread(str(path)), image)


# ------------------------------------------------------------------ pictures


def test_skeleton_style_does_not_stick(inferencer, image):
    options = dict(return_vis=True, kpt_thr=0)
    expected = next(inferencer(image, **options))['visualization'][0]
    other = next(inferencer(image, skeleton_style='openpose', **options))
    assert (other['visualization'][0] != expected).any()
    again = next(inferencer(image, **options))['visualization'][0]
    np.testing.assert_array_equal(again, expected)
    with pytest.raises(ValueError, match="'openpse'.*openpose"):
        inferencer(image, skeleton_style='openpse')


def test_show_without_a_display(inferencer, image, monkeypatch):
    for name in ('DISPLAY', 'WAYLAND_DISPLAY', 'QT_QPA_PLATFORM'):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(RuntimeError, match='no display'):
        inferencer(image, show=True)
    with pytest.raises(RuntimeError, match='no display'):
        inferencer.inferencer.visualizer.show(image)


@pytest.mark.parametrize('number, width', [(1, 60), (3, 180), (-1, 60)])
def test_3d_pictures_have_a_panel_for_each_instance(number, width):
    visualizer = Pose3dLocalVisualizer()
    visualizer.kpt_color = np.zeros((17, 3))
    points = np.random.default_rng(0).random((1, 17, 3))
    one = SimpleNamespace(
        pred=InstanceData(keypoints=points, keypoint_scores=points[..., 0])
    )
    for people in (one.pred, None):
        sample = PoseDataSample()
        sample.pred_instances = people or InstanceData(keypoints=points[:0])
        drawn = visualizer._draw_3d_data_samples(
            np.zeros((60, 40, 3), np.uint8),
            sample,
            draw_gt=False,
            num_instances=number,
        )
        assert drawn.shape == (60, width, 3) and drawn.dtype == np.uint8
        assert (drawn[:, 60:] == 255).all()
