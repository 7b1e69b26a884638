"""Attention as one operator of ONNX, for onnxruntime."""

# B batch, L tokens, H heads, D channels of a head, C = H * D channels

import math
from collections import defaultdict

import onnx
from onnx import ModelProto, NodeProto, helper, numpy_helper

#: Operator set of ``Attention``; onnxruntime 1.23 and OpenVINO 2026.1 know it.
OPSET = 23
#: Tokens, their shape (-1, L, H, D) and a factor.
Heads = tuple[str, list[int], float]


def fuse_attention(model: ModelProto, kind: str) -> ModelProto:
    """Replace the operators of softmax attention by ``Attention``.

    Transposes of heads, products and softmax become one node over (B, L, C);
    onnxruntime runs it in less time than its parts and the transposes. Its
    own ``MultiHeadAttention`` was slower than either for the narrow heads of
    our models. Attention with a mask or computed sizes stays as it is.

    Args:
        model: Graph of ``to_onnx``, with constant sizes but for the batch;
            changed in place.
        kind: Not read.
    """
    graph = _Graph(model)
    if not graph.can_change():
        return model
    for node in [n for n in model.graph.node if n.op_type == 'Softmax']:
        graph.fuse(node)
    return graph.finish()


class _Graph:
    """Nodes of a model by their inputs and outputs.

    Args:
        model: Changed in place.
    """

    def __init__(self, model: ModelProto) -> None:
        self.model = model
        graph = model.graph
        self.maker = {name: n for n in graph.node for name in n.output}
        self.users: dict[str, list[NodeProto]] = defaultdict(list)
        for node in graph.node:
            for name in node.input:
                self.users[name].append(node)
        self.outputs = {value.name for value in graph.output}
        self.constants = {t.name: t for t in graph.initializer}
        self.shapes = {v.name: _read_shape(v) for v in graph.value_info}
        #: New nodes by the name of the output that they stand in front of.
        self.new: dict[str, list[NodeProto]] = {}
        self.count = 0

    def can_change(self) -> bool:
        """Tell whether no node has a graph of its own, which is not read."""
        return not any(
            attribute.HasField('g') or attribute.graphs
            for node in self.model.graph.node
            for attribute in node.attribute
        )

    def fuse(self, softmax: NodeProto) -> None:
        """Replace the attention around a softmax if it has the known form."""
        if _attribute(softmax, 'axis', -1) not in (-1, 3):
            return
        logits = self._made(softmax.input[0], 'MatMul')
        weighted = self._user(softmax.output[0], 'MatMul')
        if logits is None or weighted is None:
            return
        merged = self._user(weighted.output[0], 'Transpose')
        if merged is None or _attribute(merged, 'perm') != [0, 2, 1, 3]:
            return
        q = self._heads(logits.input[0], [0, 2, 1, 3])
        k = self._heads(logits.input[1], [0, 2, 3, 1])
        v = self._heads(weighted.input[1], [0, 2, 1, 3])
        if (
            q is None
            or k is None
            or v is None
            or weighted.input[0] != softmax.output[0]
            or q[1][2:] != k[1][2:]
            or k[1][1:] != v[1][1:]
        ):
            return
        self._replace(merged, q, k, v)

    def _replace(self, merged: NodeProto, *parts: Heads) -> None:
        """Put an ``Attention`` in front of the joined heads.

        Args:
            merged: The transpose that joins the heads.
            parts: Queries, keys and values.
        """
        nodes = [
            self._tokens(*part[:2], f'{self.count}_{i}')
            for i, part in enumerate(parts)
        ]
        out = f'{merged.output[0]}_tokens'
        attention = helper.make_node(
            'Attention',
            [node.output[0] for node in nodes],
            [out],
            name=f'attention_{self.count}',
            q_num_heads=parts[0][1][2],
            kv_num_heads=parts[1][1][2],
            scale=float(parts[0][2] * parts[1][2]),
        )
        self.count += 1
        # The transposed (B, L, H, D) is the same memory as (B, L, C).
        back = helper.make_node(
            'Reshape',
            [out, self._shape([-1, *parts[0][1][1:]])],
            [merged.output[0]],
            name=f'{attention.name}_heads',
        )
        self.new[merged.output[0]] = [
            *(node for node in nodes if node.op_type == 'Reshape'),
            attention,
            back,
        ]

    def _made(self, name: str, op_type: str) -> NodeProto | None:
        """Return the node that makes a value, if it is of a type."""
        node = self.maker.get(name)
        return node if node is not None and node.op_type == op_type else None

    def _user(self, name: str, op_type: str) -> NodeProto | None:
        """Return the only user of a value, if it is of a type."""
        users = self.users[name]
        if len(users) != 1 or name in self.outputs:
            return None
        return users[0] if users[0].op_type == op_type else None

    def _heads(self, name: str, perm: list[int]) -> Heads | None:
        """Return what is split into heads, (-1, L, H, D), and a factor."""
        scale = 1.0
        node = self._made(name, 'Mul')
        if node is not None:
            factor = self._constant(node.input[1])
            if factor is None or factor.size != 1:
                return None
            scale = float(factor.item())
            name = node.input[0]
        node = self._made(name, 'Transpose')
        found = None if node is None else _attribute(node, 'perm')
        if node is not None and found == [0, 1, 3, 2] != perm:
            node = self._made(node.input[0], 'Transpose')
            inner = None if node is None else _attribute(node, 'perm')
            found = perm if inner == [0, 2, 1, 3] else None
        if node is None or found != perm:
            return None
        node = self._made(node.input[0], 'Reshape')
        shape = None if node is None else self._constant(node.input[1])
        if node is None or shape is None or shape.size != 4:
            return None
        sizes = [int(size) for size in shape]
        if min(sizes[1:]) < 1:
            return None
        return node.input[0], sizes, scale

    def _constant(self, name: str):  # type: ignore[no-untyped-def]
        """Return the array of a constant, None for other values."""
        if name in self.constants:
            return numpy_helper.to_array(self.constants[name])
        node = self._made(name, 'Constant')
        value = None if node is None else _attribute(node, 'value')
        return None if value is None else numpy_helper.to_array(value)

    def _tokens(self, name: str, sizes: list[int], end: str) -> NodeProto:
        """Return a node with tokens (B, L, C), reusing one if possible."""
        tokens = [sizes[1], math.prod(sizes[2:])]
        shape = self.shapes.get(name)
        if shape is not None and len(shape) == 3 and shape[1:] == tokens:
            return helper.make_node('Identity', [name], [name])
        return helper.make_node(
            'Reshape',
            [name, self._shape([-1, *tokens])],
            [f'{name}_tokens_{end}'],
        )

    def _shape(self, sizes: list[int]) -> str:
        """Return the name of a constant shape."""
        name = 'shape_' + '_'.join(str(abs(size)) for size in sizes)
        if name not in self.constants:
            value = helper.make_tensor(
                name, onnx.TensorProto.INT64, [len(sizes)], sizes
            )
            self.constants[name] = value
            self.model.graph.initializer.append(value)
        return name

    def finish(self) -> ModelProto:
        """Put the new nodes into the graph; remove those without a user."""
        if not self.new:
            return self.model
        nodes: list[NodeProto] = []
        for node in self.model.graph.node:
            nodes += self.new.get(node.output[0], [node])
        used = set(self.outputs)
        kept = []
        for node in reversed(nodes):
            if used.intersection(node.output):
                used.update(node.input)
                kept.append(node)
        graph = self.model.graph
        constants = [one for one in graph.initializer if one.name in used]
        del graph.node[:], graph.initializer[:]
        graph.node.extend(reversed(kept))
        graph.initializer.extend(constants)
        for entry in self.model.opset_import:
            if entry.domain in ('', 'ai.onnx'):
                entry.version = max(entry.version, OPSET)
        return self.model


def _read_shape(value: onnx.ValueInfoProto) -> list[int | str]:
    """Return the sizes of a value, names of those that vary."""
    return [
        dim.dim_value if dim.HasField('dim_value') else dim.dim_param
        for dim in value.type.tensor_type.shape.dim
    ]


def _attribute(node: NodeProto, name: str, default: object = None):  # type: ignore[no-untyped-def]
    """Return an attribute of a node."""
    for attribute in node.attribute:
        if attribute.name == name:
            value = helper.get_attribute_value(attribute)
            return list(value) if attribute.ints else value
    return default
