"""Annotation files of the datasets, as their authors and mmpose write them.

Everything starts from the labels of a scene. Coordinates are those of the
image, pixel centers at whole numbers; MPII alone counts from one. All files
but MPII's are COCO's json with a choice of keypoints and of fields.

AP-10K: ``area`` is that of the box, images of all splits are in one folder,
the kind of background is a number. According to its paper (Yang et al., 2022,
arXiv:2206.05683), APT-36K has clips of 15 frames, AP-10K's 17 keypoints and an
identity for each animal through a clip; ViTPose++ reads
``train_annotations_1.json`` and ``val_annotations_1.json`` in COCO's format.
We do not have the files, and assume categories as in AP-10K, file names
relative to the root (as in the official config, which names no folder of
images), and the fields ``video_id``, ``frame_id`` and ``track_id``, which
COCO-style readers ignore.
"""

import json
import math
import struct
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import numpy as np

from . import animals
from .arrays import Array
from .parts import (
    BODY_KEYPOINTS,
    FACE_KEYPOINTS,
    FOOT_KEYPOINTS,
    HAND_KEYPOINTS,
    KEYPOINT_INDEX,
)
from .scene import Label

SPLITS = ('train', 'val')
# Image ids start here, so that splits can share a folder.
FIRST_ID = {'val': 100_000, 'train': 200_000}
MAX_VAL = FIRST_ID['train'] - FIRST_ID['val']

LICENSE = {
    'url': 'https://creativecommons.org/publicdomain/zero/1.0/',
    'id': 1,
    'name': 'Drawn by pose_samples',
}
INFO = {
    'description': 'Drawn by pose_samples',
    'url': '',
    'version': '1.0',
    'year': 2025,
    'contributor': 'gtpt_mm',
    'date_created': '2025/01/01',
}


@dataclass
class ImageRecord:
    """One image."""

    id: int  # in the annotations
    clip: int  # id of the clip
    frame: int  # number in the clip
    split: str
    file_name: str  # below the folder of the split's images
    width: int
    height: int
    instances: list[Label]


def _select(names: tuple[str, ...]) -> list[int]:
    """Return the rows of keypoints in a person's record."""
    return [KEYPOINT_INDEX[name] for name in names]


def _flat(keypoints: Array) -> list[float]:
    """Return x, y and v of (N, 3) in turn, v as whole numbers."""
    return [
        int(v) if i % 3 == 2 else v
        for i, v in enumerate(keypoints.reshape(-1).tolist())
    ]


def _count(keypoints: Array) -> int:
    """Return how many keypoints (N, 3) have v above 0."""
    return int(np.count_nonzero(keypoints[:, 2] > 0))


