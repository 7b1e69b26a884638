"""CocoMetric with annotation files as users write them."""

import copy
import json
import logging

import numpy as np
import pytest
from mmengine.registry import init_default_scope
from mmpose.registry import METRICS

K = 5
META = dict(dataset_name='five', num_keypoints=K, sigmas=np.full(K, 0.05))
NUM_PEOPLE = 6


@pytest.fixture(autouse=True)
def _scope():
    init_default_scope('mmpose')


@pytest.fixture
def warnings(monkeypatch):
    words: list[str] = []

    def note(message, logger=None, level=logging.INFO):
        if level == logging.WARNING:
            words.append(message)

    monkeypatch.setattr('mmengine.logging.print_log', note)
    return words


def make_labels() -> dict:
    """A person in each of six images, of category 1."""
    rng = np.random.default_rng(0)
    people = []
    for number in range(1, NUM_PEOPLE + 1):
        points = np.full((K, 3), 2.0)
        points[:, :2] = rng.uniform(20, 120, (K, 2))
        people.append(
            dict(
                id=number,
                image_id=number,
                category_id=1,
                bbox=[15.0, 15.0, 110.0, 110.0],
                area=0.53 * 110 * 110,
                iscrowd=0,
                num_keypoints=K,
                keypoints=points.flatten().tolist(),
            )
        )
    images = [
        dict(id=p['id'], file_name='', width=140, height=140) for p in people
    ]
    return dict(
        images=images,
        annotations=people,
        categories=[dict(id=1, name='starfish')],
    )


@pytest.fixture
def score(tmp_path):
    """Return a function: AP of predictions, of a file that was changed.

    Predictions are the annotations, off by so many pixels, without a
    category, as from Group Pose.
    """

    def run(change=None, error=0.0, meta=META, drop=(), **options):
        labels = make_labels()
        people = copy.deepcopy(labels['annotations'])
        if change:
            change(labels)
        path = tmp_path / 'labels.json'
        path.write_text(json.dumps(labels))
        metric = METRICS.build(
            dict(type='CocoMetric', ann_file=str(path), **options)
        )
        metric.dataset_meta = meta
        images = [image['id'] for image in labels['images']]
        predict(metric, people, images, error, drop)
        return metric.evaluate(NUM_PEOPLE)

    return run


def predict(metric, people, images, error=0.0, drop=()) -> None:
    for person, image in zip(people, images, strict=True):
        points = np.array(person['keypoints'], float).reshape(1, -1, 3)
        if person['id'] in drop:
            points = points[:0]
        found = dict(
            keypoints=points[..., :2] + error,
            keypoint_scores=np.ones(points.shape[:2]),
            bbox_scores=np.ones(len(points)),
        )
        sample = dict(
            id=[person['id']], img_id=image, pred_instances=found,
            gt_instances={},
        )  # fmt: skip
        metric.process(None, [sample])


def set_category(number):
    def change(labels):
        labels['categories'][0]['id'] = number
        for ann in labels['annotations']:
            ann['category_id'] = number

    return change


@pytest.mark.parametrize('number', [0, 1, 7, '7', 'star'])
def test_any_category_counts(number, score):
    """With any but 1 the AP was 0."""
    assert score(set_category(number))['coco/AP'] == pytest.approx(1)
    wrong = score(set_category(number), error=100)
    assert wrong['coco/AP'] == 0


def test_people_of_several_categories_are_evaluated_as_one(score, warnings):
    def change(labels):
        labels['categories'] += [dict(id=i, name=str(i)) for i in (2, 9)]
        for ann in labels['annotations'][::2]:
            ann['category_id'] = 2

    assert score(change)['coco/AP'] == pytest.approx(1)
    assert '[1, 2]' in warnings[0]
    found = score(change, drop=[1, 2, 3])
    assert found['coco/AR'] == pytest.approx(0.5)


def test_categories_that_nobody_has_do_not_matter(score, warnings):
    def change(labels):
        labels['categories'].insert(0, dict(id=0, name='car'))

    assert score(change)['coco/AP'] == pytest.approx(1)
    assert not warnings


def test_category_of_a_sample_is_kept(tmp_path):
    """As of top-down models: not overwritten by the one of the file."""
    labels = make_labels()
    labels['categories'].append(dict(id=2, name='other'))
    labels['annotations'][0]['category_id'] = 2
    path = tmp_path / 'labels.json'
    path.write_text(json.dumps(labels))
    metric = METRICS.build(dict(type='CocoMetric', ann_file=str(path)))
    metric.dataset_meta = META
    for person in labels['annotations']:
        points = np.array(person['keypoints']).reshape(1, -1, 3)
        found = dict(
            keypoints=points[..., :2], keypoint_scores=np.ones((1, K))
        )
        sample = dict(
            id=person['id'], img_id=person['image_id'], pred_instances=found,
            gt_instances={}, category_id=np.array(1),
        )  # fmt: skip
        metric.process(None, [sample])
    # The first person is missed in category 2 and wrong in category 1.
    assert metric.evaluate(NUM_PEOPLE)['coco/AP'] == pytest.approx(5 / 12)


