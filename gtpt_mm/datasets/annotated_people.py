"""All people of an image at once, as the end-to-end models train on them."""

import numpy as np
from mmpose.datasets import CocoDataset, CrowdPoseDataset
from mmpose.registry import DATASETS


class AnnotatedPeople:
    """Train on the people that have keypoints; test on every image.

    A mixin for mmpose's COCO-style data sets. With ``test_mode=False`` it
    leaves out crowds (``iscrowd``), people without keypoints, people without
    a box inside the image, and then images without people; an epoch is as
    long as the authors'. (Stock mmpose keeps all of them for models that see
    all people at once: 64,115 images of COCO train2017 instead of 56,599.)

    Two more differences to stock mmpose, in both modes:

    - boxes end at the border w, h instead of w - 1, h - 1;
    - an area that is not annotated, as in CrowdPose, is that of the whole
      box instead of 0.53 of it.

    Source: data set of the authors' code of Group Pose.

    Raises:
        ValueError: For ``data_mode='topdown'``, when the data are read.
    """

    def load_data_list(self) -> list[dict]:
        """Read the annotations, one entry for each image."""
        if self.data_mode != 'bottomup':
            raise ValueError(
                f'{type(self).__name__} gives all people of an image at once;'
                f" set data_mode='bottomup', not {self.data_mode!r}"
            )
        return super().load_data_list()

    def parse_data_info(self, raw_data_info: dict) -> dict | None:
        """Return one person as stock mmpose does, but box and area."""
        person = super().parse_data_info(raw_data_info)
        if person is None:
            return None
        annotation = raw_data_info['raw_ann_info']
        image = raw_data_info['raw_img_info']
        x, y, w, h = annotation['bbox']
        box = np.array([[x, y, x + w, y + h]], np.float32)
        limit = np.tile((image['width'], image['height']), 2)
        box = box.clip(0, limit).astype(np.float32)
        area = annotation.get('area', np.prod(box[0, 2:] - box[0, :2]))
        return {**person, 'bbox': box, 'area': np.array(area, np.float32)}

    def _get_bottomup_data_infos(
        self, instance_list: list[dict], image_list: list[dict]
    ) -> list[dict]:
        if not self.test_mode:
            instance_list = list(filter(self._has_keypoints, instance_list))
        return super()._get_bottomup_data_infos(instance_list, image_list)

    @staticmethod
    def _has_keypoints(person: dict) -> bool:
        low, high = np.split(person['bbox'][0], 2)
        return bool(
            not person['iscrowd']
            and person['num_keypoints'] > 0
            and (high > low).all()
        )


@DATASETS.register_module()
class CocoPeopleDataset(AnnotatedPeople, CocoDataset):
    """COCO, or own data in its layout: see ``AnnotatedPeople``."""


@DATASETS.register_module()
class CrowdPosePeopleDataset(AnnotatedPeople, CrowdPoseDataset):
    """CrowdPose: see ``AnnotatedPeople``."""