def write_json(path: Path, content: object) -> None:
    """Write a file, and create its folder if it is missing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, json.dumps(content).encode())


def write_whole(path: Path, content: bytes) -> None:
    """Write a file beside its place, then rename it into it.

    If the disk is full or the process is killed, the old file remains
    complete.

    Raises:
        OSError: If it cannot be written.
    """
    temporary = path.with_name(f'.{path.name}.part')
    try:
        temporary.write_bytes(content)
        temporary.replace(path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise OSError(error.errno, error.strerror, str(path)) from error


# -------------------------------------------------------------- COCO's json

ImageFields = dict[str, Callable[[ImageRecord], object]]
InstanceFields = dict[str, Callable[[ImageRecord, Label], object]]
_IMAGE_KEYS = ('id', 'file_name', 'width', 'height')


@dataclass(frozen=True)
class CocoJson:
    """A json file with the structure of COCO's."""

    keypoints: tuple[str, ...]  # names in the record, in the file's order
    skeleton: list[list[int]]  # pairs of keypoints, counted from one
    image: ImageFields  # fields of an image beside id, file_name and size
    instance: InstanceFields  # beside ids, bbox and keypoints
    names: tuple[str, ...] | None = None  # of keypoints, where they differ
    rows: dict[str, int] = field(default_factory=lambda: KEYPOINT_INDEX)
    num_counted: int | None = None  # keypoints that num_keypoints counts
    with_info: bool = True
    categories: tuple[tuple[int, str, str], ...] = ((1, 'person', 'person'),)

    def write(self, path: Path, split: str, images: list[ImageRecord]) -> None:
        """Write the annotations of one split."""
        pairs = [(i, instance) for i in images for instance in i.instances]
        annotations = [
            self._annotation(image, instance, FIRST_ID[split] + number)
            for number, (image, instance) in enumerate(pairs, start=1)
        ]
        categories = [
            {
                'id': number,
                'name': name,
                'supercategory': family,
                'keypoints': list(self.names or self.keypoints),
                'skeleton': self.skeleton,
            }
            for number, name, family in self.categories
        ]
        info = {'info': INFO, 'licenses': [LICENSE]} if self.with_info else {}
        entries = [
            {key: getattr(image, key) for key in _IMAGE_KEYS}
            | {key: value(image) for key, value in self.image.items()}
            for image in images
        ]
        content = dict(info, images=entries, annotations=annotations)
        write_json(path, content | {'categories': categories})

    def _annotation(
        self, image: ImageRecord, instance: Label, number: int
    ) -> dict:
        points = instance.rounded()[[self.rows[n] for n in self.keypoints]]
        values = {
            'id': number,
            'image_id': image.id,
            'category_id': instance.category,
            'bbox': instance.box(),
            'num_keypoints': _count(points[: self.num_counted]),
            'keypoints': _flat(points),
        }
        for key, value in self.instance.items():
            values[key] = value(image, instance)
        return values


_WHOLEBODY_REGIONS = {
    # name: (keypoints, share of them that must be visible, margin of the box)
    'face': (FACE_KEYPOINTS, 0.35, 0.05),
    'lefthand': (HAND_KEYPOINTS['left'], 0.4, 0.1),
    'righthand': (HAND_KEYPOINTS['right'], 0.4, 0.1),
}


def _region(instance: Label, name: str) -> tuple[list, list, bool]:
    """Return box, keypoints and validity of a face or hand.

    A region is labelled if enough of it is visible and it is larger than a
    few pixels; otherwise everything is 0, as in the official files.
    """
    names, min_visible, margin = _WHOLEBODY_REGIONS[name]
    keypoints = instance.rounded()[_select(names)]
    labelled = keypoints[keypoints[:, 2] > 0]
    num_visible = np.count_nonzero(keypoints[:, 2] == 2)
    if len(labelled) and num_visible >= min_visible * len(keypoints):
        low, high = labelled[:, :2].min(0), labelled[:, :2].max(0)
        size = high - low
        if size.max() >= 4:
            edge = margin * size.max()
            box = np.round([*(low - edge), *(size + 2 * edge)], 2).tolist()
            return box, _flat(keypoints), True
    return [0.0] * 4, [0.0] * keypoints.size, False


def crowd_index(image: ImageRecord) -> float:
    """Return how crowded an image is, 0 to 1.

    The mean over instances of the number of other instances' joints in the
    box over that of its joints.

    Source: Li et al., "CrowdPose", Sec. 3.1.
    """
    ratios = []
    for instance in image.instances:
        x, y, w, h = instance.box()
        counts = [0, 0]
        for other in image.instances:
            joints = other.rounded()[_select(CROWDPOSE_KEYPOINTS)]
            joints = joints[joints[:, 2] > 0, :2]
            inside = ((joints >= (x, y)) & (joints <= (x + w, y + h))).all(1)
            counts[other is instance] += int(inside.sum())
        if counts[1]:
            ratios.append(counts[0] / counts[1])
    return round(min(sum(ratios) / max(len(ratios), 1), 1.0), 2)


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
_COCO_SKELETON = [
    [16, 14], [14, 12], [17, 15], [15, 13], [12, 13], [6, 12], [7, 13],
    [6, 7], [6, 8], [7, 9], [8, 10], [9, 11], [2, 3], [1, 2], [1, 3], [2, 4],
    [3, 5], [4, 6], [5, 7],
]  # fmt: skip
_AIC_SKELETON = [
    [3, 2], [2, 1], [1, 14], [14, 4], [4, 5], [5, 6], [9, 8], [8, 7], [7, 10],
    [10, 11], [11, 12], [13, 14], [1, 7], [4, 10],
]  # fmt: skip
_AP10K_SKELETON = [
    [1, 2], [1, 3], [2, 3], [3, 4], [4, 5], [4, 6], [6, 7], [7, 8], [4, 9],
    [9, 10], [10, 11], [5, 12], [12, 13], [13, 14], [5, 15], [15, 16],
    [16, 17],
]  # fmt: skip

