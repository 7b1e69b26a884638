"""YOLO-pose: yaml and rows in the variants that tools write."""

import numpy as np
import pytest
import yaml
from support.exchange_sets import draw_set, save_picture, save_turned

from gtpt_mm.datasets.exchange import read_set, write_set
from gtpt_mm.datasets.exchange.yolo import COCO_FLIP, COCO_NAMES

ROW = '0 0.5 0.5 0.25 0.5 0.25 0.5 2 0.75 0.25 1 0 0 0'


@pytest.fixture
def make(tmp_path):
    """Return a function that writes a set of one picture for each row."""

    def write(content: dict, rows: dict[str, str], yaml_name='data.yaml'):
        for number, (name, text) in enumerate(rows.items()):
            save_picture(tmp_path / name, seed=number)
            label = tmp_path / name.replace('images', 'labels')
            label.parent.mkdir(parents=True, exist_ok=True)
            label.with_suffix('.txt').write_text(text)
        if content:
            (tmp_path / yaml_name).write_text(yaml.safe_dump(content))
        return tmp_path

    return write


def test_values(make):
    folder = make(
        dict(
            train='images/train',
            val='images/val',
            kpt_shape=[3, 3],
            flip_idx=[0, 2, 1],
            names=['mouse'],
            kpt_names={0: ['nose', 'left', 'right']},
        ),
        {'images/train/1.png': ROW, 'images/val/2.png': f'{ROW}\n{ROW}\n'},
    )
    read = read_set(folder)
    assert read.names == ['nose', 'left', 'right']
    assert read.swap == {'left': 'right', 'right': 'left'}
    assert read.category == 'mouse'
    assert [(p.name, p.split, len(p.instances)) for p in read.pictures] == [
        ('1.png', 'train', 1),
        ('2.png', 'val', 2),
    ]
    instance = read.pictures[0].instances[0]
    np.testing.assert_allclose(
        instance.keypoints, [[16, 24], [48, 12], [0, 0]]
    )
    np.testing.assert_array_equal(instance.visible, [2, 1, 0])
    assert instance.bbox == (24, 12, 40, 36)


@pytest.mark.parametrize('train', ['../train/images', 'train/images'])
def test_folders_of_roboflow(make, train):
    folder = make(
        dict(train=train, val='../valid/images', kpt_shape=[3, 3], nc=1)
        | dict(names=['mouse']),
        {'train/images/1.png': ROW, 'valid/images/1.png': ROW},
    )
    read = read_set(folder / 'data.yaml')
    assert [(p.name, p.split) for p in read.pictures] == [
        ('train/images/1.png', 'train'),
        ('valid/images/1.png', 'val'),
    ]


def test_lists_of_pictures(make, tmp_path):
    folder = make(
        dict(
            path='elsewhere/on/another/machine',
            train=['a.txt', 'images/more'],
            val='b.txt',
            kpt_shape=[3, 3],
            names={0: 'mouse'},
        ),
        {
            'images/x/1.png': ROW,
            'images/x/2.png': ROW,
            'images/more/3.png': ROW,
        },
    )
    (folder / 'a.txt').write_text('./images/x/1.png\n')
    (folder / 'b.txt').write_text('/home/me/images/x/2.png\n\n')
    read = read_set(folder)
    assert [(p.path.name, p.split) for p in read.pictures] == [
        ('1.png', 'train'),
        ('3.png', 'train'),
        ('2.png', 'val'),
    ]
    assert all(len(p.instances) == 1 for p in read.pictures)


def test_two_values_for_each_keypoint(make):
    row = '0 0.5 0.5 0.25 0.5 0.25 0.5 0 0'
    folder = make(
        dict(train='images', kpt_shape=[2, 2], names=['a']),
        {'images/1.png': row},
    )
    [picture] = read_set(folder).pictures
    np.testing.assert_array_equal(picture.instances[0].visible, [2, 0])
    np.testing.assert_allclose(
        picture.instances[0].keypoints, [[16, 24], [0, 0]]
    )


@pytest.mark.parametrize(
    ('row', 'shape'),
    [(ROW, (3, 3)), ('0 .5 .5 .2 .2 .1 .1 .3 .3', (2, 2))],
)
def test_without_a_yaml(make, row, shape):
    folder = make({}, {'images/train/1.png': row, 'images/val/2.png': row})
    read = read_set(folder)
    assert len(read.names) == shape[0]
    assert read.names[0] == 'keypoint_1'
    assert [p.split for p in read.pictures] == ['train', 'val']
    assert any('--names' in note for note in read.notes)
    names = list('abc')[: shape[0]]
    assert read_set(folder, names=names).names == names


