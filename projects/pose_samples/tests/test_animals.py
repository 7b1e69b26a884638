"""The drawn animals: formats, anatomy, honesty of the labels, motion."""

import json

import cv2
import numpy as np
import pytest
from mmengine.registry import init_default_scope
from mmpose.registry import DATASETS, METRICS

import gtpt_mm  # noqa: F401  (repairs what mmpose imports)
from pose_samples import LAYOUTS, generate
from pose_samples.animals import (
    HOSTS,
    KEYPOINT_INDEX,
    KEYPOINTS,
    PARTS,
    POSTURES,
    SPECIES,
    Animal,
    Coat,
    sample_animal,
    sample_build,
    sample_pose,
)
from pose_samples.canvas import Canvas
from pose_samples.layouts import FRAMES_PER_CLIP
from pose_samples.parts import PARTS_PER_FIGURE
from pose_samples.scene import draw_scene

LIGHT = np.array((-0.5, -0.5))
NUM_VAL = 16
FILES = {
    'ap10k': 'annotations/ap10k-{}-split1.json',
    'apt36k': 'annotations/{}_annotations_1.json',
}
#: Where the paths in the files begin, as in the configs of the authors.
FOLDERS = dict(ap10k='data/', apt36k='')


@pytest.fixture(scope='module')
def data(tmp_path_factory):
    """Both layouts, drawn once."""
    root = tmp_path_factory.mktemp('animals')
    generate(root, tuple(FILES), 2, NUM_VAL, seed=3)
    return root


def _read(data, name, split='val'):
    return json.loads((data / name / FILES[name].format(split)).read_text())


def _animal(name='dog', yaw=90.0, pose='stand', seed=0, tilt=0.0):
    """An animal that looks ahead, turned by an angle in degrees."""
    rng = np.random.default_rng(seed)
    species = SPECIES[name]
    build = sample_build(rng, species)
    pose = sample_pose(rng, build, pose, simple=True)
    base, legs = np.array(species.coats[seed % len(species.coats)], float)
    coat = Coat(base, legs, LIGHT, 0.2)
    yaw, tilt = np.radians(yaw), np.radians(tilt)
    animal = Animal(name, build, pose, coat, yaw, tilt, 6.0)
    low, high = animal.extent
    animal.place(100.0, 150 - 50 * (low + high))
    return animal


def _draw(animal):
    canvas = Canvas((300, 300))
    animal.draw(canvas)
    return canvas.pixels


# ----------------------------------------------------- values and formats


@pytest.mark.parametrize('name', FILES)
def test_stock_dataset_and_metric_give_full_marks(data, name):
    init_default_scope('mmpose')
    path = data / name / FILES[name].format('val')
    dataset = DATASETS.build(
        dict(
            type='AP10KDataset',
            data_root=str(data / name),
            ann_file=FILES[name].format('val'),
            data_prefix=dict(img=FOLDERS[name]),
            test_mode=True,
        )
    )
    assert len(dataset) >= NUM_VAL - 1
    for offset, low, high in ((0.0, 1.0, 1.0), (60.0, 0.0, 0.5)):
        metric = METRICS.build(dict(type='CocoMetric', ann_file=str(path)))
        metric.dataset_meta = dataset.metainfo
        for index in range(len(dataset)):
            info = dataset.get_data_info(index)
            assert cv2.imread(info['img_path']).any()
            points = info['keypoints']
            truth = dict(
                bboxes=info['bbox'],
                bbox_scores=info['bbox_score'],
            )
            pred = dict(
                keypoints=points + offset,
                keypoint_scores=np.ones(points.shape[:2]),
            )
            metric.process(
                [{}],
                [
                    dict(
                        id=info['id'],
                        img_id=info['img_id'],
                        category_id=info['category_id'],
                        gt_instances=truth,
                        pred_instances=pred,
                    )
                ],
            )
        ap = metric.evaluate(len(dataset))['coco/AP']
        assert low - 1e-9 <= ap <= high + 1e-9


