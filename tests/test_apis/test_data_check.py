"""A check of data finds what is planted, all of it and nothing else."""

import json

import cv2
import numpy as np
import pytest
from support.annotated_set import NAMES, Faults, draw_set

from gtpt_mm.apis.data_check import check_data
from gtpt_mm.cli import main


@pytest.fixture(scope='module')
def clean(tmp_path_factory):
    folder = tmp_path_factory.mktemp('clean')
    draw_set(folder)
    return folder


@pytest.fixture
def faults(tmp_path):
    draw_set(tmp_path)
    return Faults(tmp_path)


def found(folder):
    files = [folder / 'train.json', folder / 'val.json']
    check = check_data(files, folder / 'images')
    places = {
        (f.kind, f.file, f.picture, f.annotation) for f in check.findings
    }
    assert len(places) == len(check.findings)
    return places


def test_a_clean_set_has_no_finding(clean):
    assert found(clean) == set()


def plant_points(faults):
    """Plant faults of keypoints; return what must be found."""
    points = faults.points(1)  # legs exchanged
    order = np.arange(len(NAMES))
    order[[8, 9, 10, 11, 12, 13]] = 9, 8, 11, 10, 13, 12
    faults.set_points(1, points[order])
    points = faults.points(2)
    points[6, :2] = 230, 100  # left wrist
    faults.set_points(2, points)
    points = faults.points(3)
    points[NAMES.index('head'), :2] = 0
    faults.set_points(3, points)
    points = faults.points(4)  # a knee beside the other wrist
    faults.annotation(4)['bbox'] = [0, 0, 200, 240]
    points[10, :2] = 5, 5
    faults.set_points(4, points)
    points = faults.points(5)
    points[:, :2] = 100 + (points[:, :2] - 100) / 20
    faults.set_points(5, points)
    faults.annotation(5)['bbox'] = [93, 93, 14, 14]
    x, y, w, h = faults.annotation(6)['bbox']
    faults.points(6)
    faults.annotation(6)['bbox'] = [x, y, w, h * 0.6]
    return [
        (kind, 'train.json', f'{number:03}.jpg', number)
        for kind, number in (
            ('sides', 1),
            ('outside-picture', 2),
            ('origin', 3),
            ('bone', 4),
            ('tiny-box', 5),
            ('outside-box', 6),
        )
    ]


def plant_entries(faults):
    """Plant faults of entries; return what must be found."""
    train = faults.content['train']
    faults.annotation(7)['keypoints'][0] = float('nan')
    faults.annotation(8)['image_id'] = 999
    faults.annotation(9)['num_keypoints'] = 0
    faults.annotation(10)['bbox'] = [50, 50, 0, 40]
    del faults.annotation(11)['bbox']
    copy = json.loads(json.dumps(faults.annotation(12)))
    train['annotations'].append(copy | dict(id=500))
    train['annotations'] = [a for a in train['annotations'] if a['id'] != 13]
    return [
        ('file', 'train.json', '007.jpg', 7),
        ('image-id', 'train.json', '', 8),
        ('num-keypoints', 'train.json', '009.jpg', 9),
        ('empty-box', 'train.json', '010.jpg', 10),
        ('no-box', 'train.json', '011.jpg', 11),
        ('same-instance', 'train.json', '012.jpg', 500),
        *[
            ('no-annotation', 'train.json', f'{number:03}.jpg', None)
            for number in (7, 8, 13)
        ],
    ]


