"""Trained models written into files of other runtimes."""

from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

import torch
from mmpose.models.pose_estimators.base import BasePoseEstimator

from .formats import write_onnx, write_openvino, write_torch_export
from .graph import ExportGraph, make_graph
from .metadata import ModelMetadata, describe_model
from .tensorrt import write_tensorrt

#: int8 is made from a float32 file, by ``quantize``.
PRECISIONS = ('fp32', 'fp16', 'int8')


@dataclass(frozen=True)
class Format:
    """A kind of file.

    Attributes:
        write: Writes a graph with its metadata; returns the file that can
            run, and lines for the user.
        suffix: Suffix of the file.
        packages: Import names of the packages required for writing.
        extra: Extra of gtpt_mm that has them.
        others: Suffixes of further files that are written.
    """

    write: Callable[..., tuple[Path, list[str]]]
    suffix: str
    packages: tuple[str, ...] = ()
    extra: str = ''
    others: tuple[str, ...] = ()


#: Kinds of files by name.
FORMATS = {
    'onnx': Format(
        write_onnx, '.onnx', ('onnx', 'onnxscript', 'onnxruntime'), 'onnx'
    ),
    'openvino': Format(
        write_openvino,
        '.xml',
        ('onnx', 'onnxscript', 'openvino'),
        'openvino',
        ('.bin',),
    ),
    'torch-export': Format(write_torch_export, '.pt2'),
    'tensorrt': Format(
        write_tensorrt,
        '.engine',
        ('onnx', 'onnxscript'),
        'onnx',
        ('.onnx', '.engine.json'),
    ),
}


@dataclass
class Exported:
    """A written file.

    Attributes:
        file: The file to run; for TensorRT the ONNX file, if TensorRT is not
            installed.
        metadata: Metadata of the model in the file.
        graph: The graph in torch, in the precision of the file.
        notes: Lines for the user, such as the command for TensorRT.
    """

    file: Path
    metadata: ModelMetadata
    graph: ExportGraph
    notes: list[str] = field(default_factory=list)


def export_model(
    model: BasePoseEstimator,
    file: str | Path,
    format: str = 'onnx',
    precision: str = 'fp32',
    batch: str | int = 'dynamic',
    decode: bool = False,
    flip_test: bool = False,
    input_size: tuple[int, int] | None = None,
    portable: bool = False,
) -> Exported:
    """Write a model into a file of another runtime; it is not checked.

    Args:
        model: A trained estimator of gtpt_mm or mmpose, on a CPU and in
            float32; it stays as it is.
        file: File to write; its folder is made.
        format: One of :data:`FORMATS`.
        precision: ``'fp32'``, or ``'fp16'`` for a network in half precision;
            images and outputs are float32 in both, and so is decoding.
            ``'int8'`` is made from a float32 file, see ``deploy.quantize``.
        batch: ``'dynamic'`` for any number of images, or their number.
        decode: See :func:`make_graph`.
        flip_test: See :func:`make_graph`.
        input_size: See :func:`make_graph`.
        portable: Whether an ONNX file is written for other uses than ONNX
            Runtime in float32 on a CPU, such as ``deploy.quantize``.

    Raises:
        ValueError: If an argument is unknown, or the model has no such file.
        ImportError: If a package is missing; it names the extra.
    """
    file = Path(file)
    kind = check_arguments(file, format, precision, batch)
    if precision == 'int8':
        raise ValueError(
            'int8 needs images: export in fp32, then gtpt_mm.deploy.quantize; '
            "or call gtpt_mm.export(..., precision='int8', pictures=...)"
        )
    graph = make_graph(model, decode, flip_test, input_size)
    metadata = describe_model(model)
    metadata.input_size = graph.input_size
    metadata.decode = decode
    metadata.flip_test = flip_test
    metadata.precision = precision
    metadata.batch = batch
    graph.portable = portable
    if precision == 'fp16':
        graph.halve()
    file.parent.mkdir(parents=True, exist_ok=True)
    with torch.no_grad():
        metadata.outputs = list(graph.find_output_names())
        file, notes = kind.write(graph, file, metadata)
    return Exported(file, metadata, graph, notes)


def check_arguments(
    file: Path, format: str, precision: str, batch: str | int
) -> Format:
    """Return the format, if it can be written in this environment.

    Raises:
        ValueError: If an argument is unknown.
        ImportError: If a package is missing.
    """
    if format not in FORMATS:
        raise ValueError(
            f'format must be one of {tuple(FORMATS)}, got {format!r}'
        )
    kind = FORMATS[format]
    if file.suffix != kind.suffix:
        raise ValueError(
            f'a file of the format {format} ends in {kind.suffix}, got '
            f'{file.name}'
        )
    if precision not in PRECISIONS:
        raise ValueError(
            f'precision must be one of {PRECISIONS}, got {precision!r}'
        )
    if precision == 'int8' and format != 'onnx':
        raise ValueError(
            f'int8 is for the format onnx, got {format!r}; OpenVINO 2026.1 '
            'and later read the ONNX file'
        )
    is_number = isinstance(batch, int) and not isinstance(batch, bool)
    if batch != 'dynamic' and not (is_number and int(batch) >= 1):
        raise ValueError(
            f"batch must be 'dynamic' or a positive integer, got {batch!r}"
        )
    missing = [name for name in kind.packages if find_spec(name) is None]
    if missing:
        raise ImportError(
            f'the format {format} needs {" and ".join(missing)}, not '
            f'installed: pip install "gtpt_mm[{kind.extra}]"'
        )
    return kind
