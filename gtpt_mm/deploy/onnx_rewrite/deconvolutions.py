"""Transposed convolutions of stride 2 in fewer or cheaper products."""

# B batch, C channels, (h, w) map before, (2h, 2w) map behind a deconvolution

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
from onnx import NodeProto, helper, numpy_helper

from .builder import GraphBuilder
from .deconv_phases import convolve_phases, find_taps
from .deconv_winograd import multiply_tiles

#: With fewer channels sums cost more than the products that they save.
MIN_CHANNELS = 32


@dataclass
class Deconvolution:
    """A transposed convolution and the following layers that join it.

    Attributes:
        nodes: What is replaced, from the transposed convolution on.
        weight: Its weight, (C_in, C_out, k, k).
        bias: Its bias, (C_out,).
        padding: Rows and columns cut from each side of the full output.
        with_relu: Whether a ReLU follows.
        final: Weight (C_out, K) and bias (K,) of a pointwise convolution
            behind it, if there is one.
    """

    nodes: list[NodeProto]
    weight: np.ndarray
    bias: np.ndarray
    padding: int
    with_relu: bool = False
    final: tuple[np.ndarray, np.ndarray] | None = None
    output: str = field(init=False)

    def __post_init__(self) -> None:
        self.output = self.nodes[-1].output[0]


def split_deconvolutions(model: onnx.ModelProto, kind: str) -> onnx.ModelProto:
    """Compute each phase of the output by a small convolution.

    A quarter of the output, every second row and column, depends on a quarter
    of the kernel: four convolutions, whose outputs are interleaved. Runtimes
    have slow transposed convolutions and fast plain ones.

    Args:
        model: Changed in place.
        kind: Not used: every backbone may have such a head.
    """
    return _replace(model, with_tiles=False)


def tile_deconvolutions(model: onnx.ModelProto, kind: str) -> onnx.ModelProto:
    """Compute kernels of 4 x 4 in 9 matrix products instead of 16.

    See :func:`multiply_tiles`. It requires a known map of even size, enough
    channels and float32; other deconvolutions are left as they are.

    Args:
        model: Changed in place.
        kind: Not used: every backbone may have such a head.
    """
    return _replace(model, with_tiles=True)


def _replace(model: onnx.ModelProto, with_tiles: bool) -> onnx.ModelProto:
    graph = model.graph
    sizes = _read_sizes(graph)
    channels_last = {
        node.output[0]: node.input[0]
        for node in graph.node
        if node.op_type == 'Transpose' and _get(node, 'perm') == [0, 3, 1, 2]
    }
    new: dict[str, GraphBuilder] = {}  # by the last output that is replaced
    removed: set[str] = set()
    for deconv in find_deconvolutions(graph):
        source = deconv.nodes[0].input[0]
        size = sizes.get(source)
        if size:
            sizes[deconv.output] = (2 * size[0], 2 * size[1])
        build = GraphBuilder(deconv.output)
        if not with_tiles:
            convolve_phases(build, deconv, source)
        elif size and _has_tiles(deconv, size):
            if source not in channels_last:
                channels_last[source] = build(
                    'Transpose', source, perm=[0, 2, 3, 1]
                )
            output = multiply_tiles(build, deconv, channels_last[source], size)
            if output is not None:
                channels_last[deconv.output] = output
        else:
            continue
        new[deconv.output] = build
        removed.update(node.output[0] for node in deconv.nodes)
    _rebuild(graph, new, removed)
    return model


def _has_tiles(deconv: Deconvolution, size: tuple[int, int]) -> bool:
    """Whether :func:`multiply_tiles` supports it and is faster."""
    return (
        size[0] % 2 == size[1] % 2 == 0
        and deconv.weight.shape[2:] == (4, 4)
        and min(deconv.weight.shape[:2]) >= MIN_CHANNELS
        and deconv.weight.dtype == np.float32
    )


def _rebuild(
    graph: onnx.GraphProto, new: dict[str, GraphBuilder], removed: set[str]
) -> None:
    """Put new nodes where the last replaced ones were."""
    nodes: list[NodeProto] = []
    weights: set[str] = set()
    for node in graph.node:
        name = node.output[0]
        if name in removed:
            weights.update(node.input[1:])
        else:
            nodes.append(node)
        if name in new:
            nodes += new[name].nodes
    tensors = [t for t in graph.initializer if t.name not in weights]
    for build in new.values():
        tensors += build.constants
    del graph.node[:], graph.initializer[:]
    graph.node.extend(nodes)
    graph.initializer.extend(tensors)