def test_labels_beside_the_pictures(tmp_path):
    save_picture(tmp_path / '1.png')
    (tmp_path / '1.txt').write_text(ROW)
    [picture] = read_set(tmp_path).pictures
    assert len(picture.instances) == 1


def test_flip_idx_of_coco_gives_the_names_of_coco(make):
    points = ' '.join(['0.5 0.5 2'] * 17)
    folder = make(
        dict(train='images', kpt_shape=[17, 3], flip_idx=COCO_FLIP)
        | dict(names=['person']),
        {'images/1.png': f'0 0.5 0.5 0.25 0.5 {points}'},
    )
    read = read_set(folder)
    assert read.names == COCO_NAMES
    assert read.swap['left_ear'] == 'right_ear'
    assert any('names of COCO' in note for note in read.notes)


def test_rows_that_are_none_are_counted(make):
    rows = [
        ROW,
        '0 0.5 0.5 0.25 0.5',
        f'{ROW} 0.5',
        ROW.replace('0.75', 'x'),
        ROW.replace('0.75', 'nan'),
        ROW.replace('0.75', '48'),
    ]
    folder = make(
        dict(train='images', kpt_shape=[3, 3], names=['a']),
        {'images/1.png': '\n'.join(rows), 'images/2.png': ''},
    )
    save_picture(folder / 'images' / '3.png')
    read = read_set(folder)
    assert read.dropped == {
        'rows with a box but without keypoints': 1,
        'rows with a number of values other than 14': 1,
        'rows that are not numbers': 1,
        'rows with numbers that are not finite': 1,
        'rows that are not parts of width and height (beyond 2)': 1,
    }
    assert [len(p.instances) for p in read.pictures] == [1, 0, 0]
    assert any('1 pictures have no label file' in n for n in read.notes)


def test_several_classes(make):
    folder = make(
        dict(train='images', kpt_shape=[3, 3], names=['cat', 'dog']),
        {'images/1.png': f'{ROW}\n1{ROW[1:]}\n1{ROW[1:]}'},
    )
    read = read_set(folder)
    assert len(read.pictures[0].instances) == 3
    assert any('cat, dog' in note for note in read.notes)
    for category in ('dog', '1'):
        read = read_set(folder, category=category)
        assert read.category == 'dog'
        assert len(read.pictures[0].instances) == 2
        assert read.dropped == {'rows of other classes': 1}
    with pytest.raises(ValueError, match="no class 'cow'; there are cat, dog"):
        read_set(folder, category='cow')


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        (dict(kpt_shape=[3]), r'kpt_shape must be \[K, 2\] or \[K, 3\]'),
        (dict(kpt_shape='3x3'), 'kpt_shape must be a list of numbers'),
        (dict(flip_idx=[0, 1, 3]), 'each of 0 to 2 once'),
        (dict(kpt_names={0: ['a', 'a', 'b']}), '3 names, 2 of them different'),
        (dict(train='nowhere'), 'train: nowhere: no such folder'),
    ],
)
def test_bad_yaml(make, change, message):
    content = dict(train='images', kpt_shape=[3, 3], names=['a'])
    folder = make({**content, **change}, {'images/1.png': ROW})
    with pytest.raises(ValueError, match=message):
        read_set(folder)


def test_no_labels_at_all(make):
    folder = make(dict(train='images', kpt_shape=[3, 3]), {'images/1.png': ''})
    with pytest.raises(ValueError, match='1 pictures and no row of a label'):
        read_set(folder)


def test_sizes_are_those_of_the_turned_picture(make):
    folder = make(
        dict(train='images', kpt_shape=[3, 3], names=['a']),
        {'images/1.png': ROW},
    )
    save_turned(folder / 'images' / '1.png', (64, 48), 6)
    [picture] = read_set(folder).pictures
    assert (picture.width, picture.height) == (48, 64)
    np.testing.assert_allclose(picture.instances[0].keypoints[0], [12, 32])


