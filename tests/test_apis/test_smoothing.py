"""Smoothing has the right values, per person, and does not cross gaps."""

import numpy as np
import pytest

from gtpt_mm.apis.results import Frame, PoseResult, Skeleton
from gtpt_mm.apis.smoothing import one_euro, savgol, smooth
from gtpt_mm.apis.tracking import track
from gtpt_mm.apis.video import VideoWriter, read_video

METHODS = ['one-euro', 'savgol']
TIMES = np.arange(2000) / 25
NOISE = np.random.default_rng(0).normal(0, 0.02, (2000, 1, 2))
LINE = np.stack([3 * TIMES, 7 - TIMES], axis=-1)[:, None]  # (T, 1, 2)


def run(method, track, **options):
    if method == 'savgol':
        return savgol(track, **options)
    return one_euro(track, TIMES[: len(track)], **options)


@pytest.mark.parametrize('method', METHODS)
def test_a_constant_stays(method):
    still = np.full((50, 3, 2), 123.4)
    assert run(method, still) == pytest.approx(still, abs=1e-9)


def test_savgol_keeps_lines_and_parabolas_to_the_ends():
    parabola = LINE[:60] + 0.5 * TIMES[:60, None, None] ** 2
    for curve in (LINE[:60], parabola):
        assert savgol(curve) == pytest.approx(curve, abs=1e-9)


@pytest.mark.parametrize('name', ['order', 'window', 'max_gap'])
def test_savgol_counts_in_integers(name):
    with pytest.raises(ValueError, match=f'{name} 1.5 must be an integer'):
        smooth([], 'savgol', **{name: 1.5})


def test_savgol_divides_the_variance_by_its_middle_weight():
    """Window 9, order 2: weights -21 14 39 54 59 54 39 14 -21, over 231."""
    weights = np.array([-21, 14, 39, 54, 59, 54, 39, 14, -21]) / 231
    factor = 1 / (weights**2).sum()  # 231 / 59 = 3.9
    assert factor == pytest.approx(231 / 59)
    assert NOISE.var() / savgol(NOISE).var() == pytest.approx(factor, rel=0.05)
    impulse = np.zeros((21, 1, 2))
    impulse[10] = 1
    assert savgol(impulse)[6:15, 0, 0] == pytest.approx(weights)


def test_one_euro_divides_the_variance_by_four_at_rest():
    """Noise of 2 % of a person's size, 25 frames a second."""
    assert NOISE.var() / run('one-euro', NOISE)[100:].var() > 4
    # without beta it is a low-pass: a / (2 - a) with a = 0.2008
    share = 1 / (1 + 25 / (2 * np.pi))
    steady = run('one-euro', NOISE, beta=0)[100:]
    factor = (2 - share) / share
    assert NOISE.var() / steady.var() == pytest.approx(factor, rel=0.15)


@pytest.mark.parametrize('speed', [0.1, 1.0, 5.0])
def test_lag_of_one_euro_is_bound_by_its_cutoff(speed):
    """At most 1 / (2 pi (min_cutoff + beta speed)) seconds behind."""
    line = speed * np.stack([TIMES, 0 * TIMES], -1)[:, None]
    behind = (line - run('one-euro', line))[500:, 0, 0] / speed
    assert behind.min() > 0
    assert behind.max() <= 1 / (2 * np.pi * (1 + 5 * speed))
    # and with beta 0 it is just that
    slow = (line - run('one-euro', line, beta=0))[500:, 0, 0] / speed
    assert slow[-1] == pytest.approx(1 / (2 * np.pi), rel=1e-3)


def test_one_euro_by_hand():
    """Two frames 0.1 s apart, after Algorithms 1 and 2 of the paper."""
    options = {'min_cutoff': 1.5, 'beta': 0.3, 'd_cutoff': 2.0}
    tau = 1 / (2 * np.pi * 2.0)
    speed = (5 / 0.1) / (1 + tau / 0.1)
    tau = 1 / (2 * np.pi * (1.5 + 0.3 * speed))
    target = 10 + 5 / (1 + tau / 0.1)
    found = one_euro([[[10, 0]], [[15, 0]]], [0, 0.1], **options)
    assert found[0].tolist() == [[10, 0]]
    assert found[1, 0] == pytest.approx([target, 0])


def test_one_euro_turns_with_the_image():
    path = 100 * NOISE[:50].cumsum(0)
    turn = np.array([[0.6, -0.8], [0.8, 0.6]])
    turned = run('one-euro', path @ turn)
    assert turned == pytest.approx(run('one-euro', path) @ turn)


