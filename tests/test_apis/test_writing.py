"""Files of results: whole, complete, and never over each other."""

import csv
import json
import os
import signal
import subprocess
import sys
import time

import cv2
import numpy as np
import pytest
from support.ctrl_c import heed_ctrl_c

from gtpt_mm.apis import writing
from gtpt_mm.apis.results import Frame, PoseResult, Skeleton
from gtpt_mm.apis.video import VideoWriter, read_video
from gtpt_mm.apis.writing import ResultWriter, write_results

SKELETON = Skeleton(('nose', 'tail'), links=((0, 1),))
IMAGE = np.full((48, 64, 3), 50, np.uint8)


def make(source='a.jpg', num=1, image=IMAGE, **frame) -> PoseResult:
    return PoseResult(
        keypoints=np.tile(np.float32([[10, 20], [40, 30]]), (num, 1, 1)),
        scores=np.full((num, 2), 0.75),
        boxes=np.tile(np.float32([5, 10, 50, 40]), (num, 1)),
        box_scores=np.full(num, 0.5),
        skeleton=SKELETON,
        frame=Frame(image, str(source), **frame),
    )


def broken(source: str) -> PoseResult:
    frame = Frame(None, source, error='the file is torn')
    return PoseResult.empty(SKELETON, frame)


def lines(folder) -> list[dict]:
    text = (folder / 'predictions.jsonl').read_text()
    return [json.loads(line) for line in text.splitlines()]


def names(folder) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_lines_table_pictures_and_summary(tmp_path):
    out = tmp_path / 'new' / 'out'
    results = [make('shots/a.jpg', 2), broken('b.jpg'), make('c.png', 0)]
    results[0].ids = np.array([3, 4])
    summary = write_results(iter(results), out)
    assert names(out) == ['a.jpg', 'c.png', 'predictions.csv'] + [
        'predictions.jsonl'
    ]
    first, second, third = lines(out)
    assert first.pop('picture') == 'a.jpg'
    assert first == results[0].to_dict()
    assert (second['error'], second['people']) == ('the file is torn', [])
    assert (third['picture'], third['people']) == ('c.png', [])
    with (out / 'predictions.csv').open(newline='') as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 4
    assert rows[3] == dict(
        source='shots/a.jpg', index='', time='', person='1', id='4',
        keypoint='tail', x='40.0', y='30.0', score='0.75', box_x1='5.0',
        box_y1='10.0', box_x2='50.0', box_y2='40.0', box_score='0.5',
    )  # fmt: skip
    content = cv2.imencode('.jpg', results[0].draw())[1]
    assert (out / 'a.jpg').read_bytes() == content.tobytes()
    np.testing.assert_array_equal(cv2.imread(str(out / 'c.png')), IMAGE)
    assert (summary.images, summary.people, summary.pictures) == (2, 2, 2)
    assert str(summary) == (
        '2 images, 2 people, 1 errors\n  b.jpg: the file is torn'
    )


def test_equal_names_get_numbers(tmp_path):
    sources = ['x/a.jpg', 'y/a.jpg', 'a_2.jpg', 'y/A.JPG', 'a.png', 'input 3']
    sources += [
        'input 3',
        'http://h/p/a.jpg?token=1',
        'http://host',
        '日 é.webp',
    ]
    sources += ['no/suffix', 'x.gif', 'a:b?.jpg', f'{"é" * 300}.jpg']
    results = [make(source, 0) for source in sources]
    out = tmp_path / 'out'
    write_results(results, out, formats=['jsonl'])
    pictures = [line['picture'] for line in lines(out)]
    assert pictures[:-1] == [
        'a.jpg', 'a_2.jpg', 'a_2_2.jpg', 'A_3.JPG', 'a.png', 'input_3.jpg',
        'input_3_2.jpg', 'a_4.jpg', 'host.png', '日 é.webp', 'suffix.png',
        'x.png', 'a_b_.jpg',
    ]  # fmt: skip
    assert len(set(pictures)) == len(sources)
    for name in pictures:
        content = np.fromfile(out / name, np.uint8)
        assert cv2.imdecode(content, cv2.IMREAD_COLOR).shape == IMAGE.shape


