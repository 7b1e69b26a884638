"""What is written for a tool reads back equal, ids included."""

import json

import numpy as np
import pytest
from support.exchange_sets import (
    SWAP,
    compare,
    draw_set,
    save_picture,
    without_ids,
)

from gtpt_mm.datasets.exchange import (
    KeypointSet,
    read_folder,
    read_set,
    split,
    write_folder,
    write_set,
)
from gtpt_mm.datasets.exchange.folder import is_folder

FORMATS = ('coco', 'yolo', 'cvat', 'label-studio')
SETS = ('mirror_mouse', 'bee', 'lspet_sub', 'coco_mini')


@pytest.mark.parametrize('name', FORMATS)
def test_a_set_with_all_that_is_rare(tmp_path, name):
    drawn = draw_set(tmp_path / 'pictures')
    drawn.pictures[0].instances[0].visible[:] = 0
    drawn.pictures[0].instances[0].keypoints[:] = 0
    drawn.pictures[0].instances[1].is_crowd = True
    drawn.pictures[3].instances[0].track = 'anna'
    drawn.pictures[3].instances[1].area = 77.5
    write_set(drawn, tmp_path / 'out', name)
    back = read_set(tmp_path / 'out')
    assert back.format == name
    assert not back.dropped
    if name == 'yolo':
        compare(without_ids(drawn), back, ids=False)
        assert back.swap == SWAP
        assert drawn.dropped == {'crowds, which YOLO does not know': 1}
        return
    if name == 'cvat':  # nowhere to note the id of an empty picture
        drawn.pictures[1].id = back.pictures[1].id
    compare(drawn, back)
    first = next(p for p in back.pictures if p.name == 'a/0.png')
    assert [i.is_crowd for i in first.instances] == [False, True]
    fourth = next(p for p in back.pictures if p.name == 'a/3.png')
    assert [i.track for i in fourth.instances] == ['anna', '']
    assert fourth.instances[1].area == 77.5


@pytest.mark.parametrize('name', ('coco', 'cvat', 'label-studio'))
def test_labelling_loop_keeps_ids(tmp_path, name):
    """Import, export, import, export, import: the same ids."""
    drawn = draw_set(tmp_path / 'pictures')
    ids = {p.name: p.id for p in drawn.pictures}
    instance_ids = [i.id for p in drawn.pictures for i in p.instances]
    source = drawn
    for turn in range(2):
        write_folder(source, tmp_path / f'own{turn}')
        own = read_set(tmp_path / f'own{turn}')
        write_set(own, tmp_path / f'tool{turn}', name)
        source = read_set(tmp_path / f'tool{turn}')
    pictures = {p.name: p for p in source.pictures}
    empty = {'a/1.png'} if name == 'cvat' else set()  # nowhere to note it
    assert {n: p.id for n, p in pictures.items() if n not in empty} == {
        n: i for n, i in ids.items() if n not in empty
    }
    order = [pictures[p.name] for p in drawn.pictures]
    assert [i.id for p in order for i in p.instances] == instance_ids


def test_predictions_keep_scores(tmp_path):
    drawn = draw_set(tmp_path / 'pictures')
    for picture in drawn.pictures:
        for k, instance in enumerate(picture.instances):
            instance.score = 0.5 + k / 4
            instance.keypoint_scores = np.where(instance.visible > 0, 0.25, 0)
    for name in ('coco', 'label-studio'):
        write_set(drawn, tmp_path / name, name)
        back = {p.name: p for p in read_set(tmp_path / name).pictures}
        assert set(back) >= {p.name for p in drawn.pictures if p.instances}
        for picture in drawn.pictures:
            for a, b in zip(
                picture.instances, back[picture.name].instances, strict=True
            ):
                assert a.score == b.score
                np.testing.assert_allclose(
                    a.keypoint_scores, b.keypoint_scores
                )


def test_a_box_that_the_source_lacks_follows_the_rule(tmp_path):
    """Extent, 8 % of the longer side, at least 8 px, clipped: in COCO."""
    drawn = draw_set(tmp_path / 'pictures', num=1)
    [picture] = drawn.pictures
    picture.width, picture.height = 640, 480
    instance = picture.instances[0]
    picture.instances = [instance]
    instance.keypoints[:] = [[100, 50], [300, 60], [0, 0], [200, 2]]
    instance.visible[:] = [2, 1, 0, 2]
    instance.bbox = None
    picture.path.unlink()
    save_picture(picture.path, (640, 480))
    write_set(drawn, tmp_path / 'out', 'coco')
    content = json.loads((tmp_path / 'out' / 'train.json').read_text())
    # 200 px wide: margin 16; above clipped to 0
    [annotation] = content['annotations']
    assert annotation['bbox'] == [84.0, 0.0, 232.0, 76.0]
    assert annotation['area'] == pytest.approx(232 * 76 * 0.53)
    assert annotation['num_keypoints'] == 3