def test_keypoints_and_pairs_are_those_of_mmpose():
    init_default_scope('mmpose')
    from mmpose.datasets.datasets.utils import parse_pose_metainfo

    metainfo = parse_pose_metainfo(
        dict(from_file='configs/_base_/datasets/ap10k.py')
    )
    short = [
        name.replace('left_', 'L_').replace('right_', 'R_')
        for name in KEYPOINTS
    ]
    short = [n.replace('front', 'F').replace('back', 'B') for n in short]
    theirs = [metainfo['keypoint_id2name'][i] for i in range(17)]
    normal = [name.lower().replace(' ', '_') for name in theirs]
    assert [name.lower() for name in short] == normal
    for index, other in enumerate(metainfo['flip_indices']):
        name = KEYPOINTS[index]
        if name.startswith('left_'):
            assert KEYPOINTS[other] == name.replace('left', 'right')


def test_ap10k_has_keys_and_categories_of_the_real_file(data, real_samples):
    path = real_samples / 'ap10k/test_ap10k.json'
    real, ours = json.loads(path.read_text()), _read(data, 'ap10k')
    assert sorted(ours) == sorted(real)
    for key in ('images', 'annotations', 'categories'):
        assert sorted(ours[key][0]) == sorted(real[key][0]), key
    theirs = {c['id']: c for c in real['categories']}
    for category in ours['categories']:
        assert category == theirs[category['id']]


@pytest.mark.parametrize('name', FILES)
def test_labels_keep_to_the_picture(data, name):
    content = _read(data, name)
    sizes = {i['id']: (i['width'], i['height']) for i in content['images']}
    ids = {c['id'] for c in content['categories']}
    for animal in content['annotations']:
        points = np.reshape(animal['keypoints'], (-1, 3))
        labelled = points[points[:, 2] > 0, :2]
        assert set(points[:, 2]) <= {0, 1, 2}
        assert not points[points[:, 2] == 0].any()
        assert animal['num_keypoints'] == len(labelled)
        assert (labelled >= 0).all()
        assert (labelled <= np.array(sizes[animal['image_id']]) - 1).all()
        x, y, w, h = animal['bbox']
        seen = points[points[:, 2] == 2, :2]
        assert (seen >= (x - 0.01, y - 0.01)).all()
        assert (seen <= (x + w + 0.01, y + h + 0.01)).all()
        assert animal['area'] == pytest.approx(w * h, abs=0.01)
        assert animal['category_id'] in ids


# ---------------------------------------------------------------- species


@pytest.mark.parametrize('name', SPECIES)
def test_every_species_is_whole(name):
    for seed, pose in enumerate(2 * POSTURES):
        animal = _animal(name, 70, pose, seed, tilt=8)
        parts = _draw(animal)[..., 3]
        # All hangs together, and the head is there.
        count, _, stats, _ = cv2.connectedComponentsWithStats(
            (parts > 0).astype(np.uint8)
        )
        areas = np.sort(stats[1:, cv2.CC_STAT_AREA])
        assert count == 2 or areas[:-1].sum() < 0.01 * areas[-1]
        assert (parts == PARTS['head']).sum() > 40
        # The extent holds all that is drawn.
        low, high = animal.box()
        rows, columns = np.nonzero(parts)
        assert (np.array([columns.min(), rows.min()]) / 2 > low).all()
        assert (np.array([columns.max(), rows.max()]) / 2 < high).all()


def test_many_species_postures_and_views():
    rng = np.random.default_rng(0)
    animals = [sample_animal(rng, LIGHT) for _ in range(200)]
    assert {a.species for a in animals} == set(SPECIES)
    assert {a.pose.name for a in animals} == set(POSTURES)
    ahead = np.array([a.root[:, 2] for a in animals])
    assert (ahead[:, 0] > 0.5).any() and (ahead[:, 0] < -0.5).any()
    assert ahead[:, 2].max() > 0.9 and ahead[:, 2].min() < -0.2
    easy = [sample_animal(rng, LIGHT, simple=True) for _ in range(60)]
    assert {a.pose.name for a in easy} == {'stand', 'walk'}
    assert all(abs(a.root[2, 2]) < 0.4 for a in easy)


