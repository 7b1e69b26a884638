"""Boxes that imitate those of a person detector."""

import numpy as np

from .arrays import Array, Rng
from .formats import ImageRecord

_MIN_SIDE = 8.0


def detect(images: list[ImageRecord], seed: tuple[int, ...]) -> list[dict]:
    """Return detections in COCO's result format.

    Most instances are found with a high score and a box that is a few percent
    off; some are missed, some are found twice, and some boxes contain no
    instance. The best box of an image comes first.
    """
    results = []
    for image in images:
        rng = np.random.default_rng([*seed, 1, image.id])
        limit = np.array((image.width, image.height), float)
        found = []
        for instance in image.instances:
            box = np.array(instance.box())
            large = min(1.0, min(box[2:]) / 40)
            if rng.random() < 0.03 + 0.15 * (1 - large):
                continue
            score = 1 - 0.35 * rng.beta(1, 6 * large + 1)
            found.append((score, _shake(rng, box, 0.025)))
            if rng.random() < 0.15:
                low = rng.uniform(0.02, 0.5)
                found.append((low, _shake(rng, box, 0.12)))
        for _ in range(rng.poisson(0.5)):
            size = rng.uniform(0.1, 0.6, size=2) * limit
            corner = rng.uniform(0, 1, size=2) * (limit - size)
            score = 0.4 * rng.beta(1, 4) + 0.005
            found.append((score, np.concatenate([corner, size])))
        for score, box in sorted(found, key=lambda item: -item[0]):
            low = np.clip(box[:2], 0, limit)
            high = np.clip(box[:2] + box[2:], 0, limit)
            if (high - low).min() < min(_MIN_SIDE, limit.min() / 4):
                continue
            result = {
                'bbox': np.round([*low, *(high - low)], 3).tolist(),
                'category_id': 1,
                'image_id': image.id,
                'score': round(float(score), 6),
            }
            results.append(result)
    return results


def _shake(rng: Rng, box: Array, amount: float) -> Array:
    """Move the edges of a box by ``amount`` of its size on average."""
    size = np.maximum(box[2:], 1.0)
    low = box[:2] + amount * size * rng.normal(size=2)
    high = box[:2] + size * (1 + amount * rng.normal(size=2))
    return np.concatenate([low, np.maximum(high - low, 1.0)])
