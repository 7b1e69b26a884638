"""Label Studio: JSON, JSON_MIN and what older versions and others write."""

import json

import numpy as np
import pytest
from support.exchange_sets import draw_set, save_picture

from gtpt_mm.datasets.exchange import read_set, write_set

SIZE = dict(original_width=64, original_height=48, image_rotation=0)


def point(key: str, label: str, x: float, y: float, **more) -> dict:
    """Return a keypoint at pixels."""
    return {
        **SIZE,
        **dict(
            id=key,
            from_name='kp',
            to_name='image',
            type='keypointlabels',
            value=dict(
                x=100 * x / 64,
                y=100 * y / 48,
                width=0.5,
                keypointlabels=[label],
            ),
        ),
        **more,
    }


def box(key: str, corners: tuple, label: str = 'mouse', **more) -> dict:
    """Return a rectangle at pixels."""
    x1, y1, x2, y2 = corners
    value = dict(
        x=100 * x1 / 64,
        y=100 * y1 / 48,
        width=100 * (x2 - x1) / 64,
        height=100 * (y2 - y1) / 48,
        rotation=more.pop('rotation', 0),
        rectanglelabels=[label],
    )
    return {
        **SIZE,
        **dict(
            id=key,
            from_name='bbox',
            to_name='image',
            type='rectanglelabels',
            value=value,
        ),
        **more,
    }


@pytest.fixture
def make(tmp_path):
    """Return a function that writes tasks, a picture each."""

    def write(*tasks):
        content = []
        for number, task in enumerate(tasks, 1):
            save_picture(tmp_path / 'images' / f'{number}.png', seed=number)
            if isinstance(task, list):
                task = dict(annotations=[dict(result=task)])
            image = f'/data/upload/3/0a1b2c3d-{number}.png'
            content.append(
                dict(id=number, data=dict(image=image), **task)
                if 'kp' not in task
                else dict(id=number, image=image, **task)
            )
        (tmp_path / 'project.json').write_text(json.dumps(content))
        return tmp_path

    return write


def test_keypoints_belong_to_the_rectangle_of_their_parent(make):
    folder = make(
        [
            box('A', (0, 0, 60, 40)),
            box('B', (5, 5, 30, 30)),
            point('p', 'nose', 10, 12, parentID='A'),
            point('q', 'ear', 14, 12, parentID='B'),
            point('r', 'nose', 11, 13, parentID='B'),
        ]
    )
    read = read_set(folder)
    assert sorted(read.names) == ['ear', 'nose']
    [picture] = read.pictures
    assert picture.path == folder / 'images' / '1.png'
    assert (picture.width, picture.height, picture.id) == (64, 48, 1)
    a, b = picture.instances
    nose = read.names.index('nose')
    np.testing.assert_allclose(a.keypoints[nose], (10, 12))
    np.testing.assert_allclose(b.keypoints[nose], (11, 13))
    np.testing.assert_allclose(b.keypoints[1 - nose], (14, 12))
    np.testing.assert_array_equal(a.visible[[nose, 1 - nose]], [2, 0])
    np.testing.assert_allclose(b.bbox, (5, 5, 30, 30))
    assert (a.id, b.id) == ('A', 'B')
    assert not read.dropped


def test_without_parents_the_smallest_rectangle_around_counts(make):
    folder = make(
        [
            box('A', (0, 0, 60, 40)),
            box('B', (5, 5, 30, 30)),
            point('p', 'nose', 10, 12),
            point('q', 'nose', 12, 12),
            point('r', 'nose', 13, 13),
            point('s', 'ear', 62, 46),
        ]
    )
    read = read_set(folder)
    a, b = read.pictures[0].instances
    nose = read.names.index('nose')
    np.testing.assert_allclose(b.keypoints[nose], (10, 12))
    np.testing.assert_allclose(a.keypoints[nose], (12, 12))
    assert read.dropped == {
        'keypoints in a rectangle that has one': 1,
        'keypoints outside of all rectangles': 1,
    }


def test_relations(make):
    folder = make(
        [
            box('A', (0, 0, 60, 40)),
            box('B', (5, 5, 30, 30)),
            point('p', 'nose', 10, 12),
            dict(type='relation', from_id='p', to_id='A', direction='right'),
        ]
    )
    a, b = read_set(folder).pictures[0].instances
    assert a.visible.tolist() == [2]
    assert b.visible.tolist() == [0]


def test_without_rectangles(make):
    folder = make(
        [point('p', 'nose', 10, 12), point('q', 'ear', 20, 22)],
        [point('p', 'nose', 10, 12), point('q', 'nose', 20, 22)],
    )
    read = read_set(folder)
    [instance] = read.pictures[0].instances
    assert (instance.bbox, instance.id) == (None, '')
    assert read.pictures[1].instances == []
    reason = 'keypoints of several instances without a rectangle around each'
    assert read.dropped == {reason: 2}


