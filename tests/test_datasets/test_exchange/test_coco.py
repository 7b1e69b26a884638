"""COCO files: what is read, mended, left out, refused."""

import json

import numpy as np
import pytest
from PIL import Image
from support.exchange_sets import save_picture, save_turned, write_coco

from gtpt_mm.datasets.exchange import read_set, write_set


def annotation(number: int, image: int, points: list, **more) -> dict:
    return dict(
        id=number, image_id=image, category_id=1, keypoints=points, **more
    )


def test_values(tmp_path):
    write_coco(tmp_path / 'a.json')
    read = read_set(tmp_path / 'a.json')
    assert read.names == ['nose', 'left_ear', 'right_ear']
    assert read.links == [('nose', 'left_ear'), ('nose', 'right_ear')]
    assert read.category == 'mouse'
    first = read.pictures[0]
    assert (first.name, first.width, first.height, first.id) == (
        '1.png',
        64,
        48,
        1,
    )
    assert first.path == tmp_path / 'images' / '1.png'
    [instance] = first.instances
    np.testing.assert_array_equal(
        instance.keypoints, [[10, 20], [0, 0], [30, 25]]
    )
    np.testing.assert_array_equal(instance.visible, [2, 0, 1])
    assert instance.bbox == (5, 10, 45, 40)
    assert (instance.area, instance.id) == (700.0, 11)


@pytest.mark.parametrize(
    ('file', 'picture', 'split'),
    [
        (
            'annotations/person_keypoints_val2017.json',
            'val2017/1.png',
            'val',
        ),
        ('train/_annotations.coco.json', 'train/1.png', 'train'),
        ('test.json', 'images/test/1.png', 'test'),
        ('annotations/labels.json', 'images/1.png', ''),
        ('labels.json', '1.png', ''),
    ],
)
def test_layouts_of_folders(tmp_path, file, picture, split):
    content = write_coco(tmp_path / 'draft' / 'a.json')
    content['images'] = content['images'][:1]
    content['annotations'] = content['annotations'][:1]
    source = tmp_path / 'source'
    path = save_picture(source / picture)
    (source / file).parent.mkdir(parents=True, exist_ok=True)
    (source / file).write_text(json.dumps(content))
    [found] = read_set(source).pictures
    assert (found.path, found.split) == (path, split)


def test_pictures_are_found_by_the_end_of_their_path(tmp_path):
    images = [
        dict(id=1, file_name='C:\\data\\day1\\1.png', width=64, height=48),
        dict(id=2, file_name='/x/day2/1.PNG', width=64, height=48),
    ]
    write_coco(tmp_path / 'a.json', images=images)
    paths = [
        save_picture(tmp_path / 'pics' / f'day{k}' / '1.png', seed=k)
        for k in (1, 2)
    ]
    read = read_set(tmp_path / 'a.json', images=tmp_path / 'pics')
    assert [p.path for p in read.pictures] == paths
    assert [p.name for p in read.pictures] == [
        'data/day1/1.png',
        'x/day2/1.PNG',
    ]


def test_what_is_left_out_is_counted(tmp_path):
    good = [10, 20, 2, 0, 0, 0, 30, 25, 1]
    write_coco(
        tmp_path / 'a.json',
        annotations=[
            annotation(1, 1, good),
            annotation(2, 99, good),
            annotation(3, 1, good[:6]),
            dict(id=4, image_id=1, category_id=1, bbox=[1, 1, 5, 5]),
            dict(id=5, image_id=1, category_id=2, bbox=[1, 1, 5, 5]),
        ],
        categories=[
            dict(id=1, name='mouse', keypoints=['a', 'b', 'c']),
            dict(id=2, name='wheel'),
        ],
    )
    read = read_set(tmp_path / 'a.json')
    assert read.dropped == {
        'annotations of an image that is not listed': 1,
        'annotations with a number of keypoints other than 3': 1,
        'annotations without keypoints': 1,
        'annotations of other categories': 1,
    }
    assert [len(p.instances) for p in read.pictures] == [1, 0]


