"""Instances cropped from an image, as a top-down model sees them."""

# N instances, (H, W) input size

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from mmengine.dataset import Compose, pseudo_collate
from mmpose.models import TopdownPoseEstimator
from torch import Tensor

from gtpt_mm.models.backbones import GTPT


class Crop(NamedTuple):
    """One instance, as a picture and as input of the model.

    Attributes:
        picture: The crop, (H, W, 3), uint8, BGR.
        inputs: The same after the preprocessor, (1, 3, H, W).
    """

    picture: np.ndarray
    inputs: Tensor


def crop_instances(
    model: TopdownPoseEstimator,
    img: np.ndarray,
    bboxes: np.ndarray | None = None,
) -> list[Crop]:
    """Crop instances from an image by the test pipeline of the model.

    Args:
        model: Estimator with a GTPT backbone, from ``mmpose.apis.init_model``.
        img: Image, (H, W, 3), uint8, BGR.
        bboxes: Boxes (x1, y1, x2, y2) in pixels of ``img``, (N, 4); None is
            the whole image.

    Returns:
        One crop for each box.

    Raises:
        ValueError: If the backbone is not a GTPT, ``bboxes`` is empty, or a
            box is not finite, empty, does not touch the image, or reaches
            beyond it by more than its size.
    """
    check_backbone(model)
    height, width = img.shape[:2]
    if bboxes is None:
        bboxes = np.array([[0, 0, width, height]])
    if not len(bboxes):
        raise ValueError('got no boxes; give None for the whole image')
    for box in bboxes:
        _check_box(box, width, height)
    pipeline = Compose(model.cfg.test_dataloader.dataset.pipeline)
    return [
        preprocess(
            model,
            pipeline(
                dict(
                    img=img,
                    bbox=bbox[None],
                    bbox_score=np.ones(1, np.float32),
                    **model.dataset_meta,
                )
            ),
        )
        for bbox in np.asarray(bboxes, np.float32)
    ]


def _check_box(box: Sequence[float], width: int, height: int) -> None:
    """Raise a ValueError if a box cannot be that of an instance in the image.

    It may reach beyond the border, as boxes of detectors do.
    """
    x1, y1, x2, y2 = box
    words = (
        f'of an image of width {width} and height {height}; give its upper '
        'left and lower right corner in pixels'
    )
    name = f'the box (x1, y1, x2, y2) = {x1, y1, x2, y2}'
    if not (max(x1, 0) < min(x2, width) and max(y1, 0) < min(y2, height)):
        raise ValueError(f'{name} holds nothing {words}')
    beyond_x = max(-x1, x2 - width) > width
    beyond_y = max(-y1, y2 - height) > height
    if beyond_x or beyond_y:
        raise ValueError(
            f'{name} reaches beyond the border by more than the size {words}'
        )


def preprocess(model: TopdownPoseEstimator, data: dict) -> Crop:
    """Turn one sample of a test pipeline into a crop."""
    picture = data['inputs'].permute(1, 2, 0).numpy()
    batch = model.data_preprocessor(pseudo_collate([data]), False)
    return Crop(np.ascontiguousarray(picture), batch['inputs'])


def check_backbone(model: TopdownPoseEstimator) -> None:
    """Raise a ValueError for a model without a GTPT backbone."""
    backbone = getattr(model, 'backbone', None)
    if not isinstance(backbone, GTPT):
        raise ValueError(
            'pictures of tokens need a model with a GTPT backbone, got '
            f'{type(backbone or model).__name__}; give the config of a GTPT'
        )
