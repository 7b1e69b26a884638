"""Order, batches, boxes and errors of the inferencer."""

import itertools
import json

import cv2
import numpy as np
import pytest
import torch
from mmpose.apis import inference_topdown, init_model
from support.configs import read_config, shrink
from support.inference import TOP_DOWN as TOP_DOWNS
from support.inference import small_model

from gtpt_mm.apis import PoseInferencer, Predictor, pose_inferencer
from gtpt_mm.apis.pose_inferencer import read_ahead
from gtpt_mm.apis.results import Frame
from gtpt_mm.apis.topdown import TopDown

BODY = 'configs/body_2d_keypoint'
TOP_DOWN = f'{BODY}/gtpt/sample/gtpt-t_1xb16-14e_sample-96x64.py'
BOTTOM_UP = (
    f'{BODY}/group_pose/sample/group-pose_res18_1xb8-20e_sample-coco-96x144.py'
)


def build(path: str):
    cfg = read_config(path)
    cfg.model = shrink(cfg.model)
    torch.manual_seed(0)
    return init_model(cfg, device='cpu')


@pytest.fixture(scope='module')
def model():
    return build(TOP_DOWN)


@pytest.fixture(scope='module')
def bottom_up():
    return build(BOTTOM_UP)


def draw(number: int, size=(60, 80)) -> np.ndarray:
    rng = np.random.default_rng(number)
    return rng.integers(0, 256, (*size, 3), np.uint8)


def boxes_of(number: int, num: int) -> np.ndarray:
    corner = np.random.default_rng(number).uniform(0, 30, (num, 2))
    return np.hstack([corner, corner + 29]).astype(np.float32)


COUNTS = [2, 0, 3, 1, 4, 0, 0, 2]


def test_results_come_in_order_from_full_batches(model, monkeypatch):
    inferencer = PoseInferencer(model, batch_size=5)
    images = [draw(i) for i in range(len(COUNTS))]
    boxes = [boxes_of(i, n) for i, n in enumerate(COUNTS)]
    alone = [
        Predictor(model)(dict(images=[i], boxes=[b]))['keypoints']
        for i, b in zip(images, boxes, strict=True)
    ]
    batches = []
    predict = TopDown._predict

    def record(self, crops, samples):
        batches.append(len(samples))
        return predict(self, crops, samples)

    monkeypatch.setattr(TopDown, '_predict', record)
    results = list(inferencer(images, boxes))
    for i, result in enumerate(results):
        np.testing.assert_array_equal(result.frame.image, images[i])
        assert result.keypoints.shape == (COUNTS[i], 17, 2)
        np.testing.assert_allclose(result.keypoints, alone[i], atol=0.01)
        np.testing.assert_array_equal(result.boxes, boxes[i])
        assert result.box_scores.tolist() == [1] * COUNTS[i]
    # Twelve people: two full batches, of images that are shared, and a rest.
    assert batches == [5, 5, 2]


def test_few_images_are_read_ahead(model):
    read = []

    def images():
        for i in itertools.count():
            read.append(i)
            yield draw(i % 5)

    boxes = (boxes_of(i, 1) for i in itertools.count())
    results = PoseInferencer(model, batch_size=4)(images(), boxes)
    for i in range(6):
        assert next(results).frame.source == f'input {i}'
        assert len(read) <= i + 9
    results.close()


def test_iterators_of_boxes_may_be_longer_than_the_images(model):
    inferencer = PoseInferencer(model)
    images = [draw(i) for i in range(3)]
    asked = []

    def boxes():
        for i in itertools.count():
            assert i < len(images)  # the user's list has no more
            asked.append(i)
            yield boxes_of(i, 2)

    assert [len(result) for result in inferencer(images, boxes())] == [2] * 3
    assert asked == [0, 1, 2]
    # Lists have a length, and the boxes of one image must not get lost.
    with pytest.raises(ValueError, match='more entries than there are imag'):
        list(inferencer(images, [boxes_of(0, 2)] * 4))
    with pytest.raises(ValueError, match='more entries than there are imag'):
        list(inferencer(images[0], iter(boxes_of(0, 2))))


def test_frames_of_other_types_or_without_image(model):
    image = draw(0).astype(np.float64)
    image[0, 0] = 7.6
    frames = [Frame(image, 'a'), Frame(None, 'b'), Frame(None, 'c', error='d')]
    frames += [Frame(np.zeros((2, 2**15 - 1, 3), np.uint8), 'panorama')]
    results = list(PoseInferencer(model, 'whole_image')(frames))
    assert results[0].frame.image[0, 0].tolist() == [8] * 3
    assert [r.error for r in results[:3]] == [
        '', 'the frame has no image', 'd'
    ]  # fmt: skip
    assert results[3].error.startswith('32767 x 2 pixels are too many')


