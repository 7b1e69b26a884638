"""GTPT in an exported file: equal numbers, few operators."""

from collections import Counter

import numpy as np
import pytest
import torch
from support.stock_inference import small_config
from torch import nn

from gtpt_mm.apis.model_names import load_model
from gtpt_mm.deploy import export_model
from gtpt_mm.deploy.export_gtpt import ExportGTPT
from gtpt_mm.deploy.export_gtpt_stem import export_stem
from gtpt_mm.deploy.export_modules import replace_modules
from gtpt_mm.deploy.fuse import fuse_module
from gtpt_mm.deploy.fused_gtpt import fuse_stem
from gtpt_mm.layers.shuffle_stem import (
    PatchEmbed,
    ShuffleStem,
    ShuffleUNetStem,
)
from gtpt_mm.models.backbones import GTPT

onnx = pytest.importorskip('onnx')
onnxruntime = pytest.importorskip('onnxruntime')
pytest.importorskip('onnxscript')

BODY = [dict(sparse=[0, 1, 2]), dict(sparse=[3, 4])]
WHOLE_BODY = [
    dict(sparse=[0, 1, 2], parts=[[5, 6, 7], [8, 9]]),
    dict(sparse=[3, 4]),
]
PRUNED = (1.0, 0.8, 0.6, 0.4)


def disturb(module: nn.Module) -> nn.Module:
    """Give weights and statistics values that matter."""
    generator = torch.Generator().manual_seed(0)
    for value in module.parameters():
        noise = torch.randn(value.shape, generator=generator)
        value.data += 0.1 * noise
    for norm in module.modules():
        if isinstance(norm, nn.BatchNorm2d):
            shape = norm.running_mean.shape
            mean = torch.randn(shape, generator=generator)
            var = torch.rand(shape, generator=generator)
            # So small that images differ in their features.
            norm.running_mean.copy_(0.2 * mean)
            norm.running_var.copy_(0.05 * (var + 0.5))
    return module.eval().requires_grad_(False)


def make_backbone(**options) -> GTPT:
    settings = dict(
        arch=dict(embed_dims=32, stem_channels=32),
        img_size=(96, 64),
        patch_size=(4, 4),
        keypoint_groups=BODY,
        keep_rates=PRUNED,
        depth=8,
        num_heads=4,
        qk_init_gain=3.0,
    )
    return disturb(GTPT(**(settings | options)))


def draw_images(number: int) -> torch.Tensor:
    """Return images with a bright square at another place in each."""
    generator = torch.Generator().manual_seed(number)
    images = torch.randn(number, 3, 96, 64, generator=generator)
    for i, image in enumerate(images):
        image[:, 8 * i : 8 * i + 32, 16:48] += 2
    return images


@pytest.mark.parametrize(
    'options',
    [
        dict(),
        dict(keypoint_groups=WHOLE_BODY),
        dict(keypoint_groups=WHOLE_BODY, keep_rates=(0.9, 0.7, 0.5, 0.3)),
        dict(keypoint_groups=WHOLE_BODY, keep_rates=(1.0,) * 4),
        dict(keep_rates=(1.0,) * 4, depth=12),
        dict(keypoint_groups=[dict(sparse=range(5))]),
        dict(arch=dict(embed_dims=32, stem_channels=(32, 48, 64))),
        dict(arch=dict(embed_dims=32, stem_channels=128)),
    ],
)
def test_keypoint_tokens_are_equal(options):
    backbone = make_backbone(**options).double()
    images = draw_images(5).double()
    expected = [backbone(images[:number])[0] for number in (1, 2, 5)]
    fused = fuse_module(backbone, None)
    replace_modules(fused)
    assert isinstance(fused.module, ExportGTPT)
    for tokens in expected:
        [found] = fused(images[: len(tokens)])
        torch.testing.assert_close(found, tokens, rtol=0, atol=1e-9)


def test_scores_decide_in_these_models():
    """Other images keep other tokens, so the comparison means something."""
    backbone = make_backbone(keypoint_groups=WHOLE_BODY).double()
    _, kept = backbone.trace_pruning(draw_images(5).double())
    assert len(kept) == 3
    for one in kept:
        chosen = one.indices.sort().values
        assert not torch.equal(chosen, chosen[:1].expand_as(chosen))


@pytest.mark.parametrize(
    'stem',
    [
        ShuffleStem(32),  # one map of 16 channels in each branch
        ShuffleStem(128),  # the last cut would be at 8 of 16 channels
        ShuffleUNetStem((32, 48, 64)),
    ],
)
def test_stem_gives_the_same_patches(stem):
    stem = disturb(stem).double()
    embed = disturb(PatchEmbed(stem.out_channels, 48, (4, 3))).double()
    img = torch.randn(2, 3, 64, 48).double()
    fused = fuse_stem(stem, embed)
    expected = embed(stem(img))
    exported = export_stem(fused)
    torch.testing.assert_close(exported(img).flatten(1, 2), expected)


def test_stem_reads_no_channel_in_vain():
    """A cut of the maps at multiples of a block serves almost every unit."""
    fused = fuse_stem(ShuffleStem(256).eval(), PatchEmbed(256, 48, (4, 3)))
    exported = export_stem(fused)
    for unit in exported.stage1.units:
        assert unit.pointwise2.in_channels == unit.pointwise2.out_channels


def test_subclasses_are_left_alone():
    class Other(GTPT):
        pass

    backbone = Other(arch=dict(embed_dims=32, stem_channels=32)).eval()
    fused = fuse_module(backbone, None)
    replace_modules(fused)
    assert type(fused.module) is Other


@pytest.fixture(scope='module')
def estimator() -> nn.Module:
    return disturb(load_model(small_config('gtpt'), 'random', 'cpu'))


@pytest.fixture(scope='module')
def file(estimator, tmp_path_factory):
    file = tmp_path_factory.mktemp('export') / 'gtpt.onnx'
    export_model(estimator, file)
    return file


def run(file, images) -> list[np.ndarray]:
    session = onnxruntime.InferenceSession(str(file))
    return session.run(None, {session.get_inputs()[0].name: images.numpy()})


@pytest.mark.parametrize('number', [1, 2, 5])
def test_the_file_gives_equal_logits(estimator, file, number):
    images = draw_images(number)
    for found, expected in zip(
        run(file, images), estimator._forward(images), strict=True
    ):
        np.testing.assert_allclose(found, expected.numpy(), atol=1e-4)


def test_the_file_of_one_image_gives_equal_logits(estimator, tmp_path):
    export_model(estimator, tmp_path / 'one.onnx', batch=1)
    images = draw_images(1)
    for found, expected in zip(
        run(tmp_path / 'one.onnx', images),
        estimator._forward(images),
        strict=True,
    ):
        np.testing.assert_allclose(found, expected.numpy(), atol=1e-4)


def test_the_file_has_few_operators(estimator, file):
    """An attention is one operator, and no map is cut or transposed."""
    [scan] = onnx.load(file).graph.node  # over the images
    [body] = [one.g for one in scan.attribute if one.name == 'body']
    count = Counter(node.op_type for node in body.node)
    depth = estimator.backbone.depth
    assert count['Attention'] == depth
    assert count['LayerNormalization'] == 2 * depth + 2
    assert count['Softmax'] == count['Split'] == 0
    assert count['TopK'] == 3
    # Patches to tokens, and queries and keys of three scorings.
    assert count['Transpose'] <= 1 + 2 * 3
    assert count['Reshape'] <= 8 * depth
    assert count['Shape'] <= 3
