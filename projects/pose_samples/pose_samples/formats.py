"""Annotation files of people, as the authors and mmpose write them.

Everything starts from records: what ``describe`` keeps of a drawn person.
Coordinates of a record are those of the image, pixel centers at whole
numbers; MPII alone counts from one.
"""

import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np

from .detections import detect
from .parts import (
    BODY_KEYPOINTS,
    FACE_KEYPOINTS,
    FOOT_KEYPOINTS,
    HAND_KEYPOINTS,
    KEYPOINT_INDEX,
)
from .scene import PersonLabel

SPLITS = ('train', 'val')
# Image ids start here, so that splits can share a folder.
FIRST_ID = {'val': 100_000, 'train': 200_000}
MAX_VAL = FIRST_ID['train'] - FIRST_ID['val']

_LICENSE = {
    'url': 'https://creativecommons.org/publicdomain/zero/1.0/',
    'id': 1,
    'name': 'Drawn by gtpt_mm',
}
_INFO = {
    'description': 'People drawn by pose_samples',
    'url': '',
    'version': '1.0',
    'year': 2025,
    'contributor': 'gtpt_mm',
    'date_created': '2025/01/01',
}
_COCO_SKELETON = [
    [16, 14], [14, 12], [17, 15], [15, 13], [12, 13], [6, 12], [7, 13],
    [6, 7], [6, 8], [7, 9], [8, 10], [9, 11], [2, 3], [1, 2], [1, 3], [2, 4],
    [3, 5], [4, 6], [5, 7],
]  # fmt: skip

MPII_KEYPOINTS = (
    'right_ankle', 'right_knee', 'right_hip', 'left_hip', 'left_knee',
    'left_ankle', 'pelvis', 'thorax', 'upper_neck', 'head_top',
    'right_wrist', 'right_elbow', 'right_shoulder', 'left_shoulder',
    'left_elbow', 'left_wrist',
)  # fmt: skip
AIC_KEYPOINTS = (
    'right_shoulder', 'right_elbow', 'right_wrist', 'left_shoulder',
    'left_elbow', 'left_wrist', 'right_hip', 'right_knee', 'right_ankle',
    'left_hip', 'left_knee', 'left_ankle', 'head_top', 'neck',
)  # fmt: skip
CROWDPOSE_KEYPOINTS = (
    'left_shoulder', 'right_shoulder', 'left_elbow', 'right_elbow',
    'left_wrist', 'right_wrist', 'left_hip', 'right_hip', 'left_knee',
    'right_knee', 'left_ankle', 'right_ankle', 'head_top', 'neck',
)  # fmt: skip


def _select(names: tuple[str, ...]) -> list[int]:
    return [KEYPOINT_INDEX[name] for name in names]


_BODY, _FEET = _select(BODY_KEYPOINTS), _select(FOOT_KEYPOINTS)
_FACE = _select(FACE_KEYPOINTS)
_HANDS = {side: _select(names) for side, names in HAND_KEYPOINTS.items()}
_MPII, _AIC = _select(MPII_KEYPOINTS), _select(AIC_KEYPOINTS)
_CROWDPOSE = _select(CROWDPOSE_KEYPOINTS)


@dataclass
class Record:
    """One person or animal of an image.

    Args:
        keypoints: (x, y, v) in the order of the label, (N, 3); all 0 where
            v is 0.
        box: Around what is visible, (x, y, w, h).
        area: Number of visible pixels.
        segmentation: Polygons around them, x and y in turn.
        head_box: Corners of the box around the head, (2, 2).
        stature: Height when standing upright, in pixels.
        category: Category id in the annotations.
        track: Number of the figure, the same in all frames of a clip.
    """

    keypoints: np.ndarray
    box: list[float]
    area: float
    segmentation: list[list[float]]
    head_box: np.ndarray
    stature: float
    category: int
    track: int


@dataclass
class ImageRecord:
    """One image: its place in the split, its size and its people."""

    index: int
    width: int
    height: int
    people: list[Record] = field(default_factory=list)


