"""Annotation files of AP-10K and APT-36K.

AP-10K's files are known: COCO's format, ``area`` that of the box, images of
all splits in one folder, a number for the kind of background. The authors
leave out an eye on the far side of a head (v = 0).

Of APT-36K the paper (Yang et al., 2022, arXiv:2206.05683) tells that it has
30 species, clips of 15 frames, AP-10K's 17 keypoints and an identity for each
animal through a clip; ViTPose++ reads ``train_annotations_1.json`` and
``val_annotations_1.json`` in COCO's format. Assumed here, for want of the
files: categories as in AP-10K, names of files relative to the root (as in the
authors' config, which gives no folder of images) and in ``data``, and the
names of the fields ``video_id`` and ``frame_id`` of images and ``track_id``
of annotations, which COCO-style readers do not look at.
"""

import numpy as np

from ..formats import FIRST_ID, ImageRecord, flat, num_labelled, write_json
from .parts import KEYPOINTS
from .species import SPECIES

FRAMES_PER_CLIP = 15
_SKELETON = [
    [1, 2], [1, 3], [2, 3], [3, 4], [4, 5], [4, 6], [6, 7], [7, 8], [4, 9],
    [9, 10], [10, 11], [5, 12], [12, 13], [13, 14], [5, 15], [15, 16],
    [16, 17],
]  # fmt: skip
_LICENSE = {
    'id': 1,
    'name': 'Drawn by gtpt_mm',
    'url': 'https://creativecommons.org/publicdomain/zero/1.0/',
}


def animal_file_name(index: int, split: str, seed: int) -> str:
    """Return the name of an image, twelve digits."""
    return f'{FIRST_ID[split] + index:012d}.jpg'


def _categories() -> list[dict]:
    return [
        {
            'id': species.number,
            'name': species.name,
            'supercategory': species.family,
            'keypoints': list(KEYPOINTS),
            'skeleton': _SKELETON,
        }
        for species in SPECIES.values()
    ]


def _image(image: ImageRecord, split: str) -> dict:
    return {
        'license': 1,
        'id': FIRST_ID[split] + image.index,
        'file_name': animal_file_name(image.index, split, 0),
        'width': image.width,
        'height': image.height,
        'background': 0,  # the kinds' numbers are AP-10K's own
    }


def _annotation(animal, image_id: int, number: int) -> dict:
    keypoints = animal.keypoints
    width, height = animal.box[2:]
    return {
        'id': number,
        'image_id': image_id,
        'category_id': animal.category,
        'bbox': animal.box,
        'area': float(np.round(width * height, 2)),
        'iscrowd': 0,
        'num_keypoints': num_labelled(keypoints),
        'keypoints': flat(keypoints),
    }


def _content(description: str, images, annotations) -> dict:
    return {
        'info': {
            'description': description,
            'url': '',
            'version': '1.0',
            'year': 2025,
            'contributor': 'gtpt_mm',
            'date_created': '2025/01/01',
        },
        'licenses': [_LICENSE],
        'images': images,
        'annotations': annotations,
        'categories': _categories(),
    }


def write_ap10k(root, split: str, images: list[ImageRecord], seed: int):
    """Write the keypoints of a split; see ``generate``."""
    annotations = []
    for image in images:
        image_id = FIRST_ID[split] + image.index
        for animal in image.people:
            number = FIRST_ID[split] + len(annotations) + 1
            annotations.append(_annotation(animal, image_id, number))
    content = _content(
        'Animals drawn by pose_samples, laid out like AP-10K',
        [_image(image, split) for image in images],
        annotations,
    )
    write_json(root / f'annotations/ap10k-{split}-split1.json', content)


def write_apt36k(root, split: str, images: list[ImageRecord], seed: int):
    """Write the keypoints and identities of a split; see ``generate``."""
    annotations, entries = [], []
    for image in images:
        clip, frame = divmod(image.index, FRAMES_PER_CLIP)
        video = FIRST_ID[split] + clip
        entry = _image(image, split)
        entry['file_name'] = f'data/{entry["file_name"]}'
        del entry['background']
        entries.append({**entry, 'video_id': video, 'frame_id': frame})
        for animal in image.people:
            number = FIRST_ID[split] + len(annotations) + 1
            annotation = _annotation(animal, entry['id'], number)
            annotation['track_id'] = animal.track
            annotation['video_id'] = video
            annotations.append(annotation)
    content = _content(
        'Animals drawn by pose_samples, laid out like APT-36K',
        entries,
        annotations,
    )
    write_json(root / f'annotations/{split}_annotations_1.json', content)