def test_json_min(make):
    part = point('', 'nose', 10, 12)
    small = {**part['value'], **SIZE}
    rectangle = {**box('', (5, 5, 30, 30))['value'], **SIZE}
    folder = make(
        dict(kp=[small], bbox=[rectangle], annotator=1, annotation_id=5)
    )
    read = read_set(folder)
    [instance] = read.pictures[0].instances
    np.testing.assert_allclose(instance.keypoints, [[10, 12]])
    np.testing.assert_allclose(instance.bbox, (5, 5, 30, 30))
    assert read.category == 'mouse'


def test_turned_rectangles_and_pictures(make):
    """A rectangle turns about its first corner; turned pictures are out."""
    turned = point('p', 'nose', 10, 12, image_rotation=90)
    folder = make(
        [box('A', (30, 10, 50, 18), rotation=90), point('p', 'nose', 28, 15)],
        [box('A', (0, 0, 50, 18)), turned],
    )
    read = read_set(folder)
    np.testing.assert_allclose(
        read.pictures[0].instances[0].bbox, (22, 10, 30, 30)
    )
    assert read.dropped == {
        'pictures that were turned on the labelling page': 1
    }


def test_skipped_and_predicted_tasks(make):
    result = [box('A', (0, 0, 60, 40)), point('p', 'nose', 10, 12)]
    skipped = dict(annotations=[dict(result=[], was_cancelled=True)])
    predicted = dict(annotations=[], predictions=[dict(result=result)])
    read = read_set(make(result, skipped, predicted))
    assert len(read.pictures) == 1
    assert read.dropped == {
        'tasks that were skipped': 1,
        'tasks that nobody has annotated': 1,
    }
    read = read_set(make(predicted))
    assert len(read.pictures[0].instances) == 1
    assert read.notes[0] == 'no task was annotated; predictions were read'


def test_several_annotators(make):
    several = dict(
        annotations=[
            dict(result=[box('A', (0, 0, 60, 40)), point('p', 'nose', x, 12)])
            for x in (10, 11)
        ]
    )
    read = read_set(make(several))
    assert [p.instances[0].keypoints[0, 0] for p in read.pictures] == [10, 11]
    assert any('1 further annotations' in note for note in read.notes)


def test_other_regions_are_counted(make):
    polygon = dict(
        SIZE,
        id='x',
        type='polygonlabels',
        value=dict(points=[[1, 2], [3, 4], [5, 6]], polygonlabels=['m']),
    )
    ellipse = dict(
        SIZE,
        id='y',
        type='ellipselabels',
        value=dict(x=1, y=2, radiusX=3, radiusY=4, ellipselabels=['m']),
    )
    choice = dict(id='z', type='choices', value=dict(choices=['good']))
    folder = make([polygon, ellipse, choice, point('p', 'nose', 10, 12)])
    read = read_set(folder)
    assert read.dropped == {
        'regions without keypoints: polygonlabels': 1,
        'regions without keypoints: ellipse': 1,
    }
    with pytest.raises(ValueError, match='no keypoint was found'):
        read_set(make([polygon]))


def test_labels_of_rectangles_and_order_of_names(make):
    folder = make(
        [
            box('A', (0, 0, 20, 20), 'cat'),
            box('B', (30, 0, 60, 20), 'dog'),
            point('p', 'ear', 10, 12, parentID='A'),
            point('q', 'nose', 40, 12, parentID='B'),
            point('r', 'ear', 42, 12, parentID='B'),
        ]
    )
    read = read_set(folder)
    assert any('cat, dog' in note for note in read.notes)
    read = read_set(folder, category='dog', names=['ear', 'nose', 'tail'])
    assert (read.category, read.names) == ('dog', ['ear', 'nose', 'tail'])
    [dog] = read.pictures[0].instances
    np.testing.assert_array_equal(dog.visible, [2, 2, 0])
    assert read.dropped == {'instances of other rectangles': 1}
    with pytest.raises(ValueError, match="no rectangle 'cow'; .* cat, dog"):
        read_set(folder, category='cow')
    read = read_set(folder, names=['nose'])
    assert read.dropped == {'keypoints with other labels': 2}


def test_configuration_beside_the_file_gives_the_order(make):
    folder = make([point('p', 'b', 1, 2), point('q', 'a', 3, 4)])
    (folder / 'config.xml').write_text(
        '<View><Image name="image" value="$image"/><KeyPointLabels name="kp" '
        'toName="image"><Label value="a"/><Label value="b"/>'
        '<Label value="c"/></KeyPointLabels></View>'
    )
    read = read_set(folder)
    assert read.names == ['a', 'b', 'c']
    assert not read.notes