def test_what_is_written_is_what_ultralytics_reads(tmp_path):
    drawn = draw_set(tmp_path / 'pictures')
    drawn.pictures[0].instances[0].keypoints[0] = (-3, 5)  # outside
    write_set(drawn, tmp_path / 'out', 'yolo')
    content = yaml.safe_load((tmp_path / 'out' / 'data.yaml').read_text())
    assert content == dict(
        train='images/train',
        val='images/val',
        kpt_shape=[4, 3],
        names={0: 'mouse'},
        kpt_names={0: drawn.names},
        flip_idx=[0, 2, 1, 3],
        skeleton=[[0, 1], [0, 2]],
    )
    assert drawn.dropped == {'keypoints outside of their picture': 1}
    files = sorted((tmp_path / 'out' / 'labels').rglob('*.txt'))
    assert len(files) == 6
    for file in files:
        for line in file.read_text().splitlines():
            row = np.array(line.split(), dtype=float)
            assert len(row) == 5 + 4 * 3
            assert (row[1:5] >= 0).all()
            assert (row[1:5] <= 1).all()
            assert set(row[7::3]) <= {0, 1, 2}


def test_swap_is_found_by_names(tmp_path):
    drawn = draw_set(tmp_path / 'pictures')
    drawn.swap = None
    write_set(drawn, tmp_path / 'out', 'yolo')
    content = yaml.safe_load((tmp_path / 'out' / 'data.yaml').read_text())
    assert content['flip_idx'] == [0, 2, 1, 3]
    drawn.names = ['a', 'b', 'c', 'd']
    drawn.links = []
    write_set(drawn, tmp_path / 'out2', 'yolo')
    content = yaml.safe_load((tmp_path / 'out2' / 'data.yaml').read_text())
    assert 'flip_idx' not in content
    assert any('no flip_idx' in note for note in drawn.notes)


def test_written_by_sleap_io(tmp_path):
    sleap_io = pytest.importorskip('sleap_io')
    from sleap_io.io import ultralytics

    paths = [
        str(save_picture(tmp_path / 'in' / f'{k}.png', seed=k))
        for k in range(4)
    ]
    skeleton = sleap_io.Skeleton(['nose', 'left', 'right'])
    points = np.array([[10, 20], [30, 25], [np.nan, np.nan]])
    video = sleap_io.Video.from_filename(paths)
    frames = [
        sleap_io.LabeledFrame(
            video,
            k,
            [sleap_io.Instance.from_numpy(points + k, skeleton=skeleton)],
        )
        for k in range(4)
    ]
    labels = sleap_io.Labels(frames)
    ultralytics.write_labels(
        labels, str(tmp_path / 'out'), dict(train=0.5, val=0.5), verbose=False
    )
    read = read_set(tmp_path / 'out')
    assert read.names == ['nose', 'left', 'right']
    assert read.category == 'animal'
    assert (
        sorted(p.split for p in read.pictures) == ['train'] * 2 + ['val'] * 2
    )
    firsts = sorted(p.instances[0].keypoints[0, 0] for p in read.pictures)
    np.testing.assert_allclose(firsts, [10, 11, 12, 13], atol=1e-3)
    for picture in read.pictures:
        [instance] = picture.instances
        np.testing.assert_array_equal(instance.visible, [2, 2, 0])


def test_a_test_that_is_not_there(make):
    """Roboflow names a test, whether there is one or not."""
    content = dict(train='../train/images', test='../test/images')
    folder = make(dict(content, kpt_shape=[3, 3]), {'train/images/1.png': ROW})
    read = read_set(folder)
    assert [p.split for p in read.pictures] == ['train']
    assert any('test: ../test/images' in note for note in read.notes)


def test_pictures_of_a_list_that_are_not_there_are_counted(make):
    content = dict(train='list.txt', kpt_shape=[3, 3], path='/nowhere')
    folder = make(content, {'images/1.png': ROW})
    (folder / 'list.txt').write_text('./images/1.png\n./images/2.png\n\n')
    read = read_set(folder)
    assert read.dropped == {'pictures of a list whose file was not found': 1}
    assert not any('/nowhere' in note for note in read.notes)
    (folder / 'list.txt').unlink()
    with pytest.raises(ValueError, match='path: /nowhere, train: list.txt'):
        read_set(folder)


@pytest.mark.parametrize('base', ['/content/set/', 'C:\\set\\', ''])
def test_paths_of_another_machine(make, base):
    content = dict(train=f'{base}images/train', val=f'{base}images/val')
    folder = make(
        dict(content, kpt_shape=[3, 3]),
        {'images/train/1.png': ROW, 'images/val/2.png': ROW},
    )
    read = read_set(folder)
    assert [(p.name, p.split) for p in read.pictures] == [
        ('1.png', 'train'),
        ('2.png', 'val'),
    ]
