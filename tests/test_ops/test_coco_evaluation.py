"""Evaluation of poses: values by hand, and all numbers of xtcocotools."""

import copy
import json
import re
import warnings

import numpy as np
import pytest
from support.coco_people import KEYS, draw, evaluate

from gtpt_mm.ops import COCO, COCOeval, Params
from gtpt_mm.ops.coco_evaluation import KEYPOINT_KINDS

K = 5
PART_SIGMAS = np.linspace(0.02, 0.11, K)
#: Of all kinds, the drawn people's.
SIGMAS = {kind: PART_SIGMAS for kind in KEYPOINT_KINDS} | {
    'keypoints_wholebody': np.linspace(0.02, 0.11, K * len(KEYS))
}


@pytest.fixture(scope='module')
def stock():
    """xtcocotools' classes; where compat stands for them there are none."""
    try:
        from xtcocotools.coco import COCO as coco
        from xtcocotools.cocoeval import COCOeval as evaluation
    except Exception as error:
        pytest.skip(f'xtcocotools cannot be imported: {error!r}')
    if evaluation is COCOeval:
        pytest.skip('xtcocotools is not installed: compat stands for it')
    return coco, evaluation


@pytest.fixture
def compare(stock, tmp_path, capsys):
    """Return a function that compares all numbers and printed lines."""

    def run(labels, results, *args, **options):
        outcomes = []
        for classes in (stock, (COCO, COCOeval)):
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter('always')
                found = evaluate(
                    *classes, labels, results, tmp_path / 'gt.json', *args,
                    **options,
                )  # fmt: skip
            lines = re.sub(r't=[\d.]+s', 't', capsys.readouterr().out)
            words = {
                str(w.message) for w in caught if w.category is UserWarning
            }
            outcomes.append((found, lines, words))
        (theirs, *said), (ours, *ours_said) = outcomes
        assert said == ours_said
        assert_same(vars(theirs), vars(ours))
        return ours

    return run


def assert_same(theirs: dict, ours: dict) -> None:
    """Compare results of evaluations, bit by bit."""
    assert np.array_equal(theirs['stats'], ours['stats'])
    assert list(theirs['ious']) == list(ours['ious'])
    for key, values in theirs['ious'].items():
        assert np.array_equal(values, ours['ious'][key]), key
    assert len(theirs['evalImgs']) == len(ours['evalImgs'])
    pairs = zip(theirs['evalImgs'], ours['evalImgs'], strict=True)
    for their, our in pairs:
        assert (their is None) == (our is None)
        for key in their or ():
            assert np.array_equal(their[key], our[key]), key
    for key in ('precision', 'recall', 'scores', 'counts'):
        assert np.array_equal(theirs['eval'][key], ours['eval'][key]), key
    assert theirs['score_key'] == ours['score_key']
    assert theirs['anno_file'][:1] == ours['anno_file'][:1]


@pytest.mark.parametrize('kind', KEYPOINT_KINDS)
@pytest.mark.parametrize('use_area', [True, False])
def test_all_numbers_of_xtcocotools(kind, use_area, compare):
    reached = set()
    for seed in range(12):
        labels, results = draw(seed)
        ours = compare(labels, results, kind, SIGMAS[kind], use_area)
        reached |= set(np.round(ours.stats, 3))
    assert len(reached) > 20  # not the same number again and again


@pytest.mark.parametrize('seed', range(4))
def test_crowded_images_and_parameters(seed, compare):
    """More people than detections count, other ranges, one category."""
    labels, results = draw(seed, num_images=3, crowded=40)
    params = dict(
        maxDets=[3, 20],
        iouThrs=np.array([0.3, 0.5, 0.75]),
        recThrs=np.linspace(0, 1, 11),
        catIds=[1],
        imgIds=[image['id'] for image in labels['images'][:2]],
        areaRng=[[0, 1e10], [0, 5000], [5000, 1e10]],
    )
    compare(labels, results, 'keypoints', PART_SIGMAS, params=params)


@pytest.mark.parametrize('kind', ['bbox', 'segm'])
def test_boxes_and_masks(kind, compare):
    labels, results = draw(3, num_images=20)
    for person in labels['annotations']:
        x, y, w, h = person['bbox']
        person['segmentation'] = [[x, y, x, y + h, x + w, y + h, x + w, y]]
    rng = np.random.default_rng(0)
    boxes = [
        dict(
            image_id=person['image_id'],
            category_id=person['category_id'],
            bbox=(np.array(person['bbox']) + rng.normal(0, 3, 4)).tolist(),
            score=float(rng.random()),
        )
        for person in labels['annotations']
    ]
    # Masks are those of pycocotools in both: xtcocotools' want numpy 1.
    assert compare(labels, boxes, kind).stats[0] > 0


