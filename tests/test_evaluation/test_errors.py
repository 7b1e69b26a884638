"""Errors by kind: each is planted and comes back, with the right AP."""

import contextlib
import copy
import io
import json
import time

import numpy as np
import pytest
from mmpose.datasets.datasets.utils import parse_pose_metainfo
from mmpose.evaluation.functional import keypoint_pck_accuracy
from mmpose.registry import DATASETS
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from support.planted_errors import PlantedSet

from gtpt_mm.apis.analysis import Analysis, analyze_results
from gtpt_mm.evaluation.errors import ERRORS, KINDS
from gtpt_mm.evaluation.errors.calibration import calibrate
from gtpt_mm.ops import COCO as WholeCOCO
from gtpt_mm.ops import COCOeval as WholeEval
from gtpt_mm.ops.coco_evaluation import KEYPOINT_KINDS

PARTS = KEYPOINT_KINDS['keypoints_wholebody'][0][1:]
NONE = dict.fromkeys(ERRORS, 0)


def analyze(planted: PlantedSet) -> Analysis:
    return analyze_results(planted.truth, planted.results, planted.metainfo)


def evaluate(truth, results, tmp_path, sigmas=None) -> float:
    """Return AP of pycocotools."""
    path = tmp_path / 'gt.json'
    path.write_text(json.dumps(truth))
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO(str(path))
        found = COCOeval(
            coco, coco.loadRes(copy.deepcopy(results)), 'keypoints'
        )
        if sigmas is not None:
            found.params.kpt_oks_sigmas = np.array(sigmas)
        found.evaluate()
        found.accumulate()
        found.summarize()
    return found.stats[0]


def plant_all(planted: PlantedSet) -> dict[str, int]:
    """Plant different numbers of each kind; return them."""
    for n in (0, 1, 2, 3, 4):
        planted.shift(n, 9, 0.7)
    for n in (1, 5):
        planted.invert(n, 7, 0.9)
    for n in (6, 9, 12):
        planted.swap(n, n + 1, 13, 0.8)
    for n in (0, 7, 8, 10):
        planted.shift(n, 0, 0.2)
    planted.add_prediction(11, 0.5, (3, 0))  # duplicates
    planted.add_prediction(14, 0.5, (3, 0))
    for n in (2, 4, 15):  # in the background
        planted.add_prediction(n, 0.895, (300, 0))
    planted.add_prediction(16, 0.95, (4, 0))  # worse, with a higher score
    del planted.results[20:22]
    return dict(
        jitter=5, inversion=2, swap=3, miss=4, score=1, duplicate=3,
        background_false_positive=3, false_negative=2,
    )  # fmt: skip


def test_perfect_predictions_have_no_errors():
    analysis = analyze(PlantedSet())
    assert analysis.diagnosis.count() == NONE
    assert analysis.ap == 1
    assert analysis.pck == 1
    assert all(row['good'] == row['labelled'] == 24
               for row in analysis.per_keypoint)  # fmt: skip


@pytest.mark.parametrize(
    ('similarity', 'kind'),
    [(0.851, 'good'), (0.849, 'jitter'), (0.501, 'jitter'), (0.499, 'miss')],
)
@pytest.mark.parametrize('keypoint', [0, 11])
def test_similarity_tells_good_jitter_and_miss(similarity, kind, keypoint):
    planted = PlantedSet()
    planted.shift(4, keypoint, similarity)
    analysis = analyze(planted)
    expected = {'good': NONE}.get(kind, NONE | {kind: 1})
    assert analysis.diagnosis.count() == expected
    assert KINDS[analysis.kinds[4, keypoint]] == kind


@pytest.mark.parametrize(('similarity', 'kind'),
                         [(0.51, 'inversion'), (0.49, 'miss')])  # fmt: skip
def test_inversion_is_near_the_other_side(similarity, kind):
    planted = PlantedSet()
    planted.invert(3, 11, similarity)
    assert analyze(planted).diagnosis.count() == NONE | {kind: 1}