def describe(label: PersonLabel) -> Record | None:
    """Turn a label into a record; None where no outline is left."""
    keypoints = np.round(label.keypoints, 2)
    keypoints[keypoints[:, 2] == 0] = 0
    x, y, w, h = label.mask_box
    contours, _ = cv2.findContours(
        label.mask,
        cv2.RETR_EXTERNAL,
        cv2.CHAIN_APPROX_TC89_L1,
        offset=(x, y),
    )
    polygons = [
        contour.reshape(-1).astype(float).tolist()
        for contour in contours
        if len(contour) >= 3
    ]
    if not polygons:
        return None
    # A visible keypoint at an edge may round to half a pixel beyond it.
    seen = keypoints[keypoints[:, 2] == 2, :2]
    corners = np.concatenate([[(x, y), (x + w, y + h)], seen])
    low, high = corners.min(0), corners.max(0)
    return Record(
        keypoints=keypoints,
        box=np.round([*low, *(high - low)], 2).tolist(),
        area=float(cv2.countNonZero(label.mask)),
        segmentation=polygons,
        head_box=label.head_box,
        stature=label.stature,
        category=label.category,
        track=label.track,
    )


def flat(keypoints: np.ndarray) -> list[float]:
    """Return x, y and v of (N, 3) in turn, v as whole numbers."""
    return [
        int(v) if i % 3 == 2 else v
        for i, v in enumerate(keypoints.reshape(-1).tolist())
    ]


def num_labelled(keypoints: np.ndarray) -> int:
    """Return how many keypoints (N, 3) have v above 0."""
    return int(np.count_nonzero(keypoints[:, 2] > 0))


def write_json(path: Path, content):
    """Write a file, and its folder where it is missing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))


# ------------------------------------------------------------------- COCO


def _coco_image(image: ImageRecord, split: str) -> dict:
    name = coco_file_name(image.index, split, 0)
    return {
        'license': 1,
        'file_name': name,
        'coco_url': f'http://images.cocodataset.org/{split}2017/{name}',
        'height': image.height,
        'width': image.width,
        'date_captured': '2025-01-01 00:00:00',
        'flickr_url': '',
        'id': FIRST_ID[split] + image.index,
    }


def _coco_people(images: list[ImageRecord], split: str):
    """Yield (annotation with the keys of COCO, record) of all people."""
    number = FIRST_ID[split]
    for image in images:
        for person in image.people:
            number += 1
            body = person.keypoints[_BODY]
            yield (
                {
                    'segmentation': person.segmentation,
                    'num_keypoints': num_labelled(body),
                    'area': person.area,
                    'iscrowd': 0,
                    'keypoints': flat(body),
                    'image_id': FIRST_ID[split] + image.index,
                    'bbox': person.box,
                    'category_id': 1,
                    'id': number,
                },
                person,
            )


def _category(names: list[str], skeleton: list[list[int]]) -> list[dict]:
    return [
        {
            'supercategory': 'person',
            'id': 1,
            'name': 'person',
            'keypoints': names,
            'skeleton': skeleton,
        }
    ]


def _coco_file(images, split: str, annotations: list[dict]) -> dict:
    return {
        'info': _INFO,
        'licenses': [_LICENSE],
        'categories': _category(list(BODY_KEYPOINTS), _COCO_SKELETON),
        'images': [_coco_image(image, split) for image in images],
        'annotations': annotations,
    }


def write_coco(root: Path, split: str, images: list[ImageRecord], seed: int):
    """Write the keypoints and, for the val split, detected boxes."""
    annotations = [a for a, _ in _coco_people(images, split)]
    path = root / f'annotations/person_keypoints_{split}2017.json'
    write_json(path, _coco_file(images, split, annotations))
    if split == 'val':
        write_json(
            root / 'person_detection_results'
            '/COCO_val2017_detections_AP_H_56_person.json',
            detect(
                [(FIRST_ID[split] + i.index, i) for i in images], (seed, 0)
            ),
        )


def _region(keypoints: np.ndarray, min_seen: float, margin: float):
    """Return box, keypoints and validity of a face or hand.

    A region is labelled if enough of it is visible and it is larger than a
    few pixels; otherwise everything is 0, as in the official files.

    Args:
        keypoints: (x, y, v), (N, 3).
        min_seen: Share of the keypoints that must be visible.
        margin: Added on each side of the box, relative to its size.
    """
    labelled = keypoints[keypoints[:, 2] > 0]
    seen = np.count_nonzero(keypoints[:, 2] == 2)
    if len(labelled) and seen >= min_seen * len(keypoints):
        low, high = labelled[:, :2].min(0), labelled[:, :2].max(0)
        size = high - low
        if size.max() >= 4:
            edge = margin * size.max()
            box = np.round([*(low - edge), *(size + 2 * edge)], 2).tolist()
            return box, flat(keypoints), True
    return [0.0] * 4, [0.0] * keypoints.size, False


def write_coco_wholebody(
    root: Path, split: str, images: list[ImageRecord], seed: int
):
    """Write the keypoints of body, feet, face and hands."""
    annotations = []
    for annotation, person in _coco_people(images, split):
        points = person.keypoints
        face = _region(points[_FACE], 0.35, 0.05)
        left = _region(points[_HANDS['left']], 0.4, 0.1)
        right = _region(points[_HANDS['right']], 0.4, 0.1)
        feet = points[_FEET]
        annotations.append(
            {
                **annotation,
                'face_box': face[0],
                'lefthand_box': left[0],
                'righthand_box': right[0],
                'lefthand_kpts': left[1],
                'righthand_kpts': right[1],
                'face_kpts': face[1],
                'face_valid': face[2],
                'lefthand_valid': left[2],
                'righthand_valid': right[2],
                'foot_valid': bool(num_labelled(feet)),
                'foot_kpts': flat(feet),
            }
        )
    path = root / f'annotations/coco_wholebody_{split}_v1.0.json'
    write_json(path, _coco_file(images, split, annotations))


def coco_file_name(index: int, split: str, seed: int) -> str:
    """Return the name of an image, twelve digits."""
    return f'{FIRST_ID[split] + index:012d}.jpg'


# ------------------------------------------------------------------- MPII

_MIN_MPII = 8  # joints that must be in the image


def write_mpii(root: Path, split: str, images: list[ImageRecord], seed: int):
    """Write mmpose's json of MPII and, for val, the boxes of the heads."""
    annotations, head_boxes = [], []
    for image in images:
        for person in image.people:
            joints = person.keypoints[_MPII]
            labelled = joints[:, 2] > 0
            if labelled.sum() < _MIN_MPII:
                continue
            points = np.where(labelled[:, None], joints[:, :2] + 1, -1)
            trunk = person.keypoints[_select(('pelvis', 'thorax'))]
            if (trunk[:, 2] > 0).all():
                center = trunk[:, :2].mean(0) + 1
            else:
                x, y, w, h = person.box
                center = np.array((x + w / 2, y + 0.4 * h)) + 1
            annotations.append(
                {
                    'joints_vis': labelled.astype(int).tolist(),
                    'joints': np.round(points, 2).tolist(),
                    'image': mpii_file_name(image.index, split, seed),
                    'scale': round(1.12 * person.stature / 200, 6),
                    'center': np.round(center, 1).tolist(),
                }
            )
            head_boxes.append(np.round(person.head_box + 1, 2))
    write_json(root / f'annotations/mpii_{split}.json', annotations)
    if split == 'val':
        _write_mpii_mat(
            root / 'annotations/mpii_gt_val.mat', annotations, head_boxes
        )