@pytest.mark.parametrize(
    'change',
    [
        lambda labels, results: results.clear(),
        lambda labels, results: labels['annotations'].clear(),
        lambda labels, results: [
            a.pop('iscrowd') for a in labels['annotations']
        ],
        lambda labels, results: [
            a.update(category_id=4) for a in labels['annotations']
        ],
        lambda labels, results: [r.update(score=0.5) for r in results],
    ],
    ids=['nothing found', 'nobody', 'no iscrowd', 'one category', 'ties'],
)
@pytest.mark.parametrize('kind', ['keypoints', 'keypoints_crowd'])
def test_edges(kind, change, compare):
    labels, results = draw(1)
    change(labels, results)
    compare(labels, results, kind, PART_SIGMAS)


def as_results(labels: dict, error: float, seed: int = 0) -> list[dict]:
    """Detections: the annotated people, off by so many pixels."""
    rng = np.random.default_rng(seed)
    results = []
    for ann in labels['annotations']:
        found = dict(
            image_id=ann['image_id'],
            category_id=ann['category_id'],
            score=float(rng.choice([0.5, rng.random()])),
        )
        for key in (key for key in KEYS if key in ann):
            points = np.array(ann[key], float).reshape(-1, 3)
            points[:, :2] += error * rng.normal(size=points[:, :2].shape)
            points[:, 2] = 0.5
            found[key] = points.flatten().tolist()
        results.append(found)
    return results


@pytest.mark.parametrize(
    'name, kind, use_area',
    [
        ('real/coco/test_coco', 'keypoints', True),
        ('real/ochuman/test_ochuman', 'keypoints', True),
        ('real/ap10k/test_ap10k', 'keypoints', True),
        ('real/aic/test_aic', 'keypoints', False),
        ('real/crowdpose/test_crowdpose', 'keypoints_crowd', False),
        ('sets/coco_mini/val', 'keypoints', True),
        ('sets/coco_mini/train', 'keypoints', True),
        *(
            ('real/coco/test_coco_wholebody', kind, True)
            for kind in KEYPOINT_KINDS
            if kind != 'keypoints_crowd'
        ),
    ],
)
def test_real_annotations(name, kind, use_area, compare, shared_dir):
    labels = json.loads((shared_dir / f'data/{name}.json').read_text())
    keys = KEYPOINT_KINDS[kind][0]
    number = sum(len(labels['annotations'][0][key]) for key in keys) // 3
    sigmas = np.linspace(0.02, 0.11, number)
    for error in (0, 3, 15):
        results = as_results(labels, error)
        ours = compare(labels, results, kind, sigmas, use_area=use_area)
        assert error or ours.stats[0] > 0.9


# ------------------------------------------------------------ values by hand


def person(number: int, x: float = 0, **other) -> dict:
    """An instance of two keypoints, of area 100."""
    return dict(
        id=number, image_id=1, category_id=1, iscrowd=0, area=5000,
        bbox=[x, 0, 100, 50], keypoints=[x, 0, 2, x + 100, 50, 2],
        num_keypoints=2,
    ) | other  # fmt: skip


def score(people, results, tmp_path, kind='keypoints', **options):
    labels = dict(
        images=[dict(id=1, width=500, height=500)],
        annotations=people,
        categories=[dict(id=1, name='person')],
    )
    sigmas = np.full(2, 0.05)
    path = tmp_path / 'labels.json'
    return evaluate(
        COCO, COCOeval, labels, results, path, kind, sigmas, **options
    )


def found(x: float, score: float = 1.0, **other) -> dict:
    keypoints = [x, 0, 1, x + 100, 50, 1]
    return dict(
        image_id=1, category_id=1, keypoints=keypoints, score=score, **other
    )


def test_oks_of_a_shift(tmp_path):
    """OKS = exp(-d^2 / (2 s^2 k^2)), k twice the sigma."""
    shift = 3.0
    ours = score([person(1)], [found(shift)], tmp_path)
    expected = np.exp(-(shift**2) / (2 * 5000 * 0.1**2))
    assert ours.ious[1, 1] == pytest.approx(expected)
    thresholds = ours.params.iouThrs
    assert ours.stats[0] == pytest.approx((thresholds <= expected).mean())
    # without areas 0.53 of the box
    ours = score([person(1)], [found(shift)], tmp_path, use_area=False)
    expected = np.exp(-(shift**2) / (2 * 0.53 * 5000 * 0.1**2))
    assert ours.ious[1, 1] == pytest.approx(expected)


def test_better_detection_of_two_counts(tmp_path):
    """The second is a false positive: precision is 1 at full recall."""
    people = [person(1), person(2, x=300)]
    results = [found(0, 0.9), found(0, 0.8), found(300, 0.7)]
    ours = score(people, results, tmp_path)
    # recall 0.5 at precision 1, recall 1 at precision 2/3
    assert ours.stats[0] == pytest.approx((51 * 1 + 50 * 2 / 3) / 101)
    assert ours.stats[5] == 1
    assert ours.stats_names == [
        'AP', 'AP .5', 'AP .75', 'AP (M)', 'AP (L)', 'AR', 'AR .5', 'AR .75',
        'AR (M)', 'AR (L)',
    ]  # fmt: skip


def test_person_of_id_0_can_be_found(tmp_path):
    """pycocotools takes a match with id 0 for none."""
    assert score([person(0)], [found(0)], tmp_path).stats[0] == 1


