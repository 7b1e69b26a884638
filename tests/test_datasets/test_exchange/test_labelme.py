import base64
import json

import cv2
import numpy as np

from gtpt_mm.datasets.exchange import read_set


def shape(kind, label, *points, group=None, **kwargs):
    """A shape as LabelMe 5 writes it."""
    return dict(
        label=label,
        points=[list(p) for p in points],
        group_id=group,
        description='',
        shape_type=kind,
        flags={},
        mask=None,
        **kwargs,
    )


def point(label, x, y, group=None, **kwargs):
    return shape('point', label, (x, y), group=group) | kwargs


def page(path, shapes, picture='a.jpg', data=None, size=(80, 60)):
    path.parent.mkdir(parents=True, exist_ok=True)
    content = dict(
        version='5.5.0',
        flags={},
        shapes=shapes,
        imagePath=picture,
        imageData=data,
        imageHeight=size[1],
        imageWidth=size[0],
    )
    path.write_text(json.dumps(content))


def draw(path, size=(80, 60)):
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), np.full((size[1], size[0], 3), 99, np.uint8))


def test_points_of_a_group_are_an_instance(tmp_path):
    draw(tmp_path / 'a.jpg')
    page(
        tmp_path / 'a.json',
        [
            point('eye', 10.5, 20.25, 2),
            point('tail', 30, 40, 1),
            point('eye', 50, 45, 1, flags=dict(occluded=True)),
            shape('rectangle', 'fish', (60, 50), (25, 35), group=1),
            shape('polygon', 'fish', (1, 1), (9, 1), (5, 5), group=1),
            shape('point', 'tail', group=1),  # no coordinates
        ],
    )
    found = read_set(tmp_path)
    assert found.format == 'labelme'
    assert found.names == ['eye', 'tail']
    assert found.category == 'fish'
    first, second = found.pictures[0].instances
    assert first.keypoints.tolist() == [[50, 45], [30, 40]]
    assert first.visible.tolist() == [1, 2]
    assert first.bbox == (25, 35, 60, 50)
    assert first.id == 1
    assert second.keypoints.tolist() == [[10.5, 20.25], [0, 0]]
    assert second.visible.tolist() == [2, 0]
    assert second.bbox is None
    assert found.dropped == {
        'shapes of the type polygon': 1,
        'shapes of the type point (broken)': 1,
    }


def test_rectangles_say_where_points_without_a_group_belong(tmp_path):
    draw(tmp_path / 'a.jpg')
    page(
        tmp_path / 'a.json',
        [
            shape('rectangle', 'fish', (0, 0), (20, 20)),
            shape('rectangle', 'fish', (15, 0), (60, 20)),
            shape('rectangle', 'fish', (0, 40), (60, 60)),
            point('eye', 5, 5),
            point('eye', 50, 5),
            point('tail', 18, 5),  # in two
            point('tail', 70, 5),  # in none
            point('tail', 30, 10),
            point('tail', 31, 11),  # a second one
        ],
    )
    found = read_set(tmp_path / 'a.json')
    one, two = found.pictures[0].instances
    assert one.keypoints.tolist() == [[5, 5], [0, 0]]
    assert one.bbox == (0, 0, 20, 20)
    assert two.keypoints.tolist() == [[50, 5], [30, 10]]
    assert found.dropped == {
        'points without group_id in no or several rectangles': 2,
        'second points of a name in an instance': 1,
        'rectangles without a point': 1,
    }


def test_a_folder_with_folders_names_and_embedded_pictures(tmp_path):
    (tmp_path / 'labels.txt').write_text(
        '__ignore__\n_background_\nfish\ntail\neye\n'
    )
    pixels = np.arange(60 * 80 * 3, dtype=np.uint32).reshape(60, 80, 3)
    _, content = cv2.imencode('.png', pixels.astype(np.uint8))
    page(
        tmp_path / 'day1/a.json',
        [point('eye', 1, 2), point('tail', 3, 4)],
        picture='..\\elsewhere\\a.png',
        data=base64.b64encode(content.tobytes()).decode(),
    )
    draw(tmp_path / 'day2/a.png')
    page(tmp_path / 'day2/a.json', [point('chin', 5, 6)], picture='a.png')
    (tmp_path / 'day2/b.json').write_text('{"else": 1}')
    found = read_set(tmp_path)
    assert found.names == ['tail', 'eye', 'chin']
    one, two = found.pictures
    assert (one.name, one.group) == ('day1/a.png', 'day1')
    assert (two.name, two.group) == ('day2/a.png', 'day2')
    assert one.content == content.tobytes()
    assert one.instances[0].keypoints.tolist() == [[3, 4], [1, 2], [0, 0]]
    assert two.path == tmp_path / 'day2/a.png'
    assert two.instances[0].keypoints[2].tolist() == [5, 6]
    assert found.dropped == {'JSON files that are not of LabelMe': 1}
    again = read_set(tmp_path, names=['chin', 'eye'])
    assert again.names == ['chin', 'eye', 'tail']


def test_a_category_is_chosen(tmp_path):
    draw(tmp_path / 'a.jpg')
    page(
        tmp_path / 'a.json',
        [
            shape('rectangle', 'fish', (0, 0), (20, 20), group=0),
            point('eye', 5, 5, 0),
            shape('rectangle', 'crab', (30, 0), (60, 20), group=1),
            point('eye', 50, 5, 1),
        ],
    )
    assert read_set(tmp_path).category == 'instance'
    found = read_set(tmp_path, category='crab')
    assert found.category == 'crab'
    (one,) = found.pictures[0].instances
    assert one.keypoints.tolist() == [[50, 5]]
    assert found.dropped == {'instances of other categories': 1}


def test_a_picture_without_labels_stays(tmp_path):
    draw(tmp_path / 'a.jpg')
    draw(tmp_path / 'b.jpg')
    page(tmp_path / 'a.json', [point('eye', 5, 5)])
    page(tmp_path / 'b.json', [], picture='b.jpg')
    found = read_set(tmp_path)
    assert [len(p.instances) for p in found.pictures] == [1, 0]


def test_pictures_in_a_folder_beside_that_of_the_pages(tmp_path):
    for number, stated in enumerate(('..\\images\\0.jpg', '1.jpg')):
        draw(tmp_path / 'images' / f'{number}.jpg')
        page(tmp_path / f'json/{number}.json', [point('eye', 1, 2)], stated)
    draw(tmp_path / 'images/train/2.jpg')
    page(tmp_path / 'json/train/2.json', [point('eye', 1, 2)], '2.jpg')
    found = read_set(tmp_path / 'json')
    assert [(p.path.resolve(), p.split) for p in found.pictures] == [
        (tmp_path / 'images/0.jpg', ''),
        (tmp_path / 'images/1.jpg', ''),
        (tmp_path / 'images/train/2.jpg', 'train'),
    ]


def test_an_empty_group_is_none(tmp_path):
    """Programs that write pages give '' where LabelMe gives null."""
    draw(tmp_path / 'a.jpg')
    shapes = [
        shape('rectangle', 'fish', (0, 0), (30, 50), group=''),
        point('eye', 10, 20, ''),
        shape('rectangle', 'fish', (40, 0), (79, 50), group=''),
        point('eye', 50, 20, ''),
    ]
    page(tmp_path / 'a.json', shapes)
    found = read_set(tmp_path)
    [a, b] = found.pictures[0].instances
    assert (a.bbox, b.bbox) == ((0, 0, 30, 50), (40, 0, 79, 50))
    assert [*a.keypoints[0], *b.keypoints[0]] == [10, 20, 50, 20]
    assert not found.dropped
