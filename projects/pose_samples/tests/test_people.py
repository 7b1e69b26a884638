"""The drawn data: formats, honesty of the labels, determinism, errors."""

import errno
import hashlib
import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from mmengine.registry import init_default_scope
from mmpose.registry import DATASETS, METRICS

import gtpt_mm  # noqa: F401  (repairs what mmpose imports)
from pose_samples import LAYOUTS, generate
from pose_samples.body import SKELETON, sample_body
from pose_samples.canvas import Canvas
from pose_samples.cli import main
from pose_samples.formats import MPII_KEYPOINTS
from pose_samples.head import FACE
from pose_samples.parts import (
    BODY_KEYPOINTS,
    HAND_KEYPOINTS,
    HOSTS,
    KEYPOINT_INDEX,
    NUM_WHOLEBODY,
    PARTS,
    PARTS_PER_FIGURE,
)
from pose_samples.person import Person, sample_person
from pose_samples.poses import POSE_NAMES, sample_pose
from pose_samples.scene import draw_scene
from pose_samples.skeleton import rot_y
from pose_samples.style import sample_style

NUM_TRAIN, NUM_VAL = 6, 12


@pytest.fixture(scope='module')
def data(tmp_path_factory):
    """All layouts, drawn once."""
    root = tmp_path_factory.mktemp('sample')
    generate(root, tuple(LAYOUTS), NUM_TRAIN, NUM_VAL, seed=3)
    return root


def _hashes(root):
    return {
        str(path.relative_to(root)): hashlib.sha1(path.read_bytes()).digest()
        for path in sorted(root.rglob('*'))
        if path.is_file()
    }


def _dataset(type, data, folder, ann_file, **kwargs):
    init_default_scope('mmpose')
    return DATASETS.build(
        dict(
            type=type,
            data_root=str(data / folder),
            ann_file=ann_file,
            test_mode=True,
            **kwargs,
        )
    )


def _score_ground_truth(dataset, metric, offset=0.0):
    """Return the metric for predictions equal to the labels."""
    metric = METRICS.build(metric)
    metric.dataset_meta = dataset.metainfo
    for index in range(len(dataset)):
        info = dataset.get_data_info(index)
        points = info['keypoints']
        truth = dict(
            keypoints=points,
            keypoints_visible=info['keypoints_visible'],
            bboxes=info['bbox'],
            bbox_scores=info['bbox_score'],
        )
        if 'head_size' in info:
            truth['head_size'] = info['head_size']
        sample = dict(
            id=info['id'],
            img_id=info['img_id'],
            gt_instances=truth,
            pred_instances=dict(
                keypoints=points + offset,
                keypoint_scores=np.ones(points.shape[:2]),
            ),
        )
        metric.process([{}], [sample])
    return metric.evaluate(len(dataset))


# ----------------------------------------------------- values and formats

COCO_STYLE = {
    'coco': (
        'CocoDataset',
        'coco',
        'annotations/person_keypoints_val2017.json',
        'val2017',
        dict(type='CocoMetric'),
    ),
    'coco-wholebody': (
        'CocoWholeBodyDataset',
        'coco',
        'annotations/coco_wholebody_val_v1.0.json',
        'val2017',
        dict(type='CocoWholeBodyMetric'),
    ),
    'aic': (
        'AicDataset',
        'aic',
        'annotations/aic_val.json',
        'ai_challenger_keypoint_validation_20170911/'
        'keypoint_validation_images_20170911',
        dict(type='CocoMetric', use_area=False),
    ),
    'crowdpose': (
        'CrowdPoseDataset',
        'crowdpose',
        'annotations/mmpose_crowdpose_test.json',
        'images',
        dict(
            type='CocoMetric',
            use_area=False,
            iou_type='keypoints_crowd',
            prefix='coco',
        ),
    ),
}