def test_equal_names_in_different_folders_stay_apart(tmp_path):
    drawn = draw_set(tmp_path / 'pictures')
    for picture in drawn.pictures:
        picture.name = 'same.png'
    for name in FORMATS:
        write_set(drawn, tmp_path / name, name)
        back = read_set(tmp_path / name)
        contents = {p.path.read_bytes() for p in back.pictures}
        assert contents == {p.path.read_bytes() for p in drawn.pictures}
        points = {
            p.path.read_bytes(): [i.keypoints for i in p.instances]
            for p in back.pictures
        }
        for picture in drawn.pictures:
            for a, b in zip(
                picture.instances,
                points[picture.path.read_bytes()],
                strict=True,
            ):
                np.testing.assert_allclose(a.keypoints, b, atol=1e-3)


def test_equal_stems_have_their_own_labels_in_yolo(tmp_path):
    drawn = draw_set(tmp_path / 'pictures', num=2, split=False)
    drawn.pictures[1] = draw_set(tmp_path, 1).pictures[0]
    drawn.pictures[1].split = ''
    for picture, name in zip(drawn.pictures, ('x.png', 'x.jpg'), strict=True):
        picture.name = name
    drawn.pictures[1].instances = drawn.pictures[1].instances[:1]
    write_set(drawn, tmp_path / 'out', 'yolo')
    back = read_set(tmp_path / 'out')
    nums = {p.name: len(p.instances) for p in back.pictures}
    assert nums == {'x.png': 2, 'x_2.jpg': 1}


@pytest.mark.parametrize('name', SETS)
def test_real_sets(shared_dir, tmp_path, name):
    """All four to each tool and back, within 1e-3 px."""
    source = shared_dir / 'data' / 'sets' / name
    read = read_set(source)
    assert not read.dropped
    assert not read.notes
    if name == 'lspet_sub':  # a part of 2236 pictures, for time
        read.pictures = read.pictures[::10]
    for tool in FORMATS:
        write_set(read, tmp_path / tool, tool, link=True)
        back = read_set(tmp_path / tool)
        if tool == 'yolo':
            compare(without_ids(read), back, ids=False)
        else:
            compare(read, back)


@pytest.mark.parametrize('name', SETS)
def test_real_sets_as_a_folder_of_their_own(shared_dir, tmp_path, name):
    source = shared_dir / 'data' / 'sets' / name
    read = read_set(source)
    if name == 'lspet_sub':
        read.pictures = read.pictures[::10]
    num = len(read.pictures)
    split(read)
    assert not read.dropped
    assert len(read.pictures) == num
    own = write_folder(read, tmp_path / 'out', link=True)
    assert is_folder(tmp_path / 'out')
    assert set(own.ann_files) == {'train', 'val'}
    compare(read, read_set(tmp_path / 'out'))
    again = read_folder(tmp_path / 'out')
    points = again.metainfo['keypoint_info'].values()
    assert [point['name'] for point in points] == read.names
    theirs = json.loads((source / 'val.json').read_text())
    ours = json.loads((tmp_path / 'out' / 'val.json').read_text())
    assert ours['annotations']
    by_id = {a['id']: a for a in theirs['annotations']}
    for a in ours['annotations']:
        b = by_id[a['id']]
        assert a['image_id'] == b['image_id']
        assert a['area'] == pytest.approx(b['area'], abs=1e-3)
        np.testing.assert_allclose(a['bbox'], b['bbox'], atol=1e-3)
        np.testing.assert_allclose(a['keypoints'], b['keypoints'], atol=1e-3)


def test_nothing_to_write(tmp_path):
    with pytest.raises(ValueError, match='no picture is left to write'):
        write_set(KeypointSet(['a'], []), tmp_path / 'out', 'coco')
    with pytest.raises(ValueError, match="cannot write 'sleap'"):
        write_set(KeypointSet(['a'], []), tmp_path / 'out', 'sleap')