def plant_pictures(faults):
    """Plant faults of picture files; return what must be found."""
    images = faults.folder / 'images'
    (images / '014.jpg').unlink()
    content = (images / '015.jpg').read_bytes()
    (images / '015.jpg').write_bytes(content[: len(content) // 2])
    small = cv2.resize(cv2.imread(str(images / '016.jpg')), (100, 120))
    cv2.imwrite(str(images / '016.jpg'), small)
    image = (images / '017.jpg').read_bytes()
    faults.add_picture('val', 900, image)
    faults.add_picture('train', 901, (images / '018.jpg').read_bytes())
    for split, number, of in (('val', 902, 19), ('train', 903, 20)):
        drawn = cv2.imread(str(images / f'{of:03}.jpg'))
        options = [cv2.IMWRITE_JPEG_QUALITY, 60]
        again = cv2.imencode('.jpg', drawn, options)[1]
        faults.add_picture(split, number, again.tobytes())
    return [
        ('picture-missing', 'train.json', '014.jpg', None),
        ('picture-torn', 'train.json', '015.jpg', None),
        ('picture-size', 'train.json', '016.jpg', None),
        ('two-splits', 'val.json', '900.jpg', None),
        ('same-picture', 'train.json', '901.jpg', None),
        ('near-splits', 'val.json', '902.jpg', None),
        ('near-picture', 'train.json', '903.jpg', None),
    ]


def test_planted_faults_are_found_and_nothing_else(faults):
    """More than ten faults, each of a kind of its own, with their ids."""
    planted = plant_points(faults)
    planted += plant_entries(faults) + plant_pictures(faults)
    faults.write()
    assert found(faults.folder) == set(planted)


def test_labels_that_are_never_used(faults):
    for content in faults.content.values():
        for annotation in content['annotations']:
            points = np.array(annotation['keypoints']).reshape(-1, 3)
            points[points[:, 2] == 1, 2] = 2
            points[NAMES.index('neck')] = 0
            annotation['keypoints'] = points.reshape(-1).tolist()
            del annotation['num_keypoints']
    faults.write()
    assert found(faults.folder) == {
        ('never-labelled', 'train.json', '', None),
        ('never-labelled', 'val.json', '', None),
        ('visibility', '', '', None),
    }


def test_all_findings_of_a_broken_file_are_seen_at_once(faults):
    train = faults.content['train']
    del train['images'][0]['id']
    train['images'].append('003.jpg')
    faults.annotation(5)['category_id'] = 7
    faults.annotation(6)['keypoints'] = [1, 2, 2]
    faults.annotation(7)['bbox'] = [1, 2, 3]
    faults.annotation(8)['id'] = 9
    faults.write()
    (faults.folder / 'val.json').write_text('{"images": [')
    files = [faults.folder / f'{split}.json' for split in ('train', 'val')]
    check = check_data(files)
    errors = [f for f in check.findings if f.kind == 'file']
    texts = ' '.join(f'{f.value} {f.annotation}' for f in errors)
    assert 'has no id' in texts and "003.jpg in 'images' is no" in texts
    assert 'category_id is not among the categories [1]: 7 5' in texts
    assert '1 keypoints, not 14 6' in texts
    assert 'bbox must be 4 numbers, x, y, w, h: 3 numbers 7' in texts
    assert 'is empty, torn or not JSON' in texts
    kinds = {f.kind: f.annotation for f in check.findings}
    assert kinds['image-id'] == 1 and kinds['same-id'] == 9


def test_metainfo_in_another_order_is_an_error(clean, tmp_path):
    swapped = NAMES.copy()
    swapped[2], swapped[3] = swapped[3], swapped[2]
    info = dict(
        dataset_name='mine',
        keypoint_info={k: dict(name=n) for k, n in enumerate(swapped)},
        skeleton_info={},
        joint_weights=[1.0] * 14,
        sigmas=[0.05] * 13,
    )
    path = tmp_path / 'metainfo.py'
    path.write_text(f'dataset_info = {info!r}')
    check = check_data(clean / 'val.json', metainfo=path)
    texts = [f.value for f in check.findings if f.kind == 'metainfo']
    assert len(texts) == 1 and 'sigmas has 13 values' in texts[0]
    path.write_text(f'dataset_info = {info | dict(sigmas=[0.05] * 14)!r}')
    check = check_data(clean / 'val.json', metainfo=path)
    texts = [f.value for f in check.findings if f.kind == 'metainfo']
    assert len(texts) == 1
    assert "keypoint 2 is 'left_shoulder', not 'right_shoulder'" in texts[0]


def test_command(clean, faults, tmp_path, capsys):
    files = [str(clean / 'train.json'), str(clean / 'val.json')]
    assert main(['data', 'check', *files]) == 0
    out = capsys.readouterr().out
    assert '90 pictures, 90 instances' in out
    assert out.endswith('0 errors, 0 warnings, 0 notes\n')
    planted = plant_points(faults)
    faults.write()
    file = str(faults.folder / 'train.json')
    json_file, page = tmp_path / 'all.json', tmp_path / 'page.html'
    options = ['--json', str(json_file), '--html', str(page)]
    assert main(['data', 'check', file, *options]) == 1
    assert '2 errors, 4 warnings, 0 notes' in capsys.readouterr().out
    listed = json.loads(json_file.read_text())['findings']
    assert {
        (f['kind'], f['file'], f['picture'], f['annotation']) for f in listed
    } == set(planted)
    assert all(f['remedy'] and f['severity'] and f['title'] for f in listed)
    text = page.read_text()
    assert text.count('data:image/jpeg') == 20
    assert 'left and right may be exchanged' in text
    first = text.index('data:image/jpeg')
    assert '003.jpg' in text[first - 200 : first]  # an error comes first
    assert main(['data', 'check', file, *options]) == 2
    assert '--overwrite' in capsys.readouterr().err
    assert main(['data', 'check', str(tmp_path / 'none.json')]) == 2
    assert 'none.json does not exist' in capsys.readouterr().err


def test_a_single_keypoint_has_no_bones(tmp_path, recwarn):
    cv2.imwrite(str(tmp_path / '1.png'), np.eye(64, dtype=np.uint8) * 255)
    content = dict(
        images=[dict(id=1, file_name='1.png', width=64, height=64)],
        annotations=[
            dict(id=1, image_id=1, category_id=1, keypoints=[9, 9, 2],
                 bbox=[1, 1, 40, 40], area=1600, iscrowd=0, num_keypoints=1)
        ],
        categories=[dict(id=1, name='a', keypoints=['tip'])],
    )  # fmt: skip
    (tmp_path / 'a.json').write_text(json.dumps(content))
    check = check_data([tmp_path / 'a.json'], tmp_path)
    assert {f.kind for f in check.findings} == {'visibility'}
    assert not [w for w in recwarn if 'empty' in str(w.message)]
