"""Rewriting of ONNX graphs: attention in one node, a batch one by one."""

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from gtpt_mm.deploy.onnx_rewrite.attention import fuse_attention
from gtpt_mm.deploy.onnx_rewrite.one_by_one import take_one_by_one


def run(model, **values) -> list[np.ndarray]:
    onnx.checker.check_model(model, full_check=True)
    session = onnxruntime.InferenceSession(model.SerializeToString())
    return session.run(None, values)


def make_attention(
    masked: bool = False, scale: float = 1.0, channels: int = 8
):
    """Return a graph of 2 heads over q (B, 3, 8), k (B, 5, 8), v (B, 5, C)."""
    node = helper.make_node
    nodes = [
        node('Reshape', ['q', 'q_shape'], ['q4']),
        node('Transpose', ['q4'], ['qh'], perm=[0, 2, 1, 3]),
        node('Mul', ['qh', 'scale'], ['qs']),
        node('Reshape', ['k', 'k_shape'], ['k4']),
        node('Transpose', ['k4'], ['kh'], perm=[0, 2, 3, 1]),
        node('MatMul', ['qs', 'kh'], ['logits']),
        *([node('Add', ['logits', 'mask'], ['seen'])] if masked else []),
        node('Softmax', ['seen' if masked else 'logits'], ['p'], axis=-1),
        node('Reshape', ['v', 'v_shape'], ['v4']),
        node('Transpose', ['v4'], ['vh'], perm=[0, 2, 1, 3]),
        node('MatMul', ['p', 'vh'], ['out']),
        node('Transpose', ['out'], ['back'], perm=[0, 2, 1, 3]),
        node('Reshape', ['back', 'shape'], ['y']),
    ]
    constants = dict(
        q_shape=np.array([-1, 3, 2, 4]),
        k_shape=np.array([-1, 5, 2, 4]),
        v_shape=np.array([-1, 5, 2, channels // 2]),
        shape=np.array([-1, 3, channels]),
        scale=np.array(scale, np.float32),
    )
    if masked:
        constants['mask'] = np.eye(3, 5, dtype=np.float32)
    graph = helper.make_graph(
        nodes,
        'attention',
        [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
            for name, shape in dict(
                q=['B', 3, 8], k=['B', 5, 8], v=['B', 5, channels]
            ).items()
        ],
        [
            helper.make_tensor_value_info(
                'y', TensorProto.FLOAT, ['B', 3, channels]
            )
        ],
        [numpy_helper.from_array(v, k) for k, v in constants.items()],
    )
    return helper.make_model(
        graph, opset_imports=[helper.make_opsetid('', 20)], ir_version=10
    )


def draw(batch: int) -> dict[str, np.ndarray]:
    random = np.random.default_rng(batch)
    return {
        name: random.standard_normal((batch, rows, 8), dtype=np.float32)
        for name, rows in dict(q=3, k=5, v=5).items()
    }


def count(model, op_type: str) -> int:
    return sum(node.op_type == op_type for node in model.graph.node)


@pytest.mark.parametrize('scale', [1.0, 0.25])
def test_attention_becomes_one_node_with_equal_results(scale):
    before = make_attention(scale=scale)
    after = fuse_attention(make_attention(scale=scale), 'GTPT')
    assert count(after, 'Attention') == 1
    assert count(after, 'Softmax') == count(after, 'Transpose') == 0
    # onnxruntime would warn of each constant that nobody reads.
    read = {name for node in after.graph.node for name in node.input}
    assert {one.name for one in after.graph.initializer} <= read
    for batch in (1, 2):
        [expected] = run(before, **draw(batch))
        [found] = run(after, **draw(batch))
        np.testing.assert_allclose(found, expected, atol=1e-6)


def test_attention_with_a_mask_stays_as_it_is():
    before = make_attention(masked=True)
    after = fuse_attention(make_attention(masked=True), 'GTPT')
    assert after == before


def test_values_of_another_width_stay_as_they_are():
    before = make_attention(channels=6)
    assert fuse_attention(make_attention(channels=6), 'GTPT') == before


def test_a_batch_is_taken_one_by_one_with_equal_results():
    before = make_attention()
    # One input, as files have: keys and values are the queries' rows.
    for name in 'kv':
        rows = np.array([0, 1, 2, 1, 0])
        before.graph.initializer.append(
            numpy_helper.from_array(rows, f'{name}_rows')
        )
        before.graph.node.insert(
            0,
            helper.make_node('Gather', ['q', f'{name}_rows'], [name], axis=1),
        )
    del before.graph.input[1:]
    after = onnx.ModelProto()
    after.CopyFrom(before)
    after = take_one_by_one(after, 'GTPT')
    assert [node.op_type for node in after.graph.node] == ['Scan']
    for batch in (1, 2, 5):
        q = draw(batch)['q']
        [expected], [found] = run(before, q=q), run(after, q=q)
        np.testing.assert_allclose(found, expected, atol=1e-6)


def test_other_networks_take_the_whole_batch():
    before = make_attention()
    assert take_one_by_one(make_attention(), 'ResNet') == before


def test_a_fixed_batch_is_left_alone():
    model = make_attention()
    del model.graph.input[1:]
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 1
    before = onnx.ModelProto()
    before.CopyFrom(model)
    assert take_one_by_one(model, 'GTPT') == before