def _write_mpii_mat(path: Path, annotations: list[dict], head_boxes: list):
    """Write the file that PCKh needs, in the shapes of the official one."""
    from scipy.io import savemat

    count = len(annotations)
    joints = np.array([a['joints'] for a in annotations]).reshape(-1, 16, 2)
    visible = np.array([a['joints_vis'] for a in annotations])
    boxes = np.array(head_boxes, float).reshape(count, 2, 2)
    names = ('rank', 'rkne', 'rhip', 'lhip', 'lkne', 'lank', 'pelv', 'thor',
             'neck', 'head', 'rwri', 'relb', 'rsho', 'lsho', 'lelb',
             'lwri')  # fmt: skip
    savemat(
        path,
        {
            'dataset_joints': np.array([names], dtype=object),
            'jnt_missing': 1.0 - visible.reshape(count, 16).T,
            'pos_gt_src': joints.transpose(1, 2, 0),
            'headboxes_src': boxes.transpose(1, 2, 0),
        },
    )
    # The header tells the time; nothing else differs between two runs.
    content = bytearray(path.read_bytes())
    content[:116] = b'MATLAB 5.0 MAT-file, written by gtpt_mm'.ljust(116)
    path.write_bytes(content)


def mpii_file_name(index: int, split: str, seed: int) -> str:
    """Return the name of an image, nine digits."""
    return f'{FIRST_ID[split] + index:09d}.jpg'


# -------------------------------------------------------------------- AIC


