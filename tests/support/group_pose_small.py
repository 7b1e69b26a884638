"""A small head and model of Group Pose, maps and instances."""

import numpy as np
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmengine.structures import InstanceData
from mmpose.registry import MODELS
from mmpose.structures import PoseDataSample

from gtpt_mm.codecs import GroupPoseLabel

SHAPES = [(12, 16), (6, 8), (3, 4), (2, 2)]


def make_metainfo(num_keypoints: int) -> dict:
    return dict(
        dataset_name='points',
        keypoint_info={
            i: dict(name=f'k{i}', id=i, color=[0, 0, 0], type='', swap='')
            for i in range(num_keypoints)
        },
        skeleton_info={},
        joint_weights=[1.0] * num_keypoints,
        sigmas=[0.05] * num_keypoints,
    )


def build_head(
    num_keypoints: int = 5,
    num_queries: int = 6,
    encoder=None,
    decoder=None,
    **options,
):
    small = dict(num_layers=2, feedforward_dims=32)
    init_default_scope('mmpose')
    head = MODELS.build(
        dict(
            type='GroupPoseHead',
            metainfo=make_metainfo(num_keypoints),
            embed_dims=32,
            num_queries=num_queries,
            num_heads=4,
            encoder=small | (encoder or {}),
            decoder=small | (decoder or {}),
        )
        | options
    )
    head.init_weights()
    for name, parameter in head.named_parameters():
        if 'mlp' in name or 'sampling_offsets.weight' in name:
            torch.nn.init.normal_(parameter, std=0.1)
    return head


def make_feats(batch: int = 2) -> tuple[torch.Tensor, ...]:
    generator = torch.Generator().manual_seed(3)
    return tuple(
        torch.randn(batch, 32, h, w, generator=generator) for h, w in SHAPES
    )


def make_samples(
    sizes=((96, 128), (90, 100)), num_instances=(2, 1), num_keypoints=5
):
    """Data samples as the pipeline packs them."""
    rng = np.random.default_rng(4)
    samples = []
    for (h, w), num in zip(sizes, num_instances, strict=True):
        sample = PoseDataSample(
            metainfo=dict(
                img_shape=(h, w),
                input_size=(w, h),
                batch_input_shape=(96, 128),
            )
        )
        points = rng.uniform(0, 1, (num, num_keypoints, 2)) * (w, h)
        area = rng.uniform(500, 2000, num)
        corners = points.min(1), points.max(1)
        bbox = np.concatenate(corners, axis=1)
        sample.gt_instance_labels = encode(points, area, bbox, (h, w))
        samples.append(sample)
    return samples


def encode(points, area, bbox, img_shape) -> InstanceData:
    """Return targets as the pipeline packs them; all points are labelled."""
    labels = GroupPoseLabel().encode(
        points, area=area, bbox=bbox, img_shape=img_shape
    )
    table = GroupPoseLabel.label_mapping_table
    targets = {table[key]: values for key, values in labels.items()}
    return InstanceData(**targets).to_tensor()


def build_small(**head) -> torch.nn.Module:
    init_default_scope('mmpose')
    model = Config.fromfile('configs/_base_/models/group_pose_res50.py').model
    model.backbone.update(depth=18, init_cfg=None)
    model.neck.update(in_channels=[128, 256, 512], out_channels=32)
    model.head.update(
        metainfo='configs/_base_/datasets/coco.py',
        embed_dims=32,
        num_queries=6,
        encoder=dict(num_layers=1, feedforward_dims=32),
        decoder=dict(num_layers=1, feedforward_dims=32),
        **head,
    )
    model = MODELS.build(model)
    for name, parameter in model.head.named_parameters():
        if 'mlp' in name or 'sampling_offsets.weight' in name:
            torch.nn.init.normal_(parameter, std=0.1)
    return model.eval()