@pytest.mark.parametrize('name', COCO_STYLE)
def test_stock_dataset_and_metric_give_full_marks(data, name):
    kind, folder, ann_file, images, metric = COCO_STYLE[name]
    dataset = _dataset(
        kind, data, folder, ann_file, data_prefix=dict(img=images)
    )
    assert len(dataset) >= NUM_VAL - 2
    for index in range(len(dataset)):
        assert cv2.imread(dataset.get_data_info(index)['img_path']).any()
    metric = dict(metric, ann_file=str(data / folder / ann_file))
    scores = _score_ground_truth(dataset, metric)
    ap = next(v for k, v in scores.items() if k.endswith('/AP'))
    assert ap == pytest.approx(1.0)
    # The metric does tell right from wrong.
    scores = _score_ground_truth(dataset, metric, offset=60.0)
    assert next(v for k, v in scores.items() if k.endswith('/AP')) < 0.5


def test_stock_mpii_gives_full_marks(data):
    folder = data / 'mpii/annotations'
    dataset = _dataset(
        'MpiiDataset',
        data,
        'mpii',
        'annotations/mpii_val.json',
        headbox_file=str(folder / 'mpii_gt_val.mat'),
        data_prefix=dict(img='images'),
    )
    for index in range(len(dataset)):
        assert cv2.imread(dataset.get_data_info(index)['img_path']).any()
    # MPII counts from one, predictions from zero.
    scores = _score_ground_truth(
        dataset, dict(type='MpiiPCKAccuracy'), offset=-1.0
    )
    assert scores['PCK'] == pytest.approx(100)
    assert scores['PCK@0.1'] == pytest.approx(100)


def test_mpii_boxes_hold_the_person(data):
    dataset = _dataset(
        'MpiiDataset', data, 'mpii', 'annotations/mpii_val.json'
    )
    for index in range(len(dataset)):
        info = dataset.get_data_info(index)
        low, high = info['bbox'][0, :2], info['bbox'][0, 2:]
        margin = 0.125 * (high - low)  # mmpose pads the box by a quarter
        seen = info['keypoints'][info['keypoints_visible'] > 0]
        inside = (seen >= low - margin) & (seen <= high + margin)
        assert inside.all(1).mean() > 0.85


def test_detections_find_most_people(data):
    folder = data / 'coco'
    truth = json.loads(
        (folder / 'annotations/person_keypoints_val2017.json').read_text()
    )
    path = (
        'person_detection_results/COCO_val2017_detections_AP_H_56_person.json'
    )
    found = json.loads((folder / path).read_text())
    assert {i['image_id'] for i in found} <= {i['id'] for i in truth['images']}
    hits = 0
    for person in truth['annotations']:
        x, y, w, h = person['bbox']
        for box in found:
            if box['image_id'] == person['image_id'] and box['score'] > 0.5:
                u, v, p, q = box['bbox']
                both = max(min(x + w, u + p) - max(x, u), 0)
                both *= max(min(y + h, v + q) - max(y, v), 0)
                if both / (w * h + p * q - both) > 0.7:
                    hits += 1
                    break
    assert hits >= 0.75 * len(truth['annotations'])
    dataset = _dataset(
        'CocoDataset',
        data,
        'coco',
        'annotations/person_keypoints_val2017.json',
        bbox_file=str(folder / path),
        data_prefix=dict(img='val2017'),
    )
    assert len(dataset) == len(found)


def _keys(value):
    return sorted(value[0]) if isinstance(value, list) else sorted(value)


@pytest.mark.parametrize(
    ('ours', 'real'),
    [
        ('coco/annotations/person_keypoints_val2017.json', 'coco/test_coco'),
        (
            'coco/annotations/coco_wholebody_val_v1.0.json',
            'coco/test_coco_wholebody',
        ),
        ('aic/annotations/aic_val.json', 'aic/test_aic'),
        (
            'crowdpose/annotations/mmpose_crowdpose_test.json',
            'crowdpose/test_crowdpose',
        ),
    ],
)
def test_files_have_the_keys_of_real_ones(data, real_samples, ours, real):
    ours = json.loads((data / ours).read_text())
    real = json.loads((real_samples / f'{real}.json').read_text())
    assert _keys(ours) == _keys(real)
    for key in ('images', 'annotations', 'categories'):
        assert _keys(ours[key]) == _keys(real[key]), key
    assert ours['categories'][0]['name'] == 'person'
    assert (
        ours['categories'][0]['keypoints']
        == real['categories'][0]['keypoints']
    )
    for key, value in real['annotations'][0].items():
        mine = ours['annotations'][0][key]
        if isinstance(value, list) and 'kpts' in key or key == 'keypoints':
            assert len(mine) == len(value), key