@pytest.mark.parametrize(('similarity', 'kind'),
                         [(0.51, 'swap'), (0.49, 'miss')])  # fmt: skip
def test_swap_is_near_another_instance(similarity, kind):
    planted = PlantedSet()
    planted.swap(3, 5, 6, similarity)
    assert analyze(planted).diagnosis.count() == NONE | {kind: 1}


def test_swap_may_be_with_the_other_side_of_another():
    planted = PlantedSet()
    planted.move(3, 5, planted.point(4, 6))
    assert analyze(planted).diagnosis.count() == NONE | dict(swap=1)


def test_keypoints_without_another_side_are_not_inverted():
    planted = PlantedSet()
    planted.move(3, 0, planted.point(3, 11))  # the nose at a hip
    assert analyze(planted).diagnosis.count() == NONE | dict(miss=1)


def test_the_nearest_keypoint_decides_but_a_good_one_is_good():
    planted = PlantedSet()
    for similarity, kind in ((0.9, 'good'), (0.8, 'inversion')):
        # The other side is labelled exactly where this one is predicted.
        planted.shift(0, 7, similarity)
        values = planted.truth['annotations'][0]['keypoints']
        values[24:26] = planted.predicted(0, 7).tolist()
        analysis = analyze(planted)
        assert KINDS[analysis.kinds[0, 7]] == kind


def test_unlabelled_keypoints_have_no_error():
    planted = PlantedSet()
    planted.shift(0, 9, 0.01)
    planted.truth['annotations'][0]['keypoints'][29] = 0
    analysis = analyze(planted)
    assert analysis.diagnosis.count() == NONE
    assert analysis.per_keypoint[9]['labelled'] == 23


@pytest.mark.parametrize('kind', ['jitter', 'inversion', 'swap', 'miss'])
def test_corrections_end_where_the_paper_says(kind):
    planted = PlantedSet()
    plant = dict(
        jitter=lambda: planted.shift(2, 9, 0.6),
        inversion=lambda: planted.invert(2, 9, 0.7),
        swap=lambda: planted.swap(2, 1, 9, 0.65),
        miss=lambda: planted.shift(2, 9, 0.1),
    )
    plant[kind]()
    corrected = analyze(planted).correct([kind])[1]
    similarity = dict(jitter=0.85, inversion=0.7, swap=0.65, miss=0.5)[kind]
    before = planted.predicted(2, 9)
    planted.results = corrected
    target, after = planted.point(2, 9), planted.predicted(2, 9)
    length = np.linalg.norm(after - target)
    assert length == pytest.approx(planted.distance(9, similarity))
    direction = (before - target) / np.linalg.norm(before - target)
    np.testing.assert_allclose((after - target) / length, direction)


def test_counts_of_everything_at_once():
    planted = PlantedSet()
    expected = plant_all(planted)
    analysis = analyze(planted)
    assert analysis.diagnosis.count() == expected
    rows = {row['keypoint']: row for row in analysis.per_keypoint}
    # Two instances are not found, of 24 labelled ones.
    assert {row['not_found'] for row in rows.values()} == {2}
    assert rows['left_wrist']['jitter'] == 5
    assert rows['left_elbow']['inversion'] == 2
    assert rows['left_knee']['swap'] == 3
    assert rows['nose']['miss'] == 4
    assert rows['nose']['good'] == 24 - 2 - 4


@pytest.mark.parametrize('errors', [*([name] for name in ERRORS), ERRORS])
def test_ap_without_errors_is_that_of_the_corrected_files(tmp_path, errors):
    planted = PlantedSet()
    plant_all(planted)
    analysis = analyze(planted)
    assert analysis.ap == pytest.approx(
        evaluate(planted.truth, planted.results, tmp_path), abs=1e-12
    )
    row = {row['error']: row for row in analysis.per_error}[errors[-1]]
    key = 'ap_without' if len(errors) == 1 else 'ap_cumulative'
    expected = evaluate(*analysis.correct(errors), tmp_path)
    assert row[key] == pytest.approx(expected, abs=1e-12)
    assert row[key] >= analysis.ap


