"""People keep their ids: crossing, gaps, newcomers, several videos."""

import builtins

import numpy as np
import pytest

from gtpt_mm.apis.results import Frame, PoseResult, Skeleton
from gtpt_mm.apis.tracking import BOX_TRACKERS, OksMatcher, track

SIGMAS = (0.026, 0.035, 0.079, 0.072, 0.062, 0.107, 0.087, 0.089)
SKELETON = Skeleton(names=tuple('abcdefgh'), sigmas=SIGMAS)
#: Keypoints of somebody 60 wide and 160 high.
BODY = np.random.default_rng(3).uniform([0, 0], [60, 160], (8, 2))


def result(centers, index, source='clip.mp4', noise=1.0, skeleton=SKELETON):
    """One frame with a person at each center; their order is mixed."""
    draw = np.random.default_rng(index or 0)
    num = len(centers)
    keypoints = BODY + np.reshape(centers, (num, 1, 2)).astype(float)
    keypoints = keypoints + draw.normal(0, noise, keypoints.shape)
    boxes = np.zeros((0, 4))
    if num:
        boxes = np.concatenate([keypoints.min(1), keypoints.max(1)], axis=1)
    time = None if index is None else index / 25
    return PoseResult(
        keypoints=keypoints.astype(np.float32),
        scores=np.full((num, 8), 0.8, np.float32),
        boxes=boxes.astype(np.float32),
        box_scores=np.full(num, 0.9, np.float32),
        skeleton=skeleton,
        frame=Frame(None, source, index, time),
    )


def ids(results, method='oks', **options):
    return [r.ids.tolist() for r in track(results, method, **options)]


METHODS = ['oks', *BOX_TRACKERS]


@pytest.mark.parametrize('method', METHODS)
def test_two_people_who_cross_keep_their_ids(method):
    """In frames 19 to 21 one hides the other."""
    results, truth = [], []
    for i in range(40):
        people = [(10 * i, 0), (400 - 10 * i, 6)]
        order = [0, 1] if i % 3 else [1, 0]
        if 19 <= i <= 21:
            order = [0]
        results.append(result([people[p] for p in order], i))
        truth.append(order)
    found = ids(results, method)
    names = {}
    for order, frame in zip(truth, found, strict=True):
        for person, key in zip(order, frame, strict=True):
            if key >= 0:
                names.setdefault(person, set()).add(key)
    assert [len(n) for n in names.values()] == [1, 1]
    assert names[0] != names[1]
    assert min(key for frame in found[5:19] for key in frame) >= 0
    if method == 'oks':
        assert sorted(found[0]) == [0, 1]


def test_a_standing_person_and_one_who_enters_and_leaves():
    results = [
        result([(0, 0)] + [(300, 0)] * (5 <= i < 10), i) for i in range(15)
    ]
    found = ids(results)
    assert found[:5] == [[0]] * 5
    assert found[5:10] == [[0, 1]] * 5
    assert found[10:] == [[0]] * 5


def test_a_gap_of_max_gap_frames_keeps_the_id_and_one_more_does_not():
    for missing, keys in ((4, [0]), (5, [1])):
        results = [result([(2 * i, 0)], i) for i in range(3)]
        results += [result([], 3 + i) for i in range(missing)]
        results += [result([(2 * (3 + missing), 0)], 3 + missing)]
        assert ids(results, max_gap=4)[-1] == keys
        # left out frames are a gap as well
        results = [r for r in results if len(r)]
        assert ids(results, max_gap=4)[-1] == keys


def test_a_person_who_comes_back_elsewhere_is_new():
    results = [result([(0, 0)], 0), result([], 1), result([(500, 0)], 2)]
    assert ids(results) == [[0], [], [1]]


@pytest.mark.parametrize('method', METHODS)
def test_frames_without_people(method):
    found = ids([result([], i) for i in range(4)], method)
    assert found == [[], [], [], []]


@pytest.mark.parametrize('method', METHODS)
def test_ids_begin_again_with_each_video(method):
    clips = [
        result([(0, 0), (300, 0)], i, source)
        for source in ('a.mp4', 'b.mp4', 'b.mp4')
        for i in range(6)
    ]
    found = ids(clips, method)
    assert sorted(found[5]) == [0, 1]
    assert found[:6] == found[6:12] == found[12:]


