"""Rewriting of ONNX graphs that makes them faster, with equal results.

One module for each rewriting; :data:`PASSES` lists them in their order.
Rewriting in torch (``export_module``) is preferred where it is simple.
"""

from collections.abc import Callable

import onnx

from .attention import fuse_attention
from .deconvolutions import split_deconvolutions, tile_deconvolutions
from .one_by_one import take_one_by_one

#: Functions ``(onnx_model, kind) -> onnx_model``, in the order in which they
#: run. ``kind`` is the class name of the model's backbone.
PASSES: list[Callable[[onnx.ModelProto, str], onnx.ModelProto]] = [
    tile_deconvolutions,
    split_deconvolutions,
    fuse_attention,
    take_one_by_one,
]
#: Passes for onnxruntime on a CPU in float32; elsewhere they may be slower.
#: ``quantize`` fuses attention itself.
CPU_PASSES = [tile_deconvolutions, fuse_attention, take_one_by_one]


def rewrite(
    model: onnx.ModelProto, kind: str, portable: bool = False
) -> onnx.ModelProto:
    """Return the graph after all passes.

    Args:
        model: The graph from the exporter of torch.
        kind: Class name of the backbone, such as ``'GTPT'``.
        portable: Whether to leave out :data:`CPU_PASSES`, for quantization or
            other runtimes than onnxruntime.
    """
    for run_pass in PASSES:
        if not (portable and run_pass in CPU_PASSES):
            model = run_pass(model, kind)
    return model
