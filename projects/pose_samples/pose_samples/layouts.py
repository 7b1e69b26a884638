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
    """Images that one or more layouts share.

    Args:
        number: Part of the seed of every image.
        folder: Below the output folder.
        image_dirs: Folder of the images of each split.
        digits: Of the names of the images; 0 for 40 hexadecimal digits.
        setting: How the pictures look.
        clip: Frames of a clip; 1 for single pictures.
    """

    number: int
    folder: str
    image_dirs: dict[str, str]
    digits: int
    setting: Setting
    clip: int = 1

    def file_name(self, index: int, split: str, seed: int) -> str:
        """Return the name of an image."""
        if self.digits:
            return f'{FIRST_ID[split] + index:0{self.digits}d}.jpg'
        text = f'{split}-{index}-{seed}'.encode()
        return f'{hashlib.sha1(text).hexdigest()}.jpg'


@dataclass(frozen=True)
class Layout:
    """A dataset's files.

    Args:
        images: The set of images that it describes.
        format: Writes the annotations of one split.
        files: File of the annotations of each split.
        more: Further files of the format.
        detections: File of detected boxes of the val split.
    """

    images: ImageSet
    format: CocoJson | MpiiJson
    files: dict[str, str]
    more: tuple[str, ...] = ()
    detections: str | None = None

    def all_files(self) -> list[str]:
        """Return the names of all files but the images."""
        boxes = [self.detections] if self.detections else []
        return [*self.files.values(), *self.more, *boxes]


def _splits(pattern: str, train: str = 'train', val: str = 'val') -> dict:
    return {'train': pattern.format(train), 'val': pattern.format(val)}


_COCO_IMAGES = ImageSet(
    0, 'coco', _splits('{}2017'), 12,
    Setting(
        sizes=(
            ((192, 256), (192, 256), (240, 320), (256, 256), (288, 240)),
            ((320, 240), (400, 300), (360, 360), (480, 360), (360, 480)),
        ),
        crowd=(0.68, 0.23, 0.09),
        height=((0.62, 0.96), (0.52, 0.88)),
    ),
)  # fmt: skip
_MPII_IMAGES = ImageSet(
    1, 'mpii', _splits('images'), 9,
    Setting(
        sizes=(
            ((384, 288), (320, 320), (400, 300)),
            ((480, 360), (512, 320)),
        ),
        crowd=(0.8, 0.15, 0.05),
        height=((0.65, 0.95), (0.6, 0.9)),
    ),
)  # fmt: skip
_AIC_IMAGES = ImageSet(
    2, 'aic',
    {split: f'ai_challenger_keypoint_{name}_{date}/'
            f'keypoint_{name}_images_{date}'
     for split, name, date in (('train', 'train', 20170902),
                               ('val', 'validation', 20170911))}, 0,
    Setting(
        sizes=(
            ((240, 320), (320, 240), (300, 300)),
            ((400, 300), (480, 320), (480, 360)),
        ),
        crowd=(0.45, 0.3, 0.15, 0.1),
        height=((0.65, 0.97), (0.55, 0.95)),
        truncate=0.18,
    ),
)  # fmt: skip
_CROWDPOSE_IMAGES = ImageSet(
    3, 'crowdpose', _splits('images'), 6,
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
)  # fmt: skip
_AP10K_IMAGES = ImageSet(
    4, 'ap10k', _splits('data'), 12,
    Setting(
        sizes=(
            ((320, 240), (320, 256), (384, 256), (288, 288)),
            ((400, 300), (480, 320), (480, 360)),
        ),
        crowd=(0.76, 0.17, 0.07),
        height=((0.60, 0.95), (0.45, 0.75)),
        sample=sample_animal,
    ),
)  # fmt: skip
_APT36K_IMAGES = ImageSet(
    5, 'apt36k', _splits('data'), 12,
    Setting(
        sizes=(((384, 256), (400, 240)), ((480, 270), (480, 320))),
        crowd=(0.7, 0.3),
        # Room to move.
        height=((0.40, 0.70), (0.35, 0.60)),
        truncate=0.05,
        sample=sample_animal,
    ),
    clip=FRAMES_PER_CLIP,
)  # fmt: skip

LAYOUTS = {
    'coco': Layout(
        _COCO_IMAGES,
        formats.COCO,
        _splits('annotations/person_keypoints_{}2017.json'),
        detections='person_detection_results/'
        'COCO_val2017_detections_AP_H_56_person.json',
    ),
    'coco-wholebody': Layout(
        _COCO_IMAGES,
        formats.COCO_WHOLEBODY,
        _splits('annotations/coco_wholebody_{}_v1.0.json'),
    ),
    'mpii': Layout(
        _MPII_IMAGES,
        MpiiJson(),
        _splits('annotations/mpii_{}.json'),
        ('annotations/mpii_gt_val.mat',),
    ),
    'aic': Layout(
        _AIC_IMAGES, formats.AIC, _splits('annotations/aic_{}.json')
    ),
    # The official name of the split that is not for training is "test".
    'crowdpose': Layout(
        _CROWDPOSE_IMAGES,
        formats.CROWDPOSE,
        _splits('annotations/mmpose_crowdpose_{}.json', 'trainval', 'test'),
        detections='annotations/det_for_crowd_test_0.1_0.5.json',
    ),
    'ap10k': Layout(
        _AP10K_IMAGES,
        formats.AP10K,
        _splits('annotations/ap10k-{}-split1.json'),
    ),
    'apt36k': Layout(
        _APT36K_IMAGES,
        formats.APT36K,
        _splits('annotations/{}_annotations_1.json'),
    ),
}

DIFFICULTIES = ('easy', 'normal', 'hard')


def adapt(
    setting: Setting,
    difficulty: str,
    max_people: int | None,
    image_size: tuple[int, int] | None,
) -> Setting:
    """Return a setting with the user's wishes; see ``generate``."""
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
