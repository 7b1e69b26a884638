"""A model that sees blobs: keypoint k is where color channel k is bright."""

import numpy as np
import torch
from mmengine.config import Config
from mmpose.datasets.datasets.utils import parse_pose_metainfo
from mmpose.registry import MODELS
from torch import nn

SIZE = (64, 48)  # (w, h) of the input
CODEC = dict(
    type='MSRAHeatmap', input_size=SIZE, heatmap_size=(16, 12), sigma=1.0
)
NAMES = ('blue', 'green', 'red')


@MODELS.register_module(force=True)
class BlobBackbone(nn.Module):
    """Channels of the image, a quarter of its size."""

    def forward(self, x):
        return (x[..., ::4, ::4],)


def blob_model(swap=False, flip_test=False):
    """Return the model; ``swap`` says that blue is left and red is right."""
    model = dict(
        type='TopdownPoseEstimator',
        data_preprocessor=dict(
            type='PoseDataPreprocessor', mean=[0.0] * 3, std=[255.0] * 3
        ),
        backbone=dict(type='BlobBackbone'),
        head=dict(
            type='HeatmapHead',
            in_channels=3,
            out_channels=3,
            deconv_out_channels=None,
            loss=dict(type='KeypointMSELoss'),
            decoder=CODEC,
        ),
        test_cfg=dict(flip_test=flip_test),
    )
    pipeline = [
        dict(type='LoadImage'),
        dict(type='GetBBoxCenterScale', padding=1.0),
        dict(type='TopdownAffine', input_size=SIZE),
        dict(type='PackPoseInputs'),
    ]
    built = MODELS.build(model)
    layer = built.head.final_layer
    layer.weight.data = torch.eye(3)[..., None, None]
    layer.bias.data.zero_()
    built.cfg = Config(
        dict(
            model=model, test_dataloader=dict(dataset=dict(pipeline=pipeline))
        )
    )
    partners = dict(blue='red', red='blue') if swap else {}
    built.dataset_meta = parse_pose_metainfo(
        dict(
            dataset_name='blobs',
            keypoint_info={
                k: dict(name=n, id=k, swap=partners.get(n, ''))
                for k, n in enumerate(NAMES)
            },
            skeleton_info={0: dict(link=('blue', 'red'), id=0)},
            joint_weights=[1.0] * 3,
            sigmas=[0.05] * 3,
        )
    )
    return built.eval()


def draw_blobs(points, sigma=4.0, size=SIZE):
    """Return a picture, BGR, with lists of (x, y) for each channel."""
    w, h = size
    y, x = np.mgrid[:h, :w]
    image = np.zeros((h, w, 3))
    for k, places in enumerate(points):
        for a, b in places:
            blob = np.exp(-((x - a) ** 2 + (y - b) ** 2) / (2 * sigma**2))
            image[..., k] = np.maximum(image[..., k], blob)
    return np.round(image * 255).astype(np.uint8)
