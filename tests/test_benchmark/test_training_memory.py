"""Estimated memory of a training step, beside that of a small model."""

import pytest
import torch
from mmpose.registry import MODELS
from support.configs import read_config

from gtpt_mm.benchmark.memory import peak_memory
from gtpt_mm.benchmark.training_memory import (
    TrainingMemory,
    estimate_training_memory,
)

CONFIG = (
    'configs/body_2d_keypoint/vitpose/sample/td-hm_vitpose-s_1xb16-14e_'
    'sample-96x64.py'
)
SIX_DATASETS = (
    'configs/multi_dataset/vitpose_plus/sample/td-hm_vitpose-plus-t_1xb32-14e_'
    'sample-six-datasets-96x64.py'
)
BATCH = 64


def read(with_cp: bool):
    cfg = read_config(CONFIG)
    cfg.model.backbone.update(
        arch=dict(embed_dims=64, depth=12, num_heads=4), with_cp=with_cp
    )
    # Heatmaps of few channels, as they are few beside the tokens of a ViT.
    cfg.model.head.update(
        in_channels=64, deconv_out_channels=(4, 4), out_channels=1
    )
    return cfg


def measure(cfg, dtype) -> int:
    """Return the peak of a forward and backward pass, without weights."""
    model = MODELS.build(cfg.model).train()
    img = torch.rand(BATCH, 3, 96, 64)

    def step() -> None:
        with torch.autocast('cpu', dtype, enabled=dtype != torch.float32):
            heatmaps = model(img, None, mode='tensor')
        heatmaps.sum().backward()

    return peak_memory(step)


@pytest.mark.parametrize('with_cp', [False, True])
@pytest.mark.parametrize('dtype', [torch.float32, torch.bfloat16], ids=str)
def test_a_small_model_needs_what_is_estimated(dtype, with_cp):
    cfg = read(with_cp)
    memory = estimate_training_memory(cfg, dtype)
    expected = memory.copies + BATCH * (memory.per_image + memory.layer)
    measured = measure(cfg, dtype)
    print(f'{measured / 1e6:.1f} of {expected / 1e6:.1f}', memory)
    # Short-lived results are not estimated: much beside few, small layers.
    assert 0.9 < measured / expected < 1.55
    model = MODELS.build(cfg.model)
    assert memory.parameters == sum(p.nbytes for p in model.parameters())


@pytest.mark.parametrize('own_samples_only', [False, True])
def test_heads_of_six_datasets_share_a_batch(own_samples_only):
    cfg = read_config(SIX_DATASETS)
    cfg.model.head.own_samples_only = own_samples_only
    memory = estimate_training_memory(cfg)
    model = MODELS.build(cfg.model).train()
    counts = (8,) * len(model.head.names)
    img = torch.rand(sum(counts), 3, 96, 64)

    def step() -> None:
        feats = model.extract_feat(img, counts)
        maps = model.head.train_forward(feats, counts)
        sum(m.sum() for m in maps.values()).backward()

    measured, expected = peak_memory(step), len(img) * memory.per_image
    print(f'{measured / 1e6:.1f} of {expected / 1e6:.1f}', memory)
    assert 0.9 < measured / expected < 1.55


def test_less_is_saved():
    plain = estimate_training_memory(read(False))
    half = estimate_training_memory(read(False), torch.bfloat16)
    again = estimate_training_memory(read(True))
    assert 0.45 < half.per_image / plain.per_image < 0.7
    assert again.per_image + again.layer < 0.5 * plain.per_image
    assert (plain.copies, plain.layer) == (0, 0)
    # Of all weights but norms and positions.
    assert 0.4 * plain.parameters < half.copies < 0.55 * plain.parameters


def test_the_worst_moment():
    memory = TrainingMemory(parameters=100, copies=50, per_image=30, layer=2)
    # Weights and moments, then activations or gradients with one copy.
    assert memory.peak(batch=1) == 300 + 200
    assert memory.peak(batch=10) == 300 + 50 + 320
    assert memory.peak(batch=10, num_processes=4) == 400 + 370
    assert memory.peak(10, num_processes=4, divided=True) == 250 + 370
