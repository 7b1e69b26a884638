"""Static int8 quantization of exported ONNX files.

Products with weights are computed in 8 bits. Everything else stays float:
softmax, norms, activations, products of two activations (attention), decoding.
"""

import os
import platform
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from gtpt_mm.compat.files.atomic_file import atomic_write

from .metadata import ModelMetadata

if TYPE_CHECKING:
    import onnx

#: Operators with weights; those of two activations have no constant input.
PRODUCTS = ['Gemm', 'MatMul']
OPERATORS = (*PRODUCTS, 'Conv')
#: Smaller weights, such as the smoothing of a decoder, gain nothing.
MIN_WEIGHTS = 4096
#: File with the flags of a processor, and the flags of 8-bit dot products.
CPU_FLAGS, DOT_PRODUCTS = '/proc/cpuinfo', ('vnni', 'asimddp', 'amx_int8')


def quantize(
    file: str | Path,
    out: str | Path,
    crops: Iterable[np.ndarray],
    keep: Sequence[str] = (),
    notes: Mapping[str, str] | None = None,
) -> list[str]:
    """Write an int8 copy of an exported ONNX file.

    Weights have a scale for each output channel and 7 bits, so that sums of
    two products fit into the 16 bits that processors without VNNI have for
    them; activations have 8 bits, and a range from the least to the greatest
    value that the crops give. The first and the last operator with weights
    stay float, as ``docs/export_int8.md`` measures. In files of gtpt_mm,
    attention becomes one operator, which onnxruntime 1.23 knows.

    Args:
        file: ONNX file in float32, as ``export_model`` writes it.
        out: File to write.
        crops: Normalised crops of pictures such as the model will see,
            float32 arrays (B, 3, h, w); a hundred are plenty.
        keep: Names of further nodes that stay float.
        notes: Metadata to change, as ``ModelMetadata.to_texts`` has it.

    Returns:
        Names of the quantized nodes.

    Raises:
        ValueError: If there are no crops, they do not fit, or the model has
            nothing to quantize.
    """
    import onnx
    from onnxruntime import quantization

    model = onnx.load(file)
    batches = _read_crops(crops, model, file)
    with tempfile.TemporaryDirectory() as folder:
        prepared = os.path.join(folder, 'prepared.onnx')
        _prepare(model, prepared)
        nodes = _find_nodes(onnx.load(prepared), keep)
        if not nodes:
            raise ValueError(f'{file} has no weights that int8 speeds up')
        written = os.path.join(folder, 'int8.onnx')
        quantization.quantize_static(
            prepared,
            written,
            _make_reader(batches, model.graph.input[0].name),
            quant_format=quantization.QuantFormat.QDQ,
            nodes_to_quantize=nodes,
            per_channel=True,
            reduce_range=True,
            activation_type=quantization.QuantType.QUInt8,
            weight_type=quantization.QuantType.QInt8,
            extra_options=dict(
                # Sums stay in float: nothing is rounded between products,
                OpTypesToExcludeOutputQuantization=PRODUCTS,
                # nor for others that read the same input.
                DedicatedQDQPair=True,
            ),
        )
        result = onnx.load(written)
    _copy_metadata(model, result, notes or {})
    with atomic_write(Path(out)) as part:
        onnx.save(result, part)
    return nodes


def has_dot_products() -> bool:
    """Return whether the processor has 8-bit dot products, such as VNNI.

    Without them 8-bit products are not faster than float32.
    """
    if platform.system() == 'Darwin' and platform.machine() == 'arm64':
        return True
    try:
        flags = Path(CPU_FLAGS).read_text(errors='replace')
    except OSError:
        return False
    return any(word in flags for word in DOT_PRODUCTS)


def _read_crops(
    crops: Iterable[np.ndarray], model: 'onnx.ModelProto', file: str | Path
) -> list[np.ndarray]:
    """Return the crops as batches that fit the model's input."""
    dims = model.graph.input[0].type.tensor_type.shape.dim
    shape = [d.dim_value or None for d in dims]
    batches = []
    for crop in crops:
        array = np.asarray(crop, np.float32)
        fits = array.ndim == len(shape) and all(
            want in (None, got)
            for want, got in zip(shape, array.shape, strict=True)
        )
        if not fits:
            words = ', '.join(str(size or 'any') for size in shape)
            raise ValueError(
                f'crops for {file} must be of shape ({words}), got '
                f'{array.shape}'
            )
        batches.append(array)
    if not batches:
        raise ValueError(
            'int8 needs pictures to measure the ranges of activations; '
            'give some such as the model will see'
        )
    return batches