@pytest.mark.parametrize('method', METHODS)
@pytest.mark.parametrize('gap', [5, 6])
def test_gaps(method, gap):
    """A jump behind a long gap does not bleed; a short gap is one track."""
    path = np.zeros((60, 2, 2))
    path[30 + gap :, 0] = 100
    path[30 : 30 + gap, 0] = np.nan
    path[:, 1] = NOISE[:60, 0]  # another keypoint, without gap
    found = run(method, path, max_gap=5)
    assert found[:, 1] == pytest.approx(run(method, path[:, 1:])[:, 0])
    before, after = found[:30, 0], found[30 + gap :, 0]
    if gap > 5:
        assert np.isnan(found[30 : 30 + gap, 0]).all()
        assert before == pytest.approx(0 * before)
        assert after == pytest.approx(0 * after + 100)
    elif method == 'savgol':
        bridge = found[32:33, 0, 0]
        assert 0 < bridge < 100
    else:
        assert np.isnan(found[30 : 30 + gap, 0]).all()
        assert 0 < after[0, 0] < 100
        assert after[-1, 0] > 99


def test_savgol_bridges_a_line_exactly_and_never_the_ends():
    path = LINE[:40].copy()
    path[[0, 1, 15, 16, 17, 39]] = np.nan
    found = savgol(path)
    assert found[2:39] == pytest.approx(LINE[2:39])
    assert np.isnan(found[[0, 1, 39]]).all()


@pytest.mark.parametrize('length', range(1, 9))
def test_stretches_shorter_than_the_window(length):
    assert savgol(LINE[:length]) == pytest.approx(LINE[:length])
    assert np.isfinite(savgol(NOISE[:length])).all()


def test_savgol_of_nothing_and_of_nobody():
    assert savgol(np.zeros((0, 17, 2))).shape == (0, 17, 2)
    assert np.isnan(savgol(np.full((5, 2, 2), np.nan))).all()


@pytest.mark.parametrize(
    ('method', 'options', 'words'),
    [
        ('kalman', {}, "'kalman'; take one of one-euro, savgol"),
        ('savgol', {'window': 8}, 'window 8 must be odd'),
        ('savgol', {'window': 3, 'order': 3}, 'order 3'),
        ('savgol', {'beta': 3}, "'beta'"),
        ('one-euro', {'min_cutoff': 0}, 'min_cutoff 0'),
        ('one-euro', {'min_cutoff': float('nan')}, 'min_cutoff nan'),
        ('one-euro', {'beta': float('nan')}, 'beta nan'),
        ('one-euro', {'fps': 0}, 'fps 0 must be > 0'),
        ('one-euro', {'fps': -5}, 'fps -5 must be > 0'),
        ('one-euro', {'window': 9}, "'window'"),
    ],
)
def test_wrong_arguments_are_refused_before_the_first_frame(
    method, options, words
):
    with pytest.raises(ValueError, match=words):
        smooth([], method, **options)


# Results


def result(people, index, ids=None, scores=0.9, source='a.mp4', image=None):
    """One frame; people are (K, 2) each, 100 x 100 pixels large."""
    num = len(people)
    return PoseResult(
        keypoints=np.reshape(people, (num, 2, 2)).astype(np.float32),
        scores=np.full((num, 2), scores, np.float32),
        boxes=np.tile(np.float32([0, 0, 100, 100]), (num, 1)),
        box_scores=np.ones(num, np.float32),
        skeleton=Skeleton(('a', 'b')),
        frame=Frame(
            image, source, index, None if index is None else index / 25
        ),
        ids=None if ids is None else np.array(ids),
    )


def paths(num=40, seed=1):
    """Two keypoints of two people far apart, shaking by two pixels."""
    noise = np.random.default_rng(seed).normal(0, 2, (2, num, 2, 2))
    return noise + np.array([100, 900])[:, None, None, None]


@pytest.mark.parametrize('method', METHODS)
def test_people_are_smoothed_by_id_whatever_their_order(method):
    a, b = paths()
    results = []
    for i in range(40):
        keys = [7, 3] if i % 2 else [3, 7]
        people = {7: a[i], 3: b[i]}
        results.append(result([people[k] for k in keys], i, keys))
    found = list(smooth(results, method))
    for key, path in ((7, a), (3, b)):
        mine = [r.keypoints[list(r.ids).index(key)] for r in found]
        if method == 'savgol':
            target = savgol(path)
        else:
            target = one_euro(path, TIMES[:40], beta=5 / 100)
        assert np.array(mine) == pytest.approx(target, abs=1e-3)
    assert results[0].keypoints[0] == pytest.approx(b[0], abs=1e-3)
    assert found[5].scores is results[5].scores
    assert found[5].keypoints.dtype == np.float32


@pytest.mark.parametrize('method', METHODS)
def test_several_people_without_ids_are_refused(method):
    a, b = paths(1)
    results = [result([a[0]], 0), result([a[0], b[0]], 1)]
    with pytest.raises(
        ValueError, match=r'frame 1: 2 people without ids.*trac'
    ):
        list(smooth(results, method))


