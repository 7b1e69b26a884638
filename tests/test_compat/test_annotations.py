"""Annotation files: what is refused, mended, left out and said."""

import json
import logging

import numpy as np
import pytest
from mmengine.registry import init_default_scope
from mmpose.registry import DATASETS, METRICS
from PIL import Image

from gtpt_mm.compat.data import annotation_checks as checks

SIDES = 'eye ear shoulder elbow wrist hip knee ankle'
COCO = ['nose'] + [
    f'{s}_{p}' for p in SIDES.split() for s in ('left', 'right')
]
NAN, INF = float('nan'), float('inf')


@pytest.fixture(autouse=True)
def _scope():
    init_default_scope('mmpose')


def person(number: int) -> dict:
    points = [[20 + k, 30 + k, 2] for k in range(17)]
    return dict(
        id=number,
        image_id=10 + number,
        category_id=1,
        bbox=[10, 20, 40, 60],
        keypoints=np.ravel(points).tolist(),
        num_keypoints=17,
        area=1200.0,
        iscrowd=0,
    )


@pytest.fixture
def content() -> dict:
    """Four images, 100 x 90, of a person each."""
    return dict(
        images=[
            dict(id=10 + i, file_name=f'{i}.png', width=100, height=90)
            for i in range(1, 5)
        ],
        annotations=[person(i) for i in range(1, 5)],
        categories=[dict(id=1, name='person', keypoints=list(COCO))],
    )


@pytest.fixture
def lines(monkeypatch) -> list[tuple[int, str]]:
    """Return what is logged: level and message."""
    said = []

    def note(message, logger=None, level=logging.INFO):
        if level > logging.DEBUG:
            said.append((level, message))

    monkeypatch.setattr('mmengine.logging.print_log', note)
    return said


@pytest.fixture
def build(tmp_path):
    """Return a function that writes the content and builds a dataset."""

    def function(content, kind='CocoDataset', **options):
        text = content if isinstance(content, str) else json.dumps(content)
        (tmp_path / 'a.json').write_text(text)
        return DATASETS.build(
            {
                'type': kind,
                'ann_file': 'a.json',
                'data_root': str(tmp_path),
                'data_prefix': dict(img='images'),
                **options,
            }
        )

    return function


def infos(dataset) -> list[dict]:
    return [dataset.get_data_info(i) for i in range(len(dataset))]


# --- refused ---------------------------------------------------------------


@pytest.mark.parametrize(
    'key, value, words',
    [
        ('bbox', [1, 2, 30], '3 numbers in annotation 2 of image 12'),
        ('bbox', [NAN] * 4, 'nan in annotation 2 of image 12'),
        ('bbox', [0, 0, INF, INF], 'inf in annotation 2 of image 12'),
        ('bbox', ['a', '2', '3', '4'], "'a', '2', '3', '4'.*annotation 2"),
        ('bbox', 7, '1 numbers in annotation 2'),
        ('bbox', {'x': 1}, 'does not hold numbers alone.*annotation 2'),
        ('keypoints', [1] * 50, '50 numbers in annotation 2 of image 12'),
        ('keypoints', [1] * 48, "'coco', 17.*16 in annotation 2 of image 12"),
        ('keypoints', [NAN, 1, 2] * 17, 'nan in annotation 2'),
        ('keypoints', [1e30, 1, 2] * 17, r'1e\+30 in annotation 2'),
        ('keypoints', [10**30, 1, 2] * 17, r'1e\+30 in annotation 2'),
        ('keypoints', [[1, 2, 2]] * 16 + [[3]], 'annotation 2'),
        ('area', NAN, 'area.*nan in annotation 2'),
        ('area', 'large', "'?large'? of annotation 2"),
        ('iscrowd', 'no', "iscrowd='no'.*annotation 2"),
        ('category_id', 77, r'categories \[1\]: 77 of annotation 2'),
        ('image_id', None, 'without image_id: annotation 2'),
    ],
)
def test_a_mistake_is_named(build, content, key, value, words):
    content['annotations'][1][key] = value
    with pytest.raises(checks.AnnotationError, match=f'(?s)a.json.*{words}'):
        build(content)