def test_names_that_are_no_utf8(tmp_path):
    source = os.fsdecode(b'x/caf\xe9.jpg')  # of an old archive
    results = [make(source), make(source), broken(source)]
    summary = write_results(results, tmp_path / 'out')
    found = lines(tmp_path / 'out')
    assert [one['source'] for one in found] == [source] * 3
    assert [one.get('picture') for one in found] == [
        'caf.jpg', 'caf_2.jpg', None
    ]  # fmt: skip
    table = (tmp_path / 'out' / 'predictions.csv').read_bytes()
    assert b'\nx/caf\xe9.jpg,' in table
    assert r'x/caf\udce9.jpg: the file is torn' in str(summary)
    str(summary).encode()


def test_nothing_is_overwritten_unasked(tmp_path):
    (tmp_path / 'a.jpg').write_bytes(b'mine')
    write_results([make('x/a.jpg')], tmp_path)
    assert (tmp_path / 'a.jpg').read_bytes() == b'mine'
    assert 'a_2.jpg' in names(tmp_path)
    before = (tmp_path / 'predictions.jsonl').read_bytes()
    for formats in (['jsonl'], 'csv'):
        with pytest.raises(ValueError, match='exists; give another folder'):
            write_results([make('x/b.jpg')], tmp_path, formats=formats)
    assert (tmp_path / 'predictions.jsonl').read_bytes() == before
    write_results([make('x/a.jpg', 3)], tmp_path, overwrite=True)
    assert (tmp_path / 'a.jpg').read_bytes() != b'mine'
    assert len(lines(tmp_path)[0]['people']) == 3


def test_inputs_are_never_overwritten(tmp_path):
    path = tmp_path / 'a.jpg'
    path.write_bytes(b'input')
    with pytest.raises(ValueError, match='lies in the output folder'):
        write_results([make(path)], tmp_path, overwrite=True)
    write_results([make(path)], tmp_path, overwrite=False)
    assert path.read_bytes() == b'input'


def test_old_results_stay_until_there_are_new_ones(tmp_path):
    write_results([make()], tmp_path)
    before = lines(tmp_path)

    def fail():
        raise RuntimeError('the model is broken')
        yield

    with pytest.raises(RuntimeError):
        write_results(fail(), tmp_path, overwrite=True)
    assert lines(tmp_path) == before
    write_results([], tmp_path, overwrite=True)
    assert lines(tmp_path) == []
    assert (tmp_path / 'predictions.csv').read_text().startswith('source,')


def test_pictures_of_a_former_run_are_told(tmp_path, monkeypatch):
    logged = []

    def warned() -> list[str]:
        found, logged[:] = logged[:], []
        return found

    monkeypatch.setattr(writing, 'warn', logged.append)

    write_results([make(f'{n}.jpg') for n in 'abc'], tmp_path)
    (tmp_path / 'mine.jpg').write_bytes(b'of the user')
    assert not warned()
    write_results([make('b.jpg')], tmp_path, overwrite=True)
    [words] = warned()
    assert f'{tmp_path} still holds 2 pictures' in words
    assert words.endswith('of a former run: a.jpg, c.jpg')
    write_results([make('b.jpg')], tmp_path, overwrite=True)
    assert not warned()  # they do not belong to the lines of that run


def test_options(tmp_path):
    with pytest.raises(ValueError, match="'xml' is not a format"):
        ResultWriter(tmp_path, formats=['xml'])
    write_results([make()], tmp_path, draw=False, formats=())
    assert names(tmp_path) == []
    write_results([make('a.png')], tmp_path, formats=(), threshold=0.9)
    picture = cv2.imread(str(tmp_path / 'a.png'))
    assert picture[20, 10].tolist() == [50, 50, 50]  # keypoint of 0.75


# ---------------------------------------------------------------------- COCO


