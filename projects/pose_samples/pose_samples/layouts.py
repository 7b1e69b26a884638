"""The datasets that can be drawn: folders, files and kind of pictures."""

import hashlib
from dataclasses import dataclass, replace

import numpy as np

from . import formats
from .animals import sample_animal
from .formats import FIRST_ID, CocoJson, MpiiJson
from .scene import Setting

FRAMES_PER_CLIP = 15


@dataclass(frozen=True)
class ImageSet:
    """Images that one or more layouts share."""

    number: int  # part of the seed of every image
    folder: str  # below the output folder
    image_dirs: dict[str, str]  # folder of the images of each split
    digits: int  # of the images' names; 0 for 40 hexadecimal digits
    setting: Setting
    clip: int = 1  # frames of a clip; 1 for single pictures

    def file_name(self, index: int, split: str, seed: int) -> str:
        """Return the name of an image."""
        if self.digits:
            return f'{FIRST_ID[split] + index:0{self.digits}d}.jpg'
        text = f'{split}-{index}-{seed}'.encode()
        return f'{hashlib.sha1(text).hexdigest()}.jpg'


@dataclass(frozen=True)
class Layout:
    """A dataset's files, below the folder of its images."""

    images: ImageSet
    format: CocoJson | MpiiJson
    files: dict[str, str]  # annotations of each split
    more: tuple[str, ...] = ()  # further files of the format
    detections: str | None = None  # detected boxes of the val split

    def all_files(self) -> list[str]:
        """Return the names of all files but the images."""
        boxes = [self.detections] if self.detections else []
        return [*self.files.values(), *self.more, *boxes]


def _splits(pattern: str, train: str = 'train', val: str = 'val') -> dict:
    return {'train': pattern.format(train), 'val': pattern.format(val)}


def _sizes(*rows: str) -> tuple[tuple[tuple[int, int], ...], ...]:
    """Read sizes such as '320x240', w and h, for one figure and several."""
    return tuple(
        tuple((int(w), int(h)) for w, h in (s.split('x') for s in row.split()))
        for row in rows
    )


_COCO_IMAGES = ImageSet(0, 'coco', _splits('{}2017'), 12, Setting(
    sizes=_sizes('192x256 192x256 240x320 256x256 288x240',
                 '320x240 400x300 360x360 480x360 360x480'),
    crowd=(0.68, 0.23, 0.09),
    height=((0.62, 0.96), (0.52, 0.88)),
))  # fmt: skip
_MPII_IMAGES = ImageSet(1, 'mpii', _splits('images'), 9, Setting(
    sizes=_sizes('384x288 320x320 400x300', '480x360 512x320'),
    crowd=(0.8, 0.15, 0.05),
    height=((0.65, 0.95), (0.6, 0.9)),
))  # fmt: skip
_AIC_DIRS = {
    'train': 'ai_challenger_keypoint_train_20170902/'
    'keypoint_train_images_20170902',
    'val': 'ai_challenger_keypoint_validation_20170911/'
    'keypoint_validation_images_20170911',
}
_AIC_IMAGES = ImageSet(2, 'aic', _AIC_DIRS, 0, Setting(
    sizes=_sizes('240x320 320x240 300x300', '400x300 480x320 480x360'),
    crowd=(0.45, 0.3, 0.15, 0.1),
    height=((0.65, 0.97), (0.55, 0.95)),
    truncate=0.18,
))  # fmt: skip
_CROWDPOSE_IMAGES = ImageSet(3, 'crowdpose', _splits('images'), 6, Setting(
    sizes=_sizes('320x240 240x320', '400x300 480x360 480x320 512x384'),
    crowd=(0.06, 0.16, 0.22, 0.22, 0.16, 0.10, 0.05, 0.03),
    height=((0.65, 0.95), (0.45, 0.85)),
    occlude=0.5, overlap=0.85, gather=0.45,
))  # fmt: skip
_AP10K_IMAGES = ImageSet(4, 'ap10k', _splits('data'), 12, Setting(
    sizes=_sizes('320x240 320x256 384x256 288x288',
                 '400x300 480x320 480x360'),
    crowd=(0.76, 0.17, 0.07),
    height=((0.60, 0.95), (0.45, 0.75)),
    sample=sample_animal,
))  # fmt: skip
_APT36K_IMAGES = ImageSet(5, 'apt36k', _splits('data'), 12, Setting(
    sizes=_sizes('384x256 400x240', '480x270 480x320'),
    crowd=(0.7, 0.3),
    height=((0.40, 0.70), (0.35, 0.60)),  # room to move
    truncate=0.05,
    sample=sample_animal,
), clip=FRAMES_PER_CLIP)  # fmt: skip

_COCO_BOXES = (
    'person_detection_results/COCO_val2017_detections_AP_H_56_person.json'
)
LAYOUTS = {
    'coco': Layout(
        _COCO_IMAGES, formats.COCO,
        _splits('annotations/person_keypoints_{}2017.json'),
        detections=_COCO_BOXES),
    'coco-wholebody': Layout(
        _COCO_IMAGES, formats.COCO_WHOLEBODY,
        _splits('annotations/coco_wholebody_{}_v1.0.json')),
    'mpii': Layout(
        _MPII_IMAGES, MpiiJson(), _splits('annotations/mpii_{}.json'),
        ('annotations/mpii_gt_val.mat',)),
    'aic': Layout(
        _AIC_IMAGES, formats.AIC, _splits('annotations/aic_{}.json')),
    # The official name of the split that is not for training is "test".
    'crowdpose': Layout(
        _CROWDPOSE_IMAGES, formats.CROWDPOSE,
        _splits('annotations/mmpose_crowdpose_{}.json', 'trainval', 'test'),
        detections='annotations/det_for_crowd_test_0.1_0.5.json'),
    'ap10k': Layout(
        _AP10K_IMAGES, formats.AP10K,
        _splits('annotations/ap10k-{}-split1.json')),
    'apt36k': Layout(
        _APT36K_IMAGES, formats.APT36K,
        _splits('annotations/{}_annotations_1.json')),
}  # fmt: skip

DIFFICULTIES = ('easy', 'normal', 'hard')


def adapt(
    setting: Setting,
    difficulty: str,
    max_people: int | None,
    image_size: tuple[int, int] | None,
) -> Setting:
    """Return a setting with the user's options; see ``generate``."""
    if difficulty == 'easy':
        setting = replace(
            setting, truncate=0.0, occlude=0.0, clutter=0.3, overlap=0.1,
            simple=True,
        )  # fmt: skip
    elif difficulty == 'hard':
        setting = replace(
            setting, truncate=2 * setting.truncate,
            occlude=2 * setting.occlude, clutter=2.0,
            overlap=min(2 * setting.overlap, 0.9),
        )  # fmt: skip
    if max_people is not None:
        crowd = np.array(setting.crowd[:max_people])
        crowd = np.pad(crowd, (0, max_people - len(crowd)), mode='edge')
        setting = replace(setting, crowd=tuple(crowd / crowd.sum()))
    if image_size is not None:
        sizes = (tuple(image_size),)
        setting = replace(setting, sizes=(sizes, sizes))
    return setting