def test_names_of_pictures(make):
    folder = make([point('p', 'nose', 1, 2)])
    file = folder / 'project.json'
    [task] = json.loads(file.read_text())
    save_picture(folder / 'images' / 'day 1' / 'x.png')
    for written, name in [
        ('/data/local-files/?d=images/day%201/x.png', 'images/day 1/x.png'),
        ('https://a.example/b/day%201/x.png?token=1', 'b/day 1/x.png'),
        ('s3://bucket/day 1/x.png', 'day 1/x.png'),
    ]:
        task['data'] = dict(photo_of_mouse=written)
        file.write_text(json.dumps([task]))
        [picture] = read_set(folder).pictures
        assert picture.path == folder / 'images' / 'day 1' / 'x.png'
        assert picture.name == name


def test_what_is_written(tmp_path):
    drawn = draw_set(tmp_path / 'pictures', num=1)
    write_set(drawn, tmp_path / 'out', 'label-studio')
    [task] = json.loads((tmp_path / 'out' / 'tasks.json').read_text())
    assert task['data']['image'] == '/data/local-files/?d=images/a/0.png'
    results = task['annotations'][0]['result']
    boxes = [r for r in results if r['type'] == 'rectanglelabels']
    points = [r for r in results if r['type'] == 'keypointlabels']
    [picture] = drawn.pictures
    assert len(boxes) == 2
    assert len(points) == sum((i.visible > 0).sum() for i in picture.instances)
    assert {p['parentID'] for p in points} == {b['id'] for b in boxes}
    x1, y1, x2, y2 = picture.instances[0].bbox
    assert boxes[0]['value']['x'] == pytest.approx(100 * x1 / 64)
    assert boxes[0]['value']['height'] == pytest.approx(100 * (y2 - y1) / 48)
    for result in results:
        assert (result['original_width'], result['original_height']) == (
            64,
            48,
        )
        assert result['image_rotation'] == 0


def test_written_by_sleap_io(tmp_path):
    """Rectangles are in pixels there, so that relations must count."""
    sleap_io = pytest.importorskip('sleap_io')
    from sleap_io.io import labelstudio

    path = save_picture(tmp_path / '1.png')
    skeleton = sleap_io.Skeleton(['nose', 'ear'])
    points = [np.array([[10, 20], [30, 25]]), np.array([[1, 2], [5, np.nan]])]
    video = sleap_io.Video.from_filename([str(path)])
    instances = [
        sleap_io.Instance.from_numpy(p, skeleton=skeleton) for p in points
    ]
    labels = sleap_io.Labels([sleap_io.LabeledFrame(video, 0, instances)])
    labelstudio.write_labels(labels, str(tmp_path / 'a.json'))
    [picture] = read_set(tmp_path / 'a.json').pictures
    assert picture.path == path
    first, second = picture.instances
    np.testing.assert_allclose(first.keypoints, [[10, 20], [30, 25]])
    np.testing.assert_array_equal(second.visible, [2, 0])
    assert first.bbox is None


def test_names_as_addresses_are_found(make):
    folder = make([point('p', 'nose', 10, 12)])
    save_picture(folder / 'images' / 'a b ü.png')
    file = folder / 'project.json'
    name = '0a1b2c3d-a%20b%20%C3%BC.png'
    file.write_text(file.read_text().replace('0a1b2c3d-1.png', name))
    [picture] = read_set(folder).pictures
    assert picture.path == folder / 'images' / 'a b ü.png'


def test_keypoints_with_a_height_are_no_rectangles(make):
    """Backends of machine learning write a height beside the width."""
    nose = point('p', 'nose', 10, 12)
    nose['value']['height'] = 0.5
    read = read_set(make([box('A', (0, 0, 60, 40)), nose]))
    [instance] = read.pictures[0].instances
    np.testing.assert_allclose(instance.keypoints, [(10, 12)])
    assert (instance.id, read.category) == ('A', 'mouse')


def test_corrected_predictions_have_no_score(make):
    """Label Studio keeps the score of a region that a person corrected."""
    regions = [
        box('A', (0, 0, 60, 40), score=0.4),
        point('p', 'nose', 10, 12, score=0.3, parentID='A'),
    ]
    [instance] = read_set(make(regions)).pictures[0].instances
    assert (instance.score, instance.keypoint_scores) == (None, None)


def test_configuration_of_the_folder_that_was_labelled(tmp_path):
    """The loop: out to a folder, back with --images of that folder."""
    found = draw_set(tmp_path / 'pictures')
    write_set(found, tmp_path / 'out', 'label-studio')
    tasks = json.loads((tmp_path / 'out/tasks.json').read_text())
    for task in tasks:
        task['annotations'][0]['result'].reverse()
    (tmp_path / 'back').mkdir()
    (tmp_path / 'back/project.json').write_text(json.dumps(tasks))
    read = read_set(tmp_path / 'back', images=tmp_path / 'out')
    assert (read.names, read.links) == (found.names, found.links)
