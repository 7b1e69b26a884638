"""Videos are read and written whole, upright, in their colors, and closed."""

import functools
import http.server
import signal
import socket
import subprocess
import sys
import threading
from contextlib import closing
from fractions import Fraction

import av
import cv2
import numpy as np
import pytest
from support.ctrl_c import heed_ctrl_c

import gtpt_mm
from gtpt_mm.apis import video_writer
from gtpt_mm.apis.video import (
    VIDEO_SUFFIXES,
    WRITTEN_FORMATS,
    VideoError,
    VideoWriter,
    is_video,
    read_video,
)

#: Containers that only other programs write: muxer and codec.
FOREIGN = {
    '.3gp': ('3gp', 'libx264'),
    '.mts': ('mpegts', 'libx264'),
    '.m2ts': ('mpegts', 'mpeg2video'),
    '.mpg': ('mpeg', 'mpeg2video'),
    '.mpeg': ('mpeg', 'mpeg1video'),
    '.flv': ('flv', 'libx264'),
    '.wmv': ('asf', 'msmpeg4'),
    '.ogv': ('ogg', 'libvpx'),
}
COLORS = [(0, 0, 0), (255, 255, 255), (0, 0, 255), (0, 255, 0), (255, 0, 0)]
COLORS += [(30, 120, 200), (128, 128, 128)]


def picture(index, size=(64, 48)):
    """A frame whose gray level tells its index."""
    return np.full((size[1], size[0], 3), 20 + 5 * index, np.uint8)


def noise(size=(128, 96)):
    shape = (size[1], size[0], 3)
    return np.random.default_rng(0).integers(0, 255, shape, np.uint8)


def write(path, num=20, fps=25, size=(64, 48), make=picture, times=None):
    with VideoWriter(path, fps, size) as writer:
        for i in range(num):
            image = make(i, size) if make is picture else make(i)
            writer.write(image, None if times is None else times[i])
    return path


def write_foreign(path, muxer, codec, num=20, options=None, make=picture):
    size = make(0).shape[1::-1]
    with av.open(str(path), 'w', format=muxer, container_options=options) as c:
        stream = c.add_stream(codec, rate=25)
        stream.width, stream.height = size
        stream.pix_fmt, stream.bit_rate = 'yuv420p', 4_000_000
        for i in range(num):
            frame = av.VideoFrame.from_ndarray(make(i), format='bgr24')
            frame = frame.reformat(format='yuv420p', interpolation=0x42002)
            c.mux(stream.encode(frame))
        c.mux(stream.encode(None))
    return path


def levels(frames):
    return [round((f.image.mean() - 20) / 5) for f in frames]


def test_every_container_that_is_read_has_a_test():
    assert {*WRITTEN_FORMATS, *FOREIGN} == set(VIDEO_SUFFIXES)


@pytest.mark.parametrize('suffix', WRITTEN_FORMATS)
def test_written_containers_are_read_again(tmp_path, suffix):
    path = write(tmp_path / f'clip{suffix}')
    with read_video(path) as reader:
        frames = list(reader)
    assert reader.info.size == (64, 48)
    assert reader.info.fps == 25
    assert reader.info.num_frames == 20
    assert levels(frames) == list(range(20))
    assert [f.index for f in frames] == list(range(20))
    assert [f.time for f in frames] == pytest.approx(
        [i / 25 for i in range(20)], abs=1e-3
    )
    assert {f.source for f in frames} == {str(path)}
    assert not any(f.error for f in frames)


@pytest.mark.parametrize('suffix', FOREIGN)
def test_foreign_containers_are_read(tmp_path, suffix):
    path = write_foreign(tmp_path / f'clip{suffix}', *FOREIGN[suffix])
    reader = read_video(path)
    frames = list(reader)
    assert levels(frames) == list(range(20))
    assert not any(f.error for f in frames)
    assert reader.info.fps == 25
    if suffix != '.mpeg':  # MPEG-1 tells no length
        assert abs(reader.info.num_frames - 20) <= 5
    assert frames[0].time == 0
    assert frames[-1].time == pytest.approx(19 / 25, abs=0.041)


