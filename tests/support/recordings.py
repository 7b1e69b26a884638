"""Small outputs of our own models, for clones without the authors' goldens.

Weights and inputs come from names and seeds, so that a recording holds
outputs alone. ``tests/record.py`` writes them, ``test_recordings.py``
compares.
"""

import numpy as np
import torch
from mmengine.registry import init_default_scope
from mmengine.structures import InstanceData
from mmpose.registry import KEYPOINT_CODECS, MODELS
from mmpose.structures import PoseDataSample
from support.fill import fill_by_name
from support.simcc_scores import to_density
from torch import nn

from gtpt_mm.engine import CosineEMA

#: Keypoints of each dataset of ViTPose++, and whether its data are unbiased.
DATASETS = dict(
    coco=(17, True), aic=(14, False), mpii=(16, True), wholebody=(133, False)
)


def draw_images(num: int, height: int, width: int) -> torch.Tensor:
    rng = np.random.default_rng(11)
    return torch.from_numpy(rng.standard_normal((num, 3, height, width)))


def build(cfg: dict) -> nn.Module:
    """Return a model in double precision with weights by name."""
    init_default_scope('mmpose')
    return fill_by_name(MODELS.build(cfg).double()).eval()


@torch.no_grad()
def run_backbone(cfg: dict, *sizes: tuple[int, int]) -> dict:
    """Return the maps of a backbone for an image of each size (h, w)."""
    model = build(cfg)
    return {
        f'{h}x{w}_{i}': features.numpy()
        for h, w in sizes
        for i, features in enumerate(model(draw_images(1, h, w)))
    }


def record_vitpose() -> dict:
    """A size that the positions fit, and one that resizes them."""
    cfg = dict(
        type='ViTPose',
        arch=dict(embed_dims=32, depth=3, num_heads=4),
        img_size=(64, 48),
        patch_stride=8,
    )
    return run_backbone(cfg, (64, 48), (80, 48))


def record_hevitpose() -> dict:
    cfg = dict(
        type='HEViTPose',
        arch=dict(
            embed_dims=(16, 24, 32), depths=(1, 1, 2), num_groups=(2, 3, 4)
        ),
        num_heads=(2, 2, 4),
        out_indices=(0, 1, 2),
    )
    return run_backbone(cfg, (64, 48), (50, 71))


def record_efficientvit() -> dict:
    cfg = dict(
        type='EfficientViT',
        arch=dict(
            embed_dims=(16, 24, 32),
            depths=(1, 1, 2),
            num_heads=(2, 2, 2),
            query_kernels=(5, 3),
        ),
        key_dims=4,
        out_indices=(0, 1, 2),
    )
    return run_backbone(cfg, (64, 48), (50, 71))


def make_vitpose_plus() -> dict:
    """Config of a small ViTPose++ with partial experts."""
    sizes = dict(input_size=(48, 64), heatmap_size=(12, 16), sigma=2)
    heads = {
        name: dict(
            out_channels=num,
            decoder=dict(
                type='UDPHeatmap' if unbiased else 'MSRAHeatmap', **sizes
            ),
        )
        for name, (num, unbiased) in DATASETS.items()
    }
    return dict(
        type='MultiDatasetPoseEstimator',
        backbone=dict(
            type='ViTPose',
            arch=dict(embed_dims=32, depth=3, num_heads=4),
            img_size=(64, 48),
            experts=dict(num_experts=len(DATASETS), part_features=8),
        ),
        head=dict(
            type='MultiDatasetHead',
            names=list(DATASETS),
            heads=heads,
            shared=dict(
                type='HeatmapHead',
                in_channels=32,
                deconv_out_channels=(8, 8),
                deconv_kernel_sizes=(4, 4),
            ),
        ),
        test_cfg=dict(
            flip_test=True,
            output_heatmaps=True,
            dataset='coco',
            datasets={
                name: dict(shift_heatmap=True)
                for name, (_, unbiased) in DATASETS.items()
                if not unbiased
            },
        ),
    )


@torch.no_grad()
def record_vitpose_plus() -> dict:
    """Poses of a mixed batch with flip test, and some of the heatmaps."""
    samples = []
    mixed = [2, 0, 3, 1, 0]
    for index in mixed:
        num, _ = list(DATASETS.values())[index]
        sample = PoseDataSample(
            metainfo=dict(
                dataset_idx=index,
                flip_indices=list(reversed(range(num))),
                input_size=(48, 64),
                input_center=np.array([30.0, 40.0]),
                input_scale=np.array([60.0, 80.0]),
            )
        )
        sample.gt_instances = InstanceData(
            bboxes=np.zeros((1, 4)), bbox_scores=np.ones(1)
        )
        samples.append(sample)
    model = build(make_vitpose_plus())
    results = model.predict(draw_images(len(mixed), 64, 48), samples)
    arrays = {}
    for i, result in enumerate(results):
        arrays[f'{i}_keypoints'] = result.pred_instances.keypoints
        arrays[f'{i}_scores'] = result.pred_instances.keypoint_scores
        arrays[f'{i}_heatmaps'] = result.pred_fields.heatmaps[::8].numpy()
    return arrays


def record_unrounded_simcc() -> dict:
    """Labels of points within, at and beyond the border, and their poses."""
    codec = KEYPOINT_CODECS.build(
        dict(type='UnroundedSimCCLabel', input_size=(48, 64), sigma=2.5)
    )
    points = [[[3.3, 7.9], [20.0, 31.5], [0.0, 63.0], [47.2, -0.4]]]
    points[0] += [[-9.0, 10.0], [24.0, 90.0], [11.75, 12.25]]
    visible = np.array([[1, 1, 1, 1, 1, 1, 0.4]])
    labels = codec.encode(np.array(points), visible)
    keypoints, scores = codec.decode(
        labels['keypoint_x_labels'], labels['keypoint_y_labels']
    )
    scores = to_density(scores, 2.5)
    return {**labels, 'keypoints': keypoints, 'scores': scores}


@torch.no_grad()
def record_cosine_ema() -> dict:
    """Momenta of a schedule, and an average through it and beyond."""
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4)).double()
    average = CosineEMA(fill_by_name(model), total_iters=8, momentum=0.3)
    arrays = dict(
        momenta=np.array([average.momentum_at(step) for step in range(10)])
    )
    for step in range(10):
        for tensor in model.state_dict().values():
            if tensor.is_floating_point():
                tensor.mul_(1.1).add_(0.01 * step)
        average.update_parameters(model)
        arrays[f'{step}_weight'] = average.module[0].weight.numpy().copy()
    arrays['running_var'] = average.module[1].running_var.numpy()
    return arrays


#: Function of each file ``tests/data/NAME_small.npz``.
RECORDINGS = dict(
    vitpose=record_vitpose,
    vitpose_plus=record_vitpose_plus,
    hevitpose=record_hevitpose,
    efficientvit=record_efficientvit,
    unrounded_simcc=record_unrounded_simcc,
    cosine_ema=record_cosine_ema,
)
