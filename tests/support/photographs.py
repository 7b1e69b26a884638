"""Real photographs with labelled people, and what a detector finds."""

import json
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np


@dataclass
class Photograph:
    """An image and its boxes: labelled people, others, and crowds."""

    image: np.ndarray
    boxes: np.ndarray
    labelled: np.ndarray
    crowd: np.ndarray


@dataclass
class Counts:
    """Labelled people, those found, and boxes right and wrong."""

    labelled: int = 0
    found: int = 0
    right: int = 0
    wrong: int = 0

    @property
    def precision(self) -> float:
        return self.right / (self.right + self.wrong)


def read_photographs(folder: Path) -> list[Photograph]:
    """Read both parts of ``coco_mini``."""
    photographs = []
    for part in ('train', 'val'):
        data = json.loads((folder / f'{part}.json').read_text())
        for entry in data['images']:
            people = [
                a for a in data['annotations'] if a['image_id'] == entry['id']
            ]
            boxes = np.array([a['bbox'] for a in people], np.float32)
            boxes[:, 2:] += boxes[:, :2]
            photographs.append(
                Photograph(
                    cv2.imread(str(folder / 'images' / entry['file_name'])),
                    boxes,
                    np.array([a['num_keypoints'] > 0 for a in people]),
                    np.array([bool(a['iscrowd']) for a in people]),
                )
            )
    return photographs


def match_people(
    photographs: list[Photograph], found: list[np.ndarray]
) -> Counts:
    """Match boxes, best first, with people at IoU 0.5.

    A box that lies in a crowd by more than half is neither right nor wrong.
    """
    counts = Counts()
    for photo, boxes in zip(photographs, found, strict=True):
        free = ~photo.crowd
        counts.labelled += int((photo.labelled & free).sum())
        for box in boxes:
            iou, inside = overlap(box, photo.boxes)
            best = int(np.argmax(iou * free))
            if free[best] and iou[best] >= 0.5:
                free[best] = False
                counts.right += 1
                counts.found += int(photo.labelled[best])
            elif not (inside[photo.crowd] > 0.5).any():
                counts.wrong += 1
    return counts


def overlap(
    box: np.ndarray, others: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return the IoU of a box with others, and the part of it in each."""
    size = np.minimum(box[2:], others[:, 2:]) - np.maximum(
        box[:2], others[:, :2]
    )
    shared = size.clip(0).prod(axis=1)
    area = (box[2:] - box[:2]).prod()
    areas = (others[:, 2:] - others[:, :2]).prod(axis=1)
    return shared / (area + areas - shared), shared / area
