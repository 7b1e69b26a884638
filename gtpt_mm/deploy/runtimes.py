"""Networks in exported files: images to the outputs of a head.

They replace ``gtpt_mm.apis.network.TorchNetwork``: they have the same call and
the same structure of outputs. All compute on a CPU and can be shared by
threads. They can be pickled, since each process opens its file itself.
"""

# B batch, (h, w) input in pixels

import functools
import os
import threading
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

#: Runtimes of a network; the first needs no export.
RUNTIMES = ('torch', 'onnxruntime', 'openvino')
#: Packages that a runtime requires: to export for it, and to run it.
PACKAGES = {
    'torch': (),
    'onnxruntime': ('onnxruntime', 'onnx', 'onnxscript'),
    'openvino': ('openvino', 'onnx', 'onnxscript'),
}
#: Extra of gtpt_mm that has these packages.
EXTRAS = {'onnxruntime': 'onnx', 'openvino': 'openvino'}
#: OpenVINO's name of the type that the network computes in. Without it
#: OpenVINO takes bfloat16 where the processor has it.
HINTS = {'fp32': 'f32', 'int8': 'f32', 'fp16': 'f16', 'bf16': 'bf16'}


class Network(Protocol):
    """Normalised images (B, 3, h, w) to the outputs of a head."""

    def __call__(self, images: Tensor) -> Any:
        """Return a tensor, or tensors in lists and tuples."""


def find_missing(runtime: str) -> list[str]:
    """Return the packages of a runtime that are not installed."""
    return [name for name in PACKAGES[runtime] if find_spec(name) is None]


def require_runtime(runtime: str) -> None:
    """Raise if a runtime is unknown or not installed.

    Raises:
        ValueError: If there is no such runtime.
        ImportError: If a package is missing, with the command that installs
            it.
    """
    if runtime not in RUNTIMES:
        raise ValueError(
            f"runtime must be 'auto' or one of {RUNTIMES}, got {runtime!r}"
        )
    if missing := find_missing(runtime):
        raise ImportError(
            f'runtime={runtime!r} needs {", ".join(missing)}, not installed: '
            f'pip install "gtpt_mm[{EXTRAS[runtime]}]"'
        )


def find_runtime(
    runtime: str, device: torch.device | str, dtype: torch.dtype | str
) -> str:
    """Return the runtime for a model; ``'auto'`` may be left open.

    Args:
        runtime: One of ``RUNTIMES``, or ``'auto'``.
        device: Device of the model.
        dtype: Type of its weights.

    Returns:
        The runtime; ``'auto'`` becomes ``'torch'`` on a GPU, in another type
        than float32, and where no other is installed.

    Raises:
        ValueError: If the runtime does not support the device or the type.
        ImportError: If it is not installed.
    """
    kind = str(device).partition(':')[0]
    dtype = str(dtype).removeprefix('torch.')
    if runtime == 'auto':
        has_others = any(not find_missing(name) for name in RUNTIMES[1:])
        is_usual = kind == 'cpu' and dtype == 'float32'
        return 'auto' if is_usual and has_others else 'torch'
    require_runtime(runtime)
    if runtime != 'torch' and kind != 'cpu':
        raise ValueError(
            f'runtime={runtime!r} computes on the CPU, the device is '
            f"{str(device)!r}: give device='cpu', or runtime='torch'"
        )
    if runtime != 'torch' and dtype != 'float32':
        raise ValueError(
            f'runtime={runtime!r} computes in float32, the dtype is '
            f"{dtype}: give dtype='float32', or runtime='torch'"
        )
    return runtime


class ExportedNetwork:
    """A network in a file; subclasses open it and run one batch.

    Args:
        file: An exported file with normalised images as its only input.
        threads: Threads of a call; None for torch's number.
        precision: Precision of the file: ``'fp32'``, ``'fp16'``, ``'bf16'`` or
            ``'int8'``.
        batch_size: Largest number of images at once; None passes the whole
            batch. A smaller batch is padded for a file with a fixed batch.
        structure: Structure of the outputs, see :func:`describe`; by default
            one output is a tensor and several are a tuple.

    Raises:
        ValueError: If the precision is unknown.
        FileNotFoundError: If there is no such file.
        ImportError: If the runtime is not installed.
    """

    runtime = ''

    def __init__(
        self,
        file: str | os.PathLike,
        threads: int | None = None,
        precision: str = 'fp32',
        batch_size: int | None = None,
        structure: Any = None,
    ) -> None:
        if precision not in HINTS:
            raise ValueError(
                f'precision must be one of {tuple(HINTS)}, got {precision!r}'
            )
        if not Path(file).is_file():
            raise FileNotFoundError(f'no exported file at {file}')
        if find_spec(self.runtime) is None:
            require_runtime(self.runtime)
        self.file = str(file)
        self.threads = threads
        self.precision = precision
        self.batch_size = batch_size
        self.structure = structure
        self._open()

    def __getstate__(self) -> dict:
        """Return the arguments; a session belongs to its process."""
        names = ('file', 'threads', 'precision', 'batch_size', 'structure')
        return {name: getattr(self, name) for name in names}

    def __setstate__(self, state: dict) -> None:
        """Open the file."""
        self.__dict__.update(state)
        self._open()

    def __call__(self, images: Tensor) -> Any:
        """Return the outputs of the head for normalised images (B, 3, h, w).

        Raises:
            ValueError: If they are not finite.
        """
        size = self.fixed_batch or self.batch_size or len(images)
        parts = [self._run_part(p, size) for p in images.split(size)]
        outputs = [
            torch.from_numpy(_join(same)) for same in zip(*parts, strict=True)
        ]
        for output in outputs:
            if output.is_floating_point() and not output.isfinite().all():
                raise ValueError(
                    f'{self.file} returned values that are not finite; in '
                    'half precision large values overflow: export it in '
                    'float32'
                )
        return rebuild(outputs, self.structure)

    def _run_part(self, images: Tensor, size: int) -> list[np.ndarray]:
        array = np.ascontiguousarray(images.detach().numpy(), self.dtype)
        num = len(array)
        if self.fixed_batch and num < size:
            blank = np.zeros((size - num, *array.shape[1:]), self.dtype)
            array = np.concatenate((array, blank))
        return [_to_float32(output[:num]) for output in self._run(array)]

    #: Images that the file takes at once; None for any number.
    fixed_batch: int | None
    #: Type of the input.
    dtype: np.dtype

    def _open(self) -> None:
        raise NotImplementedError

    def _run(self, images: np.ndarray) -> Sequence[np.ndarray]:
        raise NotImplementedError


