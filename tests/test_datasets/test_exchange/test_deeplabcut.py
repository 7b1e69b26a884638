import csv
import json

import cv2
import numpy as np
import pandas as pd
import pytest
import sleap_io

from gtpt_mm.datasets.exchange import deeplabcut, read_set
from gtpt_mm.datasets.exchange.metainfo import describe

PARTS = ['nose', 'L_ear', 'R_ear']


def draw(path, number=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    image = np.full((60, 80, 3), 10 * number, np.uint8)
    cv2.imwrite(str(path), image)


def frame(
    values, rows, animals=None, scorer='me', coords=('x', 'y'), parts=PARTS
):
    """Labels as DeepLabCut's own DataFrame; values are (rows, columns)."""
    levels = ['scorer', 'bodyparts', 'coords']
    names = [[scorer], parts, coords]
    if animals:
        levels.insert(1, 'individuals')
        names.insert(1, animals)
    columns = pd.MultiIndex.from_product(names, names=levels)
    if isinstance(rows[0], tuple):
        rows = pd.MultiIndex.from_tuples(rows)
    return pd.DataFrame(np.array(values, float), columns=columns, index=rows)


def project(folder, index='tuple', skeleton=True):
    """A project of two videos, two pictures each, as DeepLabCut writes it."""
    nan = np.nan
    values = [
        [[1.5, 2.25, 10, 20, nan, nan], [3, 4, 11, 21, 31, 41]],
        [[nan] * 6, [70, 50, 12, 22, 32, 42]],
    ]
    for v, video in enumerate(['day1', 'day2']):
        inner = folder / 'labeled-data' / video
        files = [f'img{n}.png' for n in range(2)]
        for n, file in enumerate(files):
            draw(inner / file, 2 * v + n + 1)
        rows = [('labeled-data', video, file) for file in files]
        if index == 'windows':
            rows = ['\\'.join(row) for row in rows]
        table = frame(values[v], rows)
        table.to_csv(inner / 'CollectedData_me.csv')
        table.to_hdf(inner / 'CollectedData_me.h5', key='df_with_missing')
    # a copy that must not be read again
    copies = folder / 'training-datasets/iteration-0/Unaugmented'
    copies.mkdir(parents=True)
    table.to_csv(copies / 'CollectedData_me.csv')
    links = '[[nose, L_ear], [nose, chin]]' if skeleton else '[]'
    (folder / 'config.yaml').write_text(
        'Task: reach\nscorer: me\nbodyparts: [nose, L_ear, R_ear]\n'
        f'skeleton: {links}\n'
    )


@pytest.mark.parametrize('index', ['tuple', 'windows'])
def test_project(tmp_path, index):
    project(tmp_path, index)
    found = read_set(tmp_path)
    assert found.format == 'deeplabcut'
    assert found.category == 'reach'
    assert found.names == PARTS
    assert found.links == [('nose', 'L_ear')]
    assert [p.name for p in found.pictures] == [
        'day1/img0.png', 'day1/img1.png', 'day2/img1.png',
    ]  # fmt: skip
    assert [p.group for p in found.pictures] == ['day1', 'day1', 'day2']
    first, last = found.pictures[0], found.pictures[-1]
    assert first.instances[0].keypoints.tolist() == [
        [1.5, 2.25], [10, 20], [0, 0],
    ]  # fmt: skip
    assert first.instances[0].visible.tolist() == [2, 2, 0]
    assert first.instances[0].score is None
    assert last.instances[0].keypoints[0].tolist() == [70, 50]
    assert (first.width, first.height) == (80, 60)
    assert cv2.imread(str(last.path))[0, 0, 0] == 40
    assert found.dropped == {
        'pictures without a label': 1,
        'links of config.yaml without labelled ends': 1,
    }


@pytest.mark.parametrize(
    'place',
    ['config.yaml', 'labeled-data', 'labeled-data/day1',
     'labeled-data/day1/CollectedData_me.csv',
     'labeled-data/day1/CollectedData_me.h5'],
)  # fmt: skip
def test_every_place_of_a_project(tmp_path, place):
    project(tmp_path)
    found = read_set(tmp_path / place)
    num = 2 if 'day1' in place else 3
    assert len(found.pictures) == num
    assert found.pictures[1].instances[0].keypoints[2].tolist() == [31, 41]
    assert found.links == [('nose', 'L_ear')]
    assert all(p.path.is_file() for p in found.pictures)


def test_h5_without_a_csv(tmp_path):
    project(tmp_path)
    for path in tmp_path.rglob('*.csv'):
        path.unlink()
    assert len(read_set(tmp_path).pictures) == 3


@pytest.mark.parametrize('suffix', ['csv', 'h5'])
def test_several_animals(tmp_path, suffix):
    nan = np.nan
    draw(tmp_path / 'labeled-data/v/a.png')
    parts = PARTS[:2]
    values = [[1, 2, 3, 4, nan, nan, 5, 6, nan, nan, nan, nan]]
    rows = [('labeled-data', 'v', 'a.png')]
    table = frame(values, rows, animals=['m1', 'm2', 'm3'], parts=parts)
    # a point of the scene, as multi-animal projects file it
    corner = frame([[9, 9]], rows, ['single'], parts=['corner'])
    table = pd.concat([table, corner], axis=1)
    path = tmp_path / f'labeled-data/v/CollectedData_me.{suffix}'
    if suffix == 'csv':
        table.to_csv(path)
    else:
        table.to_hdf(path, key='df_with_missing', mode='w')
    found = read_set(path)
    assert found.names == parts
    (picture,) = found.pictures
    assert [i.track for i in picture.instances] == ['m1', 'm2']
    assert picture.instances[0].keypoints.tolist() == [[1, 2], [3, 4]]
    assert picture.instances[1].keypoints.tolist() == [[0, 0], [5, 6]]
    assert picture.instances[1].visible.tolist() == [0, 2]
    (reason,) = found.dropped
    assert 'corner' in reason


def test_two_scorers_label_a_picture_twice(tmp_path):
    draw(tmp_path / 'v/a.png')
    for n, scorer in enumerate(['ann', 'bob']):
        table = frame([[1 + n, 2, 3, 4, 5, 6]], ['labeled-data/v/a.png'])
        table.to_csv(tmp_path / f'v/CollectedData_{scorer}.csv')
    found = read_set(tmp_path / 'v')
    assert [p.name for p in found.pictures] == ['v/a.png', 'v/a.png']
    assert found.pictures[0].path == found.pictures[1].path
    xs = [p.instances[0].keypoints[0, 0] for p in found.pictures]
    assert xs == [1, 2]


def test_two_scorers_give_the_sigmas(tmp_path):
    files = [f'img{n}.png' for n in range(10)]
    for n, file in enumerate(files):
        draw(tmp_path / 'v' / file, n)
    rows = [f'labeled-data/v/{file}' for file in files]
    # bob's points lie 5 pixels from ann's: 3 to the right, 4 below
    points = np.array([[20.0, 20, 60, 20, 40, 40]] * 10)
    for scorer, shift in (('ann', 0), ('bob', 1)):
        table = frame(points + shift * np.array([3, 4] * 3), rows)
        table.to_csv(tmp_path / f'v/CollectedData_{scorer}.csv')
    info = describe(read_set(tmp_path / 'v'))
    # box: extent 40 x 20 and 8 pixels on each side; area: 0.53 of it
    sigma = round(5 / np.sqrt(0.53 * 56 * 36), 4)
    assert info['sigmas'] == [sigma] * 3
    assert (
        'sigmas of all keypoints: from pictures labelled twice'
        in (info['notes'])
    )


def test_likelihood_of_a_machine_is_a_score(tmp_path):
    draw(tmp_path / 'a.png')
    table = frame(
        [[1, 2, 0.5, 3, 4, 1.0, np.nan, np.nan, np.nan]],
        ['labeled-data/v/a.png'],
        coords=('x', 'y', 'likelihood'),
    )
    table.to_csv(tmp_path / 'machinelabels-iter0.csv')
    found = read_set(tmp_path / 'machinelabels-iter0.csv')
    one = found.pictures[0].instances[0]
    assert one.keypoint_scores.tolist() == [0.5, 1.0, 0.0]
    assert one.score == 0.75


@pytest.mark.parametrize('suffix', ['csv', 'h5'])
def test_results_of_a_video_are_refused(tmp_path, suffix):
    values = np.ones((2, 9))
    table = frame(values, [0, 1], coords=('x', 'y', 'likelihood'))
    path = tmp_path / f'v1DLC_resnet50_reach.{suffix}'
    if suffix == 'csv':
        table.to_csv(path)
    else:
        table.to_hdf(path, key='df_with_missing')
    with pytest.raises(ValueError, match='rows are not pictures.*analyze_v'):
        read_set(path)


def test_csv_of_sleap_io(tmp_path):
    skeleton = sleap_io.Skeleton(list(PARTS))
    tracks = [sleap_io.Track('a'), sleap_io.Track('b')]
    video = sleap_io.Video('v.mp4', open_backend=False)
    points = np.array([[1.5, 2.5], [3, 4], [np.nan, np.nan]])
    frames = [
        sleap_io.LabeledFrame(
            video,
            n,
            [
                sleap_io.Instance.from_numpy(
                    points + 10 * n + 5 * t, skeleton=skeleton, track=track
                )
                for t, track in enumerate(tracks)
            ],
        )
        for n in range(2)
    ]
    labels = sleap_io.Labels(frames)
    path = tmp_path / 'CollectedData_x.csv'
    sleap_io.save_csv(labels, path, format='dlc', scorer='x')
    for n in range(2):
        draw(tmp_path / f'labeled-data/video/img{n:04d}.png')
    found = read_set(tmp_path)
    assert [p.name for p in found.pictures] == [
        'video/img0000.png', 'video/img0001.png',
    ]  # fmt: skip
    one = found.pictures[1].instances[1]
    assert one.track == 'b'
    assert one.keypoints.tolist() == [[16.5, 17.5], [18, 19], [0, 0]]
    assert one.visible.tolist() == [2, 2, 0]


def test_h5_without_its_extra_says_what_to_install(tmp_path, monkeypatch):
    path = tmp_path / 'CollectedData_me.h5'
    frame([[1, 2, 3, 4, 5, 6]], ['a.png']).to_hdf(path, key='k')
    monkeypatch.setattr(
        deeplabcut, 'import_extra', fail_for('tables', deeplabcut.import_extra)
    )
    with pytest.raises(ImportError, match=r'pip install "gtpt_mm\[deeplabcut'):
        deeplabcut.read(path)


def fail_for(package, stock):
    def import_extra(name, extra, purpose):
        return stock('no_such' if name == package else name, extra, purpose)

    return import_extra


@pytest.mark.parametrize(
    'text, words',
    [
        ('scorer,me,me\nbodyparts,a,a\na.png,1,2\n', 'no header rows coords'),
        ('scorer,m,m\nbodyparts,a,a\ncoords,x,y\na.png,1\n', '1 values for 2'),
        ('scorer,m,m\nbodyparts,a,a\ncoords,x,y\na.png,1,b\n', "row 4: 'b'"),
    ],
)
def test_a_broken_csv_is_named(tmp_path, text, words):
    path = tmp_path / 'CollectedData_me.csv'
    path.write_text(text)
    with pytest.raises(ValueError, match=words):
        read_set(path, 'deeplabcut')


def test_real_mouse_set_as_a_csv(shared_dir, tmp_path):
    """The format that this set came in: written by csv, read back equal."""
    folder = shared_dir / 'data/sets/mirror_mouse'
    content = json.loads((folder / 'train.json').read_text())
    names = content['categories'][0]['keypoints']
    files = {i['id']: i['file_name'] for i in content['images']}
    sizes = {
        i['file_name']: (i['width'], i['height']) for i in content['images']
    }
    labels = {
        files[a['image_id']]: np.array(a['keypoints'], float).reshape(-1, 3)
        for a in content['annotations']
    }
    path = tmp_path / 'CollectedData.csv'
    with open(path, 'w', newline='') as stream:
        writer = csv.writer(stream)
        writer.writerow(['scorer', *['rick'] * 2 * len(names)])
        writer.writerow(['bodyparts', *(n for n in names for _ in 'xy')])
        writer.writerow(['coords', *('x', 'y') * len(names)])
        for file, rows in labels.items():
            cells = [x if v else '' for *xy, v in rows.tolist() for x in xy]
            writer.writerow([f'labeled-data/{file}', *cells])
    found = read_set(path, images=folder / 'images')
    assert found.names == names
    assert len(found.pictures) == len(labels) == 70
    for picture in found.pictures:
        assert (picture.width, picture.height) == sizes[picture.name]
        expected = labels[picture.name]
        (mouse,) = picture.instances
        is_labelled = expected[:, 2] > 0
        assert (mouse.visible > 0).tolist() == is_labelled.tolist()
        np.testing.assert_array_equal(
            mouse.keypoints[is_labelled], expected[is_labelled, :2]
        )
