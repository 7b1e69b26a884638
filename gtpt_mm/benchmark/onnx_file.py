"""Any ONNX file as a network to measure."""

# B batch, (h, w) input in pixels

from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor, nn

#: ONNX types of weights, and the precision of such a network.
_WEIGHTS = {1: 'fp32', 10: 'fp16', 2: 'int8', 3: 'int8'}


class OnnxFile(nn.Module):
    """Stands for the network of an ONNX file, which PyTorch cannot run.

    Args:
        file: The file.

    Attributes:
        file: The file.
        input_size: Input (w, h) in pixels; None if the file leaves it open.
        num_parameters: Numbers in all its weights.
        precision: ``'fp32'``, ``'fp16'`` or, with quantized weights,
            ``'int8'``.

    Raises:
        ValueError: If the file cannot be read or its input is not an image.
    """

    def __init__(self, file: Path) -> None:
        super().__init__()
        self.file = file
        graph = _read(file).graph
        names = {weight.name for weight in graph.initializer}
        inputs = [i for i in graph.input if i.name not in names]
        dims = [d.dim_value for d in inputs[0].type.tensor_type.shape.dim]
        if len(inputs) != 1 or len(dims) != 4 or dims[1] != 3:
            raise ValueError(
                f'{file} takes {[i.name for i in inputs]}, the first of shape '
                f'{dims}; a network that is measured takes images (B, 3, h, '
                'w) alone'
            )
        self.input_size = (dims[3], dims[2]) if dims[2] and dims[3] else None
        weights = [w for w in graph.initializer if w.data_type in _WEIGHTS]
        self.num_parameters = sum(int(np.prod(w.dims)) for w in weights)
        found = {_WEIGHTS[w.data_type] for w in weights if len(w.dims) > 1}
        known = ('int8', 'fp16', 'fp32')
        self.precision = next((p for p in known if p in found), 'fp32')

    def forward(
        self,
        inputs: Tensor,
        data_samples: object = None,
        mode: str = 'tensor',
    ) -> Tensor:
        """Raise: a file runs in onnxruntime or OpenVINO."""
        raise ValueError('an ONNX file runs in onnxruntime or openvino only')


def _read(file: Path) -> Any:
    try:
        import onnx
    except ImportError as error:
        raise ValueError(f'{file} requires onnx: pip install onnx') from error
    try:
        return onnx.load(file, load_external_data=False)
    except Exception as error:  # of protobuf
        raise ValueError(f'{file} is not an ONNX file: {error}') from error
