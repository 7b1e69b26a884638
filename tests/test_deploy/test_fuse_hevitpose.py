"""HEViTPose for inference: fused, compiled, exported, mixed precision."""

import copy

import pytest
import torch
from mmpose.registry import MODELS
from torch import nn

from gtpt_mm.deploy import fuse
from gtpt_mm.deploy.fuse import fuse_module


def build(backbone: str = 'HEViTPose') -> nn.Module:
    """A small estimator, its norms not at their start."""
    arch = dict(embed_dims=(16, 24, 32), depths=(1, 1, 1))
    if backbone == 'HEViTPose':
        arch.update(num_groups=(2, 3, 4))
        more = dict(num_heads=(2, 2, 4))
    else:
        arch.update(num_heads=(2, 2, 2), query_kernels=(5, 3))
        more = dict(key_dims=4)
    model = MODELS.build(
        dict(
            type='TopdownPoseEstimator',
            backbone=dict(type=backbone, arch=arch, **more),
            head=dict(
                type='HeatmapHead',
                in_channels=32,
                out_channels=16,
                deconv_out_channels=(24, 20),
                deconv_kernel_sizes=(4, 4),
                loss=dict(type='KeypointMSELoss'),
            ),
        )
    )
    for norm in model.modules():
        if isinstance(norm, nn.BatchNorm2d):
            nn.init.normal_(norm.running_mean, std=0.1)
            nn.init.uniform_(norm.running_var, 0.5, 1.5)
            nn.init.uniform_(norm.weight, 0.5, 1.5)
            nn.init.normal_(norm.bias, std=0.1)
    # mmpose starts the head's convolutions at 1e-3: too small to test.
    nn.init.normal_(model.head.final_layer.weight)
    return model.eval()


class Network(nn.Module):
    """Images to heatmaps: what is compiled and exported."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.backbone, self.head = model.backbone, model.head

    def forward(self, img):
        return self.head.forward(self.backbone(img))


def one_of(quick: str, other: str) -> pytest.MarkDecorator:
    """Run with one network always, with the other by ``make test-slow``."""
    slow = pytest.param(other, marks=pytest.mark.slow)
    return pytest.mark.parametrize('network', [quick, slow], indirect=True)


@pytest.fixture(params=['plain', 'fused'])
def network(request):
    model = build()
    if request.param == 'fused':
        model = fuse(model, chunk_size=None)
    return Network(model).eval()


@pytest.fixture
def img():
    return torch.randn(5, 3, 64, 48)


@pytest.mark.parametrize('backbone', ['HEViTPose', 'EfficientViT'])
@pytest.mark.parametrize('chunk_size', [None, 2, 8])
def test_fused_model_predicts_the_same(chunk_size, backbone, img):
    model = build(backbone).double()
    img = img.double()
    fused = fuse(model, chunk_size)
    with torch.no_grad():
        expected = Network(model)(img)
        actual = Network(fused)(img)
    assert expected.std() > 0.1
    torch.testing.assert_close(actual, expected, rtol=0, atol=1e-11)
    left = [m for m in fused.modules() if isinstance(m, nn.BatchNorm2d)]
    assert not left


@pytest.mark.parametrize('arch', ['tiny', 'small', 'base'])
def test_fused_model_agrees_in_float32(arch):
    """To 1e-5 of the largest value, at the real sizes."""
    backbone = MODELS.build(dict(type='HEViTPose', arch=arch)).eval()
    for norm in backbone.modules():
        if isinstance(norm, nn.BatchNorm2d):
            nn.init.uniform_(norm.running_var, 0.5, 1.5)
            nn.init.uniform_(norm.weight, 0.1, 0.5)
    fused = fuse_module(copy.deepcopy(backbone), chunk_size=1)
    img = torch.randn(2, 3, 128, 96)
    with torch.no_grad():
        [expected], [actual] = backbone(img), fused(img)
    scale = expected.abs().max().item()
    torch.testing.assert_close(actual, expected, rtol=0, atol=1e-5 * scale)


def test_fusing_leaves_the_model_as_it_is():
    model = build().train()
    before = copy.deepcopy(model.state_dict())
    fuse(model)
    assert model.training
    assert all(parameter.requires_grad for parameter in model.parameters())
    for key, value in model.state_dict().items():
        torch.testing.assert_close(value, before[key], rtol=0, atol=0)


@pytest.mark.parametrize('chunk_size', [0, -1, 2.5])
def test_chunk_size_must_be_a_positive_integer(chunk_size):
    with pytest.raises(ValueError, match=f'chunk_size.*{chunk_size}'):
        fuse(build(), chunk_size)


@one_of('plain', 'fused')
def test_compiles_as_one_graph(network, img):
    """No graph break; kernels are not generated."""
    compiled = torch.compile(network, fullgraph=True, backend='aot_eager')
    with torch.no_grad():
        torch.testing.assert_close(
            compiled(img), network(img), rtol=0, atol=1e-4
        )


@pytest.mark.slow
def test_compiled_kernels_agree(network, img):
    compiled = torch.compile(network, fullgraph=True)
    with torch.no_grad():
        torch.testing.assert_close(
            compiled(img), network(img), rtol=0, atol=1e-4
        )


@one_of('fused', 'plain')
def test_exports_to_onnx_with_any_batch(network, img, tmp_path):
    onnxruntime = pytest.importorskip(
        'onnxruntime', reason='pip install -r requirements/tests.txt'
    )
    program = torch.onnx.export(
        network,
        (img,),
        dynamo=True,
        verbose=False,
        dynamic_shapes={'img': {0: torch.export.Dim('batch', min=1)}},
    )
    program.save(tmp_path / 'hevitpose.onnx')
    session = onnxruntime.InferenceSession(
        tmp_path / 'hevitpose.onnx', providers=['CPUExecutionProvider']
    )
    for batch in (1, 5):
        [heatmaps] = session.run(None, {'img': img[:batch].numpy()})
        with torch.no_grad():
            expected = network(img[:batch])
        torch.testing.assert_close(
            torch.from_numpy(heatmaps), expected, rtol=0, atol=1e-4
        )


def test_runs_in_bfloat16(network, img):
    """Autocast, as mmengine's AmpOptimWrapper and test amp use it."""
    with torch.no_grad():
        expected = network(img)
        with torch.autocast('cpu', torch.bfloat16):
            actual = network(img)
    error = (actual.float() - expected).abs().mean()
    assert error < 0.05 * expected.abs().mean()
