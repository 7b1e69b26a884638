"""What read_inputs takes, and what it says of the rest."""

import http.server
import io
import itertools
import logging
import re
import socket
import threading
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmengine.logging import MMLogger
from PIL import Image, ImageOps

from gtpt_mm.apis import addresses, inputs
from gtpt_mm.apis.inputs import count_frames, read_inputs
from gtpt_mm.apis.results import Frame
from gtpt_mm.apis.video import VideoWriter

ORIENTATION = 0x0112
#: A box (x1, y1, x2, y2) of white on black, in an upright image (60, 80).
BOX = (8, 16, 32, 24)


def upright() -> np.ndarray:
    image = np.zeros((60, 80, 3), np.uint8)
    x1, y1, x2, y2 = BOX
    image[y1:y2, x1:x2] = 255
    image[:8, :8] = (255, 0, 0)  # blue in the upper left corner
    return image


def find_box(image: np.ndarray) -> tuple[int, ...]:
    ys, xs = np.nonzero(image.min(axis=2) > 128)
    return xs.min(), ys.min(), xs.max() + 1, ys.max() + 1


def encode(image: np.ndarray, kind: str = 'PNG', **options) -> bytes:
    file = io.BytesIO()
    Image.fromarray(image[..., ::-1]).save(file, kind, **options)
    return file.getvalue()


def only(found) -> Frame:
    [frame] = found
    return frame


def check_image(found, image: np.ndarray) -> None:
    frame = only(found)
    assert frame.error == ''
    assert frame.image.dtype == np.uint8
    np.testing.assert_array_equal(frame.image, image)


@pytest.fixture
def image():
    return np.random.default_rng(0).integers(0, 256, (40, 60, 3), np.uint8)


@pytest.fixture
def serve():
    """Return a function that serves answers: path -> (type, content)."""
    servers = []

    def start(
        answers: dict, slow: float = 0.0, asked: list | None = None
    ) -> str:
        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                if asked is not None:
                    asked.append(self.headers['Authorization'])
                kind, content = answers.get(self.path, (None, b''))
                self.send_response(200 if kind else 404)
                self.send_header('Content-Type', kind or 'text/plain')
                self.send_header('Content-Length', str(len(content)))
                self.end_headers()
                for i in range(0, len(content), 1000):
                    self.wfile.write(content[i : i + 1000])
                    time.sleep(slow)

            def log_message(self, *args):
                pass

        server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), Handler)
        threading.Thread(
            target=server.serve_forever, args=[0.02], daemon=True
        ).start()
        servers.append(server)
        return f'http://127.0.0.1:{server.server_port}'

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


# -------------------------------------------------------------- orientations


def turned(orientation: int) -> np.ndarray:
    """Return stored pixels that a viewer turns into ``upright()``."""
    back = {
        1: lambda a: a,
        2: np.fliplr,
        3: lambda a: np.rot90(a, 2),
        4: np.flipud,
        5: lambda a: a.transpose(1, 0, 2),
        6: lambda a: np.rot90(a, 1),
        7: lambda a: np.rot90(a, 2).transpose(1, 0, 2),
        8: lambda a: np.rot90(a, -1),
    }
    return np.ascontiguousarray(back[orientation](upright()))


@pytest.mark.parametrize('orientation', range(1, 9))
@pytest.mark.parametrize('kind', ['JPEG', 'PNG', 'WEBP', 'TIFF', 'AVIF'])
def test_exif_turns_once_and_everywhere(tmp_path, serve, orientation, kind):
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    content = encode(turned(orientation), kind, exif=exif, quality=95)
    path = tmp_path / f'a.{kind.lower()}'
    path.write_bytes(content)
    url = serve({'/a': (f'image/{kind.lower()}', content)})
    forms = [str(path), path, content, io.BytesIO(content), f'{url}/a']
    forms += [Image.open(path), Image.open(io.BytesIO(content))]
    for form in forms:
        frame = only(read_inputs(form))
        assert frame.image.shape == (60, 80, 3), (form, frame.error)
        assert np.abs(np.subtract(find_box(frame.image), BOX)).max() <= 1
        blue, green, red = frame.image[:8, :8].reshape(-1, 3).mean(0)
        assert blue > 200 > 60 > max(green, red)


def test_pil_image_that_was_turned_stays(tmp_path):
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    picture = Image.open(io.BytesIO(encode(turned(6), exif=exif)))
    check_image(read_inputs(picture), upright())
    check_image(read_inputs(picture), upright())  # it was not changed
    check_image(read_inputs(ImageOps.exif_transpose(picture)), upright())


# -------------------------------------------------------------------- arrays


