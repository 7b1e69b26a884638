"""``gtpt-mm predict`` from inputs to files, with a tiny model."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from support.configs import ROOT
from support.ctrl_c import heed_ctrl_c
from support.fill import sharpen_head

from gtpt_mm.apis.given_boxes import read_boxes
from gtpt_mm.apis.model_names import load_model
from gtpt_mm.apis.video import VideoWriter, read_video
from gtpt_mm.cli import main
from gtpt_mm.deploy import runtimes

MODEL = str(
    ROOT / 'configs/body_2d_keypoint/gtpt/sample'
    '/gtpt-t_1xb16-14e_sample-96x64.py'
)
#: Of no image, so that a command that fails early loads no model.
NO_MODEL = 'no-such-model'


@pytest.fixture
def image():
    return np.random.default_rng(0).integers(0, 256, (80, 60, 3), np.uint8)


@pytest.fixture
def shots(tmp_path, image):
    folder = tmp_path / 'shots'
    (folder / 'more').mkdir(parents=True)
    cv2.imwrite(str(folder / 'a.png'), image)
    cv2.imwrite(str(folder / 'more' / 'a.png'), image[:70])
    (folder / 'README').write_text('no image')
    (folder / 'torn.jpg').write_bytes(b'torn')
    return folder


@pytest.fixture
def clip(tmp_path, image):
    path = tmp_path / 'clip.mp4'
    with VideoWriter(path, 10, (60, 80)) as video:
        for _ in range(4):
            video.write(image)
    return path


def predict(*args, model=MODEL, detector='whole_image') -> int:
    options = ['--model', model, '--device', 'cpu', '--weights', 'random']
    if detector:
        options += ['--detector', detector]
    return main(['predict', *map(str, args), *options])


def lines(folder: Path) -> list[dict]:
    text = (folder / 'predictions.jsonl').read_text()
    return [json.loads(line) for line in text.splitlines()]


def test_folder_pattern_and_a_missing_file(tmp_path, shots, capsys):
    out = tmp_path / 'out'
    inputs = [shots, f'{shots}/**/a.png', tmp_path / 'missing.jpg']
    assert predict(*inputs, '--out', out, '--threshold', 0) == 0
    found = lines(out)
    assert [line.get('picture') for line in found] == [
        'a.png', None, 'a_2.png', 'a_3.png', None,
    ]  # fmt: skip
    assert found[0]['people'] == found[2]['people']
    first, same, other = (
        (out / f'a{end}.png').read_bytes() for end in ('', '_2', '_3')
    )
    assert first == same != other
    assert found[3]['people'][0]['box'] == [0, 0, 60, 70]
    [person] = found[0]['people']
    assert person['box'] == [0, 0, 60, 80]
    assert len(person['keypoints']) == len(found[0]['names']) == 17
    words = capsys.readouterr().out
    assert '3 images, 3 people, 2 errors' in words
    assert f'{tmp_path}/missing.jpg: there is no such file' in words
    assert f'{shots}/torn.jpg: the file cannot be decoded' in words
    assert f'3 drawn files in {out}' in words
    assert f'{out}/predictions.jsonl' in words


def test_exit_code_if_nothing_could_be_read(tmp_path, capsys):
    args = ['missing.jpg', '--out', tmp_path / 'out', '--no-draw']
    assert predict(*args) == 1
    assert '0 images, 0 people, 1 errors' in capsys.readouterr().out
    assert 'no such file' in lines(tmp_path / 'out')[0]['error']


@pytest.mark.parametrize(
    'options, words',
    [
        (['--threshold', '3'], '--threshold 3.0 is not in 0..1'),
        (['--smooth', 'one-euro'], '--smooth requires ids: add --track'),
        (['--boxes', 'no.json'], 'no.json: No such file'),
        (['--detector', 'x', '--boxes', 'no.json'], 'not both'),
        (['--out', 'shots/a.png/out'], 'is not a folder'),
        (['--out', 'shots', '--overwrite'], 'holds inputs'),
        (['--out', 'old'], 'exists; give another folder'),
        ([], NO_MODEL),
    ],
)
def test_bad_arguments(tmp_path, monkeypatch, shots, capsys, options, words):
    monkeypatch.chdir(tmp_path)
    Path('old').mkdir()
    Path('old/predictions.csv').touch()
    before = sorted(tmp_path.rglob('*'))
    args = ['shots/a.png', '--out', 'out', *options]
    assert predict(*args, model=NO_MODEL, detector=None) == 2
    assert words in capsys.readouterr().err
    assert sorted(tmp_path.rglob('*')) == before


def test_a_runtime_that_is_not_installed(tmp_path, monkeypatch, shots, capsys):
    monkeypatch.setattr(runtimes, 'find_spec', lambda name: None)
    args = [shots / 'a.png', '--out', tmp_path / 'out']
    args += ['--runtime', 'openvino']
    assert predict(*args, model=NO_MODEL) == 2
    error = capsys.readouterr().err
    assert 'pip install "gtpt_mm[openvino]"' in error
    assert not (tmp_path / 'out').exists()


@pytest.mark.slow
def test_a_runtime_finds_the_same_people(tmp_path, monkeypatch, shots):
    """With the weights of a file: random ones differ from call to call.

    And without a flip test: maps of a random network hardly depend on the
    picture, so that their average with the mirror image's has two maxima.
    """
    pytest.importorskip('onnxruntime')
    monkeypatch.setenv('GTPT_MM_CACHE', str(tmp_path / 'cache'))
    config = tmp_path / 'no_flip.py'
    config.write_text(
        f'_base_ = {MODEL!r}\nmodel = dict(test_cfg=dict(flip_test=False))\n'
    )
    file = tmp_path / 'weights.pth'
    model = sharpen_head(load_model(MODEL, 'random', 'cpu'))
    torch.save(model.state_dict(), file)
    found = []
    for runtime in ('torch', 'onnxruntime', 'auto'):
        args = ['predict', shots / 'a.png', '--out', tmp_path / runtime]
        args += ['--model', config, '--weights', file, '--device', 'cpu']
        args += ['--detector', 'whole_image', '--runtime', runtime]
        assert main(list(map(str, args))) == 0
        found.append(lines(tmp_path / runtime)[0]['people'][0])
    assert len(list((tmp_path / 'cache/exported').glob('*/model.*'))) >= 1
    for one in found[1:]:
        for name in ('keypoints', 'scores'):
            np.testing.assert_allclose(one[name], found[0][name], atol=0.05)


# --------------------------------------------------------------------- boxes


def boxes_file(tmp_path, content) -> Path:
    path = tmp_path / 'boxes.json'
    path.write_text(json.dumps(content))
    return path


BOXES = {'a.png': [[1, 2, 40, 60], [5, 5, 50, 70, 0.75], [0, 0, 9, 9, 0.1]]}


def test_given_boxes(tmp_path, shots, clip):
    out = tmp_path / 'out'
    path = boxes_file(tmp_path, BOXES)
    args = [f'{shots}/a.png', f'{shots}/torn.jpg', clip, '--boxes', path]
    assert predict(*args, '--out', out, detector=None) == 0
    first, torn, *frames = lines(out)
    assert [p['box'] for p in first['people']] == [
        [1, 2, 40, 60],
        [5, 5, 50, 70],
    ]
    assert [p['box_score'] for p in first['people']] == [1, 0.75]
    assert 'decoded' in torn['error']
    assert {f['error'] for f in frames} == {f'{path} has no boxes of it'}


@pytest.mark.parametrize('number', [3e38, -3e38, 1e7])
def test_boxes_beyond_any_image(tmp_path, number):
    box = [min(number, 0), 0, max(number, 9), 9]
    path = boxes_file(tmp_path, {'a.png': [box]})
    with pytest.raises(ValueError, match="'a.png': .* beyond any image"):
        read_boxes(path)


def test_boxes_after_a_video_without(tmp_path, shots, clip):
    """Its frames are errors, which take no boxes."""
    out = tmp_path / 'out'
    args = [clip, f'{shots}/a.png', '--boxes', boxes_file(tmp_path, BOXES)]
    assert predict(*args, '--out', out, detector=None) == 0
    *frames, last = lines(out)
    assert len(frames) == 4 and not any(f['people'] for f in frames)
    assert len(last['people']) == 2


def test_boxes_of_coco(tmp_path, monkeypatch):
    annotations = dict(
        images=[
            dict(id=7, file_name='x/a.png'),
            dict(id=8, file_name='b.png'),
            dict(id=9, file_name='y/b.png'),
        ],
        annotations=[
            dict(image_id=7, bbox=[1, 2, 10, 20], category_id=1),
            dict(image_id=7, bbox=[3, 4, 10, 20], category_id=1, iscrowd=1),
            dict(image_id=7, bbox=[5, 6, 10, 20], category_id=2),
            dict(image_id=8, bbox=[7, 8, 10, 20], category_id=1),
            dict(image_id=8, bbox=[7, 8, 10, 0], category_id=1),
        ],
        categories=[dict(id=1, name='person'), dict(id=2, name='dog')],
    )
    given = read_boxes(boxes_file(tmp_path, annotations))
    assert given.boxes['x/a.png'].tolist() == [[1, 2, 11, 22, 1]]
    assert given.boxes['a.png'].tolist() == [[1, 2, 11, 22, 1]]
    assert given.boxes['b.png'].tolist() == [[7, 8, 17, 28, 1]]
    assert given.boxes['y/b.png'].shape == (0, 5)
    assert given.image_ids['a.png'] == 7
    assert given.image_ids['b.png'] == 8
    results = [
        dict(image_id=785, bbox=[1, 2, 10, 20], score=0.9, category_id=1),
        dict(image_id=785, bbox=[1, 2, 10, 20], score=0.1, category_id=1),
        dict(image_id=785, bbox=[1, 2, 10, 20], score=0.9, category_id=3),
    ]
    given = read_boxes(boxes_file(tmp_path, results), threshold=0.3)
    assert given.boxes['785'].tolist() == [[1, 2, 11, 22, 0.9]]
    warnings = []
    monkeypatch.setattr('gtpt_mm.apis.given_boxes.warn', warnings.append)
    results = [{**one, 'category_id': 0} for one in results]
    given = read_boxes(boxes_file(tmp_path, results))
    assert given.boxes['785'].shape == (0, 5)
    assert 'no box is of a person, category_id 1, but of 0' in warnings[0]


@pytest.mark.parametrize(
    'content, words',
    [
        (3, 'holds 3, not boxes'),
        ({'a.png': [1, 2, 3, 4]}, r"'a.png': the boxes of an image are"),
        ({'a.png': [[1, 2, 3]]}, r"'a.png': the boxes of an image are"),
        ({'a.png': [[1, 2, 3, 4, 0.5, 6]]}, 'the boxes of an image are'),
        ({'a.png': ['12345']}, 'the boxes of an image are'),
        ({'a.png': 3}, 'the boxes of an image are'),
        ({'a.png': [[9, 2, 3, 4]]}, 'has no area'),
        ({'a.png': [[float('nan'), 2, 3, 4]]}, 'is not finite'),
        ([{'bbox': [1, 2, 3, 4]}], 'has no image_id'),
        ([{'image_id': 1, 'bbox': [1, 2]}], r'has no bbox \(x, y, w, h\)'),
        ([{'image_id': 1, 'bbox': ['a', 2, 3, 4]}], 'is not of numbers'),
        ([{'image_id': 1, 'bbox': [None, 2, 3, 4]}], 'is not of numbers'),
        ({'images': [{}], 'annotations': []}, 'not an annotation file'),
    ],
)
def test_bad_boxes(tmp_path, content, words):
    with pytest.raises(ValueError, match=words):
        read_boxes(boxes_file(tmp_path, content))


def test_photographs_with_boxes_of_coco(tmp_path, shared_dir):
    """Ids of the annotations; every annotated person is there."""
    folder = shared_dir / 'data/sets/coco_mini'
    content = json.loads((folder / 'val.json').read_text())
    image = content['images'][0]
    people = [
        a
        for a in content['annotations']
        if a['image_id'] == image['id'] and not a['iscrowd']
    ]
    [path] = (folder / 'images').rglob(image['file_name'])
    out = tmp_path / 'out'
    args = [path, '--boxes', folder / 'val.json', '--format', 'jsonl', 'coco']
    assert predict(*args, '--out', out, detector=None) == 0
    [line] = lines(out)
    assert len(line['people']) == len(people) > 0
    found = json.loads((out / 'predictions.json').read_text())
    assert {one['image_id'] for one in found} == {image['id']}
    assert cv2.imread(str(out / path.name)).shape[:2] == (
        image['height'],
        image['width'],
    )


# -------------------------------------------------------------------- videos


def test_videos_with_ids(tmp_path, clip, capsys):
    out = tmp_path / 'out'
    args = [clip, '--track', '--smooth', 'one-euro', '--threshold', 0]
    assert predict(*args, '--out', out) == 0
    assert f'1 drawn file in {out}' in capsys.readouterr().out
    found = lines(out)
    assert [line['index'] for line in found] == [0, 1, 2, 3]
    assert len({line['people'][0]['id'] for line in found}) == 1
    with read_video(out / 'clip.mp4') as video:
        assert len(list(video)) == 4
        assert video.info.fps == 10


def test_ctrl_c_leaves_whole_files(tmp_path, image, clip):
    shutil.copy(clip, tmp_path / 'last.mp4')
    out = tmp_path / 'out'
    pipe = tmp_path / 'late.jpg'
    os.mkfifo(pipe)  # reading it waits until somebody writes
    command = [sys.executable, '-m', 'gtpt_mm', 'predict', clip, pipe]
    command += ['--model', MODEL, '--weights', 'random', '--out', out]
    process = subprocess.Popen(
        [*map(str, command), '--batch-size=1', '--detector=whole_image'],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        preexec_fn=heed_ctrl_c,
    )
    file = out / 'predictions.jsonl'
    end = time.monotonic() + 100
    while not (file.exists() and len(lines(out)) >= 3):
        assert process.poll() is None
        assert time.monotonic() < end
        time.sleep(0.1)
    time.sleep(0.5)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=300)
    assert process.returncode == 130
    assert f'interrupted; so far, whole, in {out}' in errors
    assert 'Traceback' not in errors
    found = lines(out)
    with read_video(out / 'clip.mp4') as video:
        assert len(list(video)) == len(found)


def test_predictions_for_a_tool(shots, tmp_path, capsys):
    out = tmp_path / 'out'
    code = predict(
        shots, shots / 'more', '--out', out, '--to', 'coco',
        '--uncertain-first', 1,
    )  # fmt: skip
    assert code == 0
    printed = capsys.readouterr().out
    assert '2 images, 2 people, 0 images without people, 1 errors' in printed
    assert 'torn.jpg' in printed
    assert f'1 pictures for coco in {out}' in printed
    content = json.loads((out / 'annotations.json').read_text())
    assert len(content['images']) == 1
    assert len(content['annotations'][0]['keypoints']) == 3 * 17
    table = (out / 'uncertainty.csv').read_text().splitlines()
    assert len(table) == 3
    # that folder, and no other, may be replaced
    again = ('--out', out, '--to', 'coco')
    assert predict(shots, *again, model=NO_MODEL) == 2
    assert predict(shots, *again, '--overwrite') == 0
    assert len(json.loads((out / 'annotations.json').read_text())['images'])
    assert predict(shots, '--out', shots, '--to', 'coco', '--overwrite') == 2
    assert (shots / 'a.png').exists()


@pytest.mark.parametrize(
    'options, words',
    [
        (['--uncertain-first', '3'], 'require --to'),
        (['--link'], 'require --to'),
        (['--to', 'coco', '--track'], '--track and --smooth have no effect'),
        (['--to', 'coco', '--uncertain-first', '-1'], 'must be at least 1'),
        (['--to', 'coco', '--no-draw'], '--format and --no-draw have no'),
    ],
)
def test_options_of_a_tool_are_checked(
    shots, tmp_path, capsys, options, words
):
    args = (shots, '--out', tmp_path / 'out', *options)
    assert predict(*args, model=NO_MODEL) == 2
    assert words in capsys.readouterr().err
