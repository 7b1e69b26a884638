"""Exported ViTPose and HEViTPose: equal values in few nodes."""

import copy

import numpy as np
import onnx
import pytest
import torch
from mmpose.registry import MODELS
from torch import nn

from gtpt_mm.deploy import export_model
from gtpt_mm.deploy.export_modules import export_module, replace_modules
from gtpt_mm.deploy.export_sandwich import ExportedCGSRMHA
from gtpt_mm.deploy.export_vit import ExportedSelfAttention
from gtpt_mm.deploy.fused_sandwich import fuse_sandwich
from gtpt_mm.layers.attention import SelfAttention, WindowAttention
from gtpt_mm.layers.cascaded_attention import CGSRMHA
from gtpt_mm.layers.rel_pos import DecomposedRelPos
from gtpt_mm.layers.sandwich import SandwichBlock
from projects.hevitpose_ablations.models import CGSRMHAVariant

onnxruntime = pytest.importorskip(
    'onnxruntime', reason='pip install -r requirements/tests.txt'
)

BACKBONES = dict(
    hevitpose=dict(
        type='HEViTPose',
        arch=dict(
            embed_dims=(16, 24, 32), depths=(1, 1, 1), num_groups=(2, 3, 4)
        ),
        num_heads=(2, 2, 4),
    ),
    vitpose=dict(
        type='ViTPose',
        arch=dict(embed_dims=32, depth=2, num_heads=4),
        img_size=(64, 64),
    ),
)


def randomise(module: nn.Module) -> nn.Module:
    """Move norms and biases away from where they start."""
    for norm in module.modules():
        if isinstance(norm, nn.BatchNorm2d):
            nn.init.normal_(norm.running_mean, std=0.1)
            nn.init.uniform_(norm.running_var, 0.5, 1.5)
        if isinstance(norm, (nn.BatchNorm2d, nn.LayerNorm)):
            nn.init.uniform_(norm.weight, 0.5, 1.5)
        if getattr(norm, 'bias', None) is not None:
            nn.init.normal_(norm.bias, std=0.1)
    return module.eval()


def build(name: str) -> nn.Module:
    model = MODELS.build(
        dict(
            type='TopdownPoseEstimator',
            backbone=copy.deepcopy(BACKBONES[name]),
            head=dict(
                type='HeatmapHead',
                in_channels=32,
                out_channels=5,
                deconv_out_channels=(32, 40),
                deconv_kernel_sizes=(4, 4),
                loss=dict(type='KeypointMSELoss'),
                decoder=dict(
                    type='MSRAHeatmap',
                    input_size=(64, 64),
                    heatmap_size=(16, 16),
                    sigma=2,
                ),
            ),
        )
    )
    # mmpose starts the head's convolutions at 1e-3: too small to test.
    for layer in model.head.modules():
        if isinstance(layer, (nn.Conv2d, nn.ConvTranspose2d)):
            nn.init.normal_(layer.weight, std=0.1)
    return randomise(model)


#: How often each operator is in the file: a layer that falls apart in other
#: nodes, or takes a detour by another layout, changes them.
COUNTS = dict(
    hevitpose=dict(
        Softmax=0, Attention=9, ConvTranspose=0, Shape=0, Gemm=72 + 16
    ),
    vitpose=dict(
        Softmax=0, Attention=2, ConvTranspose=0, Shape=0, Gemm=72 + 16
    ),
)


@pytest.mark.parametrize('name', ['vitpose', 'hevitpose'])
def test_file_gives_the_heatmaps_of_torch(name, tmp_path):
    model = build(name)
    file = export_model(model, tmp_path / 'model.onnx').file
    session = onnxruntime.InferenceSession(
        file, providers=['CPUExecutionProvider']
    )
    for batch in (1, 2, 5):
        images = torch.randn(batch, 3, 64, 64)
        with torch.no_grad():
            expected = model.head.forward(model.backbone(images)).numpy()
        assert expected.std() > 0.1
        [actual] = session.run(None, {'images': images.numpy()})
        np.testing.assert_allclose(actual, expected, rtol=0, atol=1e-4)
    kinds = [node.op_type for node in onnx.load(file).graph.node]
    counts = {kind: kinds.count(kind) for kind in COUNTS[name]}
    assert counts == COUNTS[name]


def test_units_of_hevitpose_are_replaced_by_equal_ones():
    block = randomise(SandwichBlock(12, lambda: CGSRMHA(12, 3, 2, 2)).double())
    x = torch.randn(2, 12, 9, 6, dtype=torch.float64)
    with torch.no_grad():
        expected = block(x)
        new = fuse_sandwich(block)
        replace_modules(new)
        torch.testing.assert_close(new(x), expected, rtol=0, atol=1e-11)
    assert isinstance(new.mixer, ExportedCGSRMHA)
    kinds = {type(module) for module in new.modules()}
    assert nn.Linear in kinds  # of the attention
    # Pointwise products are convolutions again.
    assert {m.in_features for m in new.modules() if type(m) is nn.Linear} == {
        4
    }


@pytest.mark.parametrize('sr_ratio', [1, 2])
def test_cgsr_mha_without_and_with_reduction(sr_ratio):
    mixer = randomise(CGSRMHA(12, 3, sr_ratio, 2).double())
    x = torch.randn(2, 12, 5, 6, dtype=torch.float64)
    with torch.no_grad():
        expected = mixer(x)
        new = export_module(mixer)
        torch.testing.assert_close(new(x), expected, rtol=0, atol=1e-11)
    assert isinstance(new, ExportedCGSRMHA)


def test_self_attention_of_files_is_equal():
    attention = randomise(SelfAttention(24, 4).double())
    x = torch.randn(2, 7, 24, dtype=torch.float64)
    with torch.no_grad():
        expected = attention(x, (7, 1))
        new = export_module(copy.deepcopy(attention))
        torch.testing.assert_close(new(x, (7, 1)), expected)
    assert isinstance(new, ExportedSelfAttention)


@pytest.mark.parametrize(
    'module',
    [
        WindowAttention(24, 4, (2, 2)),
        SelfAttention(24, 4, DecomposedRelPos(6, (2, 2))),
        CGSRMHAVariant(12, 3, 2, 2, proj='relu-conv-bn'),
    ],
    ids=['windows', 'relative-positions', 'variant'],
)
def test_other_attention_stays(module):
    assert export_module(module) is module