def test_arrays(image):
    alpha = np.dstack([image, image[..., 0]])
    gray = image[..., 1]
    same = [image, alpha, image.astype('i8'), image.astype('f4')]
    for array in same:
        check_image(read_inputs(array), image)
    for array in (gray, gray[..., None]):
        check_image(read_inputs(array), np.dstack([gray] * 3))
    check_image(read_inputs(np.clip(image + 0.4, 0, 255)), image)
    found = list(read_inputs([image, np.stack([image, image[::-1]]), gray]))
    assert [f.source for f in found] == [f'input {i}' for i in range(4)]
    np.testing.assert_array_equal(found[2].image, image[::-1])


def test_an_array_that_is_filled_again_is_not_changed(image):
    buffer = np.zeros_like(image)

    def camera():
        for value in (1, 2):
            buffer[:] = value
            yield buffer

    assert [f.image.max() for f in list(read_inputs(camera()))] == [1, 2]


@pytest.mark.parametrize(
    'value, error, words',
    [
        (torch.zeros(3, 8, 8), TypeError, 'input 0 is a tensor .*numpy'),
        (None, TypeError, 'input 0 is None'),
        (True, TypeError, 'input 0 is True'),
        ({'a': 1}, TypeError, 'input 0 is .*dict'),
        ([3], TypeError, r'input 0 is 3 \(int\)'),
        (['a.jpg', None], TypeError, 'input 1 is None'),
        (np.full((8, 8), np.nan), ValueError, 'input 0, of float64'),
        (np.full((8, 8, 3), 300), ValueError, 'from 300 to 300'),
        (np.full((8, 8, 3), 0.5), ValueError, '0.5'),
        (np.zeros((3, 8, 8), np.uint8), ValueError, r'\(3, 8, 8\)'),
        (np.zeros((0, 8, 3), np.uint8), ValueError, 'not empty'),
    ],
)
def test_no_images(value, error, words):
    with pytest.raises(error, match=words):
        list(read_inputs(value))


@pytest.mark.parametrize('mode', ['RGB', 'RGBA', 'L', 'LA', 'P', 'CMYK', '1'])
def test_pil_modes(image, mode):
    picture = Image.fromarray(image[..., ::-1]).convert(mode)
    expected = np.asarray(picture.convert('RGB'))[..., ::-1]
    check_image(read_inputs(picture), expected)


def test_sixteen_bits_keep_their_upper_half(tmp_path, image):
    deep = image[..., 0].astype(np.uint16) * 256 + 255
    gray = np.dstack([image[..., 0]] * 3)
    check_image(read_inputs(Image.fromarray(deep)), gray)
    cv2.imwrite(str(tmp_path / 'gray.png'), deep)
    cv2.imwrite(str(tmp_path / 'color.tif'), image.astype(np.uint16) * 256)
    check_image(read_inputs(tmp_path / 'gray.png'), gray)
    check_image(read_inputs(Image.open(tmp_path / 'gray.png')), gray)
    color = only(read_inputs(tmp_path / 'color.tif')).image
    assert np.abs(color.astype(int) - image).max() <= 1  # libtiff scales
    wide = Image.fromarray(deep.astype(np.int32))
    with pytest.raises(ValueError, match='PIL image.*0..255'):
        list(read_inputs(wide))


# --------------------------------------------------------------------- files


@pytest.mark.parametrize('name', ['日本 é.jpg', 'a[1].png', 'A.PNG', 'plain'])
@pytest.mark.parametrize('kind', ['PNG', 'BMP', 'TIFF', 'WEBP'])
def test_names_and_formats(tmp_path, image, name, kind):
    path = tmp_path / name
    path.write_bytes(encode(image, kind, lossless=True))
    for form in (str(path), path, path.open('rb')):
        check_image(read_inputs(form), image)
        assert only(read_inputs(path)).source == str(path)


@pytest.mark.parametrize('kind', ['AVIF', 'JPEG'])
def test_lossy_formats(tmp_path, kind):
    path = tmp_path / f'a.{kind}'
    path.write_bytes(encode(upright(), kind, quality=95))
    frame = only(read_inputs(path))
    assert np.abs(np.subtract(find_box(frame.image), BOX)).max() <= 1


def test_transparent_and_gray_files(tmp_path, image):
    cv2.imwrite(str(tmp_path / 'a.png'), np.dstack([image, image[..., 0]]))
    check_image(read_inputs(tmp_path / 'a.png'), image)
    cv2.imwrite(str(tmp_path / 'b.png'), image[..., 0])
    check_image(
        read_inputs(tmp_path / 'b.png'), np.dstack([image[..., 0]] * 3)
    )


