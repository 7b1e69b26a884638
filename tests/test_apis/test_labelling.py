"""Predictions to a tool, corrected, and back again."""

import csv
import json
import xml.etree.ElementTree as ET
from pathlib import Path

import cv2
import numpy as np
import pytest
from support.blob_model import SIZE, blob_model, draw_blobs

from gtpt_mm.apis import PoseInferencer, VideoWriter
from gtpt_mm.apis.labelling import TOOLS, LabellingSet, collect
from gtpt_mm.apis.uncertainty import MeasuringInferencer
from gtpt_mm.datasets.exchange import read_set

POINTS = [(12, 20), (32, 24), (48, 12)]


@pytest.fixture
def shots(tmp_path):
    """Five pictures in two folders; 'c' is broken, 'd' half so."""
    folder = tmp_path / 'shots'
    clear = draw_blobs([[p] for p in POINTS])
    half = [[p] for p in POINTS]
    half[1] = [(20, 24), (44, 24)]
    noise = np.random.default_rng(0).integers(0, 255, clear.shape, np.uint8)
    pictures = {
        'one/a.png': clear,
        'one/b.png': np.roll(clear, 4, axis=0),
        'one/c.png': noise,
        'two/a.png': clear,
        'two/d.png': draw_blobs(half),
    }
    for name, image in pictures.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(folder / name), image)
    return [folder / name for name in pictures]


def predict(inputs, most=None, **options):
    inferencer = MeasuringInferencer(blob_model(), 'whole_image')
    predictor = inferencer.predictor
    found = LabellingSet(
        predictor.skeleton, most=most, predictor=predictor, **options
    )
    return collect(inferencer([str(i) for i in inputs]), found)


def test_the_broken_picture_comes_first(shots):
    found = predict(shots).to_set()
    names = [p.name for p in found.pictures]
    assert names[:2] == ['one/c.png', 'two/d.png']
    assert sorted(names[2:]) == ['one/a.png', 'one/b.png', 'two/a.png']
    # ids are those of the order of the inputs
    assert [p.id for p in found.pictures][:2] == [3, 5]
    assert [i.id for p in found.pictures for i in p.instances][:2] == [3, 5]
    assert found.names == ['blue', 'green', 'red']
    assert found.links == [('blue', 'red')]
    assert found.category == 'blobs'


@pytest.mark.parametrize('tool', TOOLS)
def test_ids_survive_the_tool(shots, tmp_path, tool):
    sent = predict(shots, most=3).write(tmp_path / 'out', tool)
    assert len(sent.pictures) == 3
    back = read_set(tmp_path / 'out')
    assert back.format == tool
    assert set(back.names) == set(sent.names)
    order = [back.names.index(name) for name in sent.names]
    expected = {p.id: p for p in sent.pictures}
    assert {p.id for p in back.pictures} == expected.keys()
    for picture in back.pictures:
        old = expected[picture.id]
        assert picture.path.read_bytes() == old.path.read_bytes()
        assert [i.id for i in picture.instances] == [
            i.id for i in old.instances
        ]
        for one, before in zip(picture.instances, old.instances, strict=True):
            np.testing.assert_allclose(
                one.keypoints[order], before.keypoints, atol=0.01
            )


def correct(folder: Path, tool: str) -> None:
    """Move the first point of the first picture to (1, 2), as a tool does."""
    if tool == 'coco':
        (file,) = folder.glob('*.json')
        content = json.loads(file.read_text())
        content['annotations'][0]['keypoints'][:2] = [1, 2]
        file.write_text(json.dumps(content))
    elif tool == 'cvat':
        (file,) = folder.glob('*.xml')
        tree = ET.parse(file)
        point = tree.find('.//skeleton/points')
        point.set('points', '1.00,2.00')
        tree.write(file)
    else:  # an annotator accepts the prediction, and changes it
        (file,) = folder.glob('*.json')
        tasks = json.loads(file.read_text())
        [accepted] = tasks[0].pop('predictions')
        point = next(
            r for r in accepted['result'] if r['type'] == 'keypointlabels'
        )
        point['value']['x'] = 100 * 1 / point['original_width']
        point['value']['y'] = 100 * 2 / point['original_height']
        tasks[0]['annotations'] = [dict(result=accepted['result'])]
        file.write_text(json.dumps(tasks))