@pytest.mark.parametrize('method', METHODS)
def test_one_person_needs_no_id_and_may_be_missing(method):
    a = paths(30)[0]
    results = [result([] if i in (4, 5) else [a[i]], i) for i in range(30)]
    found = list(smooth(results, method))
    assert [len(r) for r in found] == [len(r) for r in results]
    gaps = a.copy()
    gaps[4:6] = np.nan
    target = savgol(gaps)
    if method == 'one-euro':
        target = one_euro(gaps, TIMES[:30], beta=5 / 100)
    for i, r in enumerate(found):
        if len(r):
            assert r.keypoints[0] == pytest.approx(target[i], abs=1e-3)


@pytest.mark.parametrize('method', METHODS)
def test_low_scores_do_not_pull_their_neighbors(method):
    results = [result([[[50, 50], [50, 50]]], i, [0]) for i in range(20)]
    results[10].keypoints[0, 0] = 5000
    results[10].scores[0, 0] = 0.1
    found = list(smooth(results, method))
    for i, r in enumerate(found):
        if i != 10:
            assert r.keypoints == pytest.approx(np.full((1, 2, 2), 50))
    bridged = 50 if method == 'savgol' else 5000
    assert found[10].keypoints[0, 0] == pytest.approx([bridged] * 2)
    assert found[10].scores[0, 0] == pytest.approx(0.1)


@pytest.mark.parametrize('method', METHODS)
def test_each_video_is_smoothed_alone(method):
    a, b = paths(12)
    clips = [result([p], i, [0], source='a.mp4') for i, p in enumerate(a)]
    clips += [result([p], i, [0], source='b.mp4') for i, p in enumerate(b)]
    found = list(smooth(clips, method))
    alone = list(smooth(clips[12:], method))
    for r, target in zip(found[12:], alone, strict=True):
        assert r.keypoints == pytest.approx(target.keypoints)
    assert [r.frame.source for r in found] == ['a.mp4'] * 12 + ['b.mp4'] * 12


@pytest.mark.parametrize('method', METHODS)
def test_unconfirmed_people_stay(method):
    a, b = paths(20)
    results = [result([a[i], b[i]], i, [-1, -1]) for i in range(20)]
    for given, r in zip(results, smooth(results, method), strict=True):
        assert r.keypoints == pytest.approx(given.keypoints)


def test_one_euro_answers_at_once_and_savgol_refuses_a_stream():
    def endless(source):
        i = 0
        while True:
            yield result([[[50, 50], [50, 50]]], i, [0], source=source)
            i += 1

    stream = smooth(endless('webcam'), 'one-euro')
    assert next(stream).frame.index == 0
    for source in ('webcam', 'webcam:1', 'rtsp://10.0.0.1/live'):
        with pytest.raises(ValueError, match="'one-euro' for a webcam"):
            next(smooth(endless(source), 'savgol'))


def test_savgol_holds_no_images_of_a_file_and_gives_them_back(tmp_path):
    path = tmp_path / 'clip.mkv'
    with VideoWriter(path, 25, (64, 48)) as writer:
        for i in range(30):
            writer.write(np.full((48, 64, 3), 20 + 5 * i, np.uint8))
    alive = []

    class Watched(np.ndarray):
        def __del__(self):
            alive.remove(1)

    def results():
        for frame in read_video(path):
            if frame.index % 2:  # every second frame
                continue
            image = frame.image.copy().view(Watched)
            alive.append(1)
            frame.image = None
            assert len(alive) <= 2
            yield result(
                [[[50, 50], [60, 60]]], frame.index, [0], 0.9, str(path), image
            )
            del image

    found = list(smooth(results(), 'savgol'))
    assert [r.frame.index for r in found] == list(range(0, 30, 2))
    grays = [round((r.frame.image.mean() - 20) / 5) for r in found]
    assert grays == list(range(0, 30, 2))


def test_savgol_keeps_images_that_were_scaled(tmp_path):
    path = tmp_path / 'clip.mkv'
    with VideoWriter(path, 25, (64, 48)) as writer:
        for i in range(5):
            writer.write(np.full((48, 64, 3), 50 * i, np.uint8))
    images = [frame.image[:24, :32] for frame in read_video(path)]
    results = [
        result([[[5, 5], [6, 6]]], i, [0], 0.9, str(path), image)
        for i, image in enumerate(images)
    ]
    for given, found in zip(images, smooth(results, 'savgol'), strict=True):
        assert found.frame.image is given


def test_savgol_keeps_images_that_no_file_has():
    image = np.zeros((4, 4, 3), np.uint8)
    results = [result([], None, [], image=image) for _ in range(3)]
    assert all(r.frame.image is image for r in smooth(results, 'savgol'))


def test_after_track():
    a, b = paths(30)
    results = [result([a[i], b[i]], i) for i in range(30)]
    for r in results:
        r.boxes[:] = np.concatenate(
            [r.keypoints.min(1) - 40, r.keypoints.max(1) + 40], axis=1
        )
    before = np.array([r.keypoints for r in results])
    after = np.array([r.keypoints for r in smooth(track(results), 'savgol')])
    assert (before - before.mean(0)).var() > 2 * (after - after.mean(0)).var()