def test_corrections_add_up():
    planted = PlantedSet()
    plant_all(planted)
    analysis = analyze(planted)
    together = [row['ap_cumulative'] for row in analysis.per_error]
    assert together == sorted(together)
    assert analysis.ap < together[0]
    assert together[-1] == 1


def test_removing_what_is_planted_is_the_correction(tmp_path):
    planted = PlantedSet()
    for n in (2, 4, 15):
        planted.add_prediction(n, 0.95, (300, 0))
    del planted.results[20:22]
    analysis = analyze(planted)
    rows = {row['error']: row for row in analysis.per_error}
    without = [r for r in planted.results if r['score'] != 0.95]
    alone = rows['background_false_positive']['ap_without']
    assert alone == pytest.approx(evaluate(planted.truth, without, tmp_path))
    truth = copy.deepcopy(planted.truth)
    del truth['annotations'][20:22]
    alone = rows['false_negative']['ap_without']
    assert alone == pytest.approx(evaluate(truth, planted.results, tmp_path))
    assert rows['false_negative']['ap_cumulative'] == 1


def test_best_scores_rank_by_oks(tmp_path):
    planted = PlantedSet()
    for n in (0, 8, 16):
        planted.add_prediction(n, 0.95, (9, 0))
    analysis = analyze(planted)
    assert analysis.diagnosis.count()['score'] == 3
    _, results = analysis.correct(['score'])
    assert [r['score'] for r in results] == pytest.approx(24 * [1] + 3 * [0])
    assert {row['error']: row for row in analysis.per_error}['score'][
        'ap_without'
    ] == pytest.approx(1)
    assert analysis.ap < 1


def test_crowds_are_no_errors():
    planted = PlantedSet()
    crowd = copy.deepcopy(planted.truth['annotations'][0])
    crowd |= dict(id=99, iscrowd=1, num_keypoints=0, keypoints=[0] * 51)
    crowd['bbox'] = [300, 50, 100, 400]
    planted.truth['annotations'].append(crowd)
    planted.add_prediction(0, 0.95, (260, 0))  # within the doubled box
    assert analyze(planted).diagnosis.count() == NONE


def test_pck_is_that_of_mmpose():
    """Also of predictions that are too bad for OKS 0.1."""
    planted = PlantedSet()
    rng = np.random.default_rng(0)
    for n in range(24):
        for k in range(17):
            spread = 20 if n % 2 else 60
            noise = rng.normal(size=2) * spread
            planted.move(n, k, planted.point(n, k) + noise)
            if rng.random() < 0.3:
                planted.truth['annotations'][n]['keypoints'][3 * k + 2] = 0
    analysis = analyze(planted)
    labels = np.array(
        [a['keypoints'] for a in planted.truth['annotations']]
    ).reshape(-1, 17, 3)
    found = np.array([r['keypoints'] for r in planted.results])
    accuracies, pck, _ = keypoint_pck_accuracy(
        found.reshape(-1, 17, 3)[..., :2],
        labels[..., :2].astype(float),
        labels[..., 2] > 0,
        0.1,
        np.full((24, 2), 400.0),
    )
    assert analysis.diagnosis.count()['false_negative'] > 0
    assert 0.3 < pck < 0.9
    assert analysis.pck == pytest.approx(pck)
    ours = [row['pck'] for row in analysis.per_keypoint]
    np.testing.assert_allclose(ours, accuracies)
    curve = {round(r['distance'], 2): r['pck'] for r in analysis.curves['pck']}
    assert curve[0.1] == pytest.approx(pck)