@pytest.mark.parametrize(
    'sources, options, ids',
    [
        (['x/000000000785.jpg', '12.jpg'], {}, [785, 12]),
        (['785.jpg', 'a.jpg'], {}, [1, 2]),
        (['x/1.jpg', 'y/1.jpg'], {}, [1, 2]),
        (['x/a.jpg', 'b.jpg'], dict(image_ids={'a.jpg': 9}), [9]),
    ],
)
def test_coco_results(tmp_path, sources, options, ids):
    results = [make(source) for source in sources]
    write_results(results, tmp_path, formats=['coco'], draw=False, **options)
    found = json.loads((tmp_path / 'predictions.json').read_text())
    assert found == [results[0].to_coco(number)[0] for number in ids]


# -------------------------------------------------------------------- videos


@pytest.fixture
def clip(tmp_path):
    path = tmp_path / 'clip.mp4'
    with VideoWriter(path, 12, (64, 48)) as video:
        for _ in range(3):
            video.write(IMAGE)
    return path


def test_videos(tmp_path, clip):
    out = tmp_path / 'out'
    results = [make('a.jpg', 0)]
    results += [make(clip, index=i, time=i / 12) for i in range(3)]
    results += [make(clip, index=i, time=i / 12) for i in range(2)]  # again
    results += [make('webcam:1', index=i, time=i / 4) for i in range(3)]
    results += [broken('b.jpg')]
    summary = write_results(results, out)
    assert names(out) == [
        'a.jpg', 'clip.mp4', 'clip_2.mp4', 'predictions.csv',
        'predictions.jsonl', 'webcam_1.mp4',
    ]  # fmt: skip
    assert [line.get('picture') for line in lines(out)] == [
        'a.jpg', *['clip.mp4'] * 3, *['clip_2.mp4'] * 2,
        *['webcam_1.mp4'] * 3, None,
    ]  # fmt: skip
    assert (summary.images, summary.pictures) == (9, 4)
    assert str(summary).startswith('1 images, 8 frames of videos, ')
    with read_video(out / 'clip.mp4') as video:
        assert video.info.fps == 12
        frames = list(video)
    assert len(frames) == 3
    assert np.abs(frames[1].image - results[1].draw().astype(int)).mean() < 6
    with read_video(out / 'webcam_1.mp4') as video:
        assert [f.time for f in video] == pytest.approx(
            [0, 0.25, 0.5], abs=0.01
        )


# -------------------------------------------------------------- interruption

ENDLESS = """
import itertools, sys, time
sys.path[:0] = {tests!r}
import test_writing as t
def endless():
    for i in itertools.count():
        yield t.make('clip.mp4', 40, index=i, time=i / 10)
        print(i, flush=True)
t.write_results(endless(), {out!r}, formats=['jsonl', 'csv', 'coco'])
"""


@pytest.mark.parametrize(
    'kind',
    [  # tests/test_cli/test_predict.py interrupts the whole command
        pytest.param(signal.SIGINT, marks=pytest.mark.slow),
        signal.SIGKILL,
    ],
)
def test_an_interruption_leaves_whole_lines(tmp_path, kind):
    out = tmp_path / 'out'
    here = os.path.dirname(__file__)
    folders = [here, os.path.dirname(here)]
    code = ENDLESS.format(tests=folders, out=str(out))
    process = subprocess.Popen(
        [sys.executable, '-c', code],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        preexec_fn=heed_ctrl_c,
    )
    while process.stdout.readline().strip() != '29':
        assert process.poll() is None
    time.sleep(0.05)
    process.send_signal(kind)
    process.communicate(timeout=300)
    found = lines(out)  # each is whole
    assert [line['index'] for line in found] == list(range(len(found)))
    assert len(found) >= 30
    rows = (out / 'predictions.csv').read_text().splitlines()
    assert {row.count(',') for row in rows} == {13}
    if kind == signal.SIGINT:
        with read_video(out / 'clip.mp4') as video:
            num = sum(frame.image is not None for frame in video)
        assert len(found) <= num <= len(found) + 1
        coco = json.loads((out / 'predictions.json').read_text())
        assert len(found) - 1 <= len(coco) / 40 <= len(found)