_COCO_IMAGE: ImageFields = {
    'license': lambda image: 1,
    'coco_url': lambda image: (
        f'http://images.cocodataset.org/{image.split}2017/{image.file_name}'
    ),
    'date_captured': lambda image: '2025-01-01 00:00:00',
    'flickr_url': lambda image: '',
}
_COCO_INSTANCE: InstanceFields = {
    'segmentation': lambda image, instance: instance.segmentation,
    'area': lambda image, instance: instance.area,
    'iscrowd': lambda image, instance: 0,
}
_WHOLEBODY_INSTANCE: InstanceFields = {
    f'{name}_{key}': partial(
        lambda image, instance, name, i: _region(instance, name)[i],
        name=name, i=i,
    )
    for name in _WHOLEBODY_REGIONS
    for i, key in enumerate(('box', 'kpts', 'valid'))
}  # fmt: skip
_FEET = _select(FOOT_KEYPOINTS)
_WHOLEBODY_INSTANCE |= {
    'foot_kpts': lambda image, instance: _flat(instance.rounded()[_FEET]),
    'foot_valid': lambda image, instance: bool(
        _count(instance.rounded()[_FEET])
    ),
}
_AP10K_INSTANCE: InstanceFields = {
    'area': lambda image, instance: round(math.prod(instance.box()[2:]), 2),
    'iscrowd': lambda image, instance: 0,
}

COCO = CocoJson(BODY_KEYPOINTS, _COCO_SKELETON, _COCO_IMAGE, _COCO_INSTANCE)
COCO_WHOLEBODY = replace(
    COCO, instance={**_COCO_INSTANCE, **_WHOLEBODY_INSTANCE}
)
# As in mmpose's conversion v is 2 for visible, 1 for hidden and 0 for not
# labelled; AI Challenger's official files have 1, 2 and 3 instead.
AIC = CocoJson(
    AIC_KEYPOINTS,
    _AIC_SKELETON,
    {'url': lambda image: ''},
    {},
    (*(n.replace('_', ' ').title() for n in AIC_KEYPOINTS[:12]), 'Head top',
     'Neck'),
)  # fmt: skip
CROWDPOSE = CocoJson(
    CROWDPOSE_KEYPOINTS,
    _COCO_SKELETON[:12],
    {'crowdIndex': crowd_index},
    {'iscrowd': lambda image, instance: 0},
    (*CROWDPOSE_KEYPOINTS[:12], 'head', 'neck'),
    num_counted=12,  # head and neck do not count in the official files
    with_info=False,
)
AP10K = CocoJson(
    animals.KEYPOINTS,
    _AP10K_SKELETON,
    {
        'license': lambda image: 1,
        'background': lambda image: 0,  # the kinds' numbers are AP-10K's own
    },
    _AP10K_INSTANCE,
    rows=animals.KEYPOINT_INDEX,
    categories=tuple(
        (species.number, name, species.family)
        for name, species in animals.SPECIES.items()
    ),
)
APT36K = replace(
    AP10K,
    image={
        'license': lambda image: 1,
        'file_name': lambda image: f'data/{image.file_name}',
        'video_id': lambda image: image.clip,
        'frame_id': lambda image: image.frame,
    },
    instance={
        **_AP10K_INSTANCE,
        'track_id': lambda image, instance: instance.track,
        'video_id': lambda image, instance: image.clip,
    },
)

# ------------------------------------------------------------------- MPII

_MIN_MPII = 8  # joints that must be in the image


