"""Writers of graphs: ONNX, OpenVINO, torch.export."""

import contextlib
import io
import json
import logging
import os
import tempfile
import threading
import warnings
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from gtpt_mm.compat.files.atomic_file import atomic_write

from .graph import ExportGraph
from .metadata import NAME, ModelMetadata

if TYPE_CHECKING:
    import onnx

#: ONNX operators that onnxruntime >= 1.17 and OpenVINO >= 2024.1 know.
OPSET = 20
#: Smallest side in pixels of images of any size, for the tracer.
SMALLEST_SIDE = 96
#: Largest size of the weights, bytes: a protobuf with the graph is below 2 GB.
MAX_BYTES = 2**31 - 2**24
#: Exporters, stdout and warnings are global: only one thread may export.
LOCK = threading.RLock()
Written = tuple[Path, list[str]]


def write_onnx(
    graph: ExportGraph, file: Path, metadata: ModelMetadata
) -> Written:
    """Write a graph as ONNX, rewritten for onnxruntime."""
    from .onnx_rewrite import rewrite

    model = rewrite(
        to_onnx(graph, metadata.batch),
        graph.kind,
        portable=graph.portable,
    )
    save_onnx(model, file, metadata)
    return file, []


def save_onnx(
    model: 'onnx.ModelProto', file: Path, metadata: ModelMetadata
) -> None:
    """Write an ONNX model with metadata."""
    import onnx

    onnx.helper.set_model_props(model, metadata.to_texts())
    with atomic_write(file) as part:
        onnx.save(model, part)


def write_openvino(
    graph: ExportGraph, file: Path, metadata: ModelMetadata
) -> Written:
    """Write a graph for OpenVINO, FILE.xml and FILE.bin."""
    import openvino

    with tempfile.TemporaryDirectory(dir=file.parent) as name:
        folder = Path(name)
        source = folder / 'model.onnx'
        save_onnx(to_onnx(graph, metadata.batch), source, metadata)
        with quiet_export():
            model = openvino.convert_model(source)
        for key, text in metadata.to_texts().items():
            model.set_rt_info(text, [NAME, key])
        # Explicit, because the default is half precision.
        openvino.save_model(
            model, folder / file.name, metadata.precision == 'fp16'
        )
        for suffix in ('.bin', '.xml'):
            made = (folder / file.name).with_suffix(suffix)
            os.replace(made, file.with_suffix(suffix))
    return file, []


def write_torch_export(
    graph: ExportGraph, file: Path, metadata: ModelMetadata
) -> Written:
    """Write a graph as ``torch.export.load`` reads it."""
    images = graph.example_images(metadata.batch)
    with quiet_export(), explained_tracing(graph, metadata.batch):
        program = torch.export.export(
            graph,
            (images,),
            dynamic_shapes=find_dynamic_shapes(graph, metadata.batch),
        )
        extra = {f'{NAME}.json': json.dumps(asdict(metadata))}
        with atomic_write(file) as part:
            torch.export.save(program, part, extra_files=extra)
    return file, []


def to_onnx(graph: ExportGraph, batch: str | int) -> 'onnx.ModelProto':
    """Return the ONNX graph as the exporter of torch makes it.

    Raises:
        ValueError: If its weights do not fit into an ONNX file.
    """
    size = sum(p.numel() * p.element_size() for p in graph.parameters())
    if size > MAX_BYTES:
        raise ValueError(
            f'the weights take {size / 2**30:.1f} GB, an ONNX file holds at '
            'most 2 GB: export them in fp16, or as torch-export'
        )
    with quiet_export(), explained_tracing(graph, batch):
        program: Any = torch.onnx.export(
            graph,
            (graph.example_images(batch),),
            input_names=['images'],
            output_names=list(graph.find_output_names()),
            dynamic_shapes=find_dynamic_shapes(graph, batch),
            dynamo=True,
            opset_version=OPSET,
            external_data=False,
            verbose=False,
        )
    return program.model_proto


def find_dynamic_shapes(
    graph: ExportGraph, batch: str | int
) -> tuple[dict[int, Any], ...]:
    """Return the dimensions of the images that may vary."""
    shape = {}
    if batch == 'dynamic':
        shape[0] = torch.export.Dim('batch')
    if graph.input_size is None:
        least = graph.outputs.smallest_side or SMALLEST_SIDE
        shape[2] = torch.export.Dim('height', min=least)
        shape[3] = torch.export.Dim('width', min=least)
    return (shape,)


@contextlib.contextmanager
def explained_tracing(graph: ExportGraph, batch: str | int) -> Iterator[None]:
    """Say what to fix where a network cannot be traced for any size.

    Raises:
        ValueError: If it fails and a size or the batch is free.
    """
    try:
        yield
    except Exception as error:
        free = {
            'any size: give one, input_size (--input-size W H)': (
                graph.input_size is None
            ),
            'any batch: give its size, batch (--batch N)': batch == 'dynamic',
        }
        if not any(free.values()):
            raise
        remedies = '; or for '.join(
            text for text, is_free in free.items() if is_free
        )
        raise ValueError(
            f'a {graph.kind} could not be traced for {remedies}. Its code may '
            'compute with sizes as Python numbers. PyTorch says: '
            f'{str(error).strip().splitlines()[0]}'
        ) from error


@contextlib.contextmanager
def quiet_export() -> Iterator[None]:
    """Hide messages of exporters about themselves from the user."""
    with contextlib.ExitStack() as stack:
        stack.enter_context(LOCK)
        logger = logging.getLogger('torch.onnx')
        stack.callback(logger.setLevel, logger.level)
        logger.setLevel(logging.ERROR)
        stack.enter_context(warnings.catch_warnings())
        warnings.simplefilter('ignore')
        stack.enter_context(contextlib.redirect_stdout(io.StringIO()))
        yield
