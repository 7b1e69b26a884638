"""Draw heatmaps of bottom-up models, and use less memory.

Broken in mmpose (<= 1.3.2): ``draw_heatmap=True`` of the 2D inferencer draws
nothing for bottom-up models, whose ``test_cfg`` it replaces before the first
image, and nothing for models without heatmaps, silently. The heatmaps of all
people and keypoints are resized to the image and all kept until their maximum
is taken: 4 whole bodies at 1280x720 take 4 GB.

Here: the option is set again before each image, heatmaps of bottom-up models
are resized to the image without its padding, and a warning names models
without heatmaps. Maps are resized a few at a time and merged into one maximum
over people, and also over keypoints if the result would exceed
:data:`MAX_BYTES`. The pictures have the same pixels.

Can go: when mmpose keeps the option and merges heatmaps one by one.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from mmengine.structures import PixelData

from ..messages import warn
from ..replacement import replace_everywhere

#: Above this total size of an image's maps, keypoints are merged as well.
MAX_BYTES = 2**28
CHUNK = 8  # maps resized to the image at once


def missing() -> str:
    """Say what is missing."""
    return (
        'draw_heatmap of mmpose draws none of bottom-up models and takes '
        'gigabytes for whole bodies'
    )


def repair() -> None:
    """Keep the option of heatmaps; merge them in less memory."""
    from mmpose.apis.inferencers import Pose2DInferencer
    from mmpose.structures import utils

    replace_everywhere(
        utils.merge_data_samples, merge_fields(utils.merge_data_samples)
    )
    Pose2DInferencer.update_model_visualizer_settings = note_choice(
        Pose2DInferencer.update_model_visualizer_settings
    )
    Pose2DInferencer.forward = output_heatmaps(Pose2DInferencer.forward)


def note_choice(update: Callable) -> Callable:
    """Return ``update_model_visualizer_settings`` that keeps the option."""

    @functools.wraps(update)
    def noted(
        self: Any, draw_heatmap: bool = False, *args: Any, **options: Any
    ) -> None:
        self._draw_heatmap = draw_heatmap
        update(self, draw_heatmap, *args, **options)

    return noted


def output_heatmaps(forward: Callable) -> Callable:
    """Return ``forward`` that makes heatmaps if they are to be drawn."""

    @functools.wraps(forward)
    def forward_with_heatmaps(self: Any, *args: Any, **options: Any) -> list:
        draws = request_heatmaps(self)
        samples = forward(self, *args, **options)
        if not draws:
            return samples
        for sample in samples:
            if 'heatmaps' not in sample.get('pred_fields', ()):
                _warn_of_none(self)
            elif self.cfg.data_mode != 'topdown':  # the others are merged
                sample.pred_fields = merge_heatmaps([sample], 'pred_fields')
        return samples

    return forward_with_heatmaps


def request_heatmaps(inferencer: Any) -> bool:
    """Let the model make heatmaps if they are to be drawn; return whether."""
    draws = getattr(inferencer, '_draw_heatmap', False)
    if draws:
        inferencer.model.test_cfg['output_heatmaps'] = True
    return draws


def _warn_of_none(inferencer: Any) -> None:
    """Warn once that a model has no heatmaps."""
    if not getattr(inferencer, '_warned_of_no_heatmaps', False):
        inferencer._warned_of_no_heatmaps = True
        head = type(inferencer.model.head).__name__
        warn(f'draw_heatmap=True: {head} predicts no heatmaps to draw')


def merge_fields(merge: Callable) -> Callable:
    """Return ``merge_data_samples`` that merges heatmaps one by one."""

    @functools.wraps(merge)
    def merge_data_samples(data_samples: Any) -> Any:
        from mmpose.structures import PoseDataSample

        names = ('pred_fields', 'gt_fields')
        if not isinstance(data_samples, Sequence) or not all(
            isinstance(sample, PoseDataSample) for sample in data_samples
        ):
            return merge(data_samples)  # says so
        bare = [sample.new() for sample in data_samples]
        for sample in bare:
            for name in names:
                sample.pop(name, None)
        merged = merge(bare)
        for name in names if data_samples else ():
            if 'heatmaps' in data_samples[0].get(name, ()):
                setattr(merged, name, merge_heatmaps(data_samples, name))
        return merged

    return merge_data_samples


def merge_heatmaps(samples: Sequence[Any], name: str) -> PixelData:
    """Return the maximum over people of heatmaps in image space.

    Args:
        samples: The people of an image, or the image.
        name: The field that has their heatmaps, (K, h, w).

    Returns:
        Heatmaps (K, H, W) of the image, or (1, H, W), their maximum, where
        those would exceed :data:`MAX_BYTES`.
    """
    from mmpose.structures import revert_heatmap

    size = tuple(samples[0].ori_shape[:2])
    maps = samples[0].get(name).heatmaps
    num_maps = num_read = 1 if maps.ndim == 2 else len(maps)
    # SimCC draws the axes of each keypoint.
    keeps_all = 'keypoint_x_labels' in samples[0].get('pred_instances', ())
    if num_maps * np.prod(size) * 4 > MAX_BYTES and not keeps_all:
        num_maps = 1
    merged = np.full((num_maps, *size), -np.inf, np.float32)
    for sample in samples:
        maps = sample.get(name).heatmaps
        if torch.is_tensor(maps):
            maps = maps.detach().float().cpu().numpy()
        for part in _split(num_read):
            # mmpose fails at one keypoint unless it is given without axis.
            one = maps[0] if maps.shape[:-2] == (1,) else maps[part]
            reverted = revert_heatmap(
                one, sample.input_center, sample.input_scale, size
            )
            if num_maps == 1:
                part = slice(1)
                reverted = reverted.reshape(-1, *size).max(0)
            np.maximum(merged[part], reverted, out=merged[part])
    fields = PixelData()
    fields.set_data(dict(heatmaps=merged if maps.ndim == 3 else merged[0]))
    return fields


def _split(num_maps: int) -> list[Any]:
    """Return slices of the keypoints, at most CHUNK in each.

    The last two overlap: OpenCV computes 1, 3 or 4 maps differently from more
    of them, and the pixels must stay the same.
    """
    if num_maps <= CHUNK:
        return [...]
    starts = range(0, num_maps, CHUNK)
    starts_within = (min(start, num_maps - CHUNK) for start in starts)
    return [slice(start, start + CHUNK) for start in starts_within]
