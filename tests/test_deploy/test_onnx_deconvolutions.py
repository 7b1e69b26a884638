"""Rewriting of transposed convolutions: equal values, fewer products."""

from itertools import pairwise

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from gtpt_mm.deploy.onnx_rewrite import rewrite
from gtpt_mm.deploy.onnx_rewrite.deconvolutions import (
    split_deconvolutions,
    tile_deconvolutions,
)

onnxruntime = pytest.importorskip(
    'onnxruntime', reason='pip install -r requirements/tests.txt'
)

#: Padding and output padding of mmpose's heads, by the kernel.
PADDINGS = {2: (0, 0), 3: (1, 1), 4: (1, 0)}


def make_head(
    channels: tuple[int, ...],
    kernels: tuple[int, ...],
    size: tuple[int | str, int | str],
    final: int | None = 3,
    with_relu: bool = True,
    with_bias: bool = True,
) -> onnx.ModelProto:
    """Return deconvolutions and, with ``final``, a pointwise layer."""
    random = np.random.default_rng(0)
    nodes, tensors = [], []

    def add(op_type: str, source: str, shape: tuple[int, ...], **attributes):
        axis = 0 if op_type == 'Conv' else 1
        names = [f'w{len(nodes)}', f'b{len(nodes)}'][: 1 + with_bias]
        for name, dims in zip(
            names, (shape, shape[axis : axis + 1]), strict=False
        ):
            value = random.standard_normal(dims).astype(np.float32)
            tensors.append(numpy_helper.from_array(value / 2, name))
        output = f'x{len(nodes)}'
        nodes.append(
            helper.make_node(op_type, [source, *names], [output], **attributes)
        )
        return output

    x = 'images'
    for (c_in, c_out), kernel in zip(pairwise(channels), kernels, strict=True):
        padding, extra = PADDINGS[kernel]
        x = add(
            'ConvTranspose', x, (c_in, c_out, kernel, kernel), strides=[2, 2],
            pads=[padding] * 4, output_padding=[extra] * 2,
        )  # fmt: skip
        if with_relu:
            nodes.append(helper.make_node('Relu', [x], [f'{x}_relu']))
            x = f'{x}_relu'
    if final:
        x = add('Conv', x, (final, channels[-1], 1, 1))
    shape = ['batch', channels[0], *size]
    graph = helper.make_graph(
        nodes,
        'head',
        [helper.make_tensor_value_info('images', TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info(x, TensorProto.FLOAT, None)],
        tensors,
    )
    model = helper.make_model(
        graph, opset_imports=[helper.make_opsetid('', 20)], ir_version=10
    )
    return onnx.shape_inference.infer_shapes(model)


def copy(model: onnx.ModelProto) -> onnx.ModelProto:
    return onnx.ModelProto.FromString(model.SerializeToString())


def run(model: onnx.ModelProto, images: np.ndarray) -> np.ndarray:
    onnx.checker.check_model(model)
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=['CPUExecutionProvider']
    )
    return session.run(None, {'images': images})[0]


def count(model: onnx.ModelProto) -> dict[str, int]:
    kinds = [node.op_type for node in model.graph.node]
    return {kind: kinds.count(kind) for kind in set(kinds)}


def check_equal(
    model: onnx.ModelProto, new: onnx.ModelProto, size: tuple[int, int]
) -> None:
    channels = model.graph.input[0].type.tensor_type.shape.dim[1].dim_value
    for batch in (1, 2, 5):
        images = np.random.default_rng(batch).standard_normal(
            (batch, channels, *size), np.float32
        )
        expected = run(model, images)
        assert expected.std() > 0.1
        assert expected.shape[2:] != size
        scale = np.abs(expected).max()
        np.testing.assert_allclose(
            run(new, images), expected, rtol=0, atol=1e-5 * scale
        )


@pytest.mark.parametrize('kernel', [2, 3, 4])
@pytest.mark.parametrize('final', [None, 3])
@pytest.mark.parametrize('with_relu', [True, False])
def test_four_convolutions_give_equal_maps(kernel, final, with_relu):
    """Of any size, known or not, odd or even."""
    for size in ((5, 4), ('height', 'width')):
        model = make_head(
            (6, 8, 5), (kernel, kernel), size, final, with_relu, final is None
        )
        new = split_deconvolutions(copy(model), '')
        check_equal(model, new, (5, 4))
        # The pointwise layer runs on each phase, before they are joined.
        assert count(new)['Conv'] == 8 + 4 * bool(final)
        assert count(new)['DepthToSpace'] == 2
        assert 'ConvTranspose' not in count(new)


