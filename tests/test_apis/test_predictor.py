"""Numbers of the predictor beside mmpose's own, one person at a time."""

import pickle
import threading

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmpose.apis import inference_bottomup, inference_topdown, init_model
from support.configs import read_config, shrink, shrink_steps

from gtpt_mm.apis import Predictor

BODY = 'configs/body_2d_keypoint'
TOP_DOWN = {
    'gtpt': f'{BODY}/gtpt/coco/gtpt-t_4xb64-300e_coco-256x192.py',
    'gtpt-wholebody': 'configs/wholebody_2d_keypoint/gtpt/coco-wholebody/'
    'gtpt-t_4xb64-300e_coco-wholebody-256x192.py',
    'vitpose': f'{BODY}/vitpose/coco/td-hm_vitpose-s_8xb64-210e_coco-256x192.py',
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


def one_by_one(model) -> np.ndarray:
    return np.concatenate(
        [
            inference_topdown(model, image, box[None])[
                0
            ].pred_instances.keypoints
            for image, boxes in zip(IMAGES, BOXES, strict=True)
            for box in boxes
        ]
    )


@pytest.mark.parametrize('flip_test', [True, False])
@pytest.mark.parametrize('path', TOP_DOWN.values(), ids=TOP_DOWN)
@pytest.mark.parametrize(
    'dtype, limit', [('float32', 1e-2), ('float64', 1e-6)]
)
def test_top_down_is_one_by_one(path, dtype, limit, flip_test):
    model = small_model(path, getattr(torch, dtype))
    model.test_cfg = {**model.test_cfg, 'flip_test': flip_test}
    expected = one_by_one(model)
    predict = Predictor(model, batch_size=3)
    found = predict(dict(images=IMAGES, boxes=BOXES))
    assert found['image_index'].tolist() == [0, 0, 0, 2]
    apart = np.abs(found['keypoints'] - expected).max(-1)
    assert (apart <= limit).mean() >= 0.999, apart.max()
    np.testing.assert_array_equal(found['boxes'], np.concatenate(BOXES))
    assert found['scores'].shape == expected.shape[:2]
    assert len(np.unique(found['keypoints'], axis=1)) > 1


@pytest.mark.parametrize('path', BOTTOM_UP.values(), ids=BOTTOM_UP)
@pytest.mark.parametrize(
    'dtype, limit', [('float32', 1e-2), ('float64', 1e-6)]
)
def test_bottom_up_is_one_by_one(path, dtype, limit):
    model = small_model(path, getattr(torch, dtype))
    images = [IMAGES[0], IMAGES[2], IMAGES[0][:, ::-1].copy()]
    expected = [inference_bottomup(model, i)[0].pred_instances for i in images]
    found = Predictor(model, batch_size=2)(dict(images=images))
    counts = [len(e.keypoints) for e in expected]
    assert np.bincount(found['image_index'], minlength=3).tolist() == counts
    assert sum(counts) > 3
    keypoints = np.concatenate([e.keypoints for e in expected])
    apart = np.abs(found['keypoints'] - keypoints).max(-1)
    assert (apart <= limit).mean() >= 0.999, apart.max()
