"""The data sets that can be drawn: folders, files and kind of pictures."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from .animals import ANIMALS
from .animals.formats import (
    FRAMES_PER_CLIP,
    animal_file_name,
    write_ap10k,
    write_apt36k,
)
from .formats import (
    ImageRecord,
    aic_file_name,
    coco_file_name,
    crowdpose_file_name,
    mpii_file_name,
    write_aic,
    write_coco,
    write_coco_wholebody,
    write_crowdpose,
    write_mpii,
)
from .scene import Setting


@dataclass(frozen=True)
class ImageSet:
    """Images that one or more layouts share.

    Args:
        number: Part of the seed of every image.
        folder: Below the output folder.
        image_dirs: Folder of the images of each split.
        file_name: Name of an image from (index, split, seed).
        setting: What the pictures are like.
        clip: Frames of a clip; 1 for single pictures.
    """

    number: int
    folder: str
    image_dirs: dict[str, str]
    file_name: Callable[[int, str, int], str]
    setting: Setting
    clip: int = 1


@dataclass(frozen=True)
class Layout:
    """A data set's files.

    Args:
        images: The set of images that it describes.
        write: Writes the files of one split from (root, split, images, seed).
        files: Names of all files that ``write`` writes, below the folder.
    """

    images: ImageSet
    write: Callable[[Path, str, list[ImageRecord], int], None]
    files: tuple[str, ...]


_COCO_IMAGES = ImageSet(
    0,
    'coco',
    {'train': 'train2017', 'val': 'val2017'},
    coco_file_name,
    Setting(
        sizes=(
            ((192, 256), (192, 256), (240, 320), (256, 256), (288, 240)),
            ((320, 240), (400, 300), (360, 360), (480, 360), (360, 480)),
        ),
        crowd=(0.68, 0.23, 0.09),
        height=((0.62, 0.96), (0.52, 0.88)),
    ),
)
_MPII_IMAGES = ImageSet(
    1,
    'mpii',
    {'train': 'images', 'val': 'images'},
    mpii_file_name,
    Setting(
        sizes=(
            ((384, 288), (320, 320), (400, 300)),
            ((480, 360), (512, 320)),
        ),
        crowd=(0.8, 0.15, 0.05),
        height=((0.65, 0.95), (0.6, 0.9)),
    ),
)
_AIC_IMAGES = ImageSet(
    2,
    'aic',
    {
        'train': 'ai_challenger_keypoint_train_20170902/'
        'keypoint_train_images_20170902',
        'val': 'ai_challenger_keypoint_validation_20170911/'
        'keypoint_validation_images_20170911',
    },
    aic_file_name,
    Setting(
        sizes=(
            ((240, 320), (320, 240), (300, 300)),
            ((400, 300), (480, 320), (480, 360)),
        ),
        crowd=(0.45, 0.3, 0.15, 0.1),
        height=((0.65, 0.97), (0.55, 0.95)),
        truncate=0.18,
    ),
)
_CROWDPOSE_IMAGES = ImageSet(
    3,
    'crowdpose',
    {'train': 'images', 'val': 'images'},
    crowdpose_file_name,
    Setting(
        sizes=(
            ((320, 240), (240, 320)),
            ((400, 300), (480, 360), (480, 320), (512, 384)),
        ),
        crowd=(0.06, 0.16, 0.22, 0.22, 0.16, 0.10, 0.05, 0.03),
        height=((0.65, 0.95), (0.45, 0.85)),
        occlude=0.5,
        overlap=0.85,
        gather=0.45,
    ),
)

_AP10K_IMAGES = ImageSet(
    4,
    'ap10k',
    {'train': 'data', 'val': 'data'},
    animal_file_name,
    Setting(
        sizes=(
            ((320, 240), (320, 256), (384, 256), (288, 288)),
            ((400, 300), (480, 320), (480, 360)),
        ),
        crowd=(0.76, 0.17, 0.07),
        height=((0.60, 0.95), (0.45, 0.75)),
        subject=ANIMALS,
    ),
)
_APT36K_IMAGES = ImageSet(
    5,
    'apt36k',
    {'train': 'data', 'val': 'data'},
    animal_file_name,
    Setting(
        sizes=(((384, 256), (400, 240)), ((480, 270), (480, 320))),
        crowd=(0.7, 0.3),
        # Room to move.
        height=((0.40, 0.70), (0.35, 0.60)),
        truncate=0.05,
        subject=ANIMALS,
    ),
    clip=FRAMES_PER_CLIP,
)

LAYOUTS = {
    'coco': Layout(
        _COCO_IMAGES,
        write_coco,
        (
            'annotations/person_keypoints_train2017.json',
            'annotations/person_keypoints_val2017.json',
            'person_detection_results/'
            'COCO_val2017_detections_AP_H_56_person.json',
        ),
    ),
    'coco-wholebody': Layout(
        _COCO_IMAGES,
        write_coco_wholebody,
        (
            'annotations/coco_wholebody_train_v1.0.json',
            'annotations/coco_wholebody_val_v1.0.json',
        ),
    ),
    'mpii': Layout(
        _MPII_IMAGES,
        write_mpii,
        (
            'annotations/mpii_train.json',
            'annotations/mpii_val.json',
            'annotations/mpii_gt_val.mat',
        ),
    ),
    'aic': Layout(
        _AIC_IMAGES,
        write_aic,
        ('annotations/aic_train.json', 'annotations/aic_val.json'),
    ),
    'crowdpose': Layout(
        _CROWDPOSE_IMAGES,
        write_crowdpose,
        (
            'annotations/mmpose_crowdpose_trainval.json',
            'annotations/mmpose_crowdpose_test.json',
            'annotations/det_for_crowd_test_0.1_0.5.json',
        ),
    ),
    'ap10k': Layout(
        _AP10K_IMAGES,
        write_ap10k,
        (
            'annotations/ap10k-train-split1.json',
            'annotations/ap10k-val-split1.json',
        ),
    ),
    'apt36k': Layout(
        _APT36K_IMAGES,
        write_apt36k,
        (
            'annotations/train_annotations_1.json',
            'annotations/val_annotations_1.json',
        ),
    ),
}

DIFFICULTIES = ('easy', 'normal', 'hard')


def adapt(
    setting: Setting,
    difficulty: str,
    max_people: int | None,
    image_size: tuple[int, int] | None,
) -> Setting:
    """Return a setting with the user's wishes.

    Args:
        setting: That of the layout.
        difficulty: ``easy`` leaves out cuts, occluders and most clutter,
            and everybody stands or walks, people face the viewer and
            animals show their side; ``hard`` doubles cuts, occluders and
            clutter.
        max_people: Most people or animals in a picture; None keeps the
            layout's.
        image_size: (w, h) of all images; None keeps the layout's.
    """
    if difficulty == 'easy':
        setting = replace(
            setting,
            truncate=0.0,
            occlude=0.0,
            clutter=0.3,
            overlap=0.1,
            simple=True,
        )
    elif difficulty == 'hard':
        setting = replace(
            setting,
            truncate=2 * setting.truncate,
            occlude=2 * setting.occlude,
            clutter=2.0,
            overlap=min(2 * setting.overlap, 0.9),
        )
    if max_people is not None:
        crowd = np.array(setting.crowd[:max_people])
        crowd = np.pad(crowd, (0, max_people - len(crowd)), mode='edge')
        setting = replace(setting, crowd=tuple(crowd / crowd.sum()))
    if image_size is not None:
        sizes = (tuple(image_size),)
        setting = replace(setting, sizes=(sizes, sizes))
    return setting