BROKEN = [
    ('empty.jpg', b'', r'the file is empty \(0 bytes\)'),
    ('page.jpg', b'\n<html>404</html>', 'HTML'),
    ('other.jpg', b'no image', 'cannot be decoded'),
    ('notes.txt', b'no image', 'cannot be decoded'),
    ('torn.png', encode(upright())[:60], 'torn'),
    ('torn.jpg', encode(upright(), 'JPEG')[:-200], 'torn'),
    ('phone.heic', b'\0\0\0\x18ftypheic' + b'\0' * 20, 'HEIC.*convert'),
    ('torn.mp4', b'no video', 'torn|no video'),
    ('empty.mp4', b'', 'torn|no video|empty'),
]


def test_broken_files_do_not_end_the_work(tmp_path, image):
    paths = []
    for name, content, _ in BROKEN:
        (tmp_path / name).write_bytes(content)
        paths.append(tmp_path / name)
    (tmp_path / 'folder').mkdir()
    (tmp_path / 'secret.jpg').symlink_to(tmp_path / 'nowhere')
    paths += [tmp_path / 'missing.jpg', tmp_path / 'missing.mp4']
    paths += [tmp_path / 'secret.jpg', tmp_path / 'folder', 'no\0name']
    paths += [tmp_path / '*.xyz', 's3://bucket/a.jpg']
    words = [words for *_, words in BROKEN] + ['no such file'] * 3
    words += ['no image or video .0 other', 'null', 'no image', 's3://']
    found = list(read_inputs([*paths, image]))
    assert len(found) == len(paths) + 1
    for frame, path, expected in zip(found, paths, words, strict=False):
        assert frame.image is None
        assert frame.source == str(path)
        assert not frame.error.startswith(str(path))
        assert re.search(expected, frame.error), (path, frame.error)
    np.testing.assert_array_equal(found[-1].image, image)
    # Alone, too: a frame, no exception.
    assert only(read_inputs('missing.jpg')).error == 'there is no such file'


def test_torn_pil_image(image):
    picture = Image.open(io.BytesIO(encode(image, 'JPEG')[:-300]))
    frame = only(read_inputs(picture))
    assert frame.image is None
    assert 'torn' in frame.error


@pytest.fixture
def folder(tmp_path, image):
    for name in ('b.png', 'a.PNG', '.hidden.png', 'sub/c.png'):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(encode(image))
    for name in ('README', 'notes.txt', 'Thumbs.db'):
        (tmp_path / name).write_text('no image')
    return tmp_path


@pytest.fixture
def log(caplog):
    """Return what mmengine's current logger says."""
    logger = MMLogger.get_current_instance()
    logger.addHandler(caplog.handler)
    caplog.set_level(logging.INFO)
    yield caplog
    logger.removeHandler(caplog.handler)


def test_folders_and_patterns(folder, log):

    def names(place):
        return [Path(f.source).name for f in read_inputs(place)]

    for place in (folder, str(folder), f'{folder}/'):
        log.clear()
        assert names(place) == ['a.PNG', 'b.png']
    [record] = log.records
    assert '2 images and videos; 4 other files are skipped' in record.message
    assert '1 folders in it are not searched' in record.message
    assert names(f'{folder}/*.png') == ['b.png']
    assert names(Path(folder) / '*') == ['a.PNG', 'b.png']
    # sorted by path
    assert names(f'{folder}/**/*.png') == ['b.png', 'c.png']
    assert names(f'{folder}/**') == ['a.PNG', 'b.png', 'c.png']
    assert names([folder / 'sub', (folder / 'b.png',)]) == ['c.png', 'b.png']


def test_frames_are_read_when_needed(folder, image):
    def endless():
        yield folder / 'b.png'
        yield image
        raise AssertionError('read ahead')

    first, second = itertools.islice(read_inputs(endless()), 2)
    np.testing.assert_array_equal(first.image, second.image)
    frame = Frame(image, 'mine', index=7)
    assert only(read_inputs([frame])) is frame
    assert only(read_inputs(frame)) is frame


# -------------------------------------------------------------------- videos


@pytest.fixture
def clip(tmp_path):
    path = tmp_path / 'clip.mp4'
    with VideoWriter(path, 10, (64, 48)) as video:
        for value in (40, 120, 200):
            video.write(np.full((48, 64, 3), value, np.uint8))
    return path


def test_videos(tmp_path, clip, image):
    (tmp_path / 'a.png').write_bytes(encode(image))
    found = list(read_inputs([tmp_path, clip]))
    indices = [frame.index for frame in found]
    assert indices == [None, 0, 1, 2, 0, 1, 2]
    assert [f.time for f in found[1:4]] == pytest.approx([0, 0.1, 0.2])
    for frame, value in zip(found[1:4], (40, 120, 200), strict=True):
        assert abs(frame.image.mean() - value) < 3
    assert count_frames([str(tmp_path), str(clip), 'missing.jpg']) == 8
    assert count_frames(['webcam']) is None
    assert count_frames(['http://127.0.0.1/a.jpg']) is None