def test_groups_of_instances():
    planted = PlantedSet()
    for n, ann in enumerate(planted.truth['annotations'][:6]):
        ann['area'] = (31, 32, 63, 64, 127, 128)[n] ** 2
    anns = planted.truth['annotations']
    for n, labelled in enumerate((1, 5, 6, 10, 11, 15, 16)):
        points = np.array(anns[n]['keypoints']).reshape(17, 3)
        points[labelled:, 2] = 0
        anns[n]['keypoints'] = points.ravel().tolist()
    anns[1]['bbox'] = [*anns[0]['bbox'][:2], 300, 400]  # IoU 2/3
    groups = analyze(planted).per_group
    assert {r['group']: r['instances'] for r in groups['size']} == {
        'below 32 px': 1, '32 to 64 px': 2, '64 to 96 px': 1,
        '96 to 128 px': 1, 'from 128 px': 19,
    }  # fmt: skip
    assert {
        r['group']: r['instances'] for r in groups['labelled_keypoints']
    } == {'1 to 5': 2, '6 to 10': 2, '11 to 15': 2, '16 to 17': 18}
    assert {r['group']: r['instances'] for r in groups['crowding']} == {
        '0': 22, '1 to 2': 2,
    }  # fmt: skip
    assert all(r['recall'] == 1 for rows in groups.values() for r in rows)


def test_calibration():
    scores = np.array([0.05, 0.05, 0.95, 0.95, 1.0])
    outcomes = np.array([0.0, 1.0, 1.0, 1.0, 1.0])
    found = calibrate(scores, outcomes)
    assert [row['count'] for row in found['bins']] == [2] + 8 * [0] + [3]
    assert found['bins'][0]['outcome'] == 0.5
    gaps = 2 * abs(0.05 - 0.5) + 3 * abs(2.9 / 3 - 1)
    assert found['error'] == pytest.approx(gaps / 5)
    assert found['outside'] == 0
    # Ranks 1.5, 1.5, 3.5, 3.5, 5 and 1, 3.5, 3.5, 3.5, 3.5.
    assert found['correlation'] == pytest.approx(3.75 / (9 * 5) ** 0.5)
    planted = PlantedSet()
    planted.shift(0, 9, 0.001)
    analysis = analyze(planted)
    keypoints = analysis.calibration['keypoint_scores']['bins'][8]
    assert keypoints['score'] == pytest.approx(0.8)
    instances = analysis.calibration['instance_scores']
    assert sum(row['count'] for row in instances['bins']) == 24


def test_worst_come_first():
    planted = PlantedSet()
    planted.shift(5, 9, 0.001)
    planted.results = [r for n, r in enumerate(planted.results) if n != 7]
    first, second, third = analyze(planted).worst(3)
    assert (first.gt['id'], first.prediction, first.oks) == (8, None, 0)
    assert second.gt['id'] == 6
    assert second.oks == pytest.approx(16.001 / 17, abs=1e-6)
    assert second.prediction is planted.results[5]
    assert str(second.image) == '2.jpg'
    assert third.oks == pytest.approx(1)


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        (lambda r: r[3].pop('score'), 'number 3 has score None'),
        (lambda r: r[3].update(score=float('nan')), 'not finite'),
        (lambda r: r[3].update(image_id=77), 'image_id 77, which the annot'),
        (lambda r: r[3].update(category_id=9), 'category_id 9'),
        (lambda r: r[3]['keypoints'].pop(), 'number 3 has 50 numbers'),
        (lambda r: r[3]['keypoints'].__setitem__(0, float('inf')),
         'number 3 has keypoints that are not finite'),
    ],
)  # fmt: skip
def test_malformed_results_are_named(change, message):
    planted = PlantedSet()
    change(planted.results)
    with pytest.raises(ValueError, match=message):
        analyze(planted)


def test_nothing_annotated_is_an_error():
    planted = PlantedSet(images=1)
    for ann in planted.truth['annotations']:
        ann['keypoints'][2::3] = [0] * 17
    with pytest.raises(ValueError, match='none of the 3 annotations has'):
        analyze(planted)


def test_no_predictions():
    planted = PlantedSet()
    planted.results = []
    analysis = analyze(planted)
    assert analysis.ap == 0
    assert analysis.diagnosis.count() == NONE | dict(false_negative=24)
    numbers = analysis.to_dict()
    assert numbers['per_keypoint'][0]['error'] is None
    assert numbers['errors'][-1]['ap_without'] is None


