"""Small checkpoints of ViTPose, and models to load them into."""

import hashlib

import pytest
import torch
from mmpose.registry import MODELS

KEYPOINTS = (17, 14, 16, 17, 17, 133)  # of the six datasets of ViTPose++


def fill_shapes(names: dict[str, tuple]) -> dict[str, torch.Tensor]:
    return {name: torch.randn(shape) for name, shape in names.items()}


def make_official_vitpose(
    num_rows: int = 13, plus: bool = False
) -> dict[str, torch.Tensor]:
    """A checkpoint of the authors: two blocks, 8 channels, 2 of an expert."""
    shared = 6 if plus else 8
    names = {
        'pos_embed': (1, num_rows, 8),
        'patch_embed.proj.weight': (8, 3, 16, 16),
        'patch_embed.proj.bias': (8,),
        'last_norm.weight': (8,),
        'last_norm.bias': (8,),
    }
    for i in range(2):
        parts = {
            'norm1': (8,),
            'norm2': (8,),
            'attn.qkv': (24, 8),
            'attn.proj': (8, 8),
            'mlp.fc1': (32, 8),
            'mlp.fc2': (shared, 32),
        }
        if plus:
            parts |= {f'mlp.experts.{e}': (2, 32) for e in range(6)}
        for part, shape in parts.items():
            names[f'blocks.{i}.{part}.weight'] = shape
            names[f'blocks.{i}.{part}.bias'] = shape[:1]
    names = {f'backbone.{name}': shape for name, shape in names.items()}
    heads = ['keypoint_head']
    if plus:
        heads += [f'associate_keypoint_heads.{i}' for i in range(5)]
    for head, count in zip(heads, KEYPOINTS, strict=False):
        names[f'{head}.final_layer.weight'] = (count, 8, 3, 3)
        names[f'{head}.final_layer.bias'] = (count,)
    return fill_shapes(names)


def build_small_vitpose(
    config: dict, num_keypoints: int = 17, simple: bool = False
) -> torch.nn.Module:
    """Build our plain ViTPose of the size that a golden file names."""
    head = dict(
        type='HeatmapHead',
        in_channels=config['dim'],
        out_channels=num_keypoints,
        deconv_out_channels=config.get('filt', (256, 256)),
        deconv_kernel_sizes=(4, 4),
    )
    neck = None
    if simple:
        neck = dict(
            type='FeatureMapProcessor', scale_factor=4.0, apply_relu=True
        )
        head.update(
            deconv_out_channels=(),
            deconv_kernel_sizes=(),
            final_layer=dict(kernel_size=3, padding=1),
        )
    arch = dict(
        embed_dims=config['dim'],
        depth=config['depth'],
        num_heads=config['heads'],
    )
    backbone = dict(type='ViTPose', arch=arch, img_size=config['img'])
    model = dict(
        type='TopdownPoseEstimator', backbone=backbone, neck=neck, head=head
    )
    return MODELS.build(model).eval()


def heatmaps_of(model: torch.nn.Module, img: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        return model(img, None, mode='tensor')


def hash_tensors(state_dict: dict[str, torch.Tensor]) -> dict[str, str]:
    return {
        key: hashlib.sha256(value.contiguous().numpy().tobytes()).hexdigest()
        for key, value in state_dict.items()
    }


@pytest.fixture
def fill():
    return fill_shapes


@pytest.fixture
def official_vitpose():
    return make_official_vitpose


@pytest.fixture
def build_vitpose():
    return build_small_vitpose


@pytest.fixture
def heatmaps():
    return heatmaps_of


@pytest.fixture
def sha256():
    return hash_tensors


@pytest.fixture
def assert_equal():
    def compare(actual: dict, expected: dict) -> None:
        assert set(actual) == set(expected)
        for key, value in expected.items():
            torch.testing.assert_close(
                actual[key], value, atol=0, rtol=0, msg=key
            )

    return compare