class OnnxNetwork(ExportedNetwork):
    """A network in an ONNX file, by onnxruntime; see the base class."""

    runtime = 'onnxruntime'

    def _open(self) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = _num_threads(self.threads)
        options.inter_op_num_threads = 1
        options.log_severity_level = 3  # errors
        if self.precision == 'fp16':
            # onnxruntime 1.31 crashes when it lays out a GTPT in fp16.
            options.graph_optimization_level = (
                onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
            )
        # Threads that wait by spinning take time from torch and numpy.
        options.add_session_config_entry(
            'session.intra_op.allow_spinning', '0'
        )
        self._session = onnxruntime.InferenceSession(
            self.file, options, ['CPUExecutionProvider']
        )
        [entry] = self._session.get_inputs()
        self._entry = entry.name
        is_half = entry.type == 'tensor(float16)'
        self.dtype = np.dtype(np.float16 if is_half else np.float32)
        batch = entry.shape[0]
        self.fixed_batch = batch if isinstance(batch, int) else None

    def _run(self, images: np.ndarray) -> Sequence[np.ndarray]:
        return self._session.run(None, {self._entry: images})


@functools.cache
def openvino_core() -> Any:
    """Return this process's ``openvino.Core``, which is never deleted.

    A core's first compilation gives its thread a new stack for signals. The
    core frees that stack when it is deleted; if another thread does so, the
    next signal in the first one, such as Ctrl+C, ends the process with
    SIGSEGV. Seen with OpenVINO 2026.4.
    """
    import openvino

    return openvino.Core()


class OpenVinoNetwork(ExportedNetwork):
    """A network in an OpenVINO or ONNX file; see the base class."""

    runtime = 'openvino'

    def _open(self) -> None:
        import openvino

        config = {
            'INFERENCE_PRECISION_HINT': HINTS[self.precision],
            'INFERENCE_NUM_THREADS': _num_threads(self.threads),
            'PERFORMANCE_HINT': 'LATENCY',
        }
        self._compiled = openvino_core().compile_model(
            self.file, 'CPU', config
        )
        entry = self._compiled.input(0)
        is_half = entry.element_type == openvino.Type.f16
        self.dtype = np.dtype(np.float16 if is_half else np.float32)
        batch = entry.partial_shape[0]
        self.fixed_batch = batch.get_length() if batch.is_static else None
        # A request holds the buffers of one call.
        self._requests = threading.local()

    def _run(self, images: np.ndarray) -> Sequence[np.ndarray]:
        request = getattr(self._requests, 'one', None)
        if request is None:
            request = self._requests.one = (
                self._compiled.create_infer_request()
            )
        found = request.infer([images])
        return [found[i] for i in range(len(self._compiled.outputs))]


NETWORKS: dict[str, type[ExportedNetwork]] = {
    'onnxruntime': OnnxNetwork,
    'openvino': OpenVinoNetwork,
}


def _num_threads(threads: int | None) -> int:
    return torch.get_num_threads() if threads is None else threads


def _join(parts: Sequence[np.ndarray]) -> np.ndarray:
    return parts[0] if len(parts) == 1 else np.concatenate(parts)


def _to_float32(array: np.ndarray) -> np.ndarray:
    return array.astype(np.float32) if array.dtype == np.float16 else array


# ------------------------------------------------------ structure of outputs


def describe(outputs: Any) -> Any:
    """Return the structure of outputs, as JSON can write it.

    Example:
        >>> describe((torch.zeros(1), [torch.zeros(1)]))
        ['tuple', None, ['list', None]]
    """
    if isinstance(outputs, list | tuple):
        kind = 'list' if isinstance(outputs, list) else 'tuple'
        return [kind, *map(describe, outputs)]
    return None


def rebuild(tensors: Sequence[Tensor], structure: Any = None) -> Any:
    """Return tensors in a structure of :func:`describe`.

    Example:
        >>> rebuild([1, 2], ['tuple', None, ['list', None]])
        (1, [2])
    """
    if structure is None:
        return tensors[0] if len(tensors) == 1 else tuple(tensors)
    rest = iter(tensors)

    def fill(part: Any) -> Any:
        if part is None:
            return next(rest)
        made = [fill(one) for one in part[1:]]
        return made if part[0] == 'list' else tuple(made)

    return fill(structure)
