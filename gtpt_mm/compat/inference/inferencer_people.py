"""Return no people if the detector finds nobody.

Broken: in mmpose (<= 1.3.2) an image in which the detector finds nobody gets
one person, the whole image, with a score of 1. With a custom detector and no
``det_cat_ids`` this happens in every image, as no category equals ``None``.

Here: the result is then empty, also in videos, files and 3D. Without
``det_cat_ids``, the category ``person`` of the detector is used, or its first
one.

Can go: when mmpose's inferencers return empty results.
"""

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from ..messages import warn


class Nobody(list):
    """Empty list of samples, for an image without people.

    Args:
        img_path: Path or name of the image, as its results have it.
        ori_shape: Its (h, w).
    """

    def __init__(self, img_path: str, ori_shape: tuple[int, ...]) -> None:
        super().__init__()
        self.metainfo = dict(img_path=img_path, ori_shape=tuple(ori_shape[:2]))


def missing() -> str:
    """Say what is missing."""
    return 'the inferencers of mmpose find a person in every image'


def repair() -> None:
    """Let the inferencers return empty results."""
    from mmpose.apis.inferencers import (
        Hand3DInferencer,
        Pose2DInferencer,
        Pose3DInferencer,
    )
    from mmpose.apis.inferencers.base_mmpose_inferencer import (
        BaseMMPoseInferencer as Base,
    )

    Base._init_detector = default_to_people(Base._init_detector)
    Base._init_collate = pass_nobody(Base._init_collate)
    for kind in (Pose2DInferencer, Hand3DInferencer):
        kind.preprocess_single = detect(kind.preprocess_single)
    for kind in (Pose2DInferencer, Hand3DInferencer, Pose3DInferencer):
        kind.forward = predict_nobody(kind.forward)
    Pose3DInferencer.preprocess_single = lift_nobody(
        Pose3DInferencer.preprocess_single
    )


def default_to_people(init_detector: Callable) -> Callable:
    """Return ``_init_detector`` that looks for people by default."""

    @functools.wraps(init_detector)
    def _init_detector(self: Any, *args: Any, **options: Any) -> None:
        init_detector(self, *args, **options)
        if getattr(self, 'det_cat_ids', ()) != (None,):
            return
        meta = getattr(self.detector.model, 'dataset_meta', None) or {}
        classes = list(meta.get('classes', ()))
        found = classes.index('person') if 'person' in classes else 0
        if len(classes) > 1 and 'person' not in classes:
            warn(
                "the detector has no class 'person', and det_cat_ids is not "
                f'given: its first class, {classes[0]!r}, is used'
            )
        self.det_cat_ids = (found,)

    return _init_detector


def detect(preprocess_single: Callable) -> Callable:
    """Return ``preprocess_single`` that adds no undetected person."""

    @functools.wraps(preprocess_single)
    def single(
        self: Any,
        input: Any,
        index: int,
        bbox_thr: float = 0.3,
        nms_thr: float = 0.3,
        **options: Any,
    ) -> list[dict]:
        if getattr(self, 'detector', None) is None:
            return preprocess_single(
                self, input, index, bbox_thr, nms_thr, **options
            )
        boxes, shape = _detect(self, input, bbox_thr, nms_thr)
        if not len(boxes):
            name = input if isinstance(input, str) else name_array(index)
            return Nobody(name, shape)
        return crop(self, input, index, boxes)

    return single


def _detect(
    self: Any, image: str | np.ndarray, bbox_thr: float, nms_thr: float
) -> tuple[np.ndarray, tuple[int, ...]]:
    """Return the boxes (x1, y1, x2, y2, score) and the (h, w) of an image."""
    from mmpose.evaluation.functional import nms

    sample = self.detector(image, return_datasamples=True)['predictions'][0]
    found = sample.pred_instances.cpu().numpy()
    is_asked = np.isin(found.labels, np.asarray(self.det_cat_ids))
    keep = is_asked & (found.scores > bbox_thr)
    boxes = np.hstack([found.bboxes, found.scores[:, None]])[keep]
    return boxes[nms(boxes, nms_thr)], sample.ori_shape


def crop(
    self: Any, image: str | np.ndarray, index: int, boxes: np.ndarray
) -> list[dict]:
    """Run the pipeline on each box (x1, y1, x2, y2, score) of an image."""
    if isinstance(image, str):
        info: dict[str, Any] = dict(img_path=image)
    else:
        info = dict(img=image, img_path=name_array(index))
    info.update(self.model.dataset_meta)
    return [
        self.pipeline(dict(info, bbox=box[None, :4], bbox_score=box[4:5]))
        for box in boxes
    ]


def name_array(index: int) -> str:
    """Return the name that mmpose gives an image without a file."""
    return f'{index}.jpg'.rjust(10, '0')


def pass_nobody(init_collate: Callable) -> Callable:
    """Return ``_init_collate`` whose function also takes no samples."""

    @functools.wraps(init_collate)
    def _init_collate(self: Any, cfg: Any) -> Callable:
        collate = init_collate(self, cfg)
        return lambda data: collate(data) if data else data

    return _init_collate


def predict_nobody(forward: Callable) -> Callable:
    """Return ``forward`` that predicts nobody from no samples."""

    @functools.wraps(forward)
    def predict(
        self: Any, inputs: Any, *args: Any, **options: Any
    ) -> list[Any]:
        self._last_inputs = inputs
        if not isinstance(inputs, Nobody):
            return forward(self, inputs, *args, **options)
        if not options.get('merge_results', True):
            return []  # one sample for each person
        sample = empty_sample(self.model.dataset_meta, inputs.metainfo)
        if hasattr(self, '_buffer'):
            self._buffer['pose2d_results'] = sample
        return [sample]

    return predict


def empty_sample(dataset_meta: dict, metainfo: dict) -> Any:
    """Return a ``PoseDataSample`` with no instances."""
    from mmengine.structures import InstanceData
    from mmpose.structures import PoseDataSample

    num_keypoints = dataset_meta['num_keypoints']
    sample = PoseDataSample(metainfo=metainfo)
    sample.gt_instances = InstanceData()
    sample.pred_instances = InstanceData(
        keypoints=np.zeros((0, num_keypoints, 2), np.float32),
        keypoint_scores=np.zeros((0, num_keypoints), np.float32),
        bboxes=np.zeros((0, 4), np.float32),
        bbox_scores=np.zeros(0, np.float32),
    )
    return sample


def lift_nobody(preprocess_single: Callable) -> Callable:
    """Return the 3D ``preprocess_single`` that allows empty frames."""

    @functools.wraps(preprocess_single)
    def single(self: Any, input: Any, index: int, **options: Any) -> list:
        self.pose2d_model._last_inputs = None
        try:
            found = preprocess_single(self, input, index, **options)
        except IndexError:  # it asks for the first of no people
            nobody = self.pose2d_model._last_inputs
            if not isinstance(nobody, Nobody):
                raise
            if not self._video_input:
                self._buffer.clear()
            # The frames of a sequence keep their places.
            self._buffer['pose_est_results_list'].append([])
            return nobody
        if not found:
            shape = self._buffer['pose2d_results'].metainfo['ori_shape']
            return Nobody(str(input)[:99], shape)
        return found

    return single