def test_upper_case_suffix_and_a_colon_in_the_name(tmp_path):
    path = write(tmp_path / 'at 12:30 日本.MP4', num=3)
    assert len(list(read_video(path))) == 3


@pytest.mark.parametrize('suffix', WRITTEN_FORMATS)
def test_colors_survive(tmp_path, suffix):
    """Also for OpenCV, which ignores the tags of matrix and range."""

    def flat(i):
        return np.full((48, 64, 3), COLORS[i // 3], np.uint8)

    path = write(tmp_path / f'c{suffix}', num=3 * len(COLORS), make=flat)
    capture = cv2.VideoCapture(str(path))
    for i, frame in enumerate(read_video(path)):
        target = np.array(COLORS[i // 3])
        assert np.abs(frame.image[8:-8, 8:-8] - target).max() <= 3
        assert np.abs(capture.read()[1][8:-8, 8:-8] - target).max() <= 6


def test_full_range_colors_are_read_right(tmp_path):
    path = tmp_path / 'camera.avi'
    with av.open(str(path), 'w') as container:
        stream = container.add_stream('mjpeg', rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, 'yuvj420p'
        for color in COLORS:
            image = np.full((48, 64, 3), color, np.uint8)
            frame = av.VideoFrame.from_ndarray(image, format='bgr24')
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    for color, frame in zip(COLORS, read_video(path), strict=True):
        assert np.abs(frame.image - np.array(color)).max() <= 12


@pytest.mark.parametrize(
    ('fps', 'kept'),
    [
        (Fraction(30000, 1001), Fraction(30000, 1001)),
        (30000 / 1001, Fraction(30000, 1001)),
        (12.5, Fraction(25, 2)),
        (59.94, Fraction(2997, 50)),
        (1, Fraction(1)),
        (240, Fraction(240)),
    ],
)
@pytest.mark.parametrize('suffix', ['.mp4', '.avi', '.webm'])
def test_odd_rates_are_kept(tmp_path, suffix, fps, kept):
    path = write(tmp_path / f'clip{suffix}', num=12, fps=fps)
    reader = read_video(path)
    assert float(reader.info.fps) == pytest.approx(float(kept), rel=1e-3)
    if suffix != '.webm':  # whose clock counts milliseconds
        assert reader.info.fps == kept
    assert len(list(reader)) == 12


@pytest.mark.parametrize('suffix', ['.mp4', '.mkv', '.webm', '.ts', '.gif'])
def test_varying_times_are_kept(tmp_path, suffix):
    steps = np.random.default_rng(0).uniform(0.03, 0.1, 29)
    times = np.concatenate([[0], np.cumsum(steps)])
    path = write(tmp_path / f'clip{suffix}', num=30, times=times)
    frames = list(read_video(path))
    assert levels(frames) == list(range(30))
    found = np.array([f.time for f in frames])
    assert np.abs(found - times).max() < 0.006  # GIF: hundredths


def test_times_that_repeat_still_write_every_frame(tmp_path):
    path = write(tmp_path / 'c.mp4', num=5, times=[0, 0, 0.04, 0.03, 0.2])
    assert levels(read_video(path)) == [0, 1, 2, 3, 4]


@pytest.mark.parametrize('suffix', ['.mp4', '.webm', '.avi', '.gif'])
def test_odd_sizes_are_padded_at_the_far_edges(tmp_path, suffix):
    image = cv2.resize(noise((8, 6)), (65, 49), interpolation=cv2.INTER_LINEAR)
    path = write(
        tmp_path / f'c{suffix}', 3, size=(65, 49), make=lambda i: image
    )
    frame = next(read_video(path))
    even = suffix != '.gif'
    assert frame.image.shape == (49 + even, 65 + even, 3)
    assert np.abs(frame.image[:49, :65] - image.astype(float)).mean() < 8


def test_mpeg4_stands_in_for_h264(tmp_path, monkeypatch):
    has = video_writer._has_encoder
    monkeypatch.setattr(
        video_writer,
        '_has_encoder',
        lambda name: name != 'libx264' and has(name),
    )
    path = write(tmp_path / 'c.mp4', fps=Fraction(30000, 1001))
    with av.open(str(path)) as container:
        assert container.streams.video[0].codec_context.name == 'mpeg4'
    reader = read_video(path)
    assert reader.info.fps == Fraction(30000, 1001)
    assert levels(reader) == list(range(20))
    monkeypatch.setattr(video_writer, '_has_encoder', lambda name: False)
    with pytest.raises(VideoError, match='none of libx264, mpeg4'):
        VideoWriter(tmp_path / 'd.mp4', 25, (64, 48))


# Display matrices as phones write them into 'tkhd', and what the viewer sees
TURNS = {
    'as stored': ((1, 0, 0, 1), 0, lambda i: i),
    'phone upright': ((0, 1, -1, 0), 90, lambda i: np.rot90(i, -1)),
    'upside down': ((-1, 0, 0, -1), 180, lambda i: np.rot90(i, 2)),
    'other side': ((0, -1, 1, 0), 270, lambda i: np.rot90(i, 1)),
    'mirrored': ((-1, 0, 0, 1), 180, lambda i: i[:, ::-1]),
}


@pytest.mark.parametrize('case', TURNS)
def test_rotation_of_the_container_is_applied_once(tmp_path, case):
    (a, b, c, d), degrees, turn = TURNS[case]
    image = cv2.resize(noise((4, 3)), (64, 48), interpolation=cv2.INTER_CUBIC)
    path = write(tmp_path / 'phone.mp4', 4, make=lambda i: image)
    data = bytearray(path.read_bytes())
    start = data.rindex(b'tkhd') + 4 + 40
    rows = [(a, b, 0), (c, d, 0)]
    for number, row in enumerate(rows):
        for column, value in enumerate(row):
            place = start + 12 * number + 4 * column
            data[place : place + 4] = (value * 65536).to_bytes(
                4, 'big', signed=True
            )
    path.write_bytes(data)
    reader = read_video(path)
    target = turn(image)
    for frame in reader:
        assert frame.image.shape == target.shape
        assert np.abs(frame.image - target.astype(float)).mean() < 8
    assert reader.info.size == target.shape[1::-1]
    assert reader.info.rotation == degrees


def test_a_stream_that_changes_its_size_keeps_the_first(tmp_path):
    parts = [
        write(tmp_path / 'a.ts', 10),
        write(tmp_path / 'b.ts', 10, size=(96, 72)),
    ]
    path = tmp_path / 'both.ts'
    path.write_bytes(b''.join(p.read_bytes() for p in parts))
    shapes = {f.image.shape for f in read_video(path) if f.image is not None}
    assert shapes == {(48, 64, 3)}


def torn(path, share):
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    return path


def rolling(i):
    return np.roll(noise(), 3 * i, 1)


@pytest.mark.parametrize('share', [0.4, 0.97])
@pytest.mark.parametrize('suffix', ['.mkv', '.webm', '.avi', '.gif'])
def test_torn_files_give_their_frames_then_an_error(tmp_path, suffix, share):
    path = write(tmp_path / f'c{suffix}', 30, size=(128, 96), make=rolling)
    *frames, last = read_video(torn(path, share))
    assert 30 * share - 12 < len(frames) <= 30
    assert all(f.image is not None and not f.error for f in frames)
    assert last.image is None
    assert last.index == len(frames)
    assert 'torn' in last.error and str(path) in last.error


@pytest.mark.parametrize('flags', ['faststart', 'frag_keyframe+empty_moov'])
def test_torn_mp4_with_its_index_first(tmp_path, flags):
    path = write_foreign(
        tmp_path / 'c.mp4',
        *('mp4', 'libx264', 60),
        options={'movflags': flags},
        make=rolling,
    )
    *frames, last = read_video(torn(path, 0.6))
    assert 10 < len(frames) < 40
    assert 'torn or damaged: ' in last.error
    assert f'({len(frames)} of about 60 frames)' in last.error


@pytest.mark.parametrize('suffix', ['.ts', '.mpg'])
def test_torn_files_without_a_length_give_their_frames(tmp_path, suffix):
    """Nothing in such a file tells how long it was."""
    path = tmp_path / f'c{suffix}'
    muxer = 'mpegts' if suffix == '.ts' else 'mpeg'
    write_foreign(path, muxer, 'mpeg2video', 30, make=rolling)
    frames = [f for f in read_video(torn(path, 0.5)) if not f.error]
    assert 2 < len(frames) < 28


def test_damage_in_the_middle_is_told(tmp_path):
    path = write(tmp_path / 'c.mp4', 60, size=(128, 96), make=rolling)
    data = bytearray(path.read_bytes())
    for start in range(len(data) // 3, len(data) // 2, 5000):
        data[start : start + 400] = bytes(400)
    path.write_bytes(data)
    *frames, last = read_video(path)
    assert len(frames) > 30
    assert 'damaged' in last.error


@pytest.mark.parametrize(
    ('name', 'content', 'words'),
    [
        ('none.mp4', None, 'none.mp4: no such file'),
        ('empty.mp4', b'', 'empty.mp4: torn, empty or not a video'),
        ('text.mp4', b'hello\n' * 99, 'text.mp4: torn, empty or not a video'),
        ('noindex.mov', b'\0\0\0\x08free' * 9, 'noindex.mov: torn, empty'),
        ('clip.xyz', b'x', r"clip.xyz: '.xyz' is not a container.*ffmpeg"),
        ('clip', b'x', "clip: 'a file without suffix' is not a container"),
        ('notes.txt', b'x', "notes.txt: '.txt' is not a container"),
        ('a.gif', b'GIF89a\1\0\1\0\0\0\0;', 'a.gif: .*no'),
    ],
)
def test_no_video_is_an_error_by_name(tmp_path, name, content, words):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(VideoError, match=words):
        read_video(tmp_path / name)


def test_a_picture_or_sound_is_no_video(tmp_path):
    picture_path = tmp_path / 'picture.mp4'
    picture_path.write_bytes(cv2.imencode('.jpg', picture(1))[1].tobytes())
    with pytest.raises(VideoError, match='no video in it'):
        read_video(picture_path)
    with av.open(str(tmp_path / 'sound.mkv'), 'w') as container:
        stream = container.add_stream('aac', rate=44100)
        sound = np.zeros((1, 1024), np.float32)
        frame = av.AudioFrame.from_ndarray(sound, format='fltp', layout='mono')
        frame.sample_rate = 44100
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    with pytest.raises(VideoError, match='sound.mkv: no video in it'):
        read_video(tmp_path / 'sound.mkv')


def test_is_video():
    for source in ('webcam', 'webcam:1', 'rtsp://a/b', 'a.MKV', 'a b/c.ts'):
        assert is_video(source)
    assert is_video('https://a.b/clip.mp4?token=1.jpg')
    for source in (
        'a.jpg',
        'https://a.b/i.jpg?next=clip.mp4',
        'webcams/a.png',
    ):
        assert not is_video(source)


# Webcams and streams


def test_no_camera_is_an_error(monkeypatch, capfd):
    with pytest.raises(VideoError, match='webcam:77: no camera 77 can be'):
        read_video('webcam:77')
    with pytest.raises(VideoError, match="'webcam:front': write 'webcam'"):
        read_video('webcam:front')


def test_a_camera_that_stops(tmp_path, monkeypatch):
    """A file in place of a camera."""
    path = write(tmp_path / 'c.avi', num=5)
    opened = []
    capture = cv2.VideoCapture

    def camera(number):
        opened.append(number)
        return capture(str(path))

    monkeypatch.setattr(cv2, 'VideoCapture', camera)
    reader = read_video('webcam:2')
    *frames, last = reader
    assert opened == [2]
    assert reader.info.live
    assert reader.info.size == (64, 48)
    assert reader.info.num_frames is None
    assert levels(frames) == [0, 1, 2, 3, 4]
    assert frames[0].source == 'webcam:2'
    assert frames[0].time < frames[4].time
    assert last.error == 'webcam:2: the camera stopped after 5 frames'


@pytest.fixture
def silent_port():
    """A port that takes connections and never answers."""
    with closing(socket.socket()) as server:
        server.bind(('127.0.0.1', 0))
        server.listen()
        yield server.getsockname()[1]


@pytest.fixture
def refused_port():
    with closing(socket.socket()) as server:
        server.bind(('127.0.0.1', 0))
        return server.getsockname()[1]


@pytest.mark.parametrize('scheme', ['rtsp', 'http', 'https'])
def test_a_refused_stream_is_an_error(refused_port, scheme):
    url = f'{scheme}://user:secret@127.0.0.1:{refused_port}/live?x=1'
    with pytest.raises(VideoError, match='refused') as caught:
        read_video(url, timeout=5)
    assert f'{scheme}://127.0.0.1:{refused_port}/live?x=1' in str(caught.value)
    assert 'secret' not in str(caught.value)


@pytest.mark.parametrize('scheme', ['rtsp', 'http'])
def test_a_silent_stream_times_out(silent_port, scheme):
    url = f'{scheme}://127.0.0.1:{silent_port}/live'
    with pytest.raises(VideoError, match='no answer within 0.5 s'):
        read_video(url, timeout=0.5)


class _Handler(http.server.SimpleHTTPRequestHandler):
    """Serves files; of 'broken' only a third; 'stuck' never ends."""

    def log_message(self, *args):
        pass

    def do_GET(self):
        if 'token=right' not in self.path:
            return self.send_error(403)
        if 'broken' not in self.path and 'stuck' not in self.path:
            return super().do_GET()
        with open(self.translate_path(self.path), 'rb') as file:
            data = file.read()
        self.send_response(200)
        self.send_header('Content-Length', str(len(data)))
        self.end_headers()
        self.wfile.write(data[: len(data) // 3])
        self.wfile.flush()
        if 'stuck' in self.path:
            self.server.done.wait(20)
        return None


@pytest.fixture
def web(tmp_path):
    handler = functools.partial(_Handler, directory=str(tmp_path))
    server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), handler)
    server.done = threading.Event()
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f'http://127.0.0.1:{server.server_port}'
    server.done.set()
    server.shutdown()
    server.server_close()


def test_http_file_with_a_query(tmp_path, web):
    write(tmp_path / 'clip.mp4')
    url = f'{web}/clip.mp4?token=right&name=a.jpg'
    reader = read_video(url)
    assert levels(reader) == list(range(20))
    assert reader.info.source == url
    with pytest.raises(VideoError, match='403 Forbidden'):
        read_video(f'{web}/clip.mp4?token=wrong')
    with pytest.raises(VideoError, match='404 Not Found'):
        read_video(f'{web}/none.mp4?token=right')


@pytest.mark.parametrize('case', ['broken', 'stuck'])
def test_a_stream_that_breaks_off(tmp_path, web, case):
    write(tmp_path / f'{case}.mkv', 60, size=(128, 96), make=rolling)
    url = f'{web}/{case}.mkv?token=right'
    *frames, last = read_video(url, timeout=1)
    assert 5 < len(frames) < 40
    assert all(f.image is not None for f in frames)
    assert last.error.startswith(url)
    if case == 'stuck':
        assert 'no data within 1 s' in last.error


# Writing: refusals, and every way to be interrupted


@pytest.mark.parametrize(
    ('name', 'fps', 'size', 'words'),
    [
        ('a.xyz', 25, (64, 48), "a.xyz: no video is written as '.xyz'; take"),
        ('a.mpg', 25, (64, 48), "no video is written as '.mpg'"),
        ('a', 25, (64, 48), "no video is written as ''"),
        ('no/a.mp4', 25, (64, 48), 'folder .*no does not exist'),
        ('a.mp4', 0, (64, 48), r'fps 0 must lie in'),
        ('a.mp4', float('nan'), (64, 48), 'fps nan must'),
        ('a.mp4', 25, (0, 48), r'size \(0, 48\)'),
        ('a.mp4', 25, (20000, 48), r'mp4: cannot.*20000x48'),
    ],
)
def test_refused_before_any_work(tmp_path, name, fps, size, words):
    with pytest.raises(VideoError, match=words):
        VideoWriter(tmp_path / name, fps, size)
    assert list(tmp_path.iterdir()) == []


def test_images_of_another_kind_are_refused(tmp_path):
    with VideoWriter(tmp_path / 'a.mp4', 25, (64, 48)) as writer:
        writer.write(picture(0))
        with pytest.raises(VideoError, match=r'image 1 is uint8 \(64, 4'):
            writer.write(np.zeros((64, 48, 3), np.uint8))
        with pytest.raises(VideoError, match='float64'):
            writer.write(np.zeros((48, 64, 3)))
    with pytest.raises(VideoError, match='is closed'):
        writer.write(picture(0))
    writer.close()
    assert len(list(read_video(tmp_path / 'a.mp4'))) == 1


def test_no_frame_leaves_no_file(tmp_path, caplog):
    with VideoWriter(tmp_path / 'a.mp4', 25, (64, 48)):
        pass
    assert list(tmp_path.iterdir()) == []
    assert 'no frame, so no file' in caplog.text


@pytest.mark.skipif(not sys.platform.startswith('linux'), reason='/dev/full')
def test_a_full_disk_is_an_error(tmp_path):
    (tmp_path / 'a.mkv').symlink_to('/dev/full')
    with (
        pytest.raises(VideoError, match='a.mkv.*No space left'),
        VideoWriter(tmp_path / 'a.mkv', 25, (128, 96)) as writer,
    ):
        for i in range(80):
            writer.write(rolling(i))


@pytest.mark.parametrize('suffix', WRITTEN_FORMATS)
@pytest.mark.parametrize('error', [RuntimeError, KeyboardInterrupt])
def test_interrupted_by_an_exception(tmp_path, suffix, error):
    path = tmp_path / f'c{suffix}'
    with pytest.raises(error), VideoWriter(path, 25, (64, 48)) as writer:
        for i in range(40):
            if i == 7:
                raise error
            writer.write(picture(i))
    assert levels(read_video(path)) == list(range(7))


def test_interrupted_by_a_closed_generator(tmp_path):
    def frames():
        with VideoWriter(tmp_path / 'c.mp4', 25, (64, 48)) as writer:
            for i in range(40):
                writer.write(picture(i))
                yield i

    steps = frames()
    next(steps)
    steps.close()
    assert levels(read_video(tmp_path / 'c.mp4')) == [0]


# A stand-in for the packages spares their imports: mmpose's take seconds.
WRITE_ON = """
import sys, types, numpy as np
for name, path in (('gtpt_mm', ''), ('gtpt_mm.apis', '/apis')):
    sys.modules[name] = types.ModuleType(name)
    sys.modules[name].__path__ = [sys.argv[2] + path]
from gtpt_mm.apis.video import VideoWriter
base = np.random.default_rng(0).integers(0, 255, (96, 128, 3), np.uint8)
with VideoWriter(sys.argv[1], 25, (128, 96)) as writer:
    for i in range(100000):
        writer.write(np.roll(base, 3 * i, 1))
        if i == 200:
            print('ready', flush=True)
            sys.stdin.readline()
"""


@pytest.mark.parametrize(
    ('suffix', 'number', 'lost'),
    [('.mp4', signal.SIGINT, 0)]
    + [(s, signal.SIGKILL, 80) for s in ('.mp4', '.mkv', '.ts', '.avi')]
    + [('.webm', signal.SIGKILL, 80)],
)
def test_interrupted_by_a_signal(tmp_path, suffix, number, lost):
    """Ctrl-C loses nothing; a killed process what the encoder still held."""
    path = tmp_path / f'c{suffix}'
    process = subprocess.Popen(
        [sys.executable, '-c', WRITE_ON, str(path), gtpt_mm.__path__[0]],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        preexec_fn=heed_ctrl_c,
    )
    assert process.stdout.readline() == b'ready\n'
    process.send_signal(number)
    process.communicate(timeout=300)
    frames = [f for f in read_video(path) if not f.error]
    assert 201 - lost <= len(frames) <= 201
    assert cv2.VideoCapture(str(path)).read()[0]


# Reader in with


def test_closing_a_reader_ends_it(tmp_path):
    with read_video(write(tmp_path / 'c.mp4')) as reader:
        assert next(reader).index == 0
    assert list(reader) == []
