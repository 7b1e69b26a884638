"""Datasets of models that see all instances of an image at once."""

import numpy as np
from mmpose.datasets import CocoDataset, CrowdPoseDataset
from mmpose.registry import DATASETS


class EndToEndInstancesMixin:
    """Train on instances that have keypoints; test on every image.

    For mmpose's COCO-style datasets. With ``test_mode=False`` it leaves out
    crowds (``iscrowd``), instances without keypoints or without a box inside
    the image, and then images without instances; an epoch is as long as the
    official one. (Stock mmpose keeps all of them for bottom-up models: 64,115
    images of COCO train2017 instead of 56,599.)

    Two more differences from stock mmpose, in both modes:

    - boxes end at the border w, h instead of w - 1, h - 1;
    - an area that is not annotated, as in CrowdPose, is that of the whole
      box instead of 0.53 of it.

    Source: dataset of the official code of Group Pose.

    Raises:
        ValueError: For ``data_mode='topdown'``, when the data are read.
    """

    data_mode: str
    test_mode: bool

    def load_data_list(self) -> list[dict]:
        """Read the annotations, one entry for each image."""
        if self.data_mode != 'bottomup':
            raise ValueError(
                f'{type(self).__name__} gives all instances of an image at '
                f"once; set data_mode='bottomup', not {self.data_mode!r}"
            )
        return super().load_data_list()

    def parse_data_info(self, raw_data_info: dict) -> dict | None:
        """Return an instance as stock mmpose, except for its box and area."""
        instance = super().parse_data_info(raw_data_info)
        if instance is None:
            return None
        annotation = raw_data_info['raw_ann_info']
        image = raw_data_info['raw_img_info']
        x, y, w, h = annotation['bbox']
        box = np.array([[x, y, x + w, y + h]], np.float32)
        limit = np.tile((image['width'], image['height']), 2)
        box = box.clip(0, limit).astype(np.float32)
        area = annotation.get('area', np.prod(box[0, 2:] - box[0, :2]))
        return {**instance, 'bbox': box, 'area': np.array(area, np.float32)}

    def _get_bottomup_data_infos(
        self, instance_list: list[dict], image_list: list[dict]
    ) -> list[dict]:
        if not self.test_mode:
            instance_list = list(filter(_is_trained_on, instance_list))
        return super()._get_bottomup_data_infos(instance_list, image_list)


def _is_trained_on(instance: dict) -> bool:
    low, high = np.split(instance['bbox'][0], 2)
    return bool(
        not instance['iscrowd']
        and instance['num_keypoints'] > 0
        and (high > low).all()
    )


@DATASETS.register_module()
class CocoPeopleDataset(EndToEndInstancesMixin, CocoDataset):
    """COCO, or other data in its layout: see ``EndToEndInstancesMixin``."""


@DATASETS.register_module()
class CrowdPosePeopleDataset(EndToEndInstancesMixin, CrowdPoseDataset):
    """CrowdPose: see ``EndToEndInstancesMixin``."""
