"""Tokens of one image as a matrix, from layer to layer."""

# T tokens, C channels

from onnx import GraphProto, NodeProto, numpy_helper

from .attention import attribute
from .builder import GraphBuilder

#: Operators of tokens that compute the same of (T, C) as of (1, T, C).
TYPES = ('Add', 'Gelu', 'LayerNormalization', 'MatMul', 'Relu', 'Sigmoid')
#: Operators that do the same along T, the first axis of a matrix.
MOVED = ('Concat', 'Gather', 'Pad', 'Slice')


def take_matrices(
    graph: GraphProto,
    shapes: dict[str, list],  # type: ignore[type-arg]
    batch: str,
) -> None:
    """Let the layers of a graph of one image compute with (T, C).

    onnxruntime puts a reshape in front of a linear layer and another behind
    it if its tokens are (1, T, C). In a GTPT they take as long as all of its
    additions.

    Args:
        graph: Changed in place.
        shapes: Sizes of values by name, before the batch was one image.
        batch: Name of the size of the batch.
    """
    _Matrices(graph, shapes, batch).run()


class _Matrices:
    """The values of a graph that are there as a matrix.

    Args:
        graph: Changed in place.
        shapes: Sizes of values by name.
        batch: Name of the size of the batch.
    """

    def __init__(
        self,
        graph: GraphProto,
        shapes: dict[str, list],  # type: ignore[type-arg]
        batch: str,
    ) -> None:
        self.graph = graph
        self.batch = batch
        self.shapes = shapes
        self.constants = {t.name: t for t in graph.initializer}
        self.maker = {name: n for n in graph.node for name in n.output}
        self.users: dict[str, list[NodeProto]] = {}
        for node in graph.node:
            for name in node.input:
                self.users.setdefault(name, []).append(node)
        self.build = GraphBuilder('matrices')
        #: Names of the matrices of values that exist, by the value.
        self.matrices: dict[str, str] = {}
        #: Values that exist as (1, T, C), too.
        self.made: set[str] = set()

    def run(self) -> None:
        """Change the nodes in their order, then remove unused reshapes."""
        for node in self.graph.node:
            if self.can_change(node):
                node.input[:] = [self.matrix(name) for name in node.input]
                if node.op_type in MOVED:
                    self.move_axis(node)
                [name] = node.output
                self.matrices[name] = node.output[0] = f'{name}/matrix'
            elif node.op_type == 'Reshape' and self.gather(node):
                continue
            elif node.op_type == 'Reshape' and not self.copies_sizes(node):
                node.input[0] = self.source(node.input[0])
            else:
                for name in node.input:
                    self.restore(name)
            self.build.nodes.append(node)
        used = {value.name for value in self.graph.output}
        kept = []
        for node in reversed(self.build.nodes):
            if used.intersection(node.output):
                used.update(node.input)
                kept.append(node)
        constants = [*self.graph.initializer, *self.build.constants]
        del self.graph.node[:], self.graph.initializer[:]
        self.graph.node.extend(reversed(kept))
        self.graph.initializer.extend(c for c in constants if c.name in used)

    def can_change(self, node: NodeProto) -> bool:
        """Tell whether a node may compute with matrices, and gains by it."""
        names = [n for n in node.input if n not in self.constants]
        if not all(map(self.are_tokens, [*names, *node.output])):
            return False
        if node.op_type in MOVED:
            return self.cuts_tokens(node)
        if node.op_type not in TYPES or attribute(node, 'axis', -1) != -1:
            return False
        if node.op_type == 'MatMul':
            # Attention takes (1, T, C), and a product is one of any shape.
            users = self.users.get(node.output[0], [])
            return node.input[1] in self.constants and all(
                user.op_type == 'Reshape' or self.can_change(user)
                for user in users
                if user.op_type != 'MatMul'
            )
        if node.op_type == 'Add' and not any(map(self.is_near, names)):
            return False
        sizes = [self.constants[n].dims for n in node.input if n not in names]
        return all(len(s) < 3 or s[0] == 1 for s in sizes)

    def is_near(self, name: str) -> bool:
        """Tell whether a value is a matrix already or a product."""
        node = self.maker.get(name)
        return name in self.matrices or (
            node is not None and node.op_type == 'MatMul'
        )

    def cuts_tokens(self, node: NodeProto) -> bool:
        """Tell whether a node cuts, joins or chooses tokens along T."""
        if node.op_type == 'Concat':
            return attribute(node, 'axis') == 1
        if any(name not in self.constants for name in node.input[1:]):
            return False
        if node.op_type == 'Gather':
            dims = self.constants[node.input[1]].dims
            return attribute(node, 'axis', 0) == 1 == len(dims)
        if node.op_type == 'Slice':
            return len(node.input) > 3 and self.array(node.input[3]) == [1]
        pads = self.array(node.input[1])
        return len(pads) == 6 and pads[0] == pads[3] == 0

    def array(self, name: str) -> list:  # type: ignore[type-arg]
        """Return the numbers of a constant."""
        return numpy_helper.to_array(self.constants[name]).tolist()

    def move_axis(self, node: NodeProto) -> None:
        """Let a node of T in (1, T, C) do the same in (T, C)."""
        if node.op_type == 'Slice':
            node.input[3] = self.build.integers(0)
        elif node.op_type == 'Pad':
            _, *first, _, rows, columns = self.array(node.input[1])
            node.input[1] = self.build.integers(*first, rows, columns)
        else:
            [axis] = [one for one in node.attribute if one.name == 'axis']
            axis.i = 0

    def gather(self, reshape: NodeProto) -> bool:
        """Choose tokens in the shape that a reshape would give them."""
        name, shape = reshape.input
        node = self.maker.get(name)
        if node is None or node.op_type != 'Gather':
            return False
        if name not in self.matrices or shape not in self.constants:
            return False
        sizes = self.array(shape)
        if len(sizes) != 3 or sizes[-1] != self.shapes[name][-1]:
            return False
        # node has its matrix and its axis by now
        rows = numpy_helper.to_array(self.constants[node.input[1]])
        index = self.build.constant(rows.reshape(sizes[:2]))
        [name] = reshape.output
        self.build('Gather', node.input[0], index, output=name, axis=0)
        return True

    def copies_sizes(self, reshape: NodeProto) -> bool:
        """Tell whether a reshape takes sizes over from its input."""
        shape = self.constants.get(reshape.input[1])
        return shape is not None and 0 in numpy_helper.to_array(shape)

    def are_tokens(self, name: str) -> bool:
        """Tell whether a value is (1, T, C): not with its mirror image."""
        sizes = self.shapes.get(name, [])
        return len(sizes) == 3 and sizes[0] == self.batch

    def source(self, name: str) -> str:
        """Return the value of another shape that a value is made of."""
        while name not in self.matrices:
            node = self.maker.get(name)
            if node is None or node.op_type != 'Reshape':
                return name
            name = node.input[0]
        return self.matrices[name]

    def matrix(self, name: str) -> str:
        """Return the name of a value as a matrix, which is made if needed."""
        if name in self.constants:
            return self._constant(name)
        if name not in self.matrices:
            shape = self.build.integers(-1, self.shapes[name][-1])
            self.matrices[name] = self.build(
                'Reshape', self.source(name), shape
            )
        return self.matrices[name]

    def restore(self, name: str) -> None:
        """Make (1, T, C) of a value that is there as a matrix only."""
        if self.matrices.get(name) != f'{name}/matrix' or name in self.made:
            return
        self.made.add(name)
        shape = self.build.integers(1, -1, self.shapes[name][-1])
        self.build('Reshape', self.matrices[name], shape, output=name)

    def _constant(self, name: str) -> str:
        tensor = self.constants[name]
        if len(tensor.dims) < 3:
            return name
        return self.build.constant(numpy_helper.to_array(tensor)[0])