def test_missing_pictures_are_counted(tmp_path):
    write_coco(tmp_path / 'a.json')
    (tmp_path / 'images' / '2.png').unlink()
    read = read_set(tmp_path / 'a.json')
    assert read.pictures[1].path is None
    write_set(read, tmp_path / 'out', 'cvat')
    assert read.dropped == {'pictures whose file was not found': 1}
    (tmp_path / 'images' / '1.png').write_bytes(b'no picture')
    with pytest.raises(ValueError, match='no instance|no picture'):
        write_set(read_set(tmp_path / 'a.json'), tmp_path / 'o2', 'cvat')


def test_several_categories(tmp_path):
    good = [10, 20, 2, 0, 0, 0, 30, 25, 1]
    categories = [
        dict(id=1, name='mouse', keypoints=['a', 'b', 'c']),
        dict(id=2, name='fly', keypoints=['wing', 'head']),
    ]
    flies = dict(id=2, image_id=2, category_id=2, keypoints=[1, 2, 2, 3, 4, 2])
    write_coco(
        tmp_path / 'a.json',
        annotations=[annotation(1, 1, good), flies],
        categories=categories,
    )
    with pytest.raises(ValueError) as caught:
        read_set(tmp_path / 'a.json')
    assert 'mouse (3 keypoints), fly (2 keypoints)' in str(caught.value)
    assert '--category' in str(caught.value)
    read = read_set(tmp_path / 'a.json', category='fly')
    assert (read.names, read.category) == (['wing', 'head'], 'fly')
    assert [len(p.instances) for p in read.pictures] == [0, 1]
    assert read.dropped == {'annotations of other categories': 1}
    with pytest.raises(ValueError, match="no category 'cat'.*fly, mouse"):
        read_set(tmp_path / 'a.json', category='cat')


def test_categories_with_the_same_keypoints_are_one(tmp_path):
    good = [10, 20, 2, 0, 0, 0, 30, 25, 1]
    turned = dict(annotation(2, 2, good), category_id=2)
    write_coco(
        tmp_path / 'a.json',
        annotations=[annotation(1, 1, good), turned],
        categories=[
            dict(id=1, name='cat', keypoints=['a', 'b', 'c'])
            | dict(supercategory='animal'),
            dict(id=2, name='dog', keypoints=['c', 'b', 'a'])
            | dict(supercategory='animal'),
        ],
    )
    read = read_set(tmp_path / 'a.json')
    assert (read.category, read.names) == ('animal', ['a', 'b', 'c'])
    [dog] = read.pictures[1].instances
    np.testing.assert_array_equal(dog.keypoints, [[30, 25], [0, 0], [10, 20]])
    assert any('another order' in note for note in read.notes)


def test_files_with_other_keypoints_are_refused(tmp_path):
    write_coco(tmp_path / 'train.json')
    write_coco(
        tmp_path / 'val.json',
        categories=[dict(id=1, name='mouse', keypoints=['x', 'y', 'z'])],
    )
    with pytest.raises(ValueError, match='in another file'):
        read_set(tmp_path)


def test_texts_as_ids_are_kept(tmp_path):
    images = [
        dict(id=f'im{k}', file_name=f'{k}.png', width=64, height=48)
        for k in (1, 2)
    ]
    annotations = [
        annotation(f'an{k}', f'im{k}', [1, 2, 2] * 3) for k in (1, 2)
    ]
    write_coco(tmp_path / 'a.json', images=images, annotations=annotations)
    read = read_set(tmp_path / 'a.json')
    assert [p.id for p in read.pictures] == ['im1', 'im2']
    assert [p.instances[0].id for p in read.pictures] == ['an1', 'an2']
    write_set(read, tmp_path / 'out', 'coco')
    content = json.loads((tmp_path / 'out' / 'annotations.json').read_text())
    assert [i['id'] for i in content['images']] == [1, 2]
    assert [i['source_id'] for i in content['images']] == ['im1', 'im2']