def test_gifs(tmp_path, image):
    pictures = [Image.fromarray(np.full((48, 64), v, 'u1')) for v in (9, 99)]
    pictures[0].save(tmp_path / 'still.gif')
    pictures[0].save(
        tmp_path / 'two.gif', save_all=True, append_images=pictures[1:]
    )
    still = only(read_inputs(tmp_path / 'still.gif'))
    assert (still.index, still.image.max()) == (None, 9)
    assert [f.index for f in read_inputs(tmp_path / 'two.gif')] == [0, 1]
    # Phones put further pictures behind the first of a jpg.
    pictures[0].save(
        tmp_path / 'two.jpg',
        'MPO',
        save_all=True,
        append_images=pictures[1:],
    )
    first = only(read_inputs(tmp_path / 'two.jpg'))
    assert (first.index, first.image.max()) == (None, 9)


def test_cameras_and_streams_go_to_the_reader_of_videos(monkeypatch):
    asked = []

    def refuse(source):
        asked.append(source)
        raise inputs.VideoError(f'{source}: none here')

    monkeypatch.setattr(inputs, 'read_video', refuse)
    places = ['webcam', 'webcam:1', 'rtsp://camera/1', 'RTSP://camera/2']
    places += ['http://camera/clip.mp4?token=1']
    found = list(read_inputs([*places, '/dev/video3']))
    found += read_inputs(2)
    assert asked == [*places, 'webcam:3', 'webcam:2']
    assert [f.source for f in found] == asked
    assert {f.error for f in found} == {'none here'}


# ----------------------------------------------------------------- addresses


def test_addresses(serve, image, clip):
    content = encode(image)
    url = serve(
        {
            '/a.png?token=1&b=/x.mp4': ('image/png', content),
            '/%E6%97%A5%20b': ('application/octet-stream', content),
            '/page.jpg': ('text/html', b'<!doctype html><p>log in'),
            '/clip.mp4?token=1': ('video/mp4', clip.read_bytes()),
            '/stream': ('video/mp4', clip.read_bytes()),
        }
    )
    check_image(read_inputs(f'{url}/a.png?token=1&b=/x.mp4'), image)
    check_image(read_inputs([f'{url}/日 b']), image)
    check_image(read_inputs([f'{url}/%E6%97%A5%20b']), image)
    assert 'HTML' in only(read_inputs(f'{url}/page.jpg')).error
    missing = only(read_inputs(f'{url}/missing.jpg'))
    assert missing.error == 'the server answers 404 Not Found'
    for place in ('clip.mp4?token=1', 'stream'):
        found = list(read_inputs(f'{url}/{place}'))
        assert [f.index for f in found] == [0, 1, 2], found[-1].error


def test_passwords_are_sent_and_not_told(image, serve):
    content = cv2.imencode('.png', image)[1].tobytes()
    asked = []
    url = serve({'/a.png': ('image/png', content)}, asked=asked)
    secret = url.replace('://', '://me:p%40ss@')
    frame = only(read_inputs(f'{secret}/a.png'))
    np.testing.assert_array_equal(frame.image, image)
    assert frame.source == f'{url}/a.png'
    assert asked == ['Basic bWU6cEBzcw==']  # me:p@ss
    for place in ('none.png', 'none.mp4'):
        frame = only(read_inputs(f'{secret}/{place}'))
        assert frame.source == f'{url}/{place}'
        assert frame.error and 'p%40ss' not in frame.error


def test_servers_that_do_not_answer(monkeypatch, serve):
    monkeypatch.setattr(addresses, 'TIMEOUT', 0.2)
    monkeypatch.setattr(addresses, 'DEADLINE', 0.3)
    with socket.create_server(('127.0.0.1', 0)) as silent:
        port = silent.getsockname()[1]
        frame = only(read_inputs(f'http://127.0.0.1:{port}/a.jpg'))
        assert frame.error == 'it cannot be fetched: no answer within 0.2 s'
    frame = only(read_inputs(f'http://127.0.0.1:{port}/a.jpg'))
    assert 'refused' in frame.error
    url = serve({'/slow': ('image/png', b'1' * 10_000)}, slow=0.1)
    frame = only(read_inputs(f'{url}/slow'))
    assert 'not complete after 0.3 s' in frame.error
    for place in ('http://', 'http://[bad/a.jpg', 'https://no host/a.jpg'):
        frame = only(read_inputs(place))
        assert 'cannot be fetched' in frame.error