def test_the_first_places_and_their_number_are_named(build, content):
    content['annotations'] = [person(1) | dict(id=i) for i in range(1, 10)]
    for annotation in content['annotations'][1:]:
        annotation['bbox'] = [1, 2, 3]
    with pytest.raises(checks.AnnotationError) as error:
        build(content)
    assert 'annotation 6 of image 11 and 3 more' in str(error.value)
    assert 'annotation 7' not in str(error.value)


def test_all_kinds_of_mistakes_are_named_at_once(build, content):
    content['annotations'][0]['bbox'] = [1, 2, 3]
    content['annotations'][1]['keypoints'] = [NAN] * 51
    with pytest.raises(checks.AnnotationError) as error:
        build(content)
    assert '3 numbers in annotation 1' in str(error.value)
    assert 'nan in annotation 2' in str(error.value)


@pytest.mark.parametrize(
    'text, words',
    [
        ('', r'a.json \(0 bytes\) is empty, torn or not JSON'),
        ('{"images": [{"id"', r'a.json \(17 bytes\) is empty, torn or not'),
        ('[]', 'a.json holds a list'),
        ('{"annotations": []}', "(?s)a.json.*no list 'images'"),
        ('{"images": []}', "(?s)a.json.*no list 'annotations'"),
        ('{"images": {}, "annotations": []}', "'images' must be a list"),
    ],
)
def test_a_file_that_holds_no_annotations(build, text, words):
    with pytest.raises(checks.AnnotationError, match=words):
        build(text)


@pytest.mark.parametrize('what', ['ann_file', 'bbox_file'])
def test_a_missing_file_says_where_to_get_it(build, content, tmp_path, what):
    with pytest.raises(FileNotFoundError) as error:
        build(content, test_mode=True, **{what: str(tmp_path / 'b.json')})
    message = str(error.value)
    assert message.startswith(f'{what} ')
    for words in ('b.json', 'of CocoDataset does not exist', 'docs/data.md'):
        assert words in message


def test_exchanged_keypoints_are_refused(build, content):
    """Pitfall: stock mmpose trains left as right."""
    names = content['categories'][0]['keypoints']
    names[1], names[2] = names[2], names[1]
    words = "keypoint 1 is 'right_eye', not 'left_eye' as in the metainfo"
    with pytest.raises(checks.AnnotationError, match=words):
        build(content)


def test_other_keypoints_are_refused(build, content):
    content['categories'][0]['keypoints'] = [f'{c}_paw' for c in 'abcdefghijk']
    content['categories'][0]['keypoints'] += list('nopqrs')
    with pytest.raises(checks.AnnotationError, match='have other names'):
        build(content)


@pytest.mark.parametrize('kind', ['Hand', 'Face'])
def test_parts_of_whole_bodies_have_keypoints_of_their_own(
    build, content, kind
):
    """Categories of COCO-WholeBody name the keypoints of the body."""
    num, part = dict(Hand=(21, 'lefthand'), Face=(68, 'face'))[kind]
    points = [[30 + k % 9, 40 + k % 7, 2] for k in range(num)]
    for annotation in content['annotations']:
        annotation['segmentation'] = []
        for name in ('lefthand', 'righthand', 'face'):
            annotation[f'{name}_valid'] = name == part
            annotation[f'{name}_kpts'] = np.ravel(points).tolist()
            annotation[f'{name}_box'] = [20, 30, 30, 30]
    found = infos(build(content, f'CocoWholeBody{kind}Dataset'))
    assert [info['img_id'] for info in found] == [11, 12, 13, 14]
    for info in found:
        np.testing.assert_array_equal(
            info['keypoints'][0], np.array(points)[:, :2]
        )


def test_one_category_of_several_with_other_keypoints(build, content):
    dog = dict(id=2, name='dog', keypoints=['tail', 'nose'])
    content['categories'].append(dog)
    build(content)  # no dog is annotated
    content['annotations'][1]['category_id'] = 2
    with pytest.raises(checks.AnnotationError, match="'dog' has 2"):
        build(content)


def test_a_dog_among_people_is_warned_of(build, content, lines):
    content['categories'][0]['name'] = 'dog'
    assert len(build(content)) == 4
    [warning] = [m for level, m in lines if level == logging.WARNING]
    assert "category 'dog'" in warning and 'is of people' in warning


