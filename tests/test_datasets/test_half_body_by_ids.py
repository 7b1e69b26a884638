import numpy as np
import pytest
from mmengine.config import Config
from mmpose.registry import DATASETS, TRANSFORMS

CONFIG = (
    'configs/wholebody_2d_keypoint/gtpt/coco-wholebody/'
    'gtpt-t_4xb64-300e_coco-wholebody-256x192.py'
)
FACE_AND_HANDS = range(23, 133)


@pytest.fixture(scope='module')
def half_body_cfg(repo_root):
    cfg = Config.fromfile(repo_root / CONFIG)
    [step] = [s for s in cfg.train_pipeline if s.type == 'RandomHalfBodyByIds']
    return step.to_dict()


@pytest.fixture(scope='module')
def meta():
    dataset = DATASETS.build(
        dict(type='CocoWholeBodyDataset', lazy_init=True, test_mode=True)
    )
    return dataset.metainfo


def person(visible) -> dict:
    """A person whose keypoint i lies at (i, 1000 - i), all in one box."""
    index = np.arange(133.0)
    return dict(
        keypoints=np.stack((index, 1000 - index), axis=-1)[None],
        keypoints_visible=np.asarray(visible, np.float32)[None],
        bbox_center=np.array([[500.0, 500.0]], np.float32),
        bbox_scale=np.array([[700.0, 700.0]], np.float32),
        upper_body_ids=[0],
        lower_body_ids=[1],
    )


def visible_only(*indices) -> np.ndarray:
    visible = np.zeros(133)
    visible[list(indices)] = 1
    return visible


def half_of(result) -> str:
    """Name the half that a result was cropped to."""
    center = result['bbox_center'][0]
    upper = [*range(11), *FACE_AND_HANDS]
    for name, ids in (('upper', upper), ('lower', range(11, 23))):
        if np.isclose(center[0], np.mean(ids)):
            return name
    assert tuple(center) == (500, 500)
    return 'whole'


def test_halves_hold_each_keypoint_once(half_body_cfg, meta):
    """Face and hands are upper, feet lower; the body is as in mmpose."""
    upper, lower = (half_body_cfg[f'{h}_body_ids'] for h in ('upper', 'lower'))
    assert sorted([*upper, *lower]) == list(range(133))
    assert set(upper) == {*meta['upper_body_ids'], *FACE_AND_HANDS}
    assert set(lower) == set(meta['lower_body_ids'])
    names = meta['keypoint_id2name']
    assert {names[i] for i in lower if 'toe' in names[i]} == {
        f'{side}_{toe}_toe'
        for side in ('left', 'right')
        for toe in ('big', 'small')
    }


def test_halves_are_drawn_as_often_as_by_the_authors(half_body_cfg):
    """Half body with p 0.3, of it 0.69 upper ones: randn() < 0.5."""
    transform = TRANSFORMS.build(half_body_cfg)
    num = 6000
    drawn = [half_of(transform(person(np.ones(133)))) for _ in range(num)]
    share = {h: drawn.count(h) / num for h in ('upper', 'lower', 'whole')}
    # Four standard deviations of a share of 6000 draws are at most 0.024.
    assert abs(share['whole'] - 0.7) < 0.024
    assert abs(share['upper'] - 0.3 * 0.69) < 0.021
    assert abs(share['lower'] - 0.3 * 0.31) < 0.015


def test_upper_box_holds_the_visible_face_and_hands(half_body_cfg):
    """Stock RandomHalfBody leaves them out."""
    always = half_body_cfg | dict(prob=1.0, upper_prioritized_prob=1.0)
    visible = np.ones(133)
    visible[[0, 132]] = 0
    result = TRANSFORMS.build(always)(person(visible))
    ids = np.array([*range(1, 11), *range(23, 132)])
    np.testing.assert_allclose(result['bbox_center'][0, 0], ids.mean())
    # Indices 1 to 131, and half as much again.
    np.testing.assert_allclose(result['bbox_scale'], [[195.0, 195.0]])

    stock = dict(always, type='RandomHalfBody')
    del stock['upper_body_ids'], stock['lower_body_ids']
    halves = dict(upper_body_ids=[*range(11)], lower_body_ids=[*range(11, 23)])
    result = TRANSFORMS.build(stock)({**person(visible), **halves})
    np.testing.assert_allclose(result['bbox_scale'], [[13.5, 13.5]])


@pytest.mark.parametrize(
    'visible, half',
    [
        (range(25, 33), 'whole'),  # 8 keypoints are too few
        (range(25, 34), 'upper'),  # 9 are enough
        ([*range(23, 32), 11, 12], 'upper'),  # 2 lower ones are too few
        ([*range(11, 20), 0, 1], 'lower'),  # 2 upper ones are too few
    ],
)
@pytest.mark.parametrize('prefer_upper', [0.0, 1.0])
def test_a_half_needs_enough_keypoints(
    half_body_cfg, visible, half, prefer_upper
):
    transform = TRANSFORMS.build(
        half_body_cfg | dict(prob=1.0, upper_prioritized_prob=prefer_upper)
    )
    result = transform(person(visible_only(*visible)))
    members = [i for i in visible if (11 <= i < 23) == (half == 'lower')]
    expected = 500 if half == 'whole' else np.mean(members)
    np.testing.assert_allclose(result['bbox_center'][0, 0], expected)


def test_sample_keeps_its_own_halves(half_body_cfg):
    sample = person(np.ones(133))
    before = {k: np.copy(v) for k, v in sample.items()}
    result = TRANSFORMS.build(half_body_cfg | dict(prob=1.0))(sample)
    assert result['upper_body_ids'] == [0]
    assert result['lower_body_ids'] == [1]
    for key, value in before.items():
        np.testing.assert_array_equal(sample[key], value)


@pytest.mark.parametrize(
    'ids, message',
    [
        (dict(upper_body_ids=[], lower_body_ids=[0]), 'upper_body_ids'),
        (dict(upper_body_ids=[0, 7], lower_body_ids=[7, 8]), r'\[7\]'),
    ],
)
def test_bad_halves_are_named(ids, message):
    with pytest.raises(ValueError, match=message):
        TRANSFORMS.build(dict(type='RandomHalfBodyByIds', **ids))


def test_halves_of_another_skeleton_are_named(half_body_cfg):
    sample = person(np.ones(133))
    sample['keypoints'] = sample['keypoints'][:, :17]
    with pytest.raises(ValueError, match='upper_body_ids.*132.*0..16'):
        TRANSFORMS.build(half_body_cfg)(sample)