@pytest.mark.parametrize(
    'key', ['area', 'iscrowd', 'num_keypoints', 'category_id', 'categories']
)
def test_what_is_missing_is_filled(key, score, warnings):
    """The area as the datasets do, 0.53 of the box: not near 1 or 0."""

    def change(labels):
        labels.pop('categories' if key == 'category_id' else key, None)
        for ann in labels['annotations']:
            ann.pop(key, None)

    whole = score(error=5)
    assert 0.05 < whole['coco/AP'] < 0.95
    assert score(change, error=5) == whole
    assert bool(warnings) == (key == 'area')


def test_null_area_is_missing_and_words_are_refused(score, warnings):
    def change(area):
        def set_area(labels):
            labels['annotations'][2]['area'] = area

        return set_area

    assert score(change(None), error=5) == score(error=5)
    assert '1 of 6' in warnings[0]
    words = r'labels.json cannot(?s:.*)area .*numbers.*: big of annotation 3'
    with pytest.raises(ValueError, match=words):
        score(change('big'))


def test_area_of_0_is_filled_and_warned_of_before_the_run(score, warnings):
    """With it only an exact hit would count."""

    def change(labels):
        for ann in labels['annotations'][1:]:
            ann['area'] = 0

    whole = score(error=5)
    assert score(change, error=5) == whole
    [words] = warnings
    assert '5 of 6 annotations have no area above 0' in words
    assert (
        score(change, error=5, use_area=False)['coco/AP'] == whole['coco/AP']
    )
    assert len(warnings) == 1


def test_ids_may_be_strings(score):
    def change(images, anns):
        def set_ids(labels):
            for image, ann in zip(
                labels['images'], labels['annotations'], strict=True
            ):
                image['id'] = images(image['id'])
                ann['image_id'] = images(ann['image_id'])
                ann['id'] = anns(ann['id'])

        return set_ids

    whole = score(error=5)
    for images in (str, 'img{}'.format, '{:06d}'.format, int):
        for anns in (str, 'a{}'.format):
            assert score(change(images, anns), error=5) == whole

    def mixed(labels):  # images of numbers, annotations of words
        for ann in labels['annotations']:
            ann['image_id'] = str(ann['image_id'])

    assert score(mixed, error=5) == whole


def test_samples_may_have_numbers_for_words(tmp_path):
    """Whether or not the dataset made numbers of the ids."""
    labels = make_labels()
    people = copy.deepcopy(labels['annotations'])
    for image, ann in zip(
        labels['images'], labels['annotations'], strict=True
    ):
        ann['image_id'] = image['id'] = f'{image["id"]:04d}'
    path = tmp_path / 'labels.json'
    path.write_text(json.dumps(labels))
    metric = METRICS.build(dict(type='CocoMetric', ann_file=str(path)))
    metric.dataset_meta = META
    predict(metric, people, range(1, NUM_PEOPLE + 1))
    assert metric.evaluate(NUM_PEOPLE)['coco/AP'] == pytest.approx(1)


@pytest.mark.parametrize('key', ['bbox', 'keypoints'])
def test_people_whom_datasets_drop_do_not_count(key, score, warnings):
    def change(labels):
        del labels['annotations'][0][key]

    for drop in ([], [1]):
        assert score(change, drop=drop)['coco/AP'] == pytest.approx(1)
    assert '1 of 6' in warnings[0]
    assert score(change, drop=[1, 2])['coco/AR'] == pytest.approx(0.8)


@pytest.mark.parametrize(
    ('part', 'key', 'entry'),
    [
        ('annotations', 'image_id', 'annotation 4'),
        ('images', 'id', "entry 3, {.*'width': 140"),
        ('categories', 'id', "{'name': 'starfish'}"),
    ],
)
def test_entries_without_an_id_are_named(part, key, entry, score):
    def change(labels):
        del labels[part][-3 if len(labels[part]) > 1 else 0][key]

    words = rf'labels.json cannot(?s:.*)- {part} without {key}: {entry}'
    with pytest.raises(ValueError, match=words):
        score(change)


def test_annotations_without_an_id_are_numbered(score):
    def change(labels):
        del labels['annotations'][3]['id']

    assert score(change, error=5) == score(error=5)


def test_crowdpose_needs_its_index(score):
    def change(labels):
        for image in labels['images'][1:]:
            image['crowdIndex'] = 0.5

    options = dict(iou_type='keypoints_crowd')
    with pytest.raises(ValueError, match='1 of 6 images.*crowdIndex'):
        score(change, **options)

    def complete(labels):
        change(labels)
        labels['images'][0]['crowdIndex'] = 0.9
        del labels['annotations'][0]['num_keypoints']

    found = score(complete, **options)
    assert found['coco/AP(M)'] == found['coco/AP(H)'] == pytest.approx(1)