def test_no_names_of_keypoints(tmp_path):
    write_coco(tmp_path / 'a.json', categories=[dict(id=1, name='mouse')])
    read = read_set(tmp_path / 'a.json')
    assert read.names == ['keypoint_1', 'keypoint_2', 'keypoint_3']
    assert any('numbered' in note for note in read.notes)
    read = read_set(tmp_path / 'a.json', names=['a', 'b', 'c'])
    assert read.names == ['a', 'b', 'c']
    with pytest.raises(
        ValueError, match='2 names, 2 of them different, for 3'
    ):
        read_set(tmp_path / 'a.json', names=['a', 'b'])


def test_torn_and_empty_files(tmp_path):
    write_coco(tmp_path / 'a.json')
    text = (tmp_path / 'a.json').read_text()
    (tmp_path / 'a.json').write_text(text[:-40])
    with pytest.raises(ValueError, match='torn or not JSON'):
        read_set(tmp_path / 'a.json', format='coco')
    write_coco(tmp_path / 'b.json', annotations=[])
    with pytest.raises(ValueError, match='no category has|no instance'):
        read_set(tmp_path / 'b.json')
    write_coco(tmp_path / 'c.json', images=[], annotations=[])
    with pytest.raises(ValueError, match='no picture|no category'):
        read_set(tmp_path / 'c.json')
    write_coco(
        tmp_path / 'd.json',
        annotations=[annotation(1, 1, [1, float('nan'), 2] * 3)],
    )
    with pytest.raises(ValueError, match='not finite'):
        read_set(tmp_path / 'd.json')


@pytest.mark.parametrize(
    ('orientation', 'point', 'bbox'),
    [
        # stored 64 x 48, (10, 20); turned it is 48 x 64
        (5, (20, 10), (10, 5, 40, 45)),
        (6, (28, 10), (8, 5, 38, 45)),
        (7, (28, 54), (8, 19, 38, 59)),
        (8, (20, 54), (10, 19, 40, 59)),
    ],
)
def test_labels_of_the_stored_picture_are_turned(
    tmp_path, orientation, point, bbox
):
    write_coco(tmp_path / 'a.json')
    for number in (1, 2):
        file = tmp_path / 'images' / f'{number}.png'
        save_turned(file, (64, 48), orientation)
    read = read_set(tmp_path / 'a.json')
    first = read.pictures[0]
    assert (first.width, first.height) == (48, 64)
    np.testing.assert_allclose(first.instances[0].keypoints[0], point)
    np.testing.assert_array_equal(first.instances[0].keypoints[1], (0, 0))
    assert first.instances[0].bbox == bbox
    assert any('2 pictures are rotated by EXIF' in n for n in read.notes)


def test_turned_labels_lie_on_the_same_pixel(tmp_path):
    """As PIL turns the picture, so the labels move."""
    from PIL import ImageOps

    for orientation in (5, 6, 7, 8):
        file = tmp_path / f'{orientation}' / 'images' / '1.png'
        save_turned(file, (64, 48), orientation)
        with Image.open(file) as image:
            exif = image.getexif()
            marked = image.copy()
        marked.putpixel((10, 20), (255, 255, 255))
        marked.save(file, exif=exif)
        write_coco(
            file.parents[1] / 'a.json',
            images=[dict(id=1, file_name='1.png', width=64, height=48)],
            annotations=[annotation(1, 1, [10.5, 20.5, 2, 0, 0, 0, 0, 0, 0])],
        )
        marked.save(file, exif=exif)  # write_coco saved its own
        [picture] = read_set(file.parents[1] / 'a.json').pictures
        with Image.open(file) as image:
            turned = ImageOps.exif_transpose(image)
        x, y = picture.instances[0].keypoints[0]
        assert turned.size == (picture.width, picture.height)
        assert turned.getpixel((int(x), int(y))) == (255, 255, 255)