def disturb(truth: dict, seed: int = 0) -> list[dict]:
    """Return labelled instances with noise, some twice, some not."""
    rng = np.random.default_rng(seed)
    results = []
    for ann in truth['annotations']:
        for _ in range(rng.choice([0, 1, 1, 1, 2])):
            found = dict(image_id=ann['image_id'], score=float(rng.random()))
            found['category_id'] = ann['category_id']
            for key in ('keypoints', *PARTS):
                if key in ann:
                    points = np.array(ann[key], float).reshape(-1, 3)
                    noise = rng.normal(size=points[:, :2].shape)
                    points[:, :2] += 0.05 * ann['area'] ** 0.5 * noise
                    points[:, 2] = 0.1 + 0.8 * rng.random(len(points))
                    found[key] = points.ravel().tolist()
            results.append(found)
    return results


@pytest.mark.parametrize(
    ('name', 'dataset'),
    [
        ('sets/coco_mini/train.json', 'CocoDataset'),
        ('sets/coco_mini/val.json', 'CocoDataset'),
        ('sets/lspet_sub/val.json', 'CrowdPoseDataset'),
        ('real/coco/test_coco.json', 'CocoDataset'),
        ('real/ap10k/test_ap10k.json', 'AP10KDataset'),
    ],
)
def test_ap_of_real_annotations(shared_dir, tmp_path, name, dataset):
    path = shared_dir / 'data' / name
    metainfo = parse_pose_metainfo(DATASETS.get(dataset).METAINFO)
    truth = json.loads(path.read_text())
    del truth['annotations'][150:]  # enough, and quick
    for ann in truth['annotations']:
        ann.setdefault('keypoints', [0] * 3 * metainfo['num_keypoints'])
        ann.setdefault('num_keypoints', 0)
    results = disturb(truth)
    analysis = analyze_results(truth, results, metainfo)
    sigmas = metainfo['sigmas']
    expected = evaluate(truth, results, tmp_path, sigmas)
    assert 0.1 < expected < 0.99
    assert analysis.ap == pytest.approx(expected, abs=1e-12)
    for row in analysis.per_error:
        alone = evaluate(*analysis.correct([row['error']]), tmp_path, sigmas)
        assert row['ap_without'] == pytest.approx(alone, abs=1e-12)


@pytest.mark.filterwarnings("ignore:'wholebody_score' not found")
def test_ap_of_whole_bodies(shared_dir, tmp_path):
    path = shared_dir / 'data/real/coco/test_coco_wholebody.json'
    dataset = DATASETS.get('CocoWholeBodyDataset')
    metainfo = parse_pose_metainfo(dataset.METAINFO)
    truth = json.loads(path.read_text())
    results = disturb(truth)
    analysis = analyze_results(truth, results, metainfo)
    with contextlib.redirect_stdout(io.StringIO()):
        coco = WholeCOCO(str(path))
        found = WholeEval(
            coco, coco.loadRes(copy.deepcopy(results)),
            'keypoints_wholebody', np.array(metainfo['sigmas']),
        )  # fmt: skip
        found.evaluate()
        found.accumulate()
        found.summarize()
    assert 0.1 < found.stats[0] < 0.99
    assert analysis.ap == pytest.approx(found.stats[0], abs=1e-12)
    assert len(analysis.per_keypoint) == 133
    _, corrected = analysis.correct(['jitter'])
    assert set(corrected[0]) == {*results[0], 'wholebody_score'}


@pytest.mark.slow
def test_five_thousand_instances_take_seconds():
    planted = PlantedSet(images=1667)
    rng = np.random.default_rng(0)
    for found in planted.results:
        points = np.array(found['keypoints']).reshape(17, 3)
        points += np.append(rng.normal(size=(17, 2)) * 20, 17 * [[0]], 1)
        found['keypoints'] = points.ravel().tolist()
    start = time.process_time()
    assert analyze(planted).to_dict()['instances'] == 5001
    assert time.process_time() - start < 20