@pytest.mark.parametrize('tool', TOOLS)
def test_a_correction_comes_back_under_its_id(shots, tmp_path, tool):
    sent = predict(shots, most=2).write(tmp_path / 'out', tool)
    correct(tmp_path / 'out', tool)
    back = read_set(tmp_path / 'out')
    moved = [
        (picture.id, one.id)
        for picture in back.pictures
        for one in picture.instances
        if (np.abs(one.keypoints - [1, 2]) < 1e-6).all(1).any()
    ]
    first = sent.pictures[0]
    assert moved == [(first.id, first.instances[0].id)]


def test_the_table_ranks_all_pictures(shots, tmp_path):
    predict(shots, most=1).write(tmp_path / 'out', 'coco')
    with open(tmp_path / 'out/uncertainty.csv') as lines:
        rows = list(csv.DictReader(lines))
    assert [r['rank'] for r in rows] == ['1', '2', '3', '4', '5']
    assert [Path(r['picture']).name for r in rows[:2]] == ['c.png', 'd.png']
    values = [float(r['uncertainty']) for r in rows]
    assert values == sorted(values, reverse=True)
    assert values[0] > 0.3 > values[1] > 0.05 > values[2]


def test_without_the_order_nothing_is_measured(shots):
    inferencer = PoseInferencer(blob_model(), 'whole_image')
    skeleton = inferencer.predictor.skeleton
    found = collect(
        inferencer([str(s) for s in shots]), LabellingSet(skeleton)
    )
    ids = [p.id for p in found.to_set().pictures]
    assert ids == [1, 2, 3, 4, 5]


def test_frames_of_a_video_and_torn_files(shots, tmp_path):
    clip = tmp_path / 'clip.avi'
    clear = cv2.imread(str(shots[0]))
    noise = cv2.imread(str(shots[2]))
    with VideoWriter(clip, 5, SIZE) as video:
        for image in (clear, noise, clear):
            video.write(cv2.cvtColor(image, cv2.COLOR_BGR2RGB)[..., ::-1])
    torn = tmp_path / 'torn.jpg'
    torn.write_bytes(b'torn')
    found = predict([torn, clip], most=1)
    assert list(found.errors) == [str(torn)]
    (first,) = found.to_set().pictures
    assert first.name == 'clip/000001.jpg'
    assert first.group == 'clip.avi'
    assert first.id == 3  # after the torn one and frame 0
    pixels = cv2.imdecode(np.frombuffer(first.content, np.uint8), 1)
    assert pixels.shape == (48, 64, 3)
    # pixels of the others are freed
    assert sum(r.picture.content is not None for r in found._rows) <= 2


def test_ids_of_a_coco_file_are_kept(shots):
    ids = {'c.png': 4711, 'd.png': 12}
    found = predict([shots[2], shots[4]], image_ids=ids).to_set()
    assert [p.id for p in found.pictures] == [4711, 12]


def test_points_outside_the_picture_are_no_labels(shots):
    inferencer = PoseInferencer(blob_model(), 'whole_image')
    (result,) = inferencer(str(shots[0]))
    result.keypoints[0, 1] = (-3, 5)
    found = LabellingSet(inferencer.predictor.skeleton)
    found.add(result)
    (one,) = found.to_set().pictures[0].instances
    assert one.visible.tolist() == [2, 0, 2]
    assert one.keypoints[1].tolist() == [0, 0]
    assert one.bbox == (0, 0, 64, 48)