def test_detections_in_a_crowd_do_not_count(tmp_path):
    crowd = person(2, x=300, iscrowd=1, keypoints=[0] * 6, num_keypoints=0)
    results = [found(0, 0.5), found(300, 0.9), found(310, 0.8)]
    assert score([person(1), crowd], results, tmp_path).stats[0] == 1
    ordinary = person(2, x=300, iscrowd=0)
    results = [found(0, 0.5), found(200, 0.9)]
    assert score([person(1), ordinary], results, tmp_path).stats[0] < 0.5


def test_parts_have_their_own_scores(tmp_path):
    """The foot's score decides in the evaluation of feet."""
    feet = dict(foot_kpts=[0, 0, 2, 9, 9, 2])
    near = found(0, 0.1, foot_kpts=[0, 0, 1, 9, 9, 1], foot_score=0.9)
    far = found(0, 0.9, foot_kpts=[400, 0, 1, 9, 409, 1], foot_score=0.1)
    kind = 'keypoints_foot'
    ours = score([person(1, **feet)], [near, far], tmp_path, kind=kind)
    assert ours.stats[0] == 1
    for part in (near, far):
        del part['foot_score']
    with pytest.warns(UserWarning, match="'foot_score' not found"):
        ours = score([person(1, **feet)], [near, far], tmp_path, kind=kind)
    assert ours.stats[0] == pytest.approx(0.5)


def test_levels_of_crowds(tmp_path):
    images = [
        dict(id=i, width=9, height=9, crowdIndex=crowd)
        for i, crowd in ((1, 0.1), (2, 0.2), (3, 0.8))
    ]
    labels = dict(
        images=images,
        annotations=[person(i, image_id=i) for i in (1, 2, 3)],
        categories=[dict(id=1, name='person')],
    )
    results = [found(0) | dict(image_id=i) for i in (1, 3)]
    path = tmp_path / 'labels.json'
    kind = 'keypoints_crowd'
    ours = evaluate(
        COCO, COCOeval, labels, results, path, kind, np.full(2, 0.05)
    )
    names = dict(zip(ours.stats_names, ours.stats, strict=True))
    assert [names[f'AP({level})'] for level in 'EMH'] == [1, 0, 1]
    assert list(names)[:6] == [
        'AP', 'AP .5', 'AP .75', 'AR', 'AR .5', 'AR .75',
    ]  # fmt: skip


def test_unknown_kind_is_named():
    with pytest.raises(ValueError, match="'keypoints_feet'.*keypoints_foot"):
        COCOeval(iouType='keypoints_feet')
    assert Params('keypoints_crowd').maxDets == [20]


def test_summary_wants_an_evaluation():
    with pytest.raises(RuntimeError, match='accumulate'):
        COCOeval().summarize()


# --------------------------------------------------------------------- files


def test_files_as_xtcocotools_reads_them(stock, tmp_path):
    labels, results = draw(2)
    for image in labels['images']:
        image['id'] = f'picture {image["id"]}'
    for ann in labels['annotations']:
        ann['image_id'] = f'picture {ann["image_id"]}'
        ann.pop('iscrowd')
    path = tmp_path / 'labels.json'
    path.write_text(json.dumps(labels))
    for options in (
        {},
        dict(test_index=[0, 2]),
        dict(ann_data=copy.deepcopy(labels)),
    ):
        theirs, ours = (
            kind(str(path), **copy.deepcopy(options))
            for kind in (stock[0], COCO)
        )
        assert theirs.dataset == ours.dataset
        assert theirs.anno_file == ours.anno_file
        area = sorted(a['area'] for a in labels['annotations'])
        for name, arguments in (
            ('getImgIds', [labels['images'][0]['id']]),
            ('getAnnIds', [labels['images'][0]['id'], [], area[::3][:2]]),
            ('getAnnIds', [[], 1, [area[1], area[-1]], False]),
            ('getCatIds', ['4']),
            ('loadImgs', [labels['images'][0]['id']]),
            ('loadAnns', [0]),
            ('loadCats', [[1, 4]]),
        ):
            their, our = (getattr(c, name)(*arguments) for c in (theirs, ours))
            assert their == our, name
        empty = ours.loadRes([])
        assert empty.dataset == theirs.loadRes([]).dataset
        assert isinstance(empty, COCO)


def test_results_from_a_file(tmp_path):
    labels, results = draw(2)
    path, found = tmp_path / 'labels.json', tmp_path / 'results.json'
    path.write_text(json.dumps(labels))
    found.write_text(json.dumps(results))
    truth = COCO(str(path))
    loaded = truth.loadRes(str(found))
    assert truth.anno_file == [str(path), str(found)]
    given = truth.loadRes('no file', resData=copy.deepcopy(results))
    assert loaded.dataset['annotations'] == given.dataset['annotations']
    assert len(loaded.dataset['annotations']) == len(results)
    with pytest.raises(AssertionError, match='do not correspond'):
        truth.loadRes([dict(image_id='nowhere')])