# ------------------------------------------------------------ conventions


@pytest.mark.parametrize('name', ['dog', 'horse', 'cow'])
def test_convention_left_is_the_animals_own(name):
    for yaw, axis, sign in (
        (0, 0, 1),  # seen from the front, its left is at our right
        (180, 0, -1),
        (90, 2, -1),  # walking to our right, its left side is far
        (-90, 2, 1),
    ):
        points = _animal(name, yaw).points
        for joint in ('eye', 'shoulder', 'front_paw', 'hip', 'back_paw'):
            left = points[KEYPOINT_INDEX[f'left_{joint}'], axis]
            right = points[KEYPOINT_INDEX[f'right_{joint}'], axis]
            assert sign * (left - right) > 0.01, (yaw, joint)


@pytest.mark.parametrize('yaw', [90, -90, 45, -60])
@pytest.mark.parametrize('name', SPECIES)
def test_parts_are_painted_where_keypoints_are(name, yaw):
    animal = _animal(name, yaw, seed=3, tilt=6)
    parts, points = _draw(animal)[..., 3], animal.keypoints()
    near = 'left' if animal.root[2, 0] > 0 else 'right'
    for bone, start, end in (
        ('forearm', 'shoulder', 'elbow'),
        ('hind_paw', 'knee', 'back_paw'),
    ):
        rows, columns = np.nonzero(parts == PARTS[f'{near}_{bone}'])
        ends = points[
            [KEYPOINT_INDEX[f'{near}_{joint}'] for joint in (start, end)]
        ]
        middle = np.array((columns.mean(), rows.mean())) / 2
        assert np.abs(middle - ends.mean(0)).max() < 9, bone
    # Nose before eyes before neck before tail, in the way it goes.
    ahead = np.sign(yaw)
    order = [points[KEYPOINT_INDEX[n], 0] for n in KEYPOINTS[2:5]]
    assert (np.diff(order) * ahead < 0).all()
    # The far eye does not face us, the near one does.
    if abs(yaw) == 90:
        far = 'right' if near == 'left' else 'left'
        assert animal.facing[KEYPOINT_INDEX[f'{near}_eye']]
        assert not animal.facing[KEYPOINT_INDEX[f'{far}_eye']]


def test_far_legs_are_behind_the_trunk_and_darker():
    for yaw, near, far in ((90, 'right', 'left'), (-90, 'left', 'right')):
        animal = _animal('cow', yaw, 'walk', seed=2)
        canvas = _draw(animal)
        tones = {
            side: canvas[canvas[..., 3] == PARTS[f'{side}_shin'], :3].mean()
            for side in (near, far)
        }
        assert tones[far] < 0.85 * tones[near]
        count = {
            side: (canvas[..., 3] == PARTS[f'{side}_thigh']).sum()
            for side in (near, far)
        }
        assert count[far] < 0.25 * count[near]


@pytest.mark.parametrize('name', FILES)
def test_visible_keypoints_lie_on_their_animal(name):
    setting = LAYOUTS[name].images.setting
    counts = np.zeros(3, int)
    for seed in range(12):
        _, labels, owners = draw_scene(np.random.default_rng(seed), setting)
        h, w = owners.shape
        for label in labels:
            number = label.track
            for index, (x, y, v) in enumerate(label.keypoints):
                counts[int(v)] += 1
                inside = 0 <= x <= w / 2 - 1 and 0 <= y <= h / 2 - 1
                # Only eyes are left out where they could be guessed.
                assert inside == (v > 0) or (inside and index < 2)
                if v != 2:
                    continue
                column, row = round(2 * x + 0.5), round(2 * y + 0.5)
                area = owners[
                    max(row - 1, 0) : row + 2, max(column - 1, 0) : column + 2
                ].astype(int)
                parts = area - PARTS_PER_FIGURE * (number + 1)
                parts = parts[(parts > 0) & (parts < PARTS_PER_FIGURE)]
                assert HOSTS[index, parts].any()
    assert counts[2] > counts[1] > counts[0] > 0