def test_images_without_numbers_are_one_sequence():
    results = [result([(3 * i, 0)], None, f'{i}.jpg') for i in range(4)]
    assert ids(results) == [[0]] * 4
    # and a video after them is not
    assert ids([*results, result([(9, 0)], 0)])[-1] == [0]


def test_fast_people_are_expected_where_they_go():
    """20 pixels a frame: a third of their width."""
    results = [result([(20 * i, 0), (900 - 20 * i, 0)], i) for i in range(40)]
    assert {tuple(sorted(frame)) for frame in ids(results)} == {(0, 1)}


def test_missing_keypoints_and_the_scale_of_scores_do_not_matter():
    results = [result([(0, 0), (80, 0)], i) for i in range(6)]
    for i, r in enumerate(results):
        r.keypoints[0, i % 8] = np.nan
        r.keypoints[1, (i + 1) % 8] = 4000
        r.scores[1, (i + 1) % 8] = 0
        r.scores *= 0.01
    assert ids(results) == [[0, 1]] * 6


def test_a_skeleton_without_sigmas():
    bare = Skeleton(names=tuple('abcdefgh'))
    results = [result([(i, 0), (90, 0)], i, skeleton=bare) for i in range(6)]
    assert ids(results) == [[0, 1]] * 6


def test_the_given_results_stay_and_the_rest_is_passed_on():
    given = [result([(0, 0)], 0)]
    (tracked,) = track(given)
    assert given[0].ids is None
    assert tracked.keypoints is given[0].keypoints
    assert tracked.frame is given[0].frame


def test_results_come_one_by_one():
    def endless():
        i = 0
        while True:
            yield result([(0, 0)], i)
            i += 1

    stream = track(endless())
    assert [next(stream).ids.tolist() for _ in range(3)] == [[0]] * 3


def test_options_reach_the_trackers():
    results = [result([(0, 0)], i) for i in range(4)]
    found = ids(results, 'sort', minimum_consecutive_frames=2)
    assert found == [[-1], [0], [0], [0]]


@pytest.mark.parametrize(
    ('method', 'options', 'words'),
    [
        ('deepsort', {}, "'deepsort'; take 'oks' or one of sort, bytetrack"),
        ('oks', {'gap': 3}, "'gap'"),
        ('oks', {'max_gap': -1}, 'max_gap -1'),
        ('oks', {'min_oks': 2}, 'min_oks 2'),
        ('sort', {'gap': 3}, "method='sort'.*'gap'"),
    ],
)
def test_wrong_arguments_are_refused_before_the_first_frame(
    method, options, words
):
    with pytest.raises(ValueError, match=words):
        track([], method, **options)


def test_without_the_package_trackers(monkeypatch):
    real = builtins.__import__

    def refuse(name, *args, **kwargs):
        if name == 'trackers':
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, '__import__', refuse)
    with pytest.raises(
        ImportError, match=r'pip install "gtpt_mm\[tracking\]"'
    ):
        track([], 'bytetrack')
    assert ids([result([(0, 0)], 0)]) == [[0]]


def test_oks_by_hand():
    """One keypoint of one person, moved by d: exp(-d^2 / (2 s^2 area))."""
    skeleton = Skeleton(names=('nose',), sigmas=(0.05,))

    def at(x, index):
        return PoseResult(
            keypoints=np.array([[[x, 0.0]]]),
            scores=np.ones((1, 1)),
            boxes=np.array([[0, 0, 100, 50.0]]),
            box_scores=np.ones(1),
            skeleton=skeleton,
            frame=Frame(None, 'v.mp4', index),
        )

    distance = 7.0
    oks = np.exp(-(distance**2) / (2 * (2 * 0.05) ** 2 * 5000))
    for threshold, same in ((oks - 1e-6, True), (oks + 1e-6, False)):
        matcher = OksMatcher(min_oks=threshold)
        assert matcher(at(0, 0)).tolist() == [0]
        assert (matcher(at(distance, 1)).tolist() == [0]) == same
