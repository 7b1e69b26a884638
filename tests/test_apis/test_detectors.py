"""Detectors by name: the form of their results."""

import pickle

import cv2
import numpy as np
import pytest
from support.photographs import match_people, read_photographs

from gtpt_mm.apis.detectors import Detector, make_detector

IMAGE = np.zeros((30, 40, 3), np.uint8)


def boxes_of(image):
    """Five boxes: outside, hidden under a better one, weak, empty."""
    boxes = [
        [-5, -5, 20, 20],
        [-5, -5, 21, 21],
        [10, 10, 60, 25],
        [0, 0, 9, 9],
        [50, 3, 60, 9],
    ]
    return boxes, [0.5, 0.9, 0.6, 0.2, 0.9]


def test_result_is_clipped_thresholded_and_sorted():
    (boxes, scores), nobody = make_detector(boxes_of)([IMAGE, IMAGE[:1, :1]])
    expected = [[0, 0, 21, 21], [10, 10, 40, 25], [0, 0, 20, 20]]
    np.testing.assert_array_equal(boxes, np.float32(expected))
    np.testing.assert_array_equal(scores, np.float32([0.9, 0.6, 0.5]))
    assert boxes.dtype == scores.dtype == np.float32
    assert len(nobody[0]) == 2  # the one pixel: both boxes at the corner


def test_nms_and_max_people():
    ((boxes, _),) = make_detector(boxes_of, nms=0.7)([IMAGE])
    assert boxes.tolist() == [[0, 0, 21, 21], [10, 10, 40, 25]]
    ((boxes, _),) = make_detector(boxes_of, max_people=1)([IMAGE])
    assert boxes.tolist() == [[0, 0, 21, 21]]


@pytest.mark.parametrize(
    'result',
    [
        [[1, 2, 3, 4], [5, 6, 7, 9]],
        ((1, 2, 3, 4), (5, 6, 7, 9)),
        np.array([[1, 2, 3, 4, 1], [5, 6, 7, 9, 1]]),
        ([[1, 2, 3, 4], [5, 6, 7, 9]], [1, 1]),
    ],
    ids=['boxes', 'two tuples', 'five columns', 'pair'],
)
def test_functions_return_boxes_or_pairs(result):
    ((boxes, scores),) = make_detector(lambda image: result)([IMAGE])
    assert boxes.tolist() == [[1, 2, 3, 4], [5, 6, 7, 9]]
    assert scores.tolist() == [1, 1]


@pytest.mark.parametrize('result', [[], ([], []), np.zeros((0, 5))])
def test_functions_may_find_nobody(result):
    ((boxes, scores),) = make_detector(lambda image: result)([IMAGE])
    assert boxes.shape == (0, 4)
    assert scores.shape == (0,)


@pytest.mark.parametrize(
    'result', [[1, 2, 3, 4], ([[1, 2, 3, 4]], [1, 2]), None]
)
def test_functions_of_another_form_are_refused(result):
    with pytest.raises(ValueError, match='must return boxes'):
        make_detector(lambda image: result)([IMAGE])


def test_whole_image():
    small, large = make_detector('whole_image')([IMAGE[:2, :3], IMAGE])
    assert small[0].tolist() == [[0, 0, 3, 2]]
    assert large[0].tolist() == [[0, 0, 40, 30]]
    assert large[1].tolist() == [1]
    assert make_detector('whole_image')([]) == []


@pytest.mark.parametrize(
    'image', [IMAGE[..., 0], IMAGE.astype(float), 'a.jpg', IMAGE[:0]]
)
def test_other_images_are_refused(image):
    with pytest.raises(ValueError, match='image 1 is'):
        make_detector('whole_image')([IMAGE, image])


@pytest.mark.parametrize(
    'options, words',
    [
        (dict(spec='whole-image'), "Did you mean 'whole_image'"),
        (dict(threshold=30), 'threshold must lie'),
        (dict(nms=0), 'nms must lie'),
        (dict(batch_size=0), 'batch_size must be'),
        (dict(max_people=0.5), 'max_people must be'),
    ],
)
def test_impossible_options_are_named(options, words):
    with pytest.raises(ValueError, match=words):
        make_detector(**{'spec': 'whole_image', **options})


def test_a_detector_stays_as_it_is():
    detector = make_detector('whole_image')
    assert isinstance(detector, Detector)
    assert make_detector(detector) is detector


@pytest.fixture(scope='module')
def yolox_file(shared_dir):
    return shared_dir / 'weights' / 'yolox_nano.onnx'


@pytest.fixture(scope='module')
def photographs(shared_dir):
    return read_photographs(shared_dir / 'data' / 'sets' / 'coco_mini')


def test_yolox_finds_the_people_of_photographs(yolox_file, photographs):
    """By shared/weights: 109 of 154 people are found, 88 % are right."""
    detector = make_detector(yolox_file)
    results = detector([photo.image for photo in photographs])
    counts = match_people(photographs, [boxes for boxes, _ in results])
    assert counts.labelled == 154
    assert 104 <= counts.found <= 116
    assert counts.precision > 0.85


def test_yolox_equals_itself_in_batches_and_pickled(yolox_file, photographs):
    images = [photo.image for photo in photographs[:5]]
    detector = make_detector(yolox_file, batch_size=3)
    together = detector(images)
    copy = pickle.loads(pickle.dumps(detector))
    assert len(pickle.dumps(detector)) < 2000  # without the network
    for image, (boxes, scores) in zip(images, together, strict=True):
        ((again, same),) = copy([image])
        np.testing.assert_array_equal(again, boxes)
        np.testing.assert_array_equal(same, scores)


def test_yolox_boxes_follow_the_image(yolox_file, photographs):
    """Twice the size, twice the boxes; the border is cut off."""
    image = photographs[0].image
    large = cv2.resize(image, None, fx=2, fy=2)
    detector = make_detector(yolox_file)
    (boxes, _), (doubled, _) = detector([image, large])
    assert len(boxes) == len(doubled) > 0
    np.testing.assert_allclose(doubled / 2, boxes, atol=6)


def test_missing_file_is_named():
    with pytest.raises(FileNotFoundError, match=r'at nowhere/yolox\.onnx'):
        make_detector('nowhere/yolox.onnx')
