"""Videos of mmpose's inferencers: read whole, closed however they end."""

import json
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from support.stock_inference import (
    count_frames,
    draw_noise,
    make_inferencer,
    write_video,
)

FRAMES = [draw_noise(64, 48, seed) for seed in range(6)]


@pytest.fixture(scope='module')
def inferencer():
    return make_inferencer('vitpose')


@pytest.fixture
def clip(tmp_path):
    return write_video(tmp_path / 'clip.mp4', FRAMES)


def _predictions(folder, name='clip'):
    text = (folder / f'predictions/{name}.json').read_text()
    return [len(frame['instances']) for frame in json.loads(text)]


def test_a_whole_video(inferencer, clip, tmp_path):
    out = tmp_path / 'out'
    assert len(list(inferencer(clip, out_dir=str(out), batch_size=4))) == 6
    assert count_frames(out / 'visualizations/clip.mp4') == 6
    assert _predictions(out) == [1] * 6


@pytest.mark.parametrize('how', ['close', 'forgotten', 'error'])
def test_an_interrupted_video_is_closed(inferencer, clip, tmp_path, how):
    out = tmp_path / 'out'
    results = inferencer(clip, out_dir=str(out))
    next(results), next(results)
    if how == 'close':
        results.close()
    elif how == 'error':
        with pytest.raises(KeyboardInterrupt):
            results.throw(KeyboardInterrupt)
    del results
    assert count_frames(out / 'visualizations/clip.mp4') == 2
    assert _predictions(out) == [1, 1]


@pytest.mark.slow
def test_ctrl_c_in_a_script_closes_the_video(clip, tmp_path):
    code = f"""
    import gtpt_mm, sys
    sys.path.insert(0, 'tests')
    from support.stock_inference import make_inferencer
    inferencer = make_inferencer('vitpose')
    results = inferencer({clip!r}, out_dir={str(tmp_path / 'o')!r})
    for i, result in enumerate(results):
        if i == 2:
            raise KeyboardInterrupt
    """
    subprocess.run([sys.executable, '-c', textwrap.dedent(code)], check=False)
    assert count_frames(tmp_path / 'o/visualizations/clip.mp4') == 3
    assert _predictions(tmp_path / 'o') == [1] * 3


def test_webm(inferencer, tmp_path):
    path = write_video(tmp_path / 'clip.webm', FRAMES, 'VP80')
    list(inferencer(path, vis_out_dir=str(tmp_path / 'out')))
    assert count_frames(tmp_path / 'out/clip.webm') == 6


def test_containers_that_cannot_be_written(inferencer, clip, tmp_path):
    with pytest.raises(ValueError, match=r'clip\.flv.*\.flv file.*clip\.mp4'):
        list(inferencer(clip, vis_out_dir=str(tmp_path / 'clip.flv')))


def test_a_video_never_replaces_its_input(inferencer, clip, tmp_path):
    with pytest.raises(ValueError, match='would replace its own input'):
        list(inferencer(clip, vis_out_dir=str(tmp_path)))
    assert count_frames(clip) == 6


def test_torn_videos(inferencer, clip, tmp_path):
    content = Path(clip).read_bytes()
    torn = tmp_path / 'torn.mp4'
    torn.write_bytes(content[: len(content) // 2])
    with pytest.raises(ValueError, match='torn.mp4 cannot be read'):
        list(inferencer(str(torn)))
    path = write_video(tmp_path / 'whole.avi', FRAMES * 4, 'MJPG')
    content = Path(path).read_bytes()
    torn = tmp_path / 'torn.avi'
    torn.write_bytes(content[: len(content) // 2])
    found = []
    with pytest.raises(ValueError, match=r'torn.avi ends after 1\d of 24'):
        for result in inferencer(str(torn), out_dir=str(tmp_path / 'out')):
            found.append(result)
    assert _predictions(tmp_path / 'out', 'torn') == [1] * len(found)


def test_cameras_and_streams_that_are_not_there(inferencer):
    with pytest.raises(OSError, match='webcam:5.*no such camera'):
        next(inferencer('webcam:5'))
    for source in (
        'rtsp://127.0.0.1:9/x',
        'http://127.0.0.1:9/x.mp4?token=1',
    ):
        with pytest.raises(ValueError, match=f'{source[:20]}.*as a video'):
            next(inferencer(source))
    with pytest.raises(ConnectionError, match='127.0.0.1:9/x.jpg'):
        next(inferencer('http://127.0.0.1:9/x.jpg?token=1'))
    with pytest.raises(FileNotFoundError, match='nowhere.mp4'):
        next(inferencer('nowhere.mp4'))


def test_a_video_in_a_list(inferencer, clip):
    with pytest.raises(ValueError, match='is a video: give it alone'):
        next(inferencer([clip]))
