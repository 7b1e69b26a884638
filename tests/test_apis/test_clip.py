"""A drawn clip from end to end: read, find people, ids, smooth, write."""

import json

import cv2
import numpy as np
import pytest

from gtpt_mm.apis.progress import show_progress
from gtpt_mm.apis.results import Frame, PoseResult, Skeleton
from gtpt_mm.apis.smoothing import smooth
from gtpt_mm.apis.tracking import track
from gtpt_mm.apis.video import VideoWriter, read_video

COLORS = [(0, 0, 255), (0, 255, 0)]  # of two people, who cross
MODEL = 'configs/body_2d_keypoint/gtpt/sample/gtpt-t_1xb16-14e_sample-96x64.py'
SKELETON = Skeleton(names=('head', 'foot'), links=((0, 1),))


def center(person, index):
    """(x, y) of the middle of a person: 4 pixels a frame, both ways."""
    x = 30 + 4 * index if person == 0 else 170 - 4 * index
    return x, 60 + 6 * person


@pytest.fixture
def clip(tmp_path):
    """30 frames with two colored people; in frame 17 nobody is drawn."""
    path = tmp_path / 'clip.mp4'
    with VideoWriter(path, 12.5, (200, 130)) as writer:
        for i in range(30):
            image = np.full((130, 200, 3), 40, np.uint8)
            for person, color in enumerate(COLORS):
                if i != 17:
                    x, y = center(person, i)
                    cv2.rectangle(
                        image, (x - 5, y - 40), (x + 5, y + 40), color, -1
                    )
            writer.write(image)
    return path


def find_people(frames):
    """A stand-in for an inferencer: colored columns, shaking by a pixel."""
    draw = np.random.default_rng(0)
    for frame in frames:
        if frame.image is None:
            yield PoseResult.empty(SKELETON, frame)
            continue
        poses = []
        for color in COLORS:
            near = np.abs(frame.image - np.array(color)).max(-1) < 90
            ys, xs = np.nonzero(near)
            if len(xs) > 200:
                x = xs.mean()
                poses.append([[x, ys.min()], [x, ys.max()]])
        poses = np.array(poses[:: 1 if frame.index % 2 else -1])
        poses = poses.reshape(-1, 2, 2) + draw.normal(0, 1, (len(poses), 2, 2))
        boxes = np.concatenate([poses.min(1) - 10, poses.max(1) + 10], axis=1)
        yield PoseResult(
            keypoints=poses,
            scores=np.ones(poses.shape[:2]),
            boxes=boxes,
            box_scores=np.ones(len(poses)),
            skeleton=SKELETON,
            frame=frame,
        )


@pytest.mark.parametrize('method', ['one-euro', 'savgol'])
def test_a_clip_from_end_to_end(tmp_path, clip, method):
    reader = read_video(clip)
    raw = find_people(reader)
    results = smooth(track(raw), method, score_threshold=0.5)
    out = tmp_path / 'out.webm'
    found = []
    with VideoWriter(out, reader.info.fps, reader.info.size) as writer:
        for result in show_progress(results, reader.info.num_frames):
            picture = result.frame.image.copy()
            for pose in result.keypoints:
                ends = [tuple(int(v) for v in p) for p in pose]
                cv2.line(picture, *ends, (255, 255, 255), 3)
            writer.write(picture, result.frame.time)
            found.append(result)

    assert [len(r) for r in found] == [2] * 17 + [0] + [2] * 12
    errors = []
    names = [None, None]
    for i, result in enumerate(found):
        for key, pose in zip(result.ids, result.keypoints, strict=True):
            x, y = pose.mean(0)
            # one way or the other: the id says which, from frame 0 on
            if names[key] is None:
                names[key] = int(abs(center(1, i)[0] - x) < 10)
            errors.append(x - center(names[key], i)[0])
    assert sorted(names) == [0, 1]
    assert np.abs(errors).mean() < (0.8 if method == 'savgol' else 4)

    again = read_video(out)
    frames = list(again)
    assert len(frames) == 30
    assert float(again.info.fps) == pytest.approx(12.5, rel=0.01)
    assert again.info.size == (200, 130)
    assert frames[-1].time == pytest.approx(29 / 12.5, abs=0.01)
    white = [(f.image.min(-1) > 180).sum() for f in frames]
    assert min(white[:17]) > 100 and white[17] == 0


def find_boxes(image):
    """A detector by color."""
    boxes = next(find_people([Frame(image, 'clip', 1)])).boxes
    return boxes.astype(np.float32), np.full(len(boxes), 0.9, np.float32)


def test_a_clip_by_a_tiny_model(clip):
    from gtpt_mm.apis import PoseInferencer, read_video, smooth, track

    inferencer = PoseInferencer(
        MODEL, find_boxes, 'cpu', batch_size=8, weights='random'
    )
    with read_video(clip) as reader:
        results = list(smooth(track(inferencer(reader))))
    assert [len(r) for r in results] == [2] * 17 + [0] + [2] * 12
    assert {k for r in results for k in r.ids} == {0, 1}
    assert [r.frame.index for r in results] == list(range(30))


@pytest.mark.parametrize('smoothing', ['one-euro', 'savgol'])
def test_gtpt_mm_predict_on_a_clip(tmp_path, clip, smoothing):
    from gtpt_mm.cli import main

    out = tmp_path / 'out'
    words = f'predict {clip} --model {MODEL} --weights random --out {out}'
    words += ' --detector whole_image --device cpu --track --smooth'
    assert main([*words.split(), smoothing]) == 0
    lines = (out / 'predictions.jsonl').read_text().splitlines()
    people = [json.loads(line)['people'] for line in lines]
    assert [[p['id'] for p in row] for row in people] == [[0]] * 30
    reader = read_video(out / 'clip.mp4')
    assert reader.info.fps == 12.5
    assert reader.info.size == (200, 130)
    assert len(list(reader)) == 30


def test_a_torn_clip_ends_in_an_error_and_keeps_its_frames(tmp_path):
    path = tmp_path / 'torn.mkv'
    noise = np.random.default_rng(0).integers(0, 255, (130, 200, 3), np.uint8)
    with VideoWriter(path, 25, (200, 130)) as writer:
        for i in range(30):
            writer.write(np.roll(noise, 3 * i, 1))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    *good, last = smooth(track(find_people(read_video(path))), 'savgol')
    assert len(good) > 5
    assert not any(r.error for r in good)
    assert 'torn' in last.error and len(last) == 0


def test_an_interrupted_run_leaves_the_frames_so_far(tmp_path, clip):
    out = tmp_path / 'out.mp4'
    reader = read_video(clip)
    results = smooth(track(find_people(reader)))
    with (
        pytest.raises(KeyboardInterrupt),
        VideoWriter(out, reader.info.fps, reader.info.size) as writer,
    ):
        for i, result in enumerate(results):
            if i == 10:
                raise KeyboardInterrupt
            writer.write(result.frame.image)
    assert len(list(read_video(out))) == 10
    assert isinstance(next(read_video(out)), Frame)