@pytest.mark.parametrize(
    ('ours', 'real'),
    [
        ('mpii/annotations/mpii_val.json', 'mpii/test_mpii'),
        (
            'coco/person_detection_results/'
            'COCO_val2017_detections_AP_H_56_person.json',
            'coco/test_coco_det_AP_H_56',
        ),
        (
            'crowdpose/annotations/det_for_crowd_test_0.1_0.5.json',
            'crowdpose/test_crowdpose_det_AP_40',
        ),
    ],
)
def test_lists_have_the_keys_of_real_ones(data, real_samples, ours, real):
    ours = json.loads((data / ours).read_text())
    real = json.loads((real_samples / f'{real}.json').read_text())
    assert sorted(ours[0]) == sorted(real[0])
    for key, value in real[0].items():
        if isinstance(value, list):
            assert len(ours[0][key]) == len(value), key


def test_wholebody_regions_are_labelled_as_a_whole(data):
    path = data / 'coco/annotations/coco_wholebody_val_v1.0.json'
    people = json.loads(path.read_text())['annotations']
    valid = 0
    for person in people:
        for name in ('face', 'lefthand', 'righthand'):
            points = np.reshape(person[f'{name}_kpts'], (-1, 3))
            if person[f'{name}_valid']:
                valid += 1
                x, y, w, h = person[f'{name}_box']
                points = points[points[:, 2] > 0, :2]
                assert (points >= (x - 0.02, y - 0.02)).all()
                assert (points <= (x + w + 0.02, y + h + 0.02)).all()
            else:
                assert not points.any()
                assert person[f'{name}_box'] == [0, 0, 0, 0]
    assert valid > 0.5 * len(people)


def test_boxes_hold_what_is_visible(data):
    path = data / 'coco/annotations/person_keypoints_val2017.json'
    content = json.loads(path.read_text())
    sizes = {i['id']: (i['width'], i['height']) for i in content['images']}
    for person in content['annotations']:
        points = np.reshape(person['keypoints'], (-1, 3))
        x, y, w, h = person['bbox']
        seen = points[points[:, 2] == 2, :2]
        assert (seen >= (x - 0.01, y - 0.01)).all()
        assert (seen <= (x + w + 0.01, y + h + 0.01)).all()
        labelled = points[points[:, 2] > 0, :2]
        assert (labelled >= 0).all()
        limit = np.array(sizes[person['image_id']]) - 1
        assert (labelled <= limit).all()
        assert not points[points[:, 2] == 0].any()
        assert person['num_keypoints'] == len(labelled)
        assert 0 < person['area'] <= w * h
        outline = np.concatenate(
            [np.reshape(p, (-1, 2)) for p in person['segmentation']]
        )
        assert (outline >= (x, y)).all()
        assert (outline <= (x + w, y + h)).all()


# ------------------------------------------------------------ conventions