def test_images_with_one_id(build, content):
    """Pitfall: xtcocotools keeps the last, for the people of both."""
    content['images'][1]['id'] = 11
    with pytest.raises(checks.AnnotationError, match=r'11 \(1.png, 2.png\)'):
        build(content)


# --- nobody left -----------------------------------------------------------


@pytest.mark.parametrize(
    'change, words',
    [
        (dict(iscrowd=1), 'none of the 4 people .* used: 4 crowd'),
        (dict(bbox=None), 'used: 4 without box'),
        (dict(keypoints=[0] * 51), 'used: 4 without visible keypoints'),
        (dict(num_keypoints=0), 'used: 4 with num_keypoints 0'),
        (dict(bbox=[500, 0, 5, 5]), 'used: 4 outside'),
        (dict(bbox=[5, 5, 0, 9]), 'used: 4 with an empty box'),
        (dict(image_id=99), 'used: 4 without image'),
    ],
)
def test_nobody_left_says_why(build, content, change, words):
    """Pitfall: numpy's "need at least one array to concatenate"."""
    for annotation in content['annotations']:
        annotation.update(change)
    with pytest.raises(checks.AnnotationError, match=f'a.json: .*{words}'):
        build(content)


def test_no_annotation_at_all(build, content):
    content['annotations'] = []
    with pytest.raises(checks.AnnotationError, match='it has no annotation'):
        build(content)


def test_nobody_left_after_a_filter(build, content):
    with pytest.raises(checks.AnnotationError, match='indices=0'):
        build(content, indices=0)


# --- mended ----------------------------------------------------------------


def test_text_becomes_numbers(build, content, lines):
    expected = infos(build(content))
    for annotation in content['annotations'][:2]:
        for key in ('bbox', 'keypoints'):
            annotation[key] = [str(v) for v in annotation[key]]
        annotation['area'] = str(annotation['area'])
        annotation['iscrowd'] = '0'
        annotation['category_id'] = '1'
    found = infos(build(content))
    for a, b in zip(expected, found, strict=True):
        for key in ('bbox', 'keypoints', 'area', 'iscrowd', 'category_id'):
            np.testing.assert_array_equal(a[key], b[key])
    assert '2 bbox given as text' in lines[-1][1]


@pytest.mark.parametrize(
    'old, new',
    [
        (lambda i: f'{i}', 11),
        (lambda i: f'{i:05d}', 11),
        (lambda i: f'im{i}', 1),
    ],
)
def test_ids_that_are_text(build, content, tmp_path, old, new):
    """The dataset and the metric give the same numbers."""
    for image in content['images']:
        image['id'] = old(image['id'])
    for annotation in content['annotations']:
        annotation['image_id'] = old(annotation['image_id'])
    dataset = build(content)
    expected = [new, new + 1, new + 2, new + 3]
    assert [info['img_id'] for info in infos(dataset)] == expected
    metric = METRICS.build(
        dict(type='CocoMetric', ann_file=str(tmp_path / 'a.json'))
    )
    assert metric.coco.getImgIds() == expected


def test_equal_ids_of_annotations(build, content):
    """Pitfall: xtcocotools gives the last person four times."""
    for index, annotation in enumerate(content['annotations']):
        annotation['id'] = 1
        annotation['bbox'] = [index, 0, 20, 20]
    found = infos(build(content))
    assert [i['bbox'][0, 0] for i in found] == [0, 1, 2, 3]
    assert [i['id'] for i in found] == [1, 2, 3, 4]


def test_visibility_outside_its_range(build, content):
    content['annotations'][0]['keypoints'][2::3] = [7] * 17
    content['annotations'][1]['keypoints'][2::3] = [-1] * 8 + [2] * 9
    found = infos(build(content))
    assert found[0]['keypoints_visible'].tolist() == [[1] * 17]
    assert found[1]['keypoints_visible'].tolist() == [[0] * 8 + [1] * 9]


def test_areas_of_large_images_are_square_pixels(build, content):
    content['annotations'][0]['area'] = 3.5e6
    assert float(infos(build(content))[0]['area']) == 3.5e6


def test_area_is_computed_where_it_is_absent(build, content):
    content['annotations'][0]['area'] = 0
    content['annotations'][1]['area'] = None
    del content['annotations'][2]['area']
    areas = [float(info['area']) for info in infos(build(content))]
    assert areas == pytest.approx([40 * 60 * 0.53] * 3 + [1200])


