"""A folder of small drawn pictures, and a model whose keypoints differ."""

from pathlib import Path

import cv2
import numpy as np
import torch

from gtpt_mm.apis import PoseInferencer, PoseResult

from .inference import TOP_DOWN, small_model


def draw_pictures(folder: Path, num: int) -> list[str]:
    """Write ``num`` pictures of different sizes; return their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    paths = []
    for number in range(num):
        size = tuple(int(v) for v in rng.integers(40, 90, 2))
        noise = rng.integers(0, 256, (6, 5, 3), np.uint8)
        picture = cv2.resize(noise, size, interpolation=cv2.INTER_CUBIC)
        path = folder / f'{number:05}.png'
        cv2.imwrite(str(path), picture)
        paths.append(str(path))
    return paths


def two_halves(image: np.ndarray) -> np.ndarray:
    """A detector: nobody in a wide picture, else a person in each half."""
    h, w = image.shape[:2]
    if w > 1.5 * h:
        return np.zeros((0, 5))
    return np.array([[0, 0, w / 2, h, 0.75], [w / 2, 0, w, h, 0.5]])


def make_inferencer(detector=two_halves, **options) -> PoseInferencer:
    torch.manual_seed(0)  # the same weights in every process
    model = small_model(TOP_DOWN['vitpose'])
    model.test_cfg = {**model.test_cfg, 'flip_test': False}
    options.setdefault('batch_size', 4)
    return PoseInferencer(model, detector, 'cpu', **options)


def assert_same(found: list[PoseResult], expected: list[PoseResult], atol=0):
    """Compare all but the image; ``atol`` is pixels of the keypoints."""
    assert [r.frame.source for r in found] == [
        r.frame.source for r in expected
    ]
    for one, other in zip(found, expected, strict=True):
        assert len(one) == len(other)
        for name in ('index', 'time', 'error'):
            assert getattr(one.frame, name) == getattr(other.frame, name)
        for name in ('boxes', 'box_scores'):
            np.testing.assert_array_equal(
                getattr(one, name), getattr(other, name)
            )
        for name in ('keypoints', 'scores'):
            np.testing.assert_allclose(
                getattr(one, name), getattr(other, name), atol=atol, rtol=0
            )