def test_labels_of_the_turned_picture_stay(tmp_path):
    images = [
        dict(id=k, file_name=f'{k}.png', width=48, height=64) for k in (1, 2)
    ]
    write_coco(tmp_path / 'a.json', images=images)
    for number in (1, 2):
        save_turned(tmp_path / 'images' / f'{number}.png', (64, 48), 6)
    read = read_set(tmp_path / 'a.json')
    assert (read.pictures[0].width, read.pictures[0].height) == (48, 64)
    np.testing.assert_array_equal(
        read.pictures[0].instances[0].keypoints[0], (10, 20)
    )
    assert not read.notes


def test_sizes_come_from_the_files(tmp_path):
    images = [dict(id=k, file_name=f'{k}.png') for k in (1, 2)]
    write_coco(tmp_path / 'a.json', images=images)
    read = read_set(tmp_path / 'a.json')
    assert {(p.width, p.height) for p in read.pictures} == {(64, 48)}
    (tmp_path / 'images' / '2.png').unlink()
    read = read_set(tmp_path / 'a.json')
    assert read.dropped == {'pictures without a file and without a size': 1}


def test_pictures_that_were_resized(tmp_path):
    write_coco(tmp_path / 'a.json')
    save_picture(tmp_path / 'images' / '3.png')
    save_picture(tmp_path / 'images' / '1.png', (128, 96))
    read = read_set(tmp_path / 'a.json')
    assert read.dropped == {
        'pictures whose file has another size than the annotations say': 1
    }
    assert [p.name for p in read.pictures] == ['2.png']
    save_picture(tmp_path / 'images' / '2.png', (128, 96))
    with pytest.raises(ValueError, match=r'2 of 2 picture files .*--images'):
        read_set(tmp_path / 'a.json')


def of_cvat(names: list[str], skeleton: list, points: list) -> dict:
    """Return lists of a file as CVAT writes it."""
    attributes = dict(occluded=False, source_id='"m7"', picture_id='70')
    return dict(
        annotations=[annotation(1, 1, points, attributes=attributes)],
        categories=[
            dict(
                id=1,
                name='mouse',
                supercategory='',
                keypoints=names,
                skeleton=skeleton,
            )
        ],
    )


def test_order_of_cvat_is_undone_by_name(tmp_path):
    lists = of_cvat(
        ['3', '1', '2'], [[3, 1], [1, 2]], [3, 3, 2, 1, 1, 2, 2, 2, 1]
    )
    write_coco(tmp_path / 'person_keypoints_default.json', **lists)
    read = read_set(tmp_path)
    assert read.names == ['1', '2', '3']
    assert read.links == [('3', '1'), ('1', '2')]  # nodes, not places
    [instance] = read.pictures[0].instances
    np.testing.assert_array_equal(instance.keypoints[:, 0], [1, 2, 3])
    np.testing.assert_array_equal(instance.visible, [2, 1, 2])
    assert (instance.id, read.pictures[0].id) == ('m7', 70)
    assert any('in the order 3, 1, 2' in note for note in read.notes)


def test_names_of_coco_in_the_order_of_cvat(tmp_path):
    from gtpt_mm.datasets.exchange.yolo import COCO_NAMES

    names = COCO_NAMES[::-1]
    points = [v for k in range(17) for v in (k + 1, 5, 2)]
    write_coco(tmp_path / 'a.json', **of_cvat(names, [], points))
    read = read_set(tmp_path / 'a.json')
    assert read.names == COCO_NAMES
    [instance] = read.pictures[0].instances
    np.testing.assert_array_equal(
        instance.keypoints[:, 0], np.arange(17, 0, -1)
    )


def test_lines_of_cvat_between_nodes_that_were_deleted(tmp_path):
    lists = of_cvat(['a', 'b', 'c'], [[1, 2], [2, 5]], [1, 1, 2] * 3)
    write_coco(tmp_path / 'a.json', **lists)
    read = read_set(tmp_path / 'a.json')
    assert read.links == []
    assert any('its lines were left out' in note for note in read.notes)