class MpiiJson:
    """The json of mmpose's MPII and, for val, the boxes of the heads."""

    def write(self, path: Path, split: str, images: list[ImageRecord]) -> None:
        """Write the annotations of one split."""
        annotations, head_boxes = [], []
        for image in images:
            for instance in image.instances:
                joints = instance.rounded()[_select(MPII_KEYPOINTS)]
                labelled = joints[:, 2] > 0
                if labelled.sum() < _MIN_MPII:
                    continue
                points = np.where(labelled[:, None], joints[:, :2] + 1, -1)
                entry = {
                    'joints_vis': labelled.astype(int).tolist(),
                    'joints': np.round(points, 2).tolist(),
                    'image': image.file_name,
                    'scale': round(1.12 * instance.stature / 200, 6),
                    'center': np.round(_center(instance), 1).tolist(),
                }
                annotations.append(entry)
                head_boxes.append(np.round(instance.head_box + 1, 2))
        write_json(path, annotations)
        if split == 'val':
            _write_mpii_mat(
                path.with_name('mpii_gt_val.mat'), annotations, head_boxes
            )


def _center(instance: Label) -> Array:
    trunk = instance.rounded()[_select(('pelvis', 'thorax'))]
    if (trunk[:, 2] > 0).all():
        return trunk[:, :2].mean(0) + 1
    x, y, w, h = instance.box()
    return np.array((x + w / 2, y + 0.4 * h)) + 1


def _write_mpii_mat(
    path: Path, annotations: list[dict], head_boxes: list[Array]
) -> None:
    """Write the file that PCKh needs, in the shapes of the official one."""
    count = len(annotations)
    joints = np.array([a['joints'] for a in annotations]).reshape(-1, 16, 2)
    visible = np.array([a['joints_vis'] for a in annotations])
    boxes = np.array(head_boxes, float).reshape(count, 2, 2)
    names = ('rank', 'rkne', 'rhip', 'lhip', 'lkne', 'lank', 'pelv', 'thor',
             'neck', 'head', 'rwri', 'relb', 'rsho', 'lsho', 'lelb',
             'lwri')  # fmt: skip
    arrays = {
        'dataset_joints': np.array([names], dtype=object),
        'jnt_missing': 1.0 - visible.reshape(count, 16).T,
        'pos_gt_src': joints.transpose(1, 2, 0),
        'headboxes_src': boxes.transpose(1, 2, 0),
    }
    header = b'MATLAB 5.0 MAT-file, written by pose_samples'.ljust(124)
    matrices = (_mat_array(name, array) for name, array in arrays.items())
    write_whole(path, header + b'\x00\x01IM' + b''.join(matrices))


# Types of data elements, and classes of arrays, in a MAT-file of version 5.
_INT8, _UINT16, _INT32, _UINT32, _DOUBLE, _MATRIX = 1, 4, 5, 6, 9, 14
_CELL_CLASS, _CHAR_CLASS, _DOUBLE_CLASS = 1, 4, 6


def _mat_element(kind: int, data: bytes) -> bytes:
    return struct.pack('<II', kind, len(data)) + data + bytes(-len(data) % 8)


def _mat_array(name: str, array: Array | str) -> bytes:
    """Return an array of numbers, an array of strings or a string."""
    if isinstance(array, str):
        shape, mat_class = (1, len(array)), _CHAR_CLASS
        data = _mat_element(_UINT16, array.encode('utf-16-le'))
    elif array.dtype == object:
        shape, mat_class = array.shape, _CELL_CLASS
        data = b''.join(_mat_array('', cell) for cell in array.flat)
    else:
        shape, mat_class = array.shape, _DOUBLE_CLASS
        data = _mat_element(_DOUBLE, array.astype('<f8').tobytes('F'))
    sizes = np.array(shape, '<i4').tobytes()
    header = _mat_element(_UINT32, struct.pack('<II', mat_class, 0))
    header += _mat_element(_INT32, sizes)
    header += _mat_element(_INT8, name.encode())
    return _mat_element(_MATRIX, header + data)
