r"""Uncertainty of predicted keypoints, to choose what to correct.

For each keypoint k, in pixels of the picture:

    spread_k^2 = max(trace Cov(p_k) - trace Cov(t_k), 0)
    flip_k     = distance of the keypoint and that of the mirrored crop,
                 mirrored back and with left and right exchanged
    u_k        = min(sqrt(spread_k^2 + flip_k^2) / sqrt(w h), 1)

p_k is the predicted distribution: a heatmap, or the two vectors of SimCC,
where values below a tenth of the highest count as 0, divided by its sum. t_k
is the target that the codec draws in a training: a perfect prediction has a
spread of 0. (w, h) is the box. The uncertainty of a person is the mean of u_k,
that of a picture the maximum of its people. If a head predicts no distribution
(regression, bottom-up models), the spread is 0 and only the flip counts.

The cost is that of a flip test: two passes for each crop.
"""

# P people, K keypoints, (h, w) cells of a heatmap

import copy
import warnings
from collections import deque
from collections.abc import Sequence
from typing import Any

import numpy as np
from mmengine.structures import InstanceData
from mmpose.structures import PoseDataSample
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from .bottomup import BottomUp
from .pose_inferencer import PoseInferencer
from .predictor import Predictor
from .topdown import Crops, TopDown

#: Values below this part of the highest are noise.
NOISE = 0.1
#: Number of people whose distributions are in memory at once; SimCC's are
#: large.
PORTION = 4


class MeasuringTopDown(TopDown):
    """A top-down model that measures each person."""

    measured: deque[np.ndarray]

    def _predict(
        self, crops: Tensor | list[Tensor], samples: list[PoseDataSample]
    ) -> list[PoseDataSample]:
        found: list[PoseDataSample] = []
        for start in range(0, len(samples), PORTION):
            part = slice(start, start + PORTION)
            found += self._measure((crops[part], samples[part]))
        return found

    def _measure(self, crops: Crops) -> list[PoseDataSample]:
        """Predict a few people in two passes, and measure them."""
        inputs, samples = self._preprocess(crops[0]), crops[1]
        config = {**self.model.test_cfg, 'flip_test': False}
        shown = {**config, 'output_heatmaps': True}
        if self.network is None:
            found = super()._predict(*crops)
            plain = self._predict_whole(inputs, samples, shown)
            mirrored = self._predict_whole(inputs.flip(-1), samples, config)
        else:
            sides = [self.network(inputs), self.network(inputs.flip(-1))]
            plain = self._decode(sides[0], samples, shown)
            mirrored = self._decode(sides[1], samples, config)
            flip = self.model.test_cfg.get('flip_test', False)
            found = self._decode(
                sides if flip else sides[0], samples, self.model.test_cfg
            )
        base = target_variance(self.model.head, plain[0])
        for one, other in zip(plain, mirrored, strict=True):
            self.measured.append(measure(one, other, base))
        return found

    def _decode(
        self, outputs: Any, samples: list[PoseDataSample], config: dict
    ) -> list[PoseDataSample]:
        samples = [sample.clone() for sample in samples]
        with warnings.catch_warnings():
            warnings.filterwarnings('ignore', 'The predicted simcc values')
            found = self.decoder.predict(outputs, samples, test_cfg=config)
        poses, fields = found if isinstance(found, tuple) else (found, None)
        return self.model.add_pred_to_datasample(poses, fields, samples)

    def _predict_whole(
        self, inputs: Tensor, samples: list[PoseDataSample], config: dict
    ) -> list[PoseDataSample]:
        """Predict with a model whose network and decoder are not separate."""
        whole = copy.copy(self.whole)
        whole.test_cfg = config
        return whole.predict(inputs, [sample.clone() for sample in samples])


class MeasuringBottomUp(BottomUp):
    """A bottom-up model that measures each person by the flip."""

    measured: deque[np.ndarray]

    def __call__(self, images: Sequence[np.ndarray]) -> list[InstanceData]:
        """Return the people of each image, BGR, uint8, (H, W, 3)."""
        found = super().__call__(images)
        others = super().__call__([np.fliplr(image) for image in images])
        flip = list(self.model.dataset_meta['flip_indices'])
        for image, people, mirrored in zip(images, found, others, strict=True):
            points = np.asarray(people.keypoints)[..., :2]
            back = np.asarray(mirrored.keypoints)[:, flip, :2].copy()
            back[..., 0] = image.shape[1] - 1 - back[..., 0]
            self.measured.extend(compare_people(points, back))
        return found


class MeasuringPredictor(Predictor):
    """A predictor that also measures the uncertainty of each person.

    Predictions are those of :class:`~gtpt_mm.apis.Predictor`.

    Attributes:
        measured: u_k of all people so far, (K,) each, in the order of the
            predictions; the reader removes them.
    """

    top_down = MeasuringTopDown
    bottom_up = MeasuringBottomUp

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.measured: deque[np.ndarray] = deque()

    def build(self) -> TopDown | BottomUp:
        """Return the model with its pipeline, which measures."""
        engine = super().build()
        vars(engine)['measured'] = self.measured
        return engine


class MeasuringInferencer(PoseInferencer):
    """An inferencer whose predictor measures."""

    predictor_type = MeasuringPredictor