@pytest.mark.parametrize('final', [None, 3])
@pytest.mark.parametrize('with_relu', [True, False])
def test_tiles_give_equal_maps_in_nine_products_of_sixteen(final, with_relu):
    model = make_head(
        (32, 48, 40), (4, 4), (4, 6), final, with_relu, final is None
    )
    new = tile_deconvolutions(copy(model), '')
    check_equal(model, new, (4, 6))
    counts = count(new)
    # Of each deconvolution 9 products for each phase; 16 pointwise ones.
    assert counts['Gemm'] == 2 * 4 * 9 + 16 * bool(final)
    assert not {'Conv', 'ConvTranspose'} & set(counts)
    # Channels stay last between the two.
    outputs = {node.output[0]: node for node in new.graph.node}
    pads = [node for node in new.graph.node if node.op_type == 'Pad']
    sources = [outputs[pad.input[0]].op_type for pad in pads]
    assert sources == ['Transpose', 'Reshape']


def test_every_row_and_column_of_the_kernel_is_used_once():
    """A kernel with one 1 moves the map to where the definition puts it."""
    images = np.zeros((1, 32, 4, 4), np.float32)
    images[0, 0, 1, 2] = 1
    for row in range(4):
        for column in range(4):
            model = make_head((32, 32), (4,), (4, 4), None, False, False)
            weight = np.zeros((32, 32, 4, 4), np.float32)
            weight[0, 0, row, column] = 1
            new_weight = numpy_helper.from_array(weight, 'w0')
            model.graph.initializer[0].CopyFrom(new_weight)
            output = run(tile_deconvolutions(model, ''), images)
            expected = np.zeros((8, 8), np.float32)
            expected[2 * 1 - 1 + row, 2 * 2 - 1 + column] = 1
            np.testing.assert_allclose(output[0, 0], expected, atol=1e-6)


@pytest.mark.parametrize(
    ('channels', 'kernel', 'size'),
    [
        ((32, 8), 4, (4, 4)),
        ((32, 32), 4, (5, 4)),
        ((32, 32), 4, ('height', 4)),
        ((32, 32), 3, (4, 4)),
    ],
    ids=['few-channels', 'odd', 'unknown-size', 'kernel-3'],
)
def test_what_tiles_do_not_fit_becomes_four_convolutions(
    channels, kernel, size
):
    model = make_head(channels, (kernel,), size)
    assert tile_deconvolutions(copy(model), '') == model
    new = rewrite(copy(model), '')
    assert count(new)['DepthToSpace'] == 1
    check_equal(model, new, tuple(4 if s == 'height' else s for s in size))


def test_portable_files_have_no_tiles():
    model = make_head((32, 32), (4,), (4, 4))
    assert 'Gemm' in count(rewrite(copy(model), ''))
    assert 'Gemm' not in count(rewrite(copy(model), '', portable=True))


@pytest.mark.parametrize(
    'attributes',
    [dict(group=2), dict(strides=[1, 1]), dict(pads=[0, 0, 0, 0])],
)
def test_other_transposed_convolutions_stay(attributes):
    model = make_head((32, 32), (4,), (4, 4), None)
    [node] = [n for n in model.graph.node if n.op_type == 'ConvTranspose']
    for name, value in attributes.items():
        kept = [a for a in node.attribute if a.name != name]
        del node.attribute[:]
        node.attribute.extend([*kept, helper.make_attribute(name, value)])
    assert rewrite(copy(model), '') == model


def test_a_map_that_others_read_is_kept():
    """A ReLU or a pointwise layer joins only where nothing else reads."""
    model = make_head((32, 32), (4,), (4, 4))
    inner = [node.output[0] for node in model.graph.node][:2]
    infos = [v for v in model.graph.value_info if v.name in inner]
    model.graph.output.extend(infos)
    new = rewrite(copy(model), '')
    images = np.random.default_rng(0).standard_normal((2, 32, 4, 4), 'f')
    onnx.checker.check_model(new)
    for one in (model, new):
        assert [o.name for o in one.graph.output][1:] == inner
    sessions = [
        onnxruntime.InferenceSession(
            one.SerializeToString(), providers=['CPUExecutionProvider']
        )
        for one in (model, new)
    ]
    expected, actual = (s.run(None, {'images': images}) for s in sessions)
    for a, b in zip(actual, expected, strict=True):
        scale = np.abs(b).max()
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-5 * scale)
