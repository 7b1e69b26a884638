"""The stages of a prediction, one table after the other, without Ray."""

import pickle
from pathlib import Path

import cv2
import numpy as np
import pytest
from support.collection import (
    assert_same,
    draw_pictures,
    make_inferencer,
    two_halves,
)
from support.inference import BOTTOM_UP, small_model

from gtpt_mm.apis import PoseInferencer, VideoWriter
from gtpt_mm.apis.collections.stages import DetectStage, PoseStage, decode
from gtpt_mm.apis.collections.table import make_schema, to_results
from gtpt_mm.apis.detectors import make_detector

pa = pytest.importorskip('pyarrow')


@pytest.fixture
def paths(tmp_path):
    """Pictures, among them a torn one, a missing one and a video."""
    paths = draw_pictures(tmp_path / 'pictures', 18)
    Path(paths[3]).write_bytes(b'torn')
    clip = str(tmp_path / 'clip.mp4')
    with VideoWriter(clip, 10, (64, 80)) as video:
        for value in (0, 90, 180):
            video.write(np.full((80, 64, 3), value, np.uint8))
    return [*paths[:9], str(tmp_path / 'missing.jpg'), clip, *paths[9:]]


def run(table, inferencer, detector) -> list:
    """Pass a table through all stages, each from a pickled copy."""
    schema = make_schema({})
    stages = [PoseStage(pickle.loads(pickle.dumps(inferencer)), schema)]
    if detector is not None:
        detector = make_detector(detector, device='cpu')
        stages.insert(0, DetectStage(pickle.loads(pickle.dumps(detector))))
    found = []
    for pixels in decode(table):
        for stage in stages:
            pixels = stage(pixels)
        assert pixels.schema.equals(schema)
        found += to_results(pixels, inferencer.predictor.skeleton)
    return found


def test_stages_are_the_single_process(paths):
    inferencer = make_inferencer()
    expected = list(inferencer(paths))
    assert sum(bool(r.error) for r in expected) == 2
    assert {len(r) for r in expected} == {0, 2}
    found = run(pa.table(dict(path=paths)), inferencer, two_halves)
    assert_same(found, expected, atol=1e-3)


def test_a_model_that_needs_no_boxes(paths):
    inferencer = PoseInferencer(
        small_model(BOTTOM_UP['vitpose-ae']), device='cpu', batch_size=4
    )
    expected = list(inferencer(paths))
    found = run(pa.table(dict(path=paths)), inferencer, None)
    assert_same(found, expected, atol=1e-3)


def test_pictures_in_the_table(tmp_path):
    """By their names, or by the hash of their content."""
    contents = []
    for value in (0, 90):
        picture = np.full((40, 30, 3), value, np.uint8)
        contents.append(cv2.imencode('.png', picture)[1].tobytes())
    table = pa.table(dict(bytes=contents, path=['a.png', None]))
    [pixels] = decode(table)
    first, second = pixels['source'].to_pylist()
    assert first == 'a.png'
    assert second.startswith('sha256:') and len(second) == 7 + 64
    assert pixels['shape'].to_pylist() == [[40, 30, 3]] * 2
    assert pixels['pixels'][1].as_py() == bytes([90]) * 40 * 30 * 3