def compare_people(points: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Return u_k of people, (P, K), from predictions of the mirror image.

    Args:
        points: Keypoints, (P, K, 2).
        others: Keypoints in the mirror image, mirrored back, (Q, K, 2); a
            person without a match has 1.
    """
    found = np.ones(points.shape[:2])
    if not len(points) or not len(others):
        return found
    low, high = points.min(1), points.max(1)
    sizes = np.sqrt(np.maximum((high - low).prod(-1), 1.0))
    apart = np.linalg.norm(points[:, None] - others[None], axis=-1)
    units = np.minimum(apart / sizes[:, None, None], 1.0)
    for p, q in zip(*linear_sum_assignment(units.mean(-1)), strict=True):
        found[p] = units[p, q]
    return found


def measure(
    plain: PoseDataSample, mirrored: PoseDataSample, base: np.ndarray
) -> np.ndarray:
    """Return u_k of a person, (K,).

    Args:
        plain: Prediction for the crop, with its distributions.
        mirrored: Prediction for the mirrored crop.
        base: Result of :func:`target_variance`.
    """
    meta = plain.metainfo
    scale, center = np.array(meta['input_scale']), meta['input_center']
    width = meta['input_size'][0]
    points = np.asarray(plain.pred_instances.keypoints)[0, :, :2]
    back = np.asarray(mirrored.pred_instances.keypoints)
    back = back[0, list(meta['flip_indices']), :2].copy()
    # x of the crop becomes width - 1 - x; here in pixels of the picture
    back[:, 0] = 2 * center[0] - scale[0] / width - back[:, 0]
    flip = ((points - back) ** 2).sum(-1)
    spread = np.zeros(len(points))
    cells = variances(plain, len(points))
    if cells is not None:
        variance, shape = cells
        spread = (variance - base).clip(0) @ (scale / shape) ** 2
    x1, y1, x2, y2 = np.asarray(plain.gt_instances.bboxes)[0]
    size = np.sqrt((x2 - x1) * (y2 - y1))
    return np.minimum(np.sqrt(spread + flip) / size, 1.0)


def variances(
    sample: PoseDataSample, num: int
) -> tuple[np.ndarray, np.ndarray] | None:
    """Return the variances of x and y, (K, 2), in cells, and the cells (w, h).

    None if the head predicts no distribution for each keypoint.
    """
    poses = sample.pred_instances
    if 'keypoint_x_labels' in poses:
        x, y = poses.keypoint_x_labels[0], poses.keypoint_y_labels[0]
        moments = [axis_variance(np.asarray(values)) for values in (x, y)]
        return np.stack(moments, -1), np.array([x.shape[-1], y.shape[-1]])
    if 'pred_fields' not in sample or 'heatmaps' not in sample.pred_fields:
        return None
    heatmaps = sample.pred_fields.heatmaps
    if isinstance(heatmaps, Tensor):
        heatmaps = heatmaps.float().cpu().numpy()
    if heatmaps.shape[0] != num:  # with offsets, or other channels
        return None
    return map_variance(heatmaps), np.array(heatmaps.shape[:0:-1])


def axis_variance(values: np.ndarray) -> np.ndarray:
    """Return the variance of vectors over bins, (K, W), in bins^2, (K,).

    A vector without a value above 0 counts as uniform.
    """
    values = np.maximum(values, 0.0)
    values = np.where(
        values < NOISE * values.max(-1, keepdims=True), 0, values
    )
    values = np.where(values.any(-1, keepdims=True), values, 1.0)
    values = values / values.sum(-1, keepdims=True)
    bins = np.arange(values.shape[-1])
    mean = values @ bins
    return (values * (bins - mean[:, None]) ** 2).sum(-1)


def map_variance(heatmaps: np.ndarray) -> np.ndarray:
    """Return the variances of x and y of heatmaps, (K, h, w), in cells^2."""
    num, h, w = heatmaps.shape
    flat = np.maximum(heatmaps.reshape(num, -1), 0.0)
    flat = np.where(flat < NOISE * flat.max(-1, keepdims=True), 0, flat)
    flat = np.where(flat.any(-1, keepdims=True), flat, 1.0)
    maps = (flat / flat.sum(-1, keepdims=True)).reshape(num, h, w)
    found = []
    for values in (maps.sum(1), maps.sum(2)):
        bins = np.arange(values.shape[-1])
        mean = values @ bins
        found.append((values * (bins - mean[:, None]) ** 2).sum(-1))
    return np.stack(found, -1)


def target_variance(head: Any, sample: PoseDataSample) -> np.ndarray:
    """Return the variances of x and y of a target, (2,), in cells^2.

    The codec of the head draws a keypoint in the middle of the input. Zero
    if it draws no distributions.
    """
    codec = getattr(head, 'decoder', None)
    num = np.asarray(sample.pred_instances.keypoints).shape[1]
    if codec is None or variances(sample, num) is None:
        return np.zeros(2)
    middle = np.array(sample.metainfo['input_size'], np.float32) / 2
    points = np.tile(middle, (1, num, 1))
    drawn = codec.encode(points, np.ones((1, num), np.float32))
    if 'keypoint_x_labels' in drawn:
        axes = (drawn['keypoint_x_labels'], drawn['keypoint_y_labels'])
        return np.stack([axis_variance(a[0]).mean() for a in axes])
    if 'heatmaps' in drawn:
        return map_variance(np.asarray(drawn['heatmaps'])).mean(0)
    return np.zeros(2)


def summarize(measured: Sequence[np.ndarray]) -> float:
    """Return the uncertainty of a picture by its people; NaN without any."""
    return float(max((np.mean(u) for u in measured), default=np.nan))