def _prepare(model: 'onnx.ModelProto', prepared: str) -> None:
    """Write a model with folded constants and known shapes.

    Attention becomes one operator, in place, if gtpt_mm wrote the model:
    graphs of others may have a form that looks alike and is not.
    """
    import onnx
    from onnxruntime.quantization.shape_inference import quant_pre_process

    from .onnx_rewrite.attention import fuse_attention

    if _is_exported(model):
        model = fuse_attention(model, '')
    onnx.save(model, prepared)
    quant_pre_process(prepared, prepared, skip_symbolic_shape=True)
    model = onnx.load(prepared)
    _split_sums(model)
    onnx.save(model, prepared)


def _is_exported(model: 'onnx.ModelProto') -> bool:
    notes = {entry.key: entry.value for entry in model.metadata_props}
    try:
        ModelMetadata.from_texts(notes)
    except ValueError:
        return False
    return True


def _split_sums(model: 'onnx.ModelProto') -> None:
    """Write products that are added to others as product and sum, in place.

    For a product with such an addend, a Gemm, there is no 8-bit operator.
    """
    import onnx

    weights = {tensor.name: tensor for tensor in model.graph.initializer}
    turned = {}  # by the name of the weights
    nodes = []
    for node in model.graph.node:
        options = {
            a.name: onnx.helper.get_attribute_value(a) for a in node.attribute
        }
        plain = not options.get('transA') and all(
            options.get(name, 1.0) == 1.0 for name in ('alpha', 'beta')
        )
        is_sum = (
            node.op_type == 'Gemm'
            and len(node.input) == 3
            and node.input[1] in weights
            and node.input[2] not in weights
        )
        if not (is_sum and plain):
            nodes.append(node)
            continue
        left, right, addend = node.input
        if options.get('transB'):
            if right not in turned:
                value = onnx.numpy_helper.to_array(weights[right]).T
                turned[right] = onnx.numpy_helper.from_array(
                    value.copy(), f'{right}_turned'
                )
            right = turned[right].name
        product, make = f'{node.output[0]}_product', onnx.helper.make_node
        nodes += [
            make('MatMul', [left, right], [product], f'{node.name}_product'),
            # Not Add, with which onnxruntime would make a Gemm of it again.
            make('Sum', [product, addend], node.output, f'{node.name}_sum'),
        ]
    model.graph.initializer.extend(turned.values())
    del model.graph.node[:]
    model.graph.node.extend(nodes)


def _find_nodes(model: 'onnx.ModelProto', keep: Sequence[str]) -> list[str]:
    """Return the nodes to quantize, in the order of the graph.

    Raises:
        ValueError: If a name in ``keep`` is not one of them.
    """
    sizes = {
        tensor.name: int(np.prod(tensor.dims))
        for tensor in model.graph.initializer
    }
    weights = {
        node.name: max(sizes.get(name, 0) for name in node.input)
        for node in model.graph.node
        if node.op_type in OPERATORS
    }
    first, *found = [name for name, size in weights.items() if size] or ['']
    found = [name for name in found if weights[name] >= MIN_WEIGHTS]
    missing = sorted(set(keep) - {first, *found})
    if missing:
        raise ValueError(f'no nodes with weights are named {missing}')
    return [name for name in found[:-1] if name not in keep]


def _make_reader(batches: list[np.ndarray], name: str):  # type: ignore[no-untyped-def]
    """Return a calibration reader for onnxruntime."""
    from onnxruntime.quantization import CalibrationDataReader

    class Reader(CalibrationDataReader):
        """Crops, one batch at a time."""

        def __init__(self) -> None:
            self.rest = iter(batches)

        def get_next(self) -> dict[str, np.ndarray] | None:
            """Return the next inputs; None at the end."""
            batch = next(self.rest, None)
            return None if batch is None else {name: batch}

    return Reader()


def _copy_metadata(
    source: 'onnx.ModelProto',
    target: 'onnx.ModelProto',
    changed: Mapping[str, str],
) -> None:
    """Give a model the metadata of its source, with its changes.

    What the quantizer adds is left out: it is not JSON as the other entries.
    """
    import onnx

    notes = {entry.key: entry.value for entry in source.metadata_props}
    onnx.helper.set_model_props(target, {**notes, **changed})
