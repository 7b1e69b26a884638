"""Top-down prediction: boxes to crops, crops to keypoints, in batches."""

# N images, P people, K keypoints, (h, w) input in pixels

import inspect
from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
import torch
from mmcv.transforms import Compose
from mmengine.structures import InstanceData
from mmpose.datasets.transforms import (
    GetBBoxCenterScale,
    LoadImage,
    PackPoseInputs,
    TopdownAffine,
)
from mmpose.models.pose_estimators import (
    BottomupPoseEstimator,
    TopdownPoseEstimator,
)
from mmpose.models.pose_estimators.base import BasePoseEstimator
from mmpose.structures import PoseDataSample
from mmpose.structures.bbox import (
    bbox_xyxy2cs,
    get_udp_warp_matrix,
    get_warp_matrix,
)
from torch import Tensor

from gtpt_mm.compat.inference.head_codec import compare
from gtpt_mm.deploy.runtimes import Network

from .network import (
    TorchNetwork,
    explained_errors,
    micro_batch,
    with_checked_head,
    with_head,
)

#: A crop for the preprocessor, (3, h, w), and its data sample.
Crops = tuple[Tensor | list[Tensor], list[PoseDataSample]]


class TopDown:
    """Predicts the people in boxes as mmpose does, many at a time.

    Args:
        model: A model with ``cfg`` and ``dataset_meta``, on its device.
        batch_size: Largest number of people in a pass of the network.
        network: Computes the outputs of the head; None: the model itself.
    """

    def __init__(
        self,
        model: BasePoseEstimator,
        batch_size: int,
        network: Network | None = None,
    ) -> None:
        self.model = model
        self.batch_size = batch_size
        pipeline = Compose(model.cfg.test_dataloader.dataset.pipeline)
        self.crop = make_cropper(pipeline, model.dataset_meta)
        self.network = network
        if can_decode_apart(model):
            self.network = network or TorchNetwork(model, batch_size)
            self.decoder = with_head(model, lambda outputs: outputs).head
        self.whole = with_checked_head(model)

    def __call__(
        self,
        images: Sequence[np.ndarray],
        boxes: np.ndarray,
        box_scores: np.ndarray,
        image_index: np.ndarray,
    ) -> list[InstanceData]:
        """Return the pose of each person.

        Args:
            images: BGR, uint8, (H, W, 3) each.
            boxes: (x1, y1, x2, y2) of all people, (P, 4).
            box_scores: (P,).
            image_index: Image of each person, (P,).
        """
        poses: list[InstanceData] = []
        for start in range(0, len(boxes), self.batch_size):
            part = slice(start, start + self.batch_size)
            crops, samples = self.crop(
                [images[i] for i in image_index[part]],
                boxes[part],
                box_scores[part],
            )
            compare(getattr(self.model.head, 'decoder', None), samples)
            poses += [s.pred_instances for s in self._predict(crops, samples)]
        return poses

    def _predict(
        self, crops: Tensor | list[Tensor], samples: list[PoseDataSample]
    ) -> list[PoseDataSample]:
        inputs = self._preprocess(crops)
        if self.network is None:
            size = micro_batch(inputs, self.batch_size)
            results = []
            for i, part in enumerate(inputs.split(size)):
                some = samples[i * size : (i + 1) * size]
                with explained_errors(self.model):
                    results += self.whole.predict(part, some)
            return results
        outputs = self.network(inputs)
        test_cfg = self.model.test_cfg
        if test_cfg.get('flip_test', False):
            outputs = [outputs, self.network(inputs.flip(-1))]
        found = self.decoder.predict(outputs, samples, test_cfg=test_cfg)
        poses, fields = found if isinstance(found, tuple) else (found, None)
        return self.model.add_pred_to_datasample(poses, fields, samples)

    def _preprocess(self, crops: Tensor | list[Tensor]) -> Tensor:
        """Return normalised images on the device, in the model's dtype."""
        data = dict(inputs=crops, data_samples=[])
        inputs = self.model.data_preprocessor(data)['inputs']
        return inputs.to(next(self.model.parameters()).dtype)


def can_decode_apart(model: BasePoseEstimator) -> bool:
    """Tell whether ``head.predict`` is ``head.forward``, then decoding.

    If so, the network can run in its own batches, or in another runtime.
    """
    predict = inspect.unwrap(type(model).predict)
    stock = (TopdownPoseEstimator, BottomupPoseEstimator)
    head = inspect.unwrap(type(model.head).predict)
    return (
        predict in [inspect.unwrap(kind.predict) for kind in stock]
        and 'forward' in head.__code__.co_names
    )


def make_cropper(pipeline: Compose, metainfo: dict) -> 'PipelineCropper':
    """Return the cropper of a pipeline: a fast one for mmpose's usual one."""
    usual = [LoadImage, GetBBoxCenterScale, TopdownAffine, PackPoseInputs]
    steps = pipeline.transforms
    if [type(s) for s in steps] == usual and not steps[0].to_float32:
        return AffineCropper(pipeline, metainfo)
    return PipelineCropper(pipeline, metainfo)


class PipelineCropper:
    """Crops by the pipeline of a config.

    Args:
        pipeline: The test pipeline.
        metainfo: Metainfo of the dataset.
    """

    def __init__(self, pipeline: Compose, metainfo: dict) -> None:
        self.pipeline = pipeline
        self.metainfo = metainfo

    def __call__(
        self,
        images: Sequence[np.ndarray],
        boxes: np.ndarray,
        box_scores: np.ndarray,
    ) -> Crops:
        """Return one crop for each image and box, and its data sample."""
        packed = []
        for image, box, score in zip(images, boxes, box_scores, strict=True):
            instance: dict[str, Any] = dict(img=image)
            instance.update(bbox=box[None], bbox_score=score[None])
            packed.append(self.pipeline({**instance, **self.metainfo}))
        return (
            [p['inputs'] for p in packed],
            [p['data_samples'] for p in packed],
        )


class AffineCropper(PipelineCropper):
    """The same crops and samples without the overhead of the pipeline."""

    def __call__(
        self,
        images: Sequence[np.ndarray],
        boxes: np.ndarray,
        box_scores: np.ndarray,
    ) -> Crops:
        """Return one crop for each image and box, and its data sample."""
        _, box_step, affine, _ = self.pipeline.transforms
        w, h = affine.input_size
        centers, scales = bbox_xyxy2cs(boxes, padding=box_step.padding)
        scales = affine._fix_aspect_ratio(scales, aspect_ratio=w / h)
        warp = get_udp_warp_matrix if affine.use_udp else get_warp_matrix
        crops = np.empty((len(boxes), int(h), int(w), 3), np.uint8)
        for i, image in enumerate(images):
            matrix = warp(centers[i], scales[i], 0.0, output_size=(w, h))
            cv2.warpAffine(
                image,
                matrix,
                (int(w), int(h)),
                dst=crops[i],
                flags=cv2.INTER_LINEAR,
            )
        samples = []
        for i, (center, scale) in enumerate(zip(centers, scales, strict=True)):
            sample = PoseDataSample(
                metainfo=dict(
                    input_size=(w, h),
                    input_center=center,
                    input_scale=scale,
                    flip_indices=self.metainfo['flip_indices'],
                )
            )
            sample.gt_instances = InstanceData(
                bboxes=boxes[i : i + 1], bbox_scores=box_scores[i : i + 1]
            )
            samples.append(sample)
        return torch.from_numpy(crops).permute(0, 3, 1, 2), samples
