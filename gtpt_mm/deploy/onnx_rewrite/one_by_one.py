"""Images of a batch one by one, for networks whose buffers fill the cache."""

# B batch

import onnx
from onnx import ModelProto, helper

#: Backbones that take less time for 8 images one by one than at once.
KINDS = ('GTPT',)


def take_one_by_one(model: ModelProto, kind: str) -> ModelProto:
    """Put the network of one image into a ``Scan`` over the batch.

    A CPU's cache holds the buffers of one image. Those of eight images are
    written to memory and read again in each operator. The cost of the loop
    itself is not measurable.

    Args:
        model: Graph with a dynamic batch; others are returned as they are.
        kind: Class name of the backbone.
    """
    graph = model.graph
    values = [*graph.input, *graph.output]
    if kind not in KINDS or len(graph.input) != 1:
        return model
    if any(_sizes(value)[0].HasField('dim_value') for value in values):
        return model
    body = onnx.GraphProto(name='one_image')
    body.initializer.extend(graph.initializer)
    axis = helper.make_tensor('batch_axis', onnx.TensorProto.INT64, [1], [0])
    body.initializer.append(axis)
    # Names of the graph around are visible inside and stay unique.
    inner = {value.name: f'{value.name}_of_one' for value in values}
    for node in graph.node:
        for names in (node.input, node.output):
            names[:] = [inner.get(name, name) for name in names]
    body.input.extend(map(_one, graph.input))
    body.output.extend(map(_one, graph.output))
    [images] = graph.input
    first, last = body.input[0].name, inner[images.name]
    body.node.append(helper.make_node('Unsqueeze', [first, axis.name], [last]))
    body.node.extend(graph.node)
    for output in graph.output:
        first, last = inner[output.name], f'one_{output.name}'
        body.node.append(
            helper.make_node('Squeeze', [first, axis.name], [last])
        )
    scan = helper.make_node(
        'Scan',
        [images.name],
        [output.name for output in graph.output],
        name='images',
        body=body,
        num_scan_inputs=1,
    )
    for field in ('node', 'initializer', 'value_info'):
        graph.ClearField(field)
    graph.node.append(scan)
    return model


def _sizes(value: onnx.ValueInfoProto):  # type: ignore[no-untyped-def]
    return value.type.tensor_type.shape.dim


def _one(value: onnx.ValueInfoProto) -> onnx.ValueInfoProto:
    """Return the description of a value of one image."""
    sizes = [dim.dim_value or dim.dim_param for dim in _sizes(value)[1:]]
    kind = value.type.tensor_type.elem_type
    return helper.make_tensor_value_info(f'one_{value.name}', kind, sizes)
