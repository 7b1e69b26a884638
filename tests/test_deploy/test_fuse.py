"""GTPT for inference: folded, compiled, exported."""

import copy

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmpose.registry import MODELS
from torch import nn

from gtpt_mm.deploy import fuse

GROUPS = [
    dict(sparse=[0, 3], parts=[[5, 6, 7]]),
    dict(sparse=[1, 2], parts=[[8], [9, 10]]),
    dict(sparse=[4]),
]


def build(**backbone) -> nn.Module:
    """A small whole-body estimator, its norms not at their start."""
    model = MODELS.build(
        dict(
            type='TopdownPoseEstimator',
            backbone=dict(
                type='GTPT',
                arch=dict(embed_dims=32, stem_channels=16),
                img_size=(128, 96),
                keypoint_groups=GROUPS,
                keep_rates=(1.0, 0.7, 0.5, 0.3),
                depth=8,
                **backbone,
            ),
            head=dict(
                type='GTPTHead',
                in_channels=32,
                out_channels=11,
                decoder=dict(
                    type='UnroundedSimCCLabel',
                    input_size=(96, 128),
                    sigma=4.0,
                ),
            ),
        )
    )
    for norm in model.modules():
        if isinstance(norm, nn.BatchNorm2d):
            nn.init.normal_(norm.running_mean, std=0.1)
            nn.init.uniform_(norm.running_var, 0.5, 1.5)
            nn.init.uniform_(norm.weight, 0.5, 1.5)
    return model.eval()


class Network(nn.Module):
    """Images to logits: what is compiled and exported."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.backbone, self.head = model.backbone, model.head

    def forward(self, img):
        return self.head.forward(self.backbone(img))


def one_of(quick: str, other: str) -> pytest.MarkDecorator:
    """Run with one network always, with the other by ``make test-slow``."""
    slow = pytest.param(other, marks=pytest.mark.slow)
    return pytest.mark.parametrize('network', [quick, slow], indirect=True)


@pytest.fixture(params=['plain', 'prepared'])
def network(request):
    model = build()
    if request.param == 'prepared':
        model = fuse(model)
    return Network(model).eval()


@pytest.fixture
def img():
    return torch.randn(5, 3, 128, 96)


def assert_equal(actual, expected, atol=1e-5) -> None:
    for own, other in zip(actual, expected, strict=True):
        np.testing.assert_allclose(own, other, 0, atol)


@pytest.mark.parametrize('chunk_size', [None, 2, 8])
def test_prepared_model_predicts_the_same(chunk_size, img):
    model = build().double()
    img = img.double()
    prepared = fuse(model, chunk_size)
    with torch.no_grad():
        assert_equal(Network(prepared)(img), Network(model)(img), atol=1e-12)
    assert not [m for m in prepared.modules() if 'BatchNorm' in str(type(m))]


def test_preparing_leaves_the_model_as_it_is(img):
    model = build().train()
    before = copy.deepcopy(model.state_dict())
    fuse(model)
    assert model.training
    assert all(parameter.requires_grad for parameter in model.parameters())
    for key, value in model.state_dict().items():
        torch.testing.assert_close(value, before[key], rtol=0, atol=0)


@pytest.mark.parametrize('size', ['t', 's', 'b'])
def test_prepared_goldens(size, gtpt_goldens, repo_root):
    """The authors' numbers survive the folding, all three sizes."""
    from gtpt_mm.convert import convert_gtpt

    arrays = gtpt_goldens.npz(f'{size}_wholebody_full_seed1')
    meta = gtpt_goldens.meta(arrays)
    state = gtpt_goldens.official_state_dict(meta['state_dict'], meta['seed'])
    cfg = Config.fromfile(
        repo_root
        / 'configs/wholebody_2d_keypoint/gtpt/coco-wholebody'
        / f'gtpt-{size}_4xb64-300e_coco-wholebody-256x192.py'
    )
    init_default_scope('mmpose')
    model = MODELS.build(cfg.model)
    model.load_state_dict(convert_gtpt(state), strict=True)
    images = gtpt_goldens.rule.images(meta['batch'], meta['img_seed'])
    prepared = Network(fuse(model, chunk_size=1))
    with torch.no_grad():
        logits = prepared(torch.from_numpy(images).float())
    expected = arrays['eval_pred_x'], arrays['eval_pred_y']
    assert_equal(logits, expected, atol=1e-4)


def test_stock_model_can_be_prepared():
    model = MODELS.build(
        dict(
            type='TopdownPoseEstimator',
            backbone=dict(type='ResNet', depth=18),
            head=dict(
                type='HeatmapHead',
                in_channels=512,
                out_channels=17,
                deconv_out_channels=(32,),
                deconv_kernel_sizes=(4,),
                loss=dict(type='KeypointMSELoss'),
            ),
        )
    ).eval()
    img = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        expected = model(img, None, mode='tensor')
        prepared = fuse(model)(img, None, mode='tensor')
    torch.testing.assert_close(prepared, expected, rtol=1e-4, atol=1e-4)


def test_chunk_size_must_be_positive():
    with pytest.raises(ValueError, match='chunk_size.*-1'):
        fuse(build(), chunk_size=-1)


@one_of('plain', 'prepared')
def test_compiles_as_one_graph(network, img):
    """No graph break, no data-dependent shape; kernels are not generated."""
    compiled = torch.compile(network, fullgraph=True, backend='aot_eager')
    with torch.no_grad():
        assert_equal(compiled(img), network(img))


@pytest.mark.slow
def test_compiled_kernels_agree(network, img):
    compiled = torch.compile(network, fullgraph=True)
    with torch.no_grad():
        assert_equal(compiled(img), network(img))


@one_of('prepared', 'plain')
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
    program.save(tmp_path / 'gtpt.onnx')
    session = onnxruntime.InferenceSession(
        tmp_path / 'gtpt.onnx', providers=['CPUExecutionProvider']
    )
    for batch in (1, 5):
        logits = session.run(None, {'img': img[:batch].numpy()})
        with torch.no_grad():
            assert_equal(logits, network(img[:batch]))


@pytest.mark.skipif(
    not torch.cuda.is_available(), reason='CUDA graphs need a GPU'
)
def test_cuda_graph_replays(network, img):
    network, img = network.cuda(), img.cuda()
    with torch.no_grad():
        expected = network(img)
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            network(img)
        torch.cuda.current_stream().wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        static = torch.zeros_like(img)
        with torch.cuda.graph(graph):
            logits = network(static)
        static.copy_(img)
        graph.replay()
    assert_equal([x.cpu() for x in logits], [x.cpu() for x in expected])
