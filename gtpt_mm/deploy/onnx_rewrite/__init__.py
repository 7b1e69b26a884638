"""Rewriting of ONNX graphs that makes them faster, with equal results.

One module for each rewriting; :data:`PASSES` lists them in their order.
Rewriting in torch (``export_module``) is preferred where it is simple.
"""

from collections.abc import Callable

import onnx

from .attention import fuse_attention

#: Functions ``(onnx_model, kind) -> onnx_model``, in the order in which they
#: run. ``kind`` is the class name of the model's backbone.
PASSES: list[Callable[[onnx.ModelProto, str], onnx.ModelProto]] = [
    fuse_attention
]


def rewrite(model: onnx.ModelProto, kind: str) -> onnx.ModelProto:
    """Return the graph after all passes.

    Args:
        model: As the exporter of torch wrote it.
        kind: Class name of the backbone, such as ``'GTPT'``.
    """
    for run_pass in PASSES:
        model = run_pass(model, kind)
    return model
