"""Exported files in 8 bits: near the float file, and marked as it is."""

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from gtpt_mm.deploy import quantize as module
from gtpt_mm.deploy.metadata import ModelMetadata
from gtpt_mm.deploy.quantize import has_dot_products, quantize

SIZE, CHANNELS = 16, 64


def attend(source, heads=4):
    """Return nodes and constants of attention over ``source``."""
    make = helper.make_node
    nodes = [
        make('Reshape', [source, 'heads'], ['split']),
        make('Transpose', ['split'], ['q'], perm=[0, 2, 1, 3]),
        make('Transpose', ['split'], ['k'], perm=[0, 2, 3, 1]),
        make('Mul', ['q', 'scale'], ['scaled']),
        make('MatMul', ['scaled', 'k'], ['logits']),
        make('Softmax', ['logits'], ['shares'], axis=-1),
        make('MatMul', ['shares', 'q'], ['mixed']),
        make('Transpose', ['mixed'], ['back'], perm=[0, 2, 1, 3]),
        make('Reshape', ['back', 'tokens'], ['attended']),
    ]
    return nodes, dict(
        heads=np.array([-1, 16, heads, CHANNELS // heads]),
        tokens=np.array([-1, 16, CHANNELS]),
        scale=np.array((CHANNELS // heads) ** -0.5, np.float32),
    )


def write_model(path, batch='batch', attention=False, notes=(), opset=20):
    """Write patches, two layers with a sum around the second, and a head.

    With attention, the second layer reads attended tokens.
    """
    rng = np.random.default_rng(0)
    shapes = dict(
        patch=(CHANNELS, 3, 4, 4),
        first=(CHANNELS, 2 * CHANNELS),
        bias=(2 * CHANNELS,),
        second=(2 * CHANNELS, CHANNELS),
        last=(CHANNELS, 70),
    )
    weights = {
        name: rng.normal(0, shape[0] ** -0.5, shape).astype(np.float32)
        for name, shape in shapes.items()
    }
    weights['first'][:, 5] *= 3  # one channel needs a scale of its own
    weights['shape'] = np.array([0, CHANNELS, -1])
    make = helper.make_node
    nodes = [
        make('Conv', ['images', 'patch'], ['map'], 'patch', strides=[4, 4]),
        make('Reshape', ['map', 'shape'], ['flat']),
        make('Transpose', ['flat'], ['x'], perm=[0, 2, 1]),
        make('MatMul', ['seen', 'first'], ['a'], 'first'),
        make('Add', ['a', 'bias'], ['b']),
        make('Relu', ['b'], ['c']),
        make('MatMul', ['c', 'second'], ['d'], 'second'),
        make('Add', ['d', 'x'], ['e']),
        make('MatMul', ['e', 'last'], ['out'], 'last'),
    ]
    middle, constants = attend('x') if attention else ([], {})
    seen = 'attended' if attention else 'x'
    nodes[3:3] = [*middle, make('Identity', [seen], ['seen'])]
    weights |= constants
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes,
        'tiny',
        [value('images', TensorProto.FLOAT, [batch, 3, SIZE, SIZE])],
        [value('out', TensorProto.FLOAT, [batch, 16, 70])],
        [numpy_helper.from_array(v, k) for k, v in weights.items()],
    )
    opsets = [helper.make_opsetid('', opset)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=10)
    model.metadata_props.add(key='gtpt_mm', value='{"model": "tiny"}')
    for key, text in dict(notes).items():
        model.metadata_props.add(key=key, value=text)
    onnx.save(model, path)
    return path


def run(file, images):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(
        str(file), options, providers=['CPUExecutionProvider']
    )
    return session.run(None, {session.get_inputs()[0].name: images})[0]


def draw(number, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(0, 1, (number, 3, SIZE, SIZE)).astype(np.float32)


@pytest.fixture
def file(tmp_path):
    return write_model(tmp_path / 'model.onnx')


def fused_operators(file, tmp_path):
    """Return what onnxruntime makes of a file."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    options.optimized_model_filepath = str(tmp_path / 'optimized.onnx')
    onnxruntime.InferenceSession(
        str(file), options, providers=['CPUExecutionProvider']
    )
    model = onnx.load(tmp_path / 'optimized.onnx')
    return [node.op_type for node in model.graph.node]


def test_int8_is_near_float(file, tmp_path):
    out = tmp_path / 'int8.onnx'
    nodes = quantize(file, out, [draw(4), draw(4, seed=1)])
    assert nodes == ['first', 'second']  # not the first layer, nor the last
    for number in (1, 2, 5):
        images = draw(number, seed=2)
        expected, got = run(file, images), run(out, images)
        error = np.abs(got - expected).mean() / np.abs(expected).mean()
        assert 0 < error < 0.05
    # Both products are 8-bit products with their sums in float.
    fused = fused_operators(out, tmp_path)
    assert fused.count('MatMulIntegerToFloat') == 2
    assert fused.count('MatMul') == 1


#: What files of ``export_model`` have, of which two fields are required.
EXPORTED = ModelMetadata().to_texts()


@pytest.mark.parametrize(
    'notes, opset, fused',
    [(EXPORTED, 20, True), ({}, 20, False), ({}, 13, False)],
)
def test_attention_is_one_operator_in_files_of_our_exporter(
    notes, opset, fused, tmp_path
):
    file = write_model(tmp_path / 'a.onnx', 'batch', True, notes, opset)
    out = tmp_path / 'int8.onnx'
    assert quantize(file, out, [draw(4)]) == ['first', 'second']
    operators = [node.op_type for node in onnx.load(out).graph.node]
    assert ('Attention' in operators, 'Softmax' in operators) == (
        fused,
        not fused,
    )
    for number in (1, 2, 5):
        images = draw(number, seed=2)
        expected, got = run(file, images), run(out, images)
        error = np.abs(got - expected).mean() / np.abs(expected).mean()
        assert 0 < error < 0.05


def test_each_channel_has_a_scale_and_7_bits(file, tmp_path):
    out = tmp_path / 'int8.onnx'
    quantize(file, out, [draw(4)])
    tensors = {
        t.name: numpy_helper.to_array(t)
        for t in onnx.load(out).graph.initializer
    }
    weight = {
        t.name: numpy_helper.to_array(t)
        for t in onnx.load(file).graph.initializer
    }['first']
    assert tensors['first_quantized'].dtype == np.int8
    assert np.abs(tensors['first_quantized']).max() == 64
    scales = tensors['first_scale']
    np.testing.assert_allclose(scales, np.abs(weight).max(0) / 63.5, rtol=0.02)
    assert tensors['patch'].dtype == np.float32


def test_metadata_is_kept(file, tmp_path):
    quantize(file, tmp_path / 'int8.onnx', [draw(4)])
    notes = onnx.load(tmp_path / 'int8.onnx').metadata_props
    assert {n.key: n.value for n in notes}['gtpt_mm'] == '{"model": "tiny"}'


def test_a_fixed_batch_is_quantized_too(tmp_path):
    file = write_model(tmp_path / 'model.onnx', batch=1)
    quantize(file, tmp_path / 'int8.onnx', [draw(1)])
    images = draw(1, seed=2)
    expected = run(file, images)
    got = run(tmp_path / 'int8.onnx', images)
    assert np.abs(got - expected).mean() < 0.05 * np.abs(expected).mean()
    fused = fused_operators(tmp_path / 'int8.onnx', tmp_path)
    assert 'DequantizeLinear' not in fused  # no product in float


def test_sums_of_products_are_in_8_bits_too(tmp_path):
    """Such as the taps of a deconvolution: a Gemm adds to the one before."""
    rng = np.random.default_rng(0)
    weights = {
        'first': rng.normal(0, 0.1, (96, 64)),
        'bias': rng.normal(0, 0.1, (64,)),
        'second': rng.normal(0, 0.1, (64, 96)),
        'third': rng.normal(0, 0.1, (96, 64)),
        'last': rng.normal(0, 0.1, (64, 70)),
    }
    make, value = helper.make_node, helper.make_tensor_value_info
    nodes = [
        make('Gemm', ['x', 'first', 'bias'], ['a'], 'first'),
        make('Gemm', ['x', 'second', 'a'], ['b'], 'second', transB=1),
        make('Gemm', ['x', 'third', 'b'], ['c'], 'third'),
        make('Gemm', ['c', 'last'], ['out'], 'last'),
    ]
    graph = helper.make_graph(
        nodes,
        'sums',
        [value('x', TensorProto.FLOAT, ['rows', 96])],
        [value('out', TensorProto.FLOAT, ['rows', 70])],
        [
            numpy_helper.from_array(v.astype(np.float32), k)
            for k, v in weights.items()
        ],
    )
    opset = [helper.make_opsetid('', 20)]
    file = tmp_path / 'sums.onnx'
    onnx.save(
        helper.make_model(graph, opset_imports=opset, ir_version=10), file
    )
    x = rng.normal(0, 1, (32, 96)).astype(np.float32)
    nodes = quantize(file, tmp_path / 'int8.onnx', [x])
    assert nodes == ['second_product', 'third_product']
    expected, got = run(file, x), run(tmp_path / 'int8.onnx', x)
    assert np.abs(got - expected).mean() < 0.05 * np.abs(expected).mean()
    fused = fused_operators(tmp_path / 'int8.onnx', tmp_path)
    assert fused.count('MatMulIntegerToFloat') == 2
    assert 'DequantizeLinear' not in fused


def test_nodes_that_stay_float(file, tmp_path):
    out = tmp_path / 'int8.onnx'
    assert quantize(file, out, [draw(4)], keep=['second']) == ['first']


@pytest.mark.parametrize(
    'crops, keep, words',
    [
        ([], (), 'int8 needs pictures'),
        (
            [np.zeros((1, 3, 8, 8))],
            (),
            r'\(any, 3, 16, 16\), got \(1, 3, 8, 8',
        ),
        ([np.zeros((3, 16, 16))], (), r'got \(3, 16, 16\)'),
        (None, ('third',), r"no nodes with weights are named \['third'\]"),
        (None, ('first', 'second'), 'no weights that int8 speeds up'),
    ],
)
def test_bad_input(crops, keep, words, file, tmp_path):
    crops = [draw(1)] if crops is None else crops
    with pytest.raises(ValueError, match=words):
        quantize(file, tmp_path / 'int8.onnx', crops, keep)
    assert not (tmp_path / 'int8.onnx').exists()


@pytest.mark.parametrize(
    'flags, expected',
    [
        ('flags : fma avx2 avx512f avx512_vnni', True),
        ('flags : avx2 avx_vnni', True),
        ('Features : fp asimd asimddp', True),
        ('flags : fma avx2 avx512f', False),
    ],
)
def test_dot_products(flags, expected, tmp_path, monkeypatch):
    (tmp_path / 'cpuinfo').write_text(flags)
    monkeypatch.setattr(module, 'CPU_FLAGS', str(tmp_path / 'cpuinfo'))
    monkeypatch.setattr(module.platform, 'system', lambda: 'Linux')
    assert has_dot_products() is expected
    monkeypatch.setattr(module, 'CPU_FLAGS', str(tmp_path / 'none'))
    assert has_dot_products() is False