def test_category_and_id_that_are_absent(build, content):
    for annotation in content['annotations']:
        del annotation['category_id'], annotation['id']
    found = infos(build(content))
    assert [int(i['category_id']) for i in found] == [1] * 4
    assert [i['id'] for i in found] == [1, 2, 3, 4]
    del content['categories']
    assert len(build(content)) == 4


def write_images(folder, sizes) -> None:
    (folder / 'images').mkdir(exist_ok=True)
    for number, size in enumerate(sizes, 1):
        Image.new('RGB', size).save(folder / f'images/{number}.png')


@pytest.mark.parametrize('change', ['missing', 'wrong', 'text'])
def test_sizes_are_read_from_the_images(build, content, tmp_path, change):
    write_images(tmp_path, [(100, 90)] * 4)
    for image in content['images']:
        if change == 'missing':
            del image['width'], image['height']
        else:
            image['width'] = 10 if change == 'wrong' else '100'
    found = infos(build(content))
    assert [i['bbox'].tolist() for i in found] == [[[10, 20, 50, 80]]] * 4


def test_a_size_that_cannot_be_read(build, content):
    del content['images'][1]['width']
    with pytest.raises(checks.AnnotationError, match='image 12 .*2.png'):
        build(content)


def test_images_that_were_resized(build, content, tmp_path, lines):
    write_images(tmp_path, [(50, 45)] * 4)
    words = r'\(100, 90\) but \(50, 45\) in .*1.png'
    with pytest.raises(checks.AnnotationError, match=words):
        build(content)
    write_images(tmp_path, [(100, 90), (50, 45), (100, 90), (100, 90)])
    assert len(build(content)) == 4
    [warning] = [m for level, m in lines if level == logging.WARNING]
    assert '(100, 90) but (50, 45) in' in warning and '2.png' in warning


# --- left out, and said ----------------------------------------------------


def test_summary_counts_who_is_left_out(build, content, lines):
    content['annotations'] = [person(1) | dict(id=i) for i in range(1, 1010)]
    changes = [
        dict(bbox=None),
        dict(bbox=None),
        dict(iscrowd=1),
        dict(bbox=[200, 0, 9, 9]),
    ]
    for annotation, change in zip(
        content['annotations'], changes, strict=False
    ):
        annotation.update(change)
    dataset = build(content)
    assert len(dataset) == 1005
    level, line = lines[-1]
    assert level == logging.INFO
    assert line.endswith(
        'a.json: 1,005 people used; dropped: 2 without box, 1 crowd, 1 outside'
    )


@pytest.mark.parametrize('kind', ['CocoDataset', 'CocoPeopleDataset'])
def test_people_without_a_visible_keypoint(build, content, lines, kind):
    """Coordinates without visibility teach nothing; the loss is 0."""
    content['annotations'][0]['keypoints'][2::3] = [0] * 17
    content['annotations'][1]['keypoints'][2::3] = [0] * 17
    del content['annotations'][1]['num_keypoints']
    mode = 'topdown' if kind == 'CocoDataset' else 'bottomup'
    dataset = build(content, kind, data_mode=mode)
    assert len(dataset) == 2
    words = '2 people used; dropped: 2 without visible keypoints'
    assert words in lines[-1][1]


def test_people_whose_keypoints_lie_outside(build, content, lines):
    for k in range(17):
        content['annotations'][0]['keypoints'][3 * k] += 1000
    assert len(build(content)) == 3
    assert 'dropped: 1 with keypoints outside' in lines[-1][1]


def test_other_instances_are_not_called_people(build, content, lines):
    content['categories'][0]['name'] = 'bee'
    build(content)
    assert '4 instances used' in lines[-1][1]


def test_bottomup_test_needs_no_annotations(build, content):
    del content['annotations']
    dataset = build(content, data_mode='bottomup', test_mode=True)
    assert [i['img_id'] for i in infos(dataset)] == [11, 12, 13, 14]


def test_sample_interval_is_no_fault(build, content, lines):
    assert len(build(content, sample_interval=2)) == 2
    assert '2 of images that sample_interval leaves out' in lines[-1][1]