def test_empty_frames_do_not_pile_up(model):
    def frames():
        for i in range(40):
            held.append(i)
            yield Frame(draw(0), f'{i}')

    held = []
    boxes = (boxes_of(i, int(i == 0)) for i in range(40))
    results = PoseInferencer(model, batch_size=4)(frames(), boxes)
    assert len(next(results)) == 1  # its batch of four is never full
    assert len(held) <= 13
    assert sum(1 for _ in results) == 39


def test_memory_read_ahead_is_bounded(monkeypatch):
    monkeypatch.setattr(
        'gtpt_mm.apis.pose_inferencer.LOOK_AHEAD', 3 * draw(0).nbytes
    )
    work = [(Frame(draw(i), ''), None) for i in range(7)]
    assert [len(chunk) for chunk in read_ahead(work, 32)] == [3, 3, 1]
    assert [len(chunk) for chunk in read_ahead(work, 2)] == [2, 2, 2, 1]


def test_broken_frames_and_nobody(model, bottom_up):
    def frames():
        yield Frame(draw(0), 'a')
        yield Frame(None, 'b', error='torn')
        yield Frame(draw(1), 'c')

    def detect(image):
        people = int(np.array_equal(image, draw(1)))
        return boxes_of(0, people), np.full(people, 0.9)

    results = list(PoseInferencer(model, detect)(frames()))
    assert [len(r) for r in results] == [0, 0, 1]
    assert [r.error for r in results] == ['', 'torn', '']
    assert results[2].box_scores == pytest.approx(0.9)
    assert results[0].keypoints.shape == (0, 17, 2)
    found = list(PoseInferencer(bottom_up)(frames()))
    assert [len(r) > 0 for r in found] == [True, False, True]
    assert [r.frame.source for r in found] == ['a', 'b', 'c']
    assert found[1].error == 'torn'


def test_files_are_read(model, tmp_path):
    cv2.imwrite(str(tmp_path / 'a.png'), draw(3))
    (tmp_path / 'b.png').write_bytes(b'no image')
    boxes = boxes_of(1, 2)
    paths = [tmp_path / 'a.png', str(tmp_path / 'b.png')]
    first, second = PoseInferencer(model)(paths, [boxes, boxes])
    assert len(first) == 2 and not first.error
    assert len(second) == 0 and 'b.png' in second.frame.source + second.error
    [alone] = PoseInferencer(model)(tmp_path / 'a.png', boxes)
    np.testing.assert_array_equal(alone.keypoints, first.keypoints)


def test_whole_images(model):
    [result] = PoseInferencer(model, 'whole_image')(draw(0))
    assert result.boxes.tolist() == [[0, 0, 80, 60]]
    assert result.names[0] == 'nose'


def test_scores_of_given_boxes(model):
    rows = np.hstack([boxes_of(0, 2), [[0.25], [0.5]]])
    [result] = PoseInferencer(model)([draw(0)], [rows])
    assert result.box_scores.tolist() == [0.25, 0.5]


@pytest.mark.parametrize(
    'num, boxes, words',
    [
        (2, [boxes_of(0, 1)], '1 entries'),
        (1, [boxes_of(0, 1)] * 3, 'boxes'),
        (1, [[[0, 0, np.nan, 5]]], r'boxes\[0\].*not finite'),
        (2, [boxes_of(0, 1), [[9, 9, 3, 20]]], r'boxes\[1\].*reversed'),
        (2, [boxes_of(0, 1), [[1, 2, 3]]], r'boxes\[1\] has shape'),
        (1, [[[100, 0, 120, 30]]], r'boxes\[0\] lies outside'),
        (1, [[[100, 0, 120, 30]]], 'outside of its image input 0'),
        (2, [boxes_of(0, 1), [[9, 9, 3, 20]]], r'\(image: input 1\)'),
    ],
)
def test_wrong_boxes(model, num, boxes, words):
    images = [draw(i) for i in range(num)]
    with pytest.raises(ValueError, match=words):
        list(PoseInferencer(model)(images, boxes))


def test_results_before_a_wrong_box_come_first(model):
    images = [draw(i) for i in range(5)]
    boxes = [boxes_of(i, 2) for i in range(5)]
    boxes[3] = boxes[3][:, [2, 3, 0, 1]]
    found = []
    with pytest.raises(ValueError, match=r'of boxes\[3\] is not finite, empt'):
        for result in PoseInferencer(model, batch_size=4)(images, boxes):
            found.append(result)
    assert [r.frame.source for r in found] == [f'input {i}' for i in range(3)]
    assert [len(r) for r in found] == [2, 2, 2]


