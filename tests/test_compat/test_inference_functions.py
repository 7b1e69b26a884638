"""What ``inference_topdown``, ``inference_bottomup``, ``init_model`` take."""

import cv2
import numpy as np
import pytest
import torch
from mmpose.apis import inference_bottomup, inference_topdown, init_model
from mmpose.utils.tensor_utils import to_numpy
from PIL import Image
from support.stock_inference import (
    CONFIGS,
    draw_noise,
    make_inferencer,
    small_config,
)

BOX = [10.0, 20.0, 50.0, 90.0]


def make_model(name):
    torch.manual_seed(0)
    return init_model(small_config(name)).eval()


@pytest.fixture(scope='module')
def model():
    return make_model('vitpose')


@pytest.fixture(scope='module')
def inferencer():
    return make_inferencer('vitpose')


@pytest.fixture
def image():
    return draw_noise(100, 80)


def _points(samples):
    return np.concatenate([s.pred_instances.keypoints for s in samples])


def test_default_device_is_there(model):
    expected = 'cuda' if torch.cuda.is_available() else 'cpu'
    assert next(model.parameters()).device.type == expected


def test_images_of_all_kinds(model, inferencer, image, tmp_path):
    path = tmp_path / 'a.png'
    cv2.imwrite(str(path), image)
    expected = _points(inference_topdown(model, image))
    rgb = Image.fromarray(image[..., ::-1])
    kinds = [str(path), path, rgb, rgb.convert('RGBA'), Image.open(path)]
    kinds.append(np.dstack([image, image[..., 0]]))
    for kind in kinds:
        found = _points(inference_topdown(model, kind))
        np.testing.assert_array_equal(found, expected)
        [result] = inferencer(kind)
        [[person]] = result['predictions']
        assert person['bbox'] == [[0, 0, 80, 100]]
    gray = image[..., 0]
    deep = Image.fromarray(gray.astype(np.uint16) * 257)
    expected = _points(inference_topdown(model, np.dstack([gray] * 3)))
    for kind in (gray, gray[..., None], Image.fromarray(gray), deep):
        found = _points(inference_topdown(model, kind))
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize('orientation', [3, 6, 8])
def test_exif_is_the_same_everywhere(
    model, inferencer, image, tmp_path, orientation
):
    path = tmp_path / 'turned.png'
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(image[..., ::-1]).save(path, exif=exif)
    pixels = cv2.imread(str(path))
    turned = orientation != 3
    assert pixels.shape[:2] == ((80, 100) if turned else (100, 80))
    height, width = pixels.shape[:2]
    expected = _points(inference_topdown(model, pixels))
    for kind in (str(path), path, Image.open(path)):
        [sample] = inference_topdown(model, kind)
        box = sample.pred_instances.bboxes.tolist()
        assert box == [[0, 0, width, height]]
        np.testing.assert_array_equal(_points([sample]), expected)
        [[person]] = next(inferencer(kind))['predictions']
        assert person['bbox'] == [[0, 0, width, height]]


def test_boxes_of_all_kinds(model, image):
    expected = _points(inference_topdown(model, image, [BOX]))
    x, y, right, bottom = BOX
    for boxes in (BOX, np.array(BOX), torch.tensor([BOX]), [np.array(BOX)]):
        found = _points(inference_topdown(model, image, boxes))
        np.testing.assert_array_equal(found, expected)
    wide = [x, y, right - x, bottom - y]
    found = _points(inference_topdown(model, image, wide, 'xywh'))
    np.testing.assert_array_equal(found, expected)
    [scored] = inference_topdown(model, image, [[*BOX, 0.25]])
    assert scored.pred_instances.bbox_scores.tolist() == [0.25]
    for nobody in ([], np.zeros((0, 4))):
        assert inference_topdown(model, image, nobody) == []


@pytest.mark.parametrize(
    'boxes, words',
    [
        ([BOX, [np.nan] * 4], 'box 1 of bboxes is not finite'),
        ([0, 0, np.inf, 9], 'not finite'),
        ([[1, 2, 3]], r'shape \(1, 3\)'),
        ([[BOX]], r'shape \(1, 1, 4\)'),
        ('abcd', 'not boxes'),
        ([BOX, [1, 2]], 'not boxes'),
    ],
)
def test_boxes_that_are_none(model, image, boxes, words):
    with pytest.raises(ValueError, match=words):
        inference_topdown(model, image, boxes)
    with pytest.raises(ValueError, match='xyhw'):
        inference_topdown(model, image, [BOX], 'xyhw')


def test_images_that_are_none(model, tmp_path):
    (tmp_path / 'bad.jpg').write_bytes(b'abc')
    for boxes in (None, [BOX]):
        with pytest.raises(ValueError, match='bad.jpg cannot be decoded'):
            inference_topdown(model, tmp_path / 'bad.jpg', boxes)
        with pytest.raises(FileNotFoundError, match='missing.jpg'):
            inference_topdown(model, tmp_path / 'missing.jpg', boxes)
    with pytest.raises(TypeError, match='img is 3'):
        inference_topdown(model, 3)


# ------------------------------------------------------------ half precision


@pytest.mark.parametrize('name', CONFIGS)
def test_half_precision(name, image):
    model = make_model(name)
    bottom_up = name in ('group_pose', 'bottom_up')
    infer = inference_bottomup if bottom_up else inference_topdown
    if bottom_up:  # Path and PIL, too
        infer(model, Image.fromarray(image))
    with torch.autocast('cpu', torch.bfloat16):
        [sample] = infer(model, image)
    assert np.isfinite(sample.pred_instances.keypoints).all()
    mean = model.data_preprocessor.mean.clone()
    for dtype in (torch.bfloat16, torch.float16):
        [sample] = infer(model.to(dtype), image)
        assert np.isfinite(sample.pred_instances.keypoints).all()
        assert next(model.parameters()).dtype is dtype
    # Not rounded: images are normalized in float32.
    assert torch.equal(model.data_preprocessor.mean, mean)
    model.float()
    assert model.data_preprocessor.mean.dtype is torch.float32


def test_half_precision_is_near_float32(image):
    model = make_model('vitpose')
    score = inference_topdown(model, image)[0].pred_instances.keypoint_scores
    half = inference_topdown(model.to(torch.bfloat16), image)[0]
    np.testing.assert_allclose(
        half.pred_instances.keypoint_scores, score, rtol=0.1, atol=0.02
    )


def test_inferencer_in_half_precision(image):
    inferencer = make_inferencer('vitpose')
    inferencer.inferencer.model.to(torch.bfloat16)
    [[person]] = next(inferencer(image))['predictions']
    assert np.isfinite(person['keypoints']).all()


def test_bfloat16_becomes_numpy():
    values = torch.tensor([1.5, 2.0], dtype=torch.bfloat16)
    assert to_numpy(values).tolist() == [1.5, 2.0]
    assert [a.tolist() for a in to_numpy([values])] == [[1.5, 2.0]]
    assert to_numpy(values.float()).dtype == np.float32
