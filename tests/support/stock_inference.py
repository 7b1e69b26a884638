"""Inferencers of mmpose with tiny models, and a detector that finds a list."""

from types import SimpleNamespace

import cv2
import numpy as np
import torch
from mmengine.config import Config
from mmengine.structures import InstanceData
from mmpose.apis import MMPoseInferencer
from support.configs import ROOT, read_config, shrink

BODY = ROOT / 'configs/body_2d_keypoint'
CONFIGS = {
    'gtpt': BODY / 'gtpt/sample/gtpt-t_1xb16-14e_sample-96x64.py',
    'vitpose': (
        BODY / 'vitpose/sample/td-hm_vitpose-s_1xb16-14e_sample-96x64.py'
    ),
    'hevitpose': (
        BODY / 'hevitpose/sample/'
        'td-hm_hevitpose-t_1xb16-6e_sample-coco-128x96.py'
    ),
    'group_pose': (
        BODY / 'group_pose/sample/'
        'group-pose_res18_1xb8-20e_sample-coco-96x144.py'
    ),
    'bottom_up': (
        BODY / 'vitpose/sample/ae_vitpose-tiny_1xb8-14e_sample-128x128.py'
    ),
}


def small_config(name: str) -> Config:
    """Return the config of a family with a tiny model."""
    cfg = read_config(CONFIGS[name])
    cfg.model = shrink(cfg.model)
    cfg.config_check = False
    return cfg


def make_inferencer(name: str) -> MMPoseInferencer:
    """Return an inferencer with random weights, always the same."""
    torch.manual_seed(0)
    options = {}
    if name not in ('group_pose', 'bottom_up'):
        options['det_model'] = 'whole_image'
    return MMPoseInferencer(pose2d=small_config(name), device='cpu', **options)


class FoundBoxes:
    """A detector that finds the same boxes in each image.

    Args:
        boxes: (n, 4).
        scores: Of each.
        labels: Of each.
        classes: Names of the labels.
    """

    def __init__(self, boxes, scores, labels, classes=('person',)):
        self.found = InstanceData(
            bboxes=torch.tensor(boxes).float().reshape(-1, 4),
            scores=torch.tensor(scores).float(),
            labels=torch.tensor(labels).long(),
        )
        self.model = SimpleNamespace(dataset_meta=dict(classes=classes))

    def __call__(self, image, return_datasamples):
        shape = image.shape[:2] if hasattr(image, 'shape') else (100, 80)
        sample = SimpleNamespace(pred_instances=self.found, ori_shape=shape)
        return dict(predictions=[sample])


def write_video(path, frames, code='mp4v', fps=12) -> str:
    """Write frames into a video; return its path."""
    writer = cv2.VideoWriter(
        str(path),
        cv2.VideoWriter_fourcc(*code),
        fps,
        frames[0].shape[1::-1],
    )
    assert writer.isOpened()
    for frame in frames:
        writer.write(frame)
    writer.release()
    return str(path)


def count_frames(path) -> int:
    """Return the number of frames that a video plays."""
    capture = cv2.VideoCapture(str(path))
    number = 0
    while capture.read()[0]:
        number += 1
    return number


def draw_noise(height: int, width: int, seed: int = 0) -> np.ndarray:
    """Return an image of noise."""
    random = np.random.default_rng(seed)
    return random.integers(0, 256, (height, width, 3), np.uint8)