# --- detections ------------------------------------------------------------


@pytest.fixture
def detect(build, content, tmp_path):
    """Return a function that builds a dataset with detections."""

    def function(detections, category=7):
        content['categories'][0]['id'] = category
        for annotation in content['annotations']:
            annotation['category_id'] = category
        file = tmp_path / 'boxes.json'
        file.write_text(json.dumps(detections))
        return build(content, test_mode=True, bbox_file=str(file))

    return function


def box(**change) -> dict:
    values = dict(image_id=11, category_id=7, bbox=[1, 2, 3, 4], score=0.5)
    return values | change


def test_detections_of_the_annotated_category(detect, lines):
    """Pitfall: stock mmpose keeps category 1 alone."""
    boxes = [
        box(),
        box(category_id=1),
        box(image_id=5),
        box(bbox=[1, 2, 0, 4]),
    ]
    [found] = infos(detect(boxes))
    assert found['bbox'].tolist() == [[1, 2, 4, 6]]
    assert (found['img_id'], int(found['category_id'])) == (11, 7)
    assert found['bbox_score'].tolist() == [0.5]
    assert lines[-1][1].endswith(
        'boxes.json: 1 detections used; dropped: 1 of category 1, 1 of images '
        'that the annotation file lacks, 1 with an empty box'
    )


def test_detections_as_stock_mmpose_reads_them(shared_dir):
    """COCO's own file; the numbers of the stock class."""
    folder = shared_dir / 'data/real/coco'
    dataset = DATASETS.build(
        dict(
            type='CocoDataset',
            data_root=str(folder),
            ann_file='test_coco.json',
            bbox_file=str(folder / 'test_coco_det_AP_H_56.json'),
            test_mode=True,
        )
    )
    boxes = json.loads((folder / 'test_coco_det_AP_H_56.json').read_text())
    found = infos(dataset)
    assert [i['id'] for i in found] == list(range(len(boxes)))
    for info, expected in zip(found, boxes, strict=True):
        x, y, w, h = expected['bbox']
        np.testing.assert_allclose(
            info['bbox'], [[x, y, x + w, y + h]], rtol=1e-6
        )
        assert info['img_id'] == expected['image_id']
        assert info['keypoints'].shape == (1, 17, 2)


def test_detections_with_ids_as_text(detect, lines):
    """Pitfall: 7 is not '7', and none would be used."""
    [found] = infos(detect([box(image_id='11', category_id='7')]))
    assert (found['img_id'], int(found['category_id'])) == (11, 7)


@pytest.mark.parametrize(
    'wrong, words',
    [
        (dict(bbox=[1, 2, 3]), 'bbox must be 4 numbers.*entry 1 of image 11'),
        (dict(bbox=[1, 2, 3, NAN]), 'not finite.*entry 1 of image 11'),
        (dict(score=None), 'not a number.*entry 1'),
        (dict(bbox=None), 'not a number.*entry 1'),
    ],
)
def test_malformed_detections(detect, wrong, words):
    with pytest.raises(checks.AnnotationError, match=f'(?s)boxes.*{words}'):
        detect([box(), box(**wrong)])


def test_no_detection_left_says_why(detect):
    words = 'none of the 2 .* category is 7: 2 of category 1'
    with pytest.raises(checks.AnnotationError, match=words):
        detect([box(category_id=1), box(category_id=1)])


# --- names -----------------------------------------------------------------


@pytest.mark.parametrize(
    'names, expected, error, unknown',
    [
        ('Head top,Neck', 'head_top,neck', '', 0),
        ('left_eye,left_front_paw', 'L_Eye,L_F_Paw', '', 0),
        ('eyeL,wingR', 'left_eye,right_wing', '', 0),
        ('head,neck', 'top_head,neck', '', 0),
        ('kpt-1,kpt-2', 'nose,chin', '', 0),
        ('p1,p0', 'p0,p1', "keypoint 0 is 'p1'", 0),
        ('右眼,左眼', '左眼,右眼', "keypoint 0 is '右眼'", 0),
        ('r_eye,l_eye', 'L_Eye,R_Eye', "keypoint 0 is 'r_eye'", 0),
        ('a,right_foot,b', 'a,left_toe,b', "keypoint 1 is 'right_foot'", 0),
        ('nose,a,b', 'nose,a,c', '', 1),
        ('x,y,b', 'nose,a,b', 'keypoints have other names', 0),
    ],
)
def test_convention_names_of_keypoints(names, expected, error, unknown):
    found, others = checks.compare_names(names.split(','), expected.split(','))
    assert found.startswith(error) and bool(found) == bool(error)
    assert len(others) == unknown