def find_deconvolutions(graph: onnx.GraphProto) -> Iterator[Deconvolution]:
    """Yield the deconvolutions that double a map, in their order."""
    tensors = {tensor.name: tensor for tensor in graph.initializer}
    users = defaultdict(list)
    for node in graph.node:
        for name in node.input:
            users[name].append(node)
    outputs = {output.name for output in graph.output}

    def only_user(name: str) -> NodeProto | None:
        is_inner = name not in outputs and len(users[name]) == 1
        return users[name][0] if is_inner else None

    for node in graph.node:
        deconv = _read_deconvolution(node, tensors)
        if deconv is None:
            continue
        follower = only_user(deconv.output)
        if follower is not None and follower.op_type == 'Relu':
            _join(deconv, follower)
            deconv.with_relu = True
            follower = only_user(deconv.output)
        if follower is not None and _is_pointwise(follower, tensors):
            _join(deconv, follower)
            weight, bias = _read_weights(follower, tensors, channel_axis=0)
            deconv.final = weight[:, :, 0, 0].T, bias
        yield deconv


def _join(deconv: Deconvolution, node: NodeProto) -> None:
    deconv.nodes.append(node)
    deconv.output = node.output[0]


def _read_deconvolution(
    node: NodeProto, tensors: dict[str, onnx.TensorProto]
) -> Deconvolution | None:
    """Return a deconvolution of stride 2 that doubles height and width."""
    if node.op_type != 'ConvTranspose' or node.input[1] not in tensors:
        return None
    kernel = tensors[node.input[1]].dims[-1]
    pads = _get(node, 'pads', [0, 0, 0, 0])
    extra = _get(node, 'output_padding', [0, 0])
    is_known = (
        list(tensors[node.input[1]].dims[2:]) == [kernel] * 2
        and _get(node, 'strides') == [2, 2]
        and _get(node, 'dilations', [1, 1]) == [1, 1]
        and _get(node, 'group', 1) == 1
        and _get(node, 'auto_pad', b'NOTSET') == b'NOTSET'
        and len(set(pads)) == len(set(extra)) == 1
        and kernel - 2 * pads[0] + extra[0] == 2
        and all(name in tensors for name in node.input[1:])
    )
    if not is_known or not all(find_taps(kernel, pads[0])):
        return None
    weight, bias = _read_weights(node, tensors, channel_axis=1)
    return Deconvolution([node], weight, bias, pads[0])


def _is_pointwise(
    node: NodeProto, tensors: dict[str, onnx.TensorProto]
) -> bool:
    return (
        node.op_type == 'Conv'
        and all(name in tensors for name in node.input[1:])
        and list(tensors[node.input[1]].dims[2:]) == [1, 1]
        and _get(node, 'group', 1) == 1
        and set(_get(node, 'strides', [1])) == {1}
        and set(_get(node, 'pads', [0])) == {0}
    )


def _read_weights(
    node: NodeProto, tensors: dict[str, onnx.TensorProto], channel_axis: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return weight and bias of a convolution; a missing bias is zero."""
    weight = numpy_helper.to_array(tensors[node.input[1]])
    if len(node.input) > 2:
        return weight, numpy_helper.to_array(tensors[node.input[2]])
    return weight, np.zeros(weight.shape[channel_axis], weight.dtype)


def _read_sizes(graph: onnx.GraphProto) -> dict[str, tuple[int, int]]:
    """Return height and width of the maps that have fixed ones."""
    sizes = {}
    for info in (*graph.input, *graph.value_info):
        shape = info.type.tensor_type.shape.dim
        if len(shape) == 4 and shape[2].dim_value and shape[3].dim_value:
            sizes[info.name] = (shape[2].dim_value, shape[3].dim_value)
    return sizes


def _get(node: NodeProto, name: str, default: Any = None) -> Any:
    """Return an attribute; of several numbers a list."""
    for attribute in node.attribute:
        if attribute.name == name:
            value = helper.get_attribute_value(attribute)
            return list(value) if attribute.ints else value
    return default