@pytest.mark.parametrize('size', [3e38, -3e38, 2e6])
def test_boxes_beyond_any_image(model, size):
    """Their widths are no float32, and keypoints would be NaN."""
    box = [-abs(size), 0, 10, 10] if size < 0 else [0, 0, size, size]
    with pytest.raises(ValueError, match=r'boxes\[0\] reaches beyond any im'):
        list(PoseInferencer(model)(draw(0), [[box]]))
    with pytest.raises(ValueError, match='reaches beyond any image'):
        Predictor(model)(dict(images=[draw(0)], boxes=[[box]]))


def test_the_error_that_ends_a_video_takes_no_boxes(model):
    def frames():
        for i in range(3):
            yield Frame(draw(i), 'clip.mp4', i)
        yield Frame(None, 'clip.mp4', 3, error='torn')
        yield Frame(draw(3), 'a.jpg')
        yield Frame(None, 'b.jpg', error='torn')
        yield Frame(draw(4), 'c.jpg')

    boxes = [boxes_of(i, i + 1) for i in range(6)]
    results = list(PoseInferencer(model)(frames(), boxes))
    assert [len(r) for r in results] == [1, 2, 3, 0, 4, 0, 6]
    assert [r.error for r in results] == ['', '', '', 'torn', '', 'torn', '']


def test_frames_may_share_a_buffer(model):
    buffer = np.zeros((60, 80, 3), np.uint8)

    def frames():
        for i in range(4):
            buffer[:] = draw(i)
            yield Frame(buffer, 'clip', i)

    boxes = [boxes_of(0, 1)] * 4
    results = list(PoseInferencer(model)(frames(), boxes))
    for i, result in enumerate(results):
        np.testing.assert_array_equal(result.frame.image, draw(i))
        [alone] = PoseInferencer(model)(draw(i), [boxes[i]])
        np.testing.assert_allclose(
            result.keypoints, alone.keypoints, atol=0.01
        )


@pytest.mark.parametrize('value', ['no', 'False', 0, 2])
def test_flip_test_is_true_or_false(model, value):
    with pytest.raises(ValueError, match=f'flip_test must be.*{value!r}'):
        PoseInferencer(model, flip_test=value)


def test_boxes_of_a_model_without(bottom_up):
    with pytest.raises(ValueError, match='by itself'):
        PoseInferencer(bottom_up)([draw(0)], [boxes_of(0, 1)])


def test_what_a_model_without_boxes_does_not_use(bottom_up, monkeypatch):
    words = []
    monkeypatch.setattr(pose_inferencer, 'warn', words.append)
    with pytest.raises(ValueError, match='by itself'):
        Predictor(bottom_up)(dict(images=[draw(0)], boxes=[boxes_of(0, 1)]))
    list(PoseInferencer(bottom_up, 'whole_image')([draw(0)]))
    assert "detector='whole_image' is not used" in words[0]


def test_images_of_all_sizes_without_boxes(bottom_up):
    sizes = [(60, 80), (80, 60), (60, 80), (50, 50), (80, 60)]
    images = [draw(i, size) for i, size in enumerate(sizes)]
    found = list(PoseInferencer(bottom_up, batch_size=3)(images))
    for image, result in zip(images, found, strict=True):
        alone = Predictor(bottom_up)(dict(images=[image]))
        np.testing.assert_allclose(
            result.keypoints, alone['keypoints'], atol=0.01
        )


@pytest.mark.parametrize(
    'name, dtype, limit',
    [('gtpt', torch.float32, 1e-2), ('vitpose', torch.float64, 1e-6)],
)
def test_real_photographs(shared_dir, name, dtype, limit):
    """People of photographs in common batches, and one by one by mmpose."""
    folder = shared_dir / 'data/real/coco'
    content = json.loads((folder / 'test_coco.json').read_text())
    names = {i['id']: i['file_name'] for i in content['images']}
    boxes = {}
    for person in content['annotations'][:12]:
        x, y, w, h = person['bbox']
        rows = boxes.setdefault(names[person['image_id']], [])
        rows.append([x, y, x + w, y + h])
    boxes = {name: np.float32(rows) for name, rows in boxes.items()}
    model = small_model(TOP_DOWNS[name], dtype)
    paths = [folder / name for name in boxes]
    results = PoseInferencer(model, batch_size=5)(paths, boxes.values())
    for path, result in zip(paths, results, strict=True):
        assert not result.error
        people = inference_topdown(model, str(path), boxes[path.name])
        for keypoints, person in zip(result.keypoints, people, strict=True):
            np.testing.assert_allclose(
                keypoints, person.pred_instances.keypoints[0], atol=limit
            )