@pytest.mark.parametrize('name', ['coco', 'crowdpose'])
def test_visibility_agrees_with_the_owners_of_pixels(name):
    setting = LAYOUTS[name].images.setting
    counts = np.zeros(3, int)
    for seed in range(8):
        _, labels, owners = draw_scene(np.random.default_rng(seed), setting)
        h, w = owners.shape
        for label in labels:
            number = label.track
            for index, (x, y, v) in enumerate(label.keypoints):
                counts[int(v)] += 1
                inside = 0 <= x <= w / 2 - 1 and 0 <= y <= h / 2 - 1
                assert inside == (v > 0)
                if v != 2:
                    continue
                column, row = round(2 * x + 0.5), round(2 * y + 0.5)
                area = owners[
                    max(row - 1, 0) : row + 2, max(column - 1, 0) : column + 2
                ].astype(int)
                parts = area - PARTS_PER_FIGURE * (number + 1)
                parts = parts[(parts > 0) & (parts < PARTS_PER_FIGURE)]
                assert HOSTS[index, parts].any()
            # A pixel of the mask is half the person's at least.
            own = owners // PARTS_PER_FIGURE == number + 1
            share = own.reshape(h // 2, 2, w // 2, 2).mean((1, 3))
            rows, columns = np.nonzero(share >= 0.5)
            x, y, w_box, h_box = label.area_box
            assert (columns.min(), rows.min()) == (x, y)
            assert (columns.max(), rows.max()) == (
                x + w_box - 1,
                y + h_box - 1,
            )
            assert label.area == len(rows)
    assert counts[2] > counts[1] > counts[0] > 0


_TRUNK = tuple(SKELETON.limits)[:6]


def _straighten(pose):
    pose.angles.update({name: 0.0 for name in _TRUNK})


def _person(yaw, seed=0, pose='stand'):
    """A person turned by an angle in degrees; 0 faces the camera."""
    rng = np.random.default_rng(seed)
    body, pose = sample_body(rng), sample_pose(rng, pose)
    _straighten(pose)
    style = sample_style(rng, np.array((-0.5, -0.5)))
    figure = Person(body, pose, rot_y(np.radians(yaw)), style, FACE, 5.0)
    figure.place(200.0, (120, 130))
    return figure


def _draw(figure, size=(240, 320)):
    canvas = Canvas(size)
    figure.draw(canvas)
    return canvas.pixels[..., 3]


@pytest.mark.parametrize('seed', range(4))
@pytest.mark.parametrize('yaw', [0, 180])
def test_convention_left_is_the_persons_own(yaw, seed):
    figure = _person(yaw, seed)
    points = figure.keypoints()
    sign = 1 if yaw == 0 else -1
    for name in ('shoulder', 'hip', 'eye', 'ear', 'ankle', 'small_toe'):
        left = points[KEYPOINT_INDEX[f'left_{name}'], 0]
        right = points[KEYPOINT_INDEX[f'right_{name}'], 0]
        assert sign * (left - right) > 0, name
    # The parts are painted where the keypoints are.
    parts = _draw(figure)
    for side in ('left', 'right'):
        _, columns = np.nonzero(parts == PARTS[f'{side}_shin'])
        ends = points[
            [KEYPOINT_INDEX[f'{side}_{n}'] for n in ('knee', 'ankle')], 0
        ]
        assert abs(columns.mean() / 2 - ends.mean()) < 4
    # The face looks at us, the back of the head does not.
    face = figure.facing[KEYPOINT_INDEX['face_27'] : KEYPOINT_INDEX['face_67']]
    assert face.all() if yaw == 0 else not face.any()
    # Big toes lie inwards of small ones.
    for side, outwards in (('left', sign), ('right', -sign)):
        big = points[KEYPOINT_INDEX[f'{side}_big_toe'], 0]
        small = points[KEYPOINT_INDEX[f'{side}_small_toe'], 0]
        assert outwards * (small - big) > 0


def test_convention_face_landmarks_mirror_as_in_mmpose():
    init_default_scope('mmpose')
    from mmpose.datasets.datasets.utils import parse_pose_metainfo

    metainfo = parse_pose_metainfo(
        dict(from_file='configs/_base_/datasets/coco_wholebody.py')
    )
    face = np.array(metainfo['flip_indices'][23:91]) - 23
    mirrored = FACE[face] * (-1, 1, 1)
    np.testing.assert_allclose(mirrored, FACE, atol=1e-9)
    # The order of the keypoints is that of mmpose, too.
    names = [metainfo['keypoint_id2name'][i] for i in range(133)]
    assert tuple(names[:17]) == BODY_KEYPOINTS
    assert names[17:23] == list(KEYPOINT_INDEX)[17:23]
    assert names[91] == 'left_hand_root' and names[112] == 'right_hand_root'
    assert names[92] == 'left_thumb1' and names[132] == 'right_pinky_finger4'
    assert list(KEYPOINT_INDEX)[91] == HAND_KEYPOINTS['left'][0]
    mpii = parse_pose_metainfo(
        dict(from_file='configs/_base_/datasets/mpii.py')
    )
    assert tuple(mpii['keypoint_name2id']) == MPII_KEYPOINTS
    assert NUM_WHOLEBODY == 133


def test_thumbs_point_forwards_beside_hanging_arms():
    rng = np.random.default_rng(0)
    pose, body = sample_pose(rng, 'stand'), sample_body(rng)
    style = sample_style(rng, np.zeros(2))
    _straighten(pose)
    for side in ('left', 'right'):
        for name in ('raise', 'turn', 'pronate', 'wrist'):
            pose.angles[f'{side}_{name}'] = 0.0
        pose.angles[f'{side}_elbow'] = 0.05
    figure = Person(body, pose, np.eye(3), style, FACE, 5.0)
    for side, sign in (('left', 1), ('right', -1)):
        hand = figure.hands[side] - figure.hands[side][0]
        assert hand[2, 2] > 0.01  # thumb: towards the front
        assert hand[12, 1] < -0.05  # middle finger: down
        assert sign * figure.palm(side)[0] < -0.9  # palms to the thighs


@pytest.mark.parametrize('name', POSE_NAMES)
def test_bones_keep_their_length_and_joints_their_limits(name):
    rng = np.random.default_rng(1)
    for _ in range(5):
        body, pose = sample_body(rng), sample_pose(rng, name)
        for angle, value in pose.angles.items():
            angle = angle.removeprefix('left_').removeprefix('right_')
            low, high = np.radians(SKELETON.limits[angle])
            assert low <= value <= high
        points, _ = body.solve(pose.angles, np.eye(3))
        for side in ('left', 'right'):
            for start, end, length in (
                ('shoulder', 'elbow', body.upper_arm),
                ('elbow', 'wrist', body.forearm),
                ('hip', 'knee', body.thigh),
                ('knee', 'ankle', body.shin),
            ):
                bone = points[f'{side}_{start}'] - points[f'{side}_{end}']
                assert np.linalg.norm(bone) == pytest.approx(length)


def test_convention_mirrored_angles_give_a_mirrored_figure():
    rng = np.random.default_rng(2)
    body, pose = sample_body(rng), sample_pose(rng, 'walk')
    _straighten(pose)
    swap = {'left': 'right', 'right': 'left'}

    def other(name):
        side, _, rest = name.partition('_')
        return f'{swap[side]}_{rest}' if side in swap else name

    angles = {other(name): value for name, value in pose.angles.items()}
    points, _ = body.solve(pose.angles, np.eye(3))
    mirrored, _ = body.solve(angles, np.eye(3))
    for name, point in points.items():
        np.testing.assert_allclose(
            mirrored[other(name)], point * (-1, 1, 1), atol=1e-12
        )


def test_whole_figure_is_connected():
    for seed in range(12):
        parts = _draw(_person(37 * seed, seed, POSE_NAMES[seed]))
        # Lying people aside, all parts hang together.
        count, _, stats, _ = cv2.connectedComponentsWithStats(
            (parts > 0).astype(np.uint8)
        )
        areas = np.sort(stats[1:, cv2.CC_STAT_AREA])[::-1]
        assert count == 2 or areas[1:].sum() < 0.002 * areas[0]
        assert (parts == PARTS['head']).any()


def test_extent_holds_all_that_is_drawn():
    light = np.array((-0.5, -0.5))
    for seed in range(60):
        figure = sample_person(np.random.default_rng(seed), light)
        low, high = figure.extent
        scale = 200 / (high - low).max()
        figure.place(scale, 150 - scale * (low + high) / 2)
        parts = _draw(figure, (300, 300))
        low, high = figure.box()
        rows, columns = np.nonzero(parts)
        ends = np.array([columns.min(), rows.min()]) / 2 - low
        assert (ends > -0.12 * figure.scale).all()
        ends = np.array([columns.max(), rows.max()]) / 2 - high
        assert (ends < 0.12 * figure.scale).all()


def test_crowds_are_crowded(data):
    path = data / 'crowdpose/annotations/mmpose_crowdpose_test.json'
    index = [i['crowdIndex'] for i in json.loads(path.read_text())['images']]
    assert 0 <= min(index) < 0.3 < max(index) <= 1


# ------------------------------------------------------------ determinism


def test_same_seed_gives_the_same_files(data, tmp_path):
    layouts = ('coco', 'coco-wholebody', 'mpii')
    for name, workers in (('one', 1), ('two', 2)):
        generate(
            tmp_path / name, layouts, NUM_TRAIN, NUM_VAL, 3, workers=workers
        )
    first = _hashes(tmp_path / 'one')
    assert first == _hashes(tmp_path / 'two')
    before = _hashes(data)
    assert first == {k: before[k] for k in first}
    generate(tmp_path / 'other', ('coco',), 2, 2, seed=4)
    other = _hashes(tmp_path / 'other')
    name = 'coco/train2017/000000200000.jpg'
    assert other[name] != first[name]


def test_more_images_keep_the_first_ones(data, tmp_path):
    generate(tmp_path, ('coco',), 2, 1, seed=3)
    name = 'coco/train2017/000000200001.jpg'
    assert _hashes(tmp_path)[name] == _hashes(data)[name]


# ----------------------------------------------------- folders and errors


def test_complete_data_are_left_alone(tmp_path, capsys):
    options = ['--num-train', '2', '--num-val', '1', '--seed', '5']
    call = [str(tmp_path), '--layout', 'coco', *options]
    assert main(call) == 0
    assert 'wrote' in capsys.readouterr().out
    times = {p: p.stat().st_mtime_ns for p in tmp_path.rglob('*')}
    assert main(call) == 0
    assert 'already complete' in capsys.readouterr().out
    assert times == {p: p.stat().st_mtime_ns for p in tmp_path.rglob('*')}

    # Another description of the same images is no conflict.
    call[2] = 'coco-wholebody'
    assert main(call) == 0
    assert (
        tmp_path / 'coco/annotations/coco_wholebody_val_v1.0.json'
    ).exists()


def test_other_parameters_need_overwrite(tmp_path, capsys):
    generate(tmp_path, ('coco',), 3, 1, seed=5)
    mine = tmp_path / 'coco/train2017/notes.txt'
    mine.write_text('by hand')
    with pytest.raises(FileExistsError, match='num_train 3 instead of 2'):
        generate(tmp_path, ('coco',), 2, 1, seed=5)
    call = [str(tmp_path), '--num-train', '2', '--num-val', '1']
    assert main(call) == 2
    assert '--overwrite' in capsys.readouterr().err
    generate(tmp_path, ('coco',), 2, 1, seed=6, overwrite=True)
    names = sorted(p.name for p in (tmp_path / 'coco/train2017').iterdir())
    assert names == ['000000200000.jpg', '000000200001.jpg', 'notes.txt']


def test_interrupted_data_are_completed(tmp_path):
    generate(tmp_path, ('coco',), 2, 1)
    before = _hashes(tmp_path)
    (tmp_path / 'coco/val2017/000000100000.jpg').unlink()
    assert generate(tmp_path, ('coco',), 2, 1)[0].is_new
    assert _hashes(tmp_path) == before


def test_foreign_folder_is_refused(tmp_path):
    path = tmp_path / 'coco/annotations/person_keypoints_train2017.json'
    path.parent.mkdir(parents=True)
    path.write_text('real')
    with pytest.raises(FileExistsError, match='did not write'):
        generate(tmp_path, ('mpii', 'coco'), 1, 1)
    assert not (tmp_path / 'mpii').exists()
    with pytest.raises(FileExistsError, match='will not be replaced'):
        generate(tmp_path, ('coco',), 1, 1, overwrite=True)
    assert path.read_text() == 'real'


@pytest.mark.parametrize(
    ('kwargs', 'message'),
    [
        (dict(layouts=('coco', 'cocoo')), "unknown layout 'cocoo'"),
        (dict(layouts='coco'), "list of names, got 'coco'"),
        (dict(num_train=-1), 'num_train must be at least 0, got -1'),
        (dict(num_val=-2), 'num_val must be at least 0, got -2'),
        (dict(num_val=10**6), 'num_val must be at most 100000, got 1000000'),
        (dict(seed=-1), 'seed must be at least 0, got -1'),
        (dict(workers=0), 'workers must be at least 1, got 0'),
        (dict(max_people=0), 'max_people must be at least 1, got 0'),
        (dict(difficulty='hrad'), "got 'hrad'"),
        (dict(image_size=(192, 8)), r'got \(192, 8\)'),
        (dict(image_size=(192.5, 80)), r'image_size must be a whole.* 192\.5'),
        (dict(num_train=2.0), r'num_train must be a whole number, got 2\.0'),
        (dict(seed='7'), "seed must be a whole number, got '7'"),
    ],
)
def test_wrong_values_are_named(tmp_path, kwargs, message):
    with pytest.raises(ValueError, match=message):
        generate(tmp_path, **kwargs)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ('change', 'word'),
    [
        (dict(num_train=1e9), 'num_train must be a whole number'),
        (dict(num_train='../../x'), 'num_train must be a whole number'),
        (dict(seed=-3), 'seed must be at least 0, got -3'),
        (dict(image_size=[64.5, 64]), 'image_size must be a whole number'),
        (dict(colour='red'), 'colour'),
        (None, 'cannot be read'),
    ],
)
def test_a_broken_manifest_is_named(tmp_path, capsys, change, word):
    generate(tmp_path, ('coco',), 1, 0)
    path = tmp_path / 'coco/pose_samples.json'
    content = json.loads(path.read_text())
    if change is None:
        path.write_text('[]')
    else:
        content['parameters'] |= change
        path.write_text(json.dumps(content))
    before = _hashes(tmp_path)
    call = [str(tmp_path), '--num-train', '1', '--num-val', '0', '--overwrite']
    assert main(call) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert str(path) in line and word in line
    assert _hashes(tmp_path) == before


