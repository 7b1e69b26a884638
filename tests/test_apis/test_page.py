"""The page in a browser: upload, result, no error in the console."""

import json
import shutil
import urllib.request
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

pytest.importorskip('gradio', reason='pip install "gtpt_mm[app]"')

from gtpt_mm.apis.page import (
    Actions,
    PoseModels,
    build_page,
    launch,
    tabulate,
)

SMALL = 'gtpt-t_1xb16-14e_sample-96x64'
PLUS = 'td-hm_vitpose-plus-t_1xb32-14e_sample-six-datasets-96x64'


@pytest.fixture
def picture(tmp_path):
    image = np.random.default_rng(0).integers(0, 255, (96, 80, 3), np.uint8)
    path = tmp_path / 'person.png'
    cv2.imwrite(str(path), image)
    return path


@pytest.fixture
def clip(tmp_path):
    """Three frames, 64x48."""
    path = tmp_path / 'clip.mp4'
    with av.open(str(path), 'w') as file:
        stream = file.add_stream('libx264', rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, 'yuv420p'
        for value in (0, 99, 200):
            image = np.full((48, 64, 3), value, np.uint8)
            frame = av.VideoFrame.from_ndarray(image, 'bgr24')
            file.mux(stream.encode(frame))
        file.mux(stream.encode())
    return path


@pytest.fixture
def actions():
    return Actions(PoseModels('cpu'))


def choose(model, dataset=None, least=0.0):
    """Return what a user chooses: random weights, the whole image."""
    return model, 'random', dataset, 'whole_image', 0.0, least


def test_picture(actions, picture):
    image = cv2.imread(str(picture))[..., ::-1]
    notice, drawing, kept, table, file = actions.predict_image(
        image, *choose(SMALL)
    )
    assert 'random-weights' in notice
    assert 'keep rates 1.00, 0.70, 0.50, 0.30' in notice
    assert drawing.shape == image.shape and (drawing != image).any()
    assert len(table) == 17 and table[0][:2] == [0, 'nose']
    people = json.loads(Path(file).read_text())
    assert len(people['people']) == 1
    whole = actions.predict_image(image, *choose(SMALL, least=1.0))
    assert 'keep rates 1.00, 1.00, 1.00, 1.00' in whole[0]
    assert whole[2].shape != kept.shape  # no step of pruning is left
    again = actions.predict_image(image, *choose(SMALL))
    assert again[3] == table and (again[2] == kept).all()


def test_vitpose_plus_has_the_keypoints_of_a_dataset(actions, picture):
    image = cv2.imread(str(picture))[..., ::-1]
    *_, kept, table, _ = actions.predict_image(image, *choose(PLUS, 'aic'))
    assert kept is None and len(table) == 14


def test_video(actions, clip):
    notice, video, lines = actions.predict_video(str(clip), *choose(SMALL))
    assert notice.startswith('<p id="random-weights"')
    with av.open(video) as file:
        assert sum(1 for _ in file.decode(video=0)) == 3
    assert len(Path(lines).read_text().splitlines()) == 3


def test_what_is_missing_is_named(actions):
    with pytest.raises(ValueError, match='choose a picture'):
        actions.predict_image(None, *choose(SMALL))
    with pytest.raises(ValueError, match='near to it: gtpt-t'):
        actions.predict_image(np.zeros((9, 9, 3), np.uint8), *choose('gtpx'))


@pytest.fixture
def address():
    """Serve the page on this machine; return its address."""
    page = build_page([SMALL, PLUS], 'random', 'cpu')
    _, url, _ = launch(
        page, '127.0.0.1', None, prevent_thread_lock=True, quiet=True
    )
    yield url
    page.close()


def test_page_answers(address):
    with urllib.request.urlopen(address) as reply:
        assert b'gtpt_mm' in reply.read()


def test_in_a_browser(address, picture, clip):
    """Upload a picture and a video, choose a model, look at the results."""
    chromium = shutil.which('chromium')
    if chromium is None:
        pytest.skip('no chromium: apt-get install chromium')
    api = pytest.importorskip('playwright.sync_api')
    problems = []
    with api.sync_playwright() as play:
        browser = play.chromium.launch(
            executable_path=chromium, args=['--no-sandbox']
        )
        tab = browser.new_page()
        tab.set_default_timeout(60_000)
        tab.on(
            'console',
            lambda m: problems.append(m.text) if m.type == 'error' else None,
        )
        tab.on('pageerror', lambda error: problems.append(str(error)))
        tab.goto(address)
        tab.set_input_files('#picture input[type=file]', str(picture))
        tab.wait_for_selector('#picture img')
        tab.click('#run')
        tab.wait_for_selector('#people img')
        tab.wait_for_selector('#kept img')
        assert tab.locator('#random-weights').is_visible()
        red = tab.locator('#random-weights').evaluate(
            'e => getComputedStyle(e).color'
        )
        assert red == 'rgb(176, 0, 32)'
        assert tab.locator('#keep').is_visible()
        tab.get_by_role('tab', name='Video').click()
        tab.set_input_files('#video input[type=file]', str(clip))
        tab.wait_for_selector('#video video')
        tab.click('#run-video')
        tab.wait_for_selector('#drawn video')
        browser.close()
    assert not problems


def test_table():
    from gtpt_mm.apis.results import Frame, PoseResult, Skeleton

    result = PoseResult(
        keypoints=np.array([[[1.26, 2.0], [3.0, 4.0]]]),
        scores=np.array([[0.5, 1.25]]),
        boxes=np.zeros((1, 4)),
        box_scores=np.ones(1),
        skeleton=Skeleton(('a', 'b')),
        frame=Frame(None, 'x'),
    )
    assert tabulate(result) == [[0, 'a', 1.3, 2.0, 0.5], [0, 'b', 3, 4, 1.25]]
