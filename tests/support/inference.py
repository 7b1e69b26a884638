"""Narrow models with a life of their own, drawn images, boxes in them."""

import cv2
import numpy as np
import torch
from mmpose.apis import init_model

from .configs import read_config, shrink

BODY = 'configs/body_2d_keypoint'
TOP_DOWN = {
    'gtpt': f'{BODY}/gtpt/coco/gtpt-t_4xb64-300e_coco-256x192.py',
    'gtpt-wholebody': 'configs/wholebody_2d_keypoint/gtpt/coco-wholebody/'
    'gtpt-t_4xb64-300e_coco-wholebody-256x192.py',
    'vitpose': f'{BODY}/vitpose/coco/'
    'td-hm_vitpose-s_8xb64-210e_coco-256x192.py',
    'hevitpose': f'{BODY}/hevitpose/coco/'
    'td-hm_hevitpose-t_2xb32-210e_coco-256x192.py',
}
BOTTOM_UP = {
    'vitpose-ae': f'{BODY}/vitpose/sample/'
    'ae_vitpose-tiny_1xb8-14e_sample-128x128.py',
    'group-pose': f'{BODY}/group_pose/sample/'
    'group-pose_res18_1xb8-20e_sample-coco-96x144.py',
}


def small_model(path: str, dtype=torch.float32):
    """Return a narrow model whose outputs differ from keypoint to keypoint."""
    cfg = read_config(path)
    cfg.model = shrink(cfg.model)
    model = init_model(cfg, device='cpu')
    generator = torch.Generator().manual_seed(1)
    for name, value in model.head.named_parameters():
        if 'final_layer' in name or 'fc_' in name:
            value.data.normal_(0, 0.3, generator=generator)
        elif value.ndim == 4 and 'deconv' in name:
            # Smooth heatmaps, as of trained weights: subpixel steps at the
            # peaks of noise, or between equal pixels, prove nothing.
            ramp = torch.tensor([0.25, 0.8, 0.7, 0.2])
            mix = torch.randn(value.shape[:2], generator=generator)
            value.data = mix[..., None, None] * torch.outer(ramp, ramp)
    return model.to(dtype)


def draw_images(*sizes) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    small = [rng.integers(0, 256, (9, 9, 3), np.uint8) for _ in sizes]
    return [
        cv2.resize(s, (w, h), interpolation=cv2.INTER_CUBIC)
        for s, (h, w) in zip(small, sizes, strict=True)
    ]


IMAGES = draw_images((150, 200), (120, 90), (80, 100))
BOXES = [
    np.array([[10, 20, 90, 140], [-9.5, 3.3, 60, 150.7], [80, 0, 260, 70]]),
    np.zeros((0, 4)),
    np.array([[5, 5, 6.5, 70]]),
]
BOXES = [box.astype(np.float32) for box in BOXES]
