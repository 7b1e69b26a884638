"""Files for TensorRT: ONNX, the build command, the engine itself."""

import shlex
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from gtpt_mm.compat.files.atomic_file import atomic_write

from .formats import Written, save_onnx, to_onnx
from .graph import EXAMPLE_SIZE, ExportGraph
from .metadata import ModelMetadata, write_json

#: Batch sizes of an engine with a dynamic batch: smallest, usual, largest.
BATCHES = (1, 8, 64)
#: Sides of the images of a model that takes any size, as factors of
#: ``EXAMPLE_SIZE``: smallest, usual, largest.
FACTORS = (1, 4, 8)
PROFILE = ('min', 'opt', 'max')


def write_tensorrt(
    graph: ExportGraph, file: Path, metadata: ModelMetadata
) -> Written:
    """Write FILE.onnx, and FILE.engine where TensorRT is installed.

    Returns:
        The engine, or the ONNX file without TensorRT; and the command line
        of trtexec.
    """
    source = file.with_suffix('.onnx')
    save_onnx(to_onnx(graph, metadata.batch), source, metadata)
    write_json(metadata, file)
    shapes = find_profile(graph, metadata.batch)
    command = make_command(source, file, metadata, shapes)
    if find_spec('tensorrt') is None:
        return source, [
            'TensorRT is not installed here, so no engine was built: '
            f'onnxruntime checks {source} instead. Where TensorRT is:',
            command,
        ]
    build_engine(source, file, metadata, shapes)
    return file, [f'the engine equals that of: {command}']


def find_profile(
    graph: ExportGraph, batch: str | int
) -> list[tuple[int, int, int, int]]:
    """Return the smallest, the usual and the largest shape of the images."""
    numbers = BATCHES if batch == 'dynamic' else (int(batch),) * 3
    if graph.input_size:
        sizes = [graph.input_size] * 3
    else:
        w, h = EXAMPLE_SIZE
        sizes = [(w * factor, h * factor) for factor in FACTORS]
    return [(n, 3, h, w) for n, (w, h) in zip(numbers, sizes, strict=True)]


def make_command(
    source: Path,
    engine: Path,
    metadata: ModelMetadata,
    shapes: list[tuple[int, int, int, int]],
) -> str:
    """Return the command line that builds an engine.

    An ONNX file in half precision says so itself; decoding stays in float32.
    """
    words = ['trtexec', f'--onnx={source}', f'--saveEngine={engine}']
    if len(set(shapes)) > 1:
        for name, shape in zip(PROFILE, shapes, strict=True):
            words.append(f'--{name}Shapes=images:{"x".join(map(str, shape))}')
    half = metadata.precision == 'fp16'
    words.append('--stronglyTyped' if half else '--noTF32')
    return shlex.join(words)


def build_engine(
    source: Path,
    file: Path,
    metadata: ModelMetadata,
    shapes: list[tuple[int, int, int, int]],
) -> None:
    """Build an engine as trtexec does.

    Raises:
        ValueError: If TensorRT cannot build it; it says why.
    """
    import tensorrt as trt

    logger = trt.Logger(trt.Logger.ERROR)
    builder = trt.Builder(logger)
    flags = 0
    if metadata.precision == 'fp16':
        flag = trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED
        flags = 1 << int(flag)
    network = builder.create_network(flags)
    parser = trt.OnnxParser(network, logger)
    if not parser.parse_from_file(str(source)):
        errors = [str(parser.get_error(i)) for i in range(parser.num_errors)]
        raise ValueError(f'TensorRT cannot read {source}: {errors}')
    config = builder.create_builder_config()
    config.clear_flag(trt.BuilderFlag.TF32)
    if len(set(shapes)) > 1:
        profile = builder.create_optimization_profile()
        profile.set_shape('images', *shapes)
        config.add_optimization_profile(profile)
    engine = builder.build_serialized_network(network, config)
    if engine is None:
        raise ValueError(f'TensorRT cannot build an engine of {source}')
    with atomic_write(file) as part:
        part.write_bytes(memoryview(engine))


class TensorRTNetwork:
    """A network in an engine, on the GPU.

    Args:
        file: The engine.
    """

    def __init__(self, file: Path) -> None:
        import tensorrt as trt

        runtime = trt.Runtime(trt.Logger(trt.Logger.ERROR))
        self.engine = runtime.deserialize_cuda_engine(file.read_bytes())
        self.context = self.engine.create_execution_context()
        names = [
            self.engine.get_tensor_name(i)
            for i in range(self.engine.num_io_tensors)
        ]
        self.outputs = [name for name in names if name != 'images']

    def __call__(self, images: Tensor) -> tuple[Tensor, ...]:
        """Return the outputs for images, on the CPU."""
        images = images.cuda().float().contiguous()
        self.context.set_input_shape('images', tuple(images.shape))
        self.context.set_tensor_address('images', images.data_ptr())
        outputs = []
        for name in self.outputs:
            shape: Any = tuple(self.context.get_tensor_shape(name))
            output = torch.empty(shape, device='cuda')
            self.context.set_tensor_address(name, output.data_ptr())
            outputs.append(output)
        stream = torch.cuda.current_stream()
        self.context.execute_async_v3(stream.cuda_stream)
        stream.synchronize()
        return tuple(output.cpu() for output in outputs)
