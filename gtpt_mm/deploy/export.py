"""Trained models written into files of other runtimes."""

import contextlib
import io
import logging
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from mmpose.models.pose_estimators.base import BasePoseEstimator

from gtpt_mm.compat.files.atomic_file import atomic_write

from .graph import ExportGraph, make_graph

PRECISIONS = ('fp32', 'fp16')
#: ONNX operators from 2024 on; onnxruntime 1.19 and OpenVINO 2024.4 know them.
OPSET = 20
#: Size (w, h) of the example image of a model that takes any.
EXAMPLE_SIZE = (256, 192)
#: Least side in pixels of the images of such a model, for the tracer.
SMALLEST_SIDE = 96


@dataclass
class Exported:
    """A written file.

    Attributes:
        file: The file.
        graph: What it computes, in torch.
    """

    file: Path
    graph: ExportGraph


def export_model(
    model: BasePoseEstimator,
    file: str | Path,
    format: str = 'onnx',
    precision: str = 'fp32',
    batch: str | int = 'dynamic',
    decode: bool = False,
    flip_test: bool = False,
) -> Exported:
    """Write a model into a file of another runtime.

    Args:
        model: A trained estimator of gtpt_mm or mmpose; it stays as it is.
        file: File to write; its folder is made.
        format: One of :data:`FORMATS`.
        precision: ``'fp32'``, or ``'fp16'`` for weights and calculation in
            half precision, with images and outputs in float32.
        batch: ``'dynamic'`` for any number of images, or their number.
        decode: See :func:`make_graph`.
        flip_test: See :func:`make_graph`.

    Raises:
        ValueError: If an argument is unknown, or the model has no such file.
        ImportError: If a package is missing.
    """
    write = _find_writer(format)
    if precision not in PRECISIONS:
        raise ValueError(
            f'precision must be one of {PRECISIONS}, got {precision!r}'
        )
    if batch != 'dynamic' and (not isinstance(batch, int) or batch < 1):
        raise ValueError(
            f"batch must be 'dynamic' or a positive integer, got {batch!r}"
        )
    graph = make_graph(model, decode, flip_test)
    file = Path(file)
    file.parent.mkdir(parents=True, exist_ok=True)
    with torch.no_grad():
        write(graph, file, precision, batch)
    return Exported(file, graph)


def _find_writer(format: str) -> Callable:
    if format not in FORMATS:
        raise ValueError(
            f'format must be one of {tuple(FORMATS)}, got {format!r}'
        )
    return FORMATS[format]


def write_onnx(
    graph: ExportGraph, file: Path, precision: str, batch: str | int
) -> None:
    """Write a graph as ONNX."""
    import onnx

    from .onnx_rewrite import rewrite

    model = to_onnx(graph, batch)
    model = rewrite(model, type(graph.backbone).__name__)
    with atomic_write(file) as part:
        onnx.save(model, part)


def to_onnx(graph: ExportGraph, batch: str | int):
    """Return the ONNX graph as the exporter of torch makes it."""
    with quiet_export():
        program = torch.onnx.export(
            graph,
            (example_images(graph, batch),),
            input_names=['images'],
            output_names=list(graph.output_names) or None,
            dynamic_shapes=find_dynamic_shapes(graph, batch),
            dynamo=True,
            opset_version=OPSET,
            external_data=False,
            verbose=False,
        )
    return program.model_proto


def example_images(graph: ExportGraph, batch: str | int) -> torch.Tensor:
    """Return images to trace a graph with, (B, 3, h, w)."""
    width, height = graph.input_size or EXAMPLE_SIZE
    number = 2 if batch == 'dynamic' else int(batch)
    return torch.zeros(number, 3, height, width)


def find_dynamic_shapes(
    graph: ExportGraph, batch: str | int
) -> tuple[dict[int, torch.export.Dim], ...] | None:
    """Return the dimensions of the images that may vary."""
    shape = {}
    if batch == 'dynamic':
        shape[0] = torch.export.Dim('batch')
    if graph.input_size is None:
        least = SMALLEST_SIDE
        shape[2] = torch.export.Dim('height', min=least)
        shape[3] = torch.export.Dim('width', min=least)
    return (shape,) if shape else None


@contextlib.contextmanager
def quiet_export() -> Iterator[None]:
    """Keep what the exporter says about itself from the user."""
    logger = logging.getLogger('torch.onnx')
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with (
            warnings.catch_warnings(),
            contextlib.redirect_stdout(io.StringIO()),
        ):
            warnings.simplefilter('ignore')
            yield
    finally:
        logger.setLevel(level)


#: How each format is written.
FORMATS: dict[str, Callable] = {'onnx': write_onnx}