# --- parsers of single datasets ---------------------------------------------

#: Fields that these datasets read besides COCO's.
MORE_FIELDS = dict(
    CocoWholeBodyDataset=dict(
        foot_kpts=[1.0, 1, 2] * 6,
        face_kpts=[1.0, 1, 2] * 68,
        lefthand_kpts=[1.0, 1, 2] * 21,
        righthand_kpts=[1.0, 1, 2] * 21,
    ),
    CocoWholeBodyHandDataset=dict(
        lefthand_valid=True,
        lefthand_kpts=[1.0, 1, 2] * 21,
        lefthand_box=[1.0, 1, 9, 9],
        righthand_valid=False,
    ),
    CocoWholeBodyFaceDataset=dict(
        face_valid=True,
        face_kpts=[1.0, 1, 2] * 68,
        face_box=[1.0, 1, 9, 9],
    ),
    WFLWDataset=dict(
        keypoints=[1.0, 1, 2] * 98, center=[30.0, 40.0], scale=0.3
    ),
)


@pytest.mark.parametrize(
    ('kind', 'field'),
    [(kind, field) for kind, more in MORE_FIELDS.items() for field in more
     if field not in ('keypoints', 'righthand_valid')],
)  # fmt: skip
def test_fields_of_one_dataset_name_the_annotation(
    build, content, kind, field
):
    content['categories'][0].pop('keypoints')
    for annotation in content['annotations']:
        annotation.update(MORE_FIELDS[kind], segmentation=[])
    assert len(build(content, kind)) == 4
    words = rf'a\.json: {kind} cannot read annotation 3 of image 13: '
    del content['annotations'][2][field]
    with pytest.raises(checks.AnnotationError, match=f"{words}.*'{field}'"):
        build(content, kind)
    if not field.endswith('valid'):
        content['annotations'][2][field] = [1.0, 2.0, 'x']
        with pytest.raises(checks.AnnotationError, match=words):
            build(content, kind)


@pytest.mark.parametrize('field', ['center', 'scale', 'joints', 'joints_vis'])
def test_fields_of_mpii_name_the_entry(build, field):
    entry = dict(
        image='015.jpg', center=[50.0, 40], scale=0.3,
        joints=[[20.0, 30]] * 16, joints_vis=[1] * 16,
    )  # fmt: skip
    people = [dict(entry, image=f'01{i}.jpg') for i in range(4)]
    assert len(build(people, 'MpiiDataset')) == 4
    del people[2][field]
    words = f"cannot read entry 2, of image '012.jpg': .*'{field}'"
    with pytest.raises(checks.AnnotationError, match=words):
        build(people, 'MpiiDataset')


# --- real files ------------------------------------------------------------

REAL = [
    ('AicDataset', 'aic', 'test_aic.json', 9),
    ('AP10KDataset', 'ap10k', 'test_ap10k.json', 2),
    ('APT36KDataset', 'ap10k', 'test_ap10k.json', 2),
    ('CocoDataset', 'coco', 'test_coco.json', 12),
    ('CocoWholeBodyDataset', 'coco', 'test_coco_wholebody.json', 12),
    ('CrowdPoseDataset', 'crowdpose', 'test_crowdpose.json', 4),
    ('MpiiDataset', 'mpii', 'test_mpii.json', 5),
    ('OCHumanDataset', 'ochuman', 'test_ochuman.json', 5),
]


@pytest.mark.parametrize('kind, folder, file, num', REAL)
def test_official_files_pass(shared_dir, lines, kind, folder, file, num):
    dataset = DATASETS.build(
        dict(
            type=kind,
            data_root=str(shared_dir / 'data/real' / folder),
            ann_file=file,
            data_prefix=dict(img=''),
        )
    )
    assert len(dataset) == num
    assert [m for level, m in lines if level == logging.WARNING] == []