def test_other_files_keep_their_order(tmp_path):
    write_coco(
        tmp_path / 'a.json',
        categories=[dict(id=1, name='mouse', keypoints=['3', '1', '2'])],
    )
    assert read_set(tmp_path / 'a.json').names == ['3', '1', '2']


def test_coordinates_of_unlabelled_keypoints_do_not_matter(tmp_path):
    save_picture(tmp_path / '1.png')
    points = [1, 2, 2, None, None, 0, float('nan'), float('nan'), 0]
    content = dict(
        images=[dict(id=1, file_name='1.png', width=64, height=48)],
        annotations=[dict(id=1, image_id=1, category_id=1, keypoints=points)],
        categories=[dict(id=1, name='a', keypoints=['x', 'y', 'z'])],
    )
    (tmp_path / 'a.json').write_text(json.dumps(content))
    [instance] = read_set(tmp_path).pictures[0].instances
    np.testing.assert_array_equal(instance.keypoints, [(1, 2), (0, 0), (0, 0)])
    np.testing.assert_array_equal(instance.visible, [2, 0, 0])


def test_the_file_of_another_folder_is_not_taken(tmp_path):
    """The pictures of the second video are not there."""
    save_picture(tmp_path / 'images/day1/0.png')
    names = ['day1/0.png', 'day2/0.png', '0.png']
    images = [
        dict(id=k, file_name=name, width=64, height=48)
        for k, name in enumerate(names)
    ]
    annotations = [
        dict(id=k, image_id=k, category_id=1, keypoints=[1, 2, 2])
        for k in range(3)
    ]
    categories = [dict(id=1, name='a', keypoints=['x'])]
    content = dict(
        images=images, annotations=annotations, categories=categories
    )
    (tmp_path / 'a.json').write_text(json.dumps(content), 'utf-8-sig')
    paths = [picture.path for picture in read_set(tmp_path).pictures]
    there = tmp_path / 'images/day1/0.png'
    assert paths == [there, None, there]


def test_the_folder_above_is_not_searched(tmp_path):
    """It may have pictures of the same names that belong to other sets."""
    save_picture(tmp_path / '0.png')
    save_picture(tmp_path / 'other/1.png')
    save_picture(tmp_path / 'mine/0.png')
    content = dict(
        images=[
            dict(id=k, file_name=f'{k}.png', width=64, height=48)
            for k in range(2)
        ],
        annotations=[
            dict(id=k, image_id=k, category_id=1, keypoints=[1, 2, 2])
            for k in range(2)
        ],
        categories=[dict(id=1, name='a', keypoints=['x'])],
    )
    (tmp_path / 'mine/a.json').write_text(json.dumps(content))
    paths = [picture.path for picture in read_set(tmp_path / 'mine').pictures]
    assert paths == [tmp_path / 'mine/0.png', None]


@pytest.mark.parametrize('skeleton', [[[1, 2]], [[0, 1]], [['x', 'y'], 3]])
def test_skeletons_by_number_and_name(tmp_path, skeleton):
    """And a confidence in place of the visibility is a label."""
    save_picture(tmp_path / '1.png')
    points = [1, 2, 0.87, 3, 4, 0]
    content = dict(
        images=[dict(id=1, file_name='1.png', width=64, height=48)],
        annotations=[dict(id=1, image_id=1, category_id=1, keypoints=points)],
        categories=[
            dict(id=1, name='a', keypoints=['x', 'y'], skeleton=skeleton)
        ],
    )
    (tmp_path / 'a.json').write_text(json.dumps(content))
    read = read_set(tmp_path)
    assert read.links == [('x', 'y')]
    [instance] = read.pictures[0].instances
    np.testing.assert_array_equal(instance.visible, [1, 0])