def write_aic(root: Path, split: str, images: list[ImageRecord], seed: int):
    """Write the keypoints as mmpose's conversion of AI Challenger does.

    There v is 2 for visible, 1 for hidden and 0 for not labelled; the
    authors' own files have 1, 2 and 3 instead.
    """
    annotations = []
    for image in images:
        for person in image.people:
            joints = person.keypoints[_AIC]
            annotations.append(
                {
                    'bbox': person.box,
                    'keypoints': flat(joints),
                    'num_keypoints': num_labelled(joints),
                    'image_id': FIRST_ID[split] + image.index,
                    'category_id': 1,
                    'id': FIRST_ID[split] + len(annotations) + 1,
                }
            )
    names = [name.replace('_', ' ').title() for name in AIC_KEYPOINTS]
    names[12] = 'Head top'
    skeleton = [[3, 2], [2, 1], [1, 14], [14, 4], [4, 5], [5, 6], [9, 8],
                [8, 7], [7, 10], [10, 11], [11, 12], [13, 14], [1, 7],
                [4, 10]]  # fmt: skip
    content = {
        'info': _INFO,
        'licenses': [_LICENSE],
        'categories': _category(names, skeleton),
        'images': [
            {
                'url': '',
                'file_name': aic_file_name(image.index, split, seed),
                'height': image.height,
                'width': image.width,
                'id': FIRST_ID[split] + image.index,
            }
            for image in images
        ],
        'annotations': annotations,
    }
    write_json(root / f'annotations/aic_{split}.json', content)


def aic_file_name(index: int, split: str, seed: int) -> str:
    """Return the name of an image, 40 hexadecimal digits."""
    text = f'{split}-{index}-{seed}'.encode()
    return f'{hashlib.sha1(text).hexdigest()}.jpg'


# -------------------------------------------------------------- CrowdPose

# The official name of the split that is not for training is "test".
_CROWDPOSE_SPLIT = {'train': 'trainval', 'val': 'test'}


def crowd_index(image: ImageRecord) -> float:
    """Return how crowded an image is, 0 to 1.

    The mean over people of the number of other people's joints in the box
    over that of own ones.

    Source: Li et al., "CrowdPose", Sec. 3.1.
    """
    ratios = []
    for number, person in enumerate(image.people):
        x, y, w, h = person.box
        counts = [0, 0]
        for other, candidate in enumerate(image.people):
            joints = candidate.keypoints[_CROWDPOSE]
            joints = joints[joints[:, 2] > 0, :2]
            inside = ((joints >= (x, y)) & (joints <= (x + w, y + h))).all(1)
            counts[other == number] += int(inside.sum())
        if counts[1]:
            ratios.append(counts[0] / counts[1])
    return round(min(sum(ratios) / max(len(ratios), 1), 1.0), 2)


def write_crowdpose(
    root: Path, split: str, images: list[ImageRecord], seed: int
):
    """Write the keypoints and, for the test split, detected boxes."""
    annotations = []
    for image in images:
        for person in image.people:
            joints = person.keypoints[_CROWDPOSE]
            annotations.append(
                {
                    # Head and neck do not count in the official files.
                    'num_keypoints': num_labelled(joints[:12]),
                    'iscrowd': 0,
                    'keypoints': flat(joints),
                    'image_id': FIRST_ID[split] + image.index,
                    'bbox': person.box,
                    'category_id': 1,
                    'id': FIRST_ID[split] + len(annotations) + 1,
                }
            )
    names = [*CROWDPOSE_KEYPOINTS[:12], 'head', 'neck']
    content = {
        'categories': _category(names, _COCO_SKELETON[:12]),
        'images': [
            {
                'file_name': crowdpose_file_name(image.index, split, seed),
                'id': FIRST_ID[split] + image.index,
                'height': image.height,
                'width': image.width,
                'crowdIndex': crowd_index(image),
            }
            for image in images
        ],
        'annotations': annotations,
    }
    name = _CROWDPOSE_SPLIT[split]
    write_json(root / f'annotations/mmpose_crowdpose_{name}.json', content)
    if split == 'val':
        write_json(
            root / 'annotations/det_for_crowd_test_0.1_0.5.json',
            detect(
                [(FIRST_ID[split] + i.index, i) for i in images], (seed, 3)
            ),
        )


def crowdpose_file_name(index: int, split: str, seed: int) -> str:
    """Return the name of an image, six digits."""
    return f'{FIRST_ID[split] + index:06d}.jpg'
