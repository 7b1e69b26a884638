from pathlib import Path

import mmpose
import numpy as np
import pytest
from mmengine import Config
from mmpose.datasets.datasets.utils import parse_pose_metainfo

from gtpt_mm.datasets.exchange.keypoint_set import (
    Instance,
    KeypointSet,
    Picture,
)
from gtpt_mm.datasets.exchange.metainfo import (
    describe,
    parse_swap,
    write_metainfo,
)
from gtpt_mm.datasets.exchange.sigmas import COCO_SIGMAS, measure_sigmas

STOCK = Path(mmpose.__file__).parent / '.mim/configs/_base_/datasets'
MOUSE = ['paw1LH', 'paw4RH', 'nose', 'tail', 'left_horn']


def instance(points, visible=None, **kwargs):
    points = np.array(points, dtype=float)
    if visible is None:
        visible = np.full(len(points), 2)
    return Instance(points, np.array(visible), **kwargs)


def picture(name, *instances, **kwargs):
    return Picture(name, 400, 300, instances=list(instances), **kwargs)


def mouse_set(**kwargs):
    points = [[100, 100], [100, 120], [200, 110], [20, 110], [210, 100]]
    box = (0.0, 50.0, 250.0, 150.0)
    return KeypointSet(
        MOUSE, [picture('a.jpg', instance(points, bbox=box))], **kwargs
    )


def test_a_written_file_is_what_mmpose_reads(tmp_path):
    links = [('paw1LH', 'tail'), ('nose', 'tail'), ('paw4RH', 'paw1LH')]
    found = mouse_set(links=links, category='mouse')
    write_metainfo(describe(found), tmp_path / 'metainfo.py')
    meta = parse_pose_metainfo(dict(from_file=str(tmp_path / 'metainfo.py')))
    assert meta['dataset_name'] == 'mouse'
    assert list(meta['keypoint_name2id']) == MOUSE
    assert meta['flip_indices'] == [1, 0, 2, 3, 4]
    assert meta['skeleton_links'] == [(0, 3), (2, 3), (1, 0)]
    assert meta['keypoint_colors'].tolist() == [
        [0, 255, 0], [255, 128, 0], [51, 153, 255], [51, 153, 255],
        [51, 153, 255],
    ]  # fmt: skip
    assert meta['dataset_keypoint_weights'].tolist() == [1] * 5
    np.testing.assert_allclose(
        meta['sigmas'], [0.05, 0.05, 0.026, 0.05, 0.05], rtol=1e-6
    )
    text = (tmp_path / 'metainfo.py').read_text()
    assert '# swap: paw1LH = paw4RH' in text
    assert '# skeleton: from the source' in text


def test_strange_names_survive(tmp_path):
    names = ["l'œil", 'a"b\\', 'line\nbreak', '{{ fileDirname }}']
    points = np.arange(8).reshape(4, 2) * 10.0
    found = KeypointSet(names, [picture('a', instance(points))])
    write_metainfo(describe(found), tmp_path / 'metainfo.py')
    meta = parse_pose_metainfo(dict(from_file=str(tmp_path / 'metainfo.py')))
    assert list(meta['keypoint_name2id']) == names


@pytest.mark.parametrize('stock', ['coco', 'crowdpose', 'ap10k'])
def test_colors_and_halves_are_those_of_mmpose(stock):
    info = Config.fromfile(STOCK / f'{stock}.py').dataset_info
    names = [point.name for point in info.keypoint_info.values()]
    links = [tuple(link.link) for link in info.skeleton_info.values()]
    found = describe(KeypointSet(names, [], links=links))
    for k, point in info.keypoint_info.items():
        mine = found['keypoint_info'][k]
        assert mine['swap'] == point.swap
        # AP-10K: the halves of an animal are not found by names
        assert mine['type'] == ('' if stock == 'ap10k' else point.type)
    if stock == 'coco':
        face = {'eye', 'ear'}  # mmpose draws the face in blue
        for k, point in info.keypoint_info.items():
            if point.name.split('_')[-1] not in face:
                mine = found['keypoint_info'][k]
                assert mine['color'] == point.color, point.name
        assert found['sigmas'] == info.sigmas
        assert dict(zip(names, info.sigmas, strict=True)) == COCO_SIGMAS


def test_pairs_asked_for_win():
    names = ['ear1', 'ear2', *MOUSE]
    asked = parse_swap('ear1=ear2, left_horn=, paw1LH=', names)
    info = describe(KeypointSet(names, []), swap=asked)
    swap = {p['name']: p['swap'] for p in info['keypoint_info'].values()}
    assert {k: v for k, v in swap.items() if v} == {
        'ear1': 'ear2',
        'ear2': 'ear1',
    }
    assert not [line for line in info['notes'] if 'please look' in line]
    # the one named first is the left one
    assert info['keypoint_info'][0]['color'] == [0, 255, 0]
    assert info['keypoint_info'][1]['color'] == [255, 128, 0]


