"""Nodes that a rewriting puts into an ONNX graph."""

from collections import Counter
from typing import Any

import numpy as np
from onnx import NodeProto, TensorProto, helper, numpy_helper


class GraphBuilder:
    """Collect new nodes and constants, named after what they replace.

    Args:
        prefix: Prefix of all new names; unique in the graph.

    Attributes:
        nodes: New nodes in the order of their calls.
        constants: New initializers.

    Example:
        >>> build = GraphBuilder('square')
        >>> build('Mul', 'x', 'x'), build('Relu', 'x', output='y')
        ('square/Mul_1', 'y')
        >>> [node.op_type for node in build.nodes]
        ['Mul', 'Relu']
    """

    def __init__(self, prefix: str) -> None:
        self.prefix = prefix
        self.nodes: list[NodeProto] = []
        self.constants: list[TensorProto] = []
        self._counts: Counter[str] = Counter()

    def __call__(
        self,
        op_type: str,
        *inputs: str,
        output: str = '',
        **attributes: Any,
    ) -> str:
        """Append a node with one output and return the output's name."""
        output = output or self._name(op_type)
        self.nodes.append(
            helper.make_node(
                op_type, inputs, [output], name=output, **attributes
            )
        )
        return output

    def constant(self, value: np.ndarray) -> str:
        """Append an initializer and return its name."""
        name = self._name('constant')
        value = np.ascontiguousarray(value)
        self.constants.append(numpy_helper.from_array(value, name))
        return name

    def integers(self, *values: int) -> str:
        """Append a vector of integers and return its name."""
        return self.constant(np.array(values, dtype=np.int64))

    def _name(self, kind: str) -> str:
        self._counts[kind] += 1
        return f'{self.prefix}/{kind}_{self._counts[kind]}'