def test_out_is_a_file(tmp_path, capsys):
    path = tmp_path / 'afile'
    path.write_text('mine')
    assert main([str(path), '--num-train', '1', '--num-val', '0']) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert line == f'pose_samples: {path}/coco: Not a directory'
    assert path.read_text() == 'mine'


def test_a_full_disk_leaves_the_old_files(tmp_path, capsys, monkeypatch):
    """The folder stays incomplete; the same call goes on later."""
    generate(tmp_path, ('coco',), 2, 0, seed=1)
    file = tmp_path / 'coco/train2017/000000200001.jpg'
    old, write = file.read_bytes(), Path.write_bytes

    def fill_disk(path, content):
        if '000000200001' not in path.name:
            return write(path, content)
        write(path, content[:9])
        raise OSError(errno.ENOSPC, 'No space left on device')

    monkeypatch.setattr(Path, 'write_bytes', fill_disk)
    call = [str(tmp_path), '--num-train', '2', '--num-val', '0', '--overwrite']
    assert main(call) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert line == f'pose_samples: {file}: No space left on device'
    assert file.read_bytes() == old
    manifest = json.loads((tmp_path / 'coco/pose_samples.json').read_text())
    assert not manifest['complete']
    monkeypatch.undo()
    assert main(call) == 0
    generate(tmp_path / 'new', ('coco',), 2, 0)
    assert _hashes(tmp_path / 'coco') == _hashes(tmp_path / 'new/coco')


@pytest.mark.parametrize('difficulty', ['easy', 'hard'])
def test_options_change_the_pictures(tmp_path, difficulty):
    generate(
        tmp_path,
        ('crowdpose',),
        0,
        3,
        difficulty=difficulty,
        max_people=1,
        image_size=(96, 128),
    )
    path = tmp_path / 'crowdpose/annotations/mmpose_crowdpose_test.json'
    content = json.loads(path.read_text())
    assert {(i['width'], i['height']) for i in content['images']} == {
        (96, 128)
    }
    assert len(content['annotations']) <= 3