def test_the_user_sees_where_names_leave_doubt():
    notes = describe(mouse_set())['notes']
    shown = [line for line in notes if 'please look' in line]
    assert len(shown) == 2
    assert 'paw1LH = paw4RH agree only without their numbers' in shown[0]
    assert '--swap left_horn=NAME' in shown[1]


def test_the_swap_of_the_source_wins_over_names():
    swap = dict(nose='tail', tail='nose')
    info = describe(mouse_set(swap=swap))
    assert info['keypoint_info'][2]['swap'] == 'tail'
    assert info['keypoint_info'][0]['swap'] == ''
    assert any('source says other pairs' in line for line in info['notes'])


@pytest.mark.parametrize(
    'text, words',
    [
        ('ear1', 'write LEFT=RIGHT'),
        ('ear1=ear1', 'write LEFT=RIGHT'),
        ('ear1=eye', "'eye' is none of the keypoints ear1, ear2"),
        ('ear1=ear2,ear2=', "'ear2' occurs twice"),
    ],
)
def test_a_wrong_pair_is_named(text, words):
    with pytest.raises(ValueError, match=words):
        parse_swap(text, ['ear1', 'ear2'])


def test_skeleton_without_links_is_the_shortest_tree():
    # a - b - c in a row; d beside b; e is never labelled with another
    names = ['a', 'c', 'b', 'd', 'e']
    points = [[0, 0], [20, 0], [10, 0], [10, 5], [0, 0]]
    other = instance(np.zeros((5, 2)), [0, 0, 0, 0, 2])
    found = KeypointSet(
        names, [picture('1', instance(points, [2, 2, 1, 2, 0]), other)]
    )
    links = [v['link'] for v in describe(found)['skeleton_info'].values()]
    assert links == [('a', 'b'), ('c', 'b'), ('b', 'd')]


def test_the_tree_of_a_skeleton_is_made_symmetric():
    names = ['head', 'left_arm', 'right_arm', 'right_hand', 'left_hand']
    # the left hand is nearer to the head than to its arm
    points = [[0, 0], [-10, 0], [10, 0], [20, 0], [-3, 8]]
    found = KeypointSet(names, [picture('1', instance(points))])
    links = [v['link'] for v in describe(found)['skeleton_info'].values()]
    assert links == [
        ('head', 'left_arm'),
        ('head', 'right_arm'),
        ('head', 'left_hand'),
        ('right_arm', 'right_hand'),
        ('head', 'right_hand'),
        ('left_arm', 'left_hand'),
    ]


def twice(num, apart, tmp_path, shift=(0, 0)):
    """Pictures labelled twice; areas of 100 x 100; errors known exactly."""
    names = ['nose', 'left_fin', 'right_fin']
    pictures = []
    for n in range(num):
        file = tmp_path / f'{n}.jpg'
        file.write_bytes(b'same size %02d' % n)
        base = np.array([[150.0, 50], [100, 100], [200, 100]])
        for who in (0, 1):
            points = base + who * np.array(apart)[:, None] * [0.6, 0.8]
            pictures.append(
                picture(
                    f'{who}/{n}.jpg',
                    # a far one that must not be matched with it
                    instance(base + 300 + who * 200, area=10000.0),
                    instance(points, area=10000.0),
                    path=file,
                )
            )
    return KeypointSet(names, pictures)


def test_sigmas_of_pictures_labelled_twice(tmp_path):
    # distances 3 (nose), 2 and 4 pixels (fins) in sqrt(area) = 100:
    # nose 0.03; fins together sqrt((2^2 + 4^2) / 2) / 100
    found = twice(10, (3, 2, 4), tmp_path)
    info = describe(found)
    fins = round(np.sqrt(10) / 100, 4)
    assert info['sigmas'] == [0.03, fins, fins]
    assert any('labelled twice' in line for line in info['notes'])


def test_few_doubles_are_not_enough(tmp_path):
    found = twice(9, (3, 2, 4), tmp_path)
    partners = dict(left_fin='right_fin', right_fin='left_fin')
    # 18 distances of fins, 9 of the nose
    assert list(measure_sigmas(found, partners)) == ['left_fin', 'right_fin']
    assert measure_sigmas(found, {}) == {}
    assert describe(found)['sigmas'][0] == COCO_SIGMAS['nose']


def test_copies_and_predictions_are_no_second_labels(tmp_path):
    assert measure_sigmas(twice(12, (0, 0, 0), tmp_path), {}) == {}
    found = twice(12, (3, 2, 4), tmp_path)
    for one in found.pictures:
        one.instances[-1].score = 0.5
    assert measure_sigmas(found, {}) == {}


@pytest.mark.parametrize(
    'side, sigma', [(400, 0.05), (30, round(2 / 30, 4)), (5, 0.107)]
)
def test_the_default_follows_the_size_of_the_object(side, sigma):
    one = instance([[1, 1], [4, 4]], area=float(side**2))
    info = describe(KeypointSet(['a', 'b'], [picture('1', one)]))
    assert info['sigmas'] == [sigma, sigma]
    assert any(f'the default {sigma:g}' in line for line in info['notes'])