@pytest.mark.parametrize(
    ('meta', 'words'),
    [
        (dict(sigmas=[0.05] * 17), '17 sigmas for 5 keypoints'),
        (dict(sigmas=[]), '0 sigmas for 5 keypoints'),
        (
            dict(sigmas=[0.05] * 3, num_keypoints=3),
            'annotation 1 has 5 keypoints, the metainfo.*has 3',
        ),
    ],
)
def test_lengths_are_compared_before_the_run(meta, words, score):
    with pytest.raises(ValueError, match=words):
        score(meta=META | meta)


def test_nobody_found_is_an_ap_of_0(score):
    assert score(drop=range(7))['coco/AP'] == 0


@pytest.mark.parametrize('meta_is_converted', [True, False])
def test_annotations_are_converted_once(tmp_path, meta_is_converted):
    """In stock a second validation would convert them again."""
    mapping = [(4, 0), (0, 2), ((1, 3), 1)]
    labels = make_labels()
    path = tmp_path / 'labels.json'
    path.write_text(json.dumps(labels))
    metric = METRICS.build(
        dict(
            type='CocoMetric',
            ann_file=str(path),
            gt_converter=dict(num_keypoints=3, mapping=mapping),
        )
    )
    sigmas = np.array([0.01, 0.02, 0.03, 0.04, 0.05])
    meta = META | dict(sigmas=sigmas)
    if meta_is_converted:
        meta = META | dict(sigmas=[0.05, 0.03, 0.01], num_keypoints=3)
    for person in labels['annotations']:
        old = np.array(person['keypoints']).reshape(-1, 3)
        new = np.stack([old[4], (old[1] + old[3]) / 2, old[0]])
        person['keypoints'] = new.flatten().tolist()
    for _ in range(2):
        metric.dataset_meta = meta
        predict(metric, labels['annotations'], range(1, NUM_PEOPLE + 1))
        assert metric.evaluate(NUM_PEOPLE)['coco/AP'] == pytest.approx(1)
        np.testing.assert_allclose(
            metric.dataset_meta['sigmas'], [0.05, 0.03, 0.01]
        )
    assert len(meta['sigmas']) == (3 if meta_is_converted else 5)


@pytest.mark.parametrize('name', [int, 'img{}'.format])
def test_annotations_of_samples_are_completed(name):
    """Without a file, from what the samples carry."""
    metric = METRICS.build(dict(type='CocoMetric'))
    metric.dataset_meta = META | dict(dataset_name='without_a_file')
    for person in make_labels()['annotations']:
        points = np.array(person['keypoints']).reshape(1, -1, 3)
        raw = {
            key: person[key] for key in ('id', 'image_id', 'bbox', 'keypoints')
        }
        raw['image_id'] = name(person['image_id'])
        sample = dict(
            id=person['id'],
            img_id=raw['image_id'],
            ori_shape=(140, 140),
            raw_ann_info=[raw | dict(category_id=7)],
            pred_instances=dict(
                keypoints=points[..., :2], keypoint_scores=np.ones((1, K))
            ),
            gt_instances={},
        )
        metric.process(None, [sample])
    assert metric.evaluate(NUM_PEOPLE)['coco/AP'] == pytest.approx(1)


def test_whole_bodies_of_any_category(tmp_path):
    """The classes that derive from CocoMetric have the promise, too."""
    sizes = dict(
        keypoints=17, foot_kpts=6, face_kpts=68, lefthand_kpts=21,
        righthand_kpts=21,
    )  # fmt: skip
    labels = make_labels()
    set_category(7)(labels)
    rng = np.random.default_rng(1)
    whole = []
    for person in labels['annotations']:
        points = np.full((133, 3), 2.0)
        points[:, :2] = rng.uniform(20, 120, (133, 2))
        parts = np.split(points, np.cumsum(list(sizes.values()))[:-1])
        for key, part in zip(sizes, parts, strict=True):
            person[key] = part.flatten().tolist()
        whole.append(person | dict(keypoints=points.flatten().tolist()))
        del person['area']
    path = tmp_path / 'labels.json'
    path.write_text(json.dumps(labels))
    metric = METRICS.build(
        dict(type='CocoWholeBodyMetric', ann_file=str(path))
    )
    metric.dataset_meta = dict(
        dataset_name='whole', num_keypoints=133, sigmas=np.full(133, 0.05)
    )
    for error, expected in ((0, 1), (100, 0)):
        predict(metric, whole, range(1, NUM_PEOPLE + 1), error)
        found = metric.evaluate(NUM_PEOPLE)
        assert found['coco-wholebody/AP'] == pytest.approx(expected)
