"""The recipe of a training by the size of the set and the device: one rule.

From N instances to train on:

======== ================================================================
samples  seen in all: 8,000 on a CPU from scratch, 4,000 from weights;
         100,000 and 40,000 on a GPU
epochs   samples / N, at least 10, at most 210
batch    N / 8 as a power of two, from 4 to 32 (GPU: 64); 2 whole pictures
         (GPU: 4) for Group Pose; at most 8 for a GTPT from scratch
rate     that of the family for a batch of 16, times sqrt(batch / 16)
warm-up  5 % of the steps, at most 500, then a cosine to the end
average  of the last 1/24 of the steps (``CosineEMAHook``); a longer run
         keeps the official momentum
input    of the model's config; square with the same area where boxes are as
         wide as high; half the side on a CPU from scratch
rotation 180 degrees where no body axis has a direction (circular variance
         above 0.55), else 40
flip     off where no keypoints are swapped by it and a mirrored pose is no
         pose of the set (handedness above 0.5)
======== ================================================================
"""

import math
import os
from dataclasses import dataclass

from .facts import SetFacts

#: Learning rates of a family for a batch of 16: from scratch, from weights.
RATES = {
    'vitpose': (1e-3, 3e-4),
    'vitpose-plus': (1e-3, 3e-4),
    'gtpt': (2.8e-3, 5e-4),
    'hevitpose': (1e-3, 5e-4),
    'group-pose': (5e-4, 1e-4),
    'heatmap': (1e-3, 5e-4),
}
#: Total number of samples seen, by device: from scratch, from weights.
SAMPLES = dict(cpu=(8_000, 4_000), cuda=(100_000, 40_000))
EPOCHS = (10, 210)
BATCHES = dict(cpu=(4, 32), cuda=(4, 64))
PICTURES = dict(cpu=2, cuda=4)
#: Largest batch of a GTPT from scratch, which is limited by its number of
#: steps.
GTPT_BATCH = 8
#: Boxes narrower than this stay in the upright input of the model.
SQUARE_ASPECT = 0.85
#: Bees from above have 0.56, people who do gymnastics 0.53 (a quarter of
#: them head down), people of COCO 0.09.
MAX_VARIANCE = 0.55
MAX_HANDEDNESS = 0.5
#: Number of validations in a run.
VALIDATIONS = 15


@dataclass(frozen=True)
class Recipe:
    """Decisions of the rule.

    Attributes:
        epochs: Number of epochs.
        batch: Instances per step; pictures for Group Pose.
        lr: Learning rate after the warm-up.
        warmup: Steps of the warm-up.
        val_interval: Epochs between validations, and between checkpoints.
        input_size: (w, h) in pixels; (0, short side) for whole pictures.
        rotation: Largest angle of the augmentation, in degrees.
        flip: Whether pictures are mirrored, in training and test.
        num_workers: Processes that read pictures.
    """

    epochs: int
    batch: int
    lr: float
    warmup: int
    val_interval: int
    input_size: tuple[int, int]
    rotation: float
    flip: bool
    num_workers: int


def choose_recipe(
    facts: SetFacts,
    family: str,
    base_size: tuple[int, int],
    from_scratch: bool,
    device: str,
    step: int = 32,
    epochs: int | None = None,
    batch: int | None = None,
    lr: float | None = None,
    input_size: tuple[int, int] | None = None,
) -> Recipe:
    """Return the recipe for a set; see the rule at the top of this file.

    Args:
        facts: Measured facts of the set.
        family: A key of ``RATES``.
        base_size: Input of the model's config (w, h); (0, 0) for a model of
            whole pictures.
        from_scratch: Whether the model starts from random weights.
        device: ``'cpu'`` or ``'cuda'``.
        step: Sides of a square input are multiples of it.
        epochs: Overrides the rule.
        batch: Overrides the rule; the learning rate follows it.
        lr: Overrides the rule.
        input_size: Overrides the rule.
    """
    start = 0 if from_scratch else 1
    whole = family == 'group-pose'
    num = facts.num_pictures if whole else facts.num_train
    if batch is None:
        batch = PICTURES[device] if whole else _choose_batch(num, device)
        if family == 'gtpt' and from_scratch:
            batch = min(batch, GTPT_BATCH)
    if epochs is None:
        wanted = round(SAMPLES[device][start] / num)
        epochs = min(max(wanted, EPOCHS[0]), EPOCHS[1])
    if lr is None:
        lr = _round(RATES[family][start] * math.sqrt(batch / 16))
    if input_size is None:
        input_size = _choose_input(
            facts, base_size, from_scratch, device, step
        )
    steps = epochs * math.ceil(num / batch)
    return Recipe(
        epochs=epochs,
        batch=batch,
        lr=lr,
        warmup=min(500, max(1, steps // 20)),
        val_interval=max(1, epochs // VALIDATIONS),
        input_size=input_size,
        rotation=180.0 if facts.circular_variance > MAX_VARIANCE else 40.0,
        flip=bool(facts.swap) or facts.handedness <= MAX_HANDEDNESS,
        num_workers=max(1, min(4, (os.cpu_count() or 1) // 2)),
    )


def _choose_batch(num: int, device: str) -> int:
    low, high = BATCHES[device]
    return min(max(2 ** int(math.log2(max(num / 8, 1))), low), high)


def _choose_input(
    facts: SetFacts,
    size: tuple[int, int],
    from_scratch: bool,
    device: str,
    step: int,
) -> tuple[int, int]:
    """Return the input (w, h), or (0, short side) of whole pictures."""
    factor = 0.5 if from_scratch and device == 'cpu' else 1.0
    if not any(size):
        high = 800 * factor
        low = min(high, max(160, facts.short_side))
        return 0, round(low / step) * step
    width, height = size
    if width < height and facts.aspect >= SQUARE_ASPECT:
        width = height = round(math.sqrt(width * height) / step) * step
    if factor == 1:
        return width, height
    if width == height:
        return (math.ceil(width / 2 / step) * step,) * 2
    return width // 2, height // 2


def _round(value: float) -> float:
    """Return a number rounded to two digits."""
    return float(f'{value:.1e}')
