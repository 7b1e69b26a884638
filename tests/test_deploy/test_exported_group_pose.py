"""Group Pose as files compute it: any size, any batch, padding."""

import numpy as np
import pytest
import torch
from support.group_pose_small import build_head, build_small, make_samples

from gtpt_mm.deploy import make_graph
from gtpt_mm.deploy.exported_group_pose import (
    ExportedDeformableAttention,
    PaddedGraph,
    RowSampler,
    export_padded,
    make_padded_graph,
    mask_padding,
)
from gtpt_mm.deploy.formats import to_onnx
from gtpt_mm.deploy.graph_heads import smallest_side
from gtpt_mm.layers.deform_attention import DeformableAttention
from gtpt_mm.layers.token_maps import TokenMaps
from gtpt_mm.models.heads.group_pose_head import _mask_padding
from gtpt_mm.ops.deform_attention import DeformSampler

#: The last levels of the second are one cell high, of the fourth one wide.
SHAPES = [
    [(9, 7), (5, 4), (3, 2), (2, 1)],
    [(2, 6), (1, 3), (1, 2), (1, 1)],
    [(4, 4)],
    [(6, 1), (3, 1)],
]


def assert_close(actual, expected):
    for own, other in zip(actual, expected, strict=True):
        assert other.std() > 1e-3
        torch.testing.assert_close(own, other, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize('shapes', SHAPES)
def test_rows_are_sampled_as_by_the_native_operator(shapes):
    """Inside, on the border and far outside, also beside maps of one cell."""
    torch.manual_seed(0)
    heads, points, batch = 2, 3, 2
    maps = TokenMaps.without_padding(shapes, torch.device('cpu'))
    num = sum(h * w for h, w in shapes)
    value = torch.randn(batch, num, heads * 4)
    shape = batch, 50, heads, len(shapes), points
    locations = torch.randn(*shape, 2) * 3 + 1
    whole = torch.rand(shape) < 0.3
    locations[whole] = locations[whole].round()
    weights = torch.rand(shape)
    native = DeformSampler(value.unflatten(2, (heads, 4)), shapes)
    rows = RowSampler(value, maps, heads, points)
    x, y = (part.flatten(2).flatten(0, 1) for part in locations.unbind(-1))
    actual = rows(x, y, weights.flatten(2).flatten(0, 1))
    expected = native(locations, weights)
    torch.testing.assert_close(actual.view_as(expected), expected)


@pytest.mark.parametrize('numbers', [2, 4])
def test_attention_to_points_and_boxes_is_equal(numbers):
    torch.manual_seed(0)
    attention = DeformableAttention(32, num_heads=4, num_levels=2)
    torch.nn.init.normal_(attention.sampling_offsets.weight, std=0.1)
    torch.nn.init.normal_(attention.attention_weights.weight, std=0.3)
    maps = TokenMaps.without_padding([(6, 5), (3, 2)], torch.device('cpu'))
    query, value = torch.randn(2, 9, 32), torch.randn(2, 36, 32)
    points = torch.rand(2, 9, 2, numbers)
    exported = ExportedDeformableAttention(attention)
    with torch.no_grad():
        expected = attention(query, value, points, maps)
        actual = exported(query, value, points, maps)
    torch.testing.assert_close(actual, expected)


@pytest.mark.parametrize('size', [(1, 96, 128), (2, 100, 130), (3, 64, 200)])
def test_graph_equals_the_model(size):
    batch, height, width = size
    model = build_small()
    images = torch.randn(batch, 3, height, width)
    with torch.no_grad():
        expected = model(images, None, mode='tensor')
        assert_close(make_graph(model)(images), expected)


def test_graph_with_sizes_equals_the_model_of_padded_images():
    model = build_small()
    sizes = [(96, 128), (90, 100), (41, 77)]
    samples = make_samples(sizes, [1] * 3)
    images = torch.randn(3, 3, 96, 128)
    graph = make_padded_graph(model)
    with torch.no_grad():
        expected = model.head(model.extract_feat(images), samples)
        full = model(images, None, mode='tensor')
        actual = graph(images, torch.tensor(sizes))
    assert_close(actual, expected)
    assert not torch.allclose(expected[1], full[1], atol=1e-3)


def test_masks_are_those_of_the_head():
    rng = np.random.default_rng(0)
    for _ in range(200):
        padded = tuple(int(n) for n in rng.integers(64, 900, 2))
        sizes = [
            tuple(int(rng.integers(30, side + 1)) for side in padded)
            for _ in range(2)
        ]
        stride = int(rng.choice([8, 16, 32, 64]))
        shape = tuple(-(-side // stride) for side in padded)
        [expected] = _mask_padding(sizes, padded, [shape], torch.device('cpu'))
        images, feat = torch.empty(2, 3, *padded), torch.empty(2, 1, *shape)
        actual = mask_padding(torch.tensor(sizes), images, feat)
        assert torch.equal(actual, expected), (padded, sizes, stride)


def test_smallest_side_fills_the_queries():
    assert smallest_side(build_head(num_queries=6)) == 64
    head = build_head(num_queries=100)
    side = smallest_side(head)
    tokens = [(side // stride) ** 2 for stride in (8, 16, 32, 64)]
    assert side == 96 and sum(tokens) >= 100


def test_graphs_without_masks_or_with_decoding_have_no_sizes():
    graph = make_graph(build_small())
    graph.decode = True
    with pytest.raises(ValueError, match='without decode'):
        PaddedGraph(graph)
    graph.head = torch.nn.Identity()
    with pytest.raises(ValueError, match='Identity masks no padding'):
        PaddedGraph(graph)


class FixedBackbone(torch.nn.Module):
    """Reads the number of windows as Swin does."""

    def __init__(self, backbone):
        super().__init__()
        self.backbone = backbone

    def forward(self, images):
        batch = int(images.shape[0] / (images.shape[2] / 32))
        return self.backbone(images.repeat(batch, 1, 1, 1))


@pytest.mark.slow
def test_networks_of_fixed_sizes_are_refused_by_name():
    pytest.importorskip('onnx')
    graph = make_graph(build_small())
    graph.backbone = FixedBackbone(graph.backbone)
    with pytest.raises(ValueError, match=r'ResNet.*--input-size.*--batch N'):
        to_onnx(graph, 'dynamic')


@pytest.mark.slow
def test_file_with_sizes_masks_padding(tmp_path):
    onnxruntime = pytest.importorskip('onnxruntime')
    model = build_small()
    file = export_padded(model, tmp_path / 'padded.onnx')
    session = onnxruntime.InferenceSession(str(file))
    for padded, sizes in (
        ((96, 128), [(96, 128), (90, 100), (41, 77)]),
        ((200, 70), [(150, 70)]),
    ):
        samples = make_samples(sizes, [1] * len(sizes))
        for sample in samples:
            sample.set_metainfo(dict(batch_input_shape=padded))
        images = torch.randn(len(sizes), 3, *padded)
        with torch.no_grad():
            expected = model.head(model.extract_feat(images), samples)
        feed = dict(images=images.numpy(), sizes=np.array(sizes))
        actual = map(torch.from_numpy, session.run(None, feed))
        assert_close(actual, expected)


def test_locations_in_half_precision_have_32_bits():
    """Of a map of 200 columns 16 bits resolve no cell."""
    torch.manual_seed(0)
    attention = DeformableAttention(32, num_heads=4, num_levels=1)
    torch.nn.init.normal_(attention.sampling_offsets.weight, std=0.1)
    attention = attention.to(torch.bfloat16)
    maps = TokenMaps.without_padding([(30, 200)], torch.device('cpu'))
    query, value = torch.randn(2, 9, 32), torch.randn(2, 6000, 32)
    args = query.bfloat16(), value.bfloat16(), torch.rand(2, 9, 1, 2), maps
    exported = ExportedDeformableAttention(attention)
    exported.spread = exported.spread.bfloat16()
    with torch.no_grad():
        expected, actual = attention(*args), exported(*args)
    assert actual.dtype == torch.bfloat16
    torch.testing.assert_close(actual, expected, atol=0.02, rtol=0.02)