def test_most_keypoints_of_the_near_side_are_seen():
    seen = []
    for seed, name in enumerate(SPECIES):
        animal = _animal(name, 80 if seed % 2 else -80, 'walk', seed, tilt=5)
        parts = _draw(animal)[..., 3]
        near = 'left' if animal.root[2, 0] > 0 else 'right'
        for index, (x, y) in enumerate(animal.keypoints()):
            if KEYPOINTS[index].startswith(near) or index in (2, 3, 4):
                part = parts[round(2 * y + 0.5), round(2 * x + 0.5)]
                seen.append(HOSTS[index, part] and animal.facing[index])
    assert np.mean(seen) > 0.97


# ----------------------------------------------------------------- motion


@pytest.mark.parametrize('name', SPECIES)
def test_walking_feet_stay_near_the_ground(name):
    animal = _animal(name, 90, 'walk')
    start = animal.joints['root'][0]
    for time in range(40):
        animal.advance(time)
        paws = [
            animal.joints[f'{side}_{paw}'][1] + 1 - animal.build.rise
            for side in ('left', 'right')
            for paw in ('fore_paw', 'hind_paw')
        ]
        assert min(paws) > -0.06 and sorted(paws)[1] < 0.15
    assert animal.joints['root'][0] > start + 0.3


def test_bones_keep_their_length():
    for name in SPECIES:
        lengths = []
        for pose in POSTURES:
            animal = _animal(name, pose=pose)
            for time in (0.0, 2.0, 5.0):
                animal.advance(time)
                for side in ('left', 'right'):
                    chain = [
                        animal.joints[f'{side}_{joint}']
                        for joint in ('hip', 'stifle', 'hock', 'hind_paw')
                    ]
                    bones = np.diff(chain, axis=0)
                    lengths.append(np.linalg.norm(bones, axis=1))
        assert np.ptp(lengths, axis=0).max() < 1e-9


def test_clips_move_before_a_still_background(data):
    content = _read(data, 'apt36k')
    images = content['images']
    assert [i['frame_id'] for i in images[:FRAMES_PER_CLIP]] == list(range(15))
    assert images[14]['video_id'] != images[15]['video_id']
    tracks = {}
    for animal in content['annotations']:
        key = animal['video_id'], animal['track_id']
        tracks.setdefault(key, []).append(animal)
    longest = max(tracks.values(), key=len)
    assert len(longest) == FRAMES_PER_CLIP
    assert len({animal['category_id'] for animal in longest}) == 1
    points = np.array([a['keypoints'] for a in longest]).reshape(15, 17, 3)
    both = (points[1:, :, 2] > 0) & (points[:-1, :, 2] > 0)
    steps = np.abs(np.diff(points[..., :2], axis=0))[both]
    assert 0 < steps.max() < 60
    # Far from the animals nothing changes.
    setting = LAYOUTS['apt36k'].images.setting
    first, last = (
        draw_scene(np.random.default_rng(5), setting, time) for time in (-7, 7)
    )
    changed = (first[0] != last[0]).any(-1)
    moved = (first[2] > 1) | (last[2] > 1)
    near = cv2.dilate(moved.astype(np.uint8), np.ones((61, 61)))[::2, ::2]
    assert changed.any() and not changed[near == 0].any()


def test_same_seed_gives_the_same_files(data, tmp_path):
    generate(tmp_path, tuple(FILES), 2, NUM_VAL, seed=3, workers=2)
    for path in data.rglob('*.j*'):
        other = tmp_path / path.relative_to(data)
        assert other.read_bytes() == path.read_bytes(), path.name
