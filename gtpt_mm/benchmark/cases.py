"""Settings of a benchmark and the cases that they cover."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product

import torch

DTYPES = dict(fp32=torch.float32, bf16=torch.bfloat16, fp16=torch.float16)
CLOCKS = ('wall', 'cpu')
INFERENCE, TRAINING = 'inference', 'training'
EAGER, COMPILED, FUSED = 'eager', 'compiled', 'fused'
ONNXRUNTIME, OPENVINO = 'onnxruntime', 'openvino'
#: Runtimes by option value, and the precisions that each has.
PRECISIONS = {
    'torch': tuple(DTYPES),
    'compile': tuple(DTYPES),
    ONNXRUNTIME: ('fp32', 'fp16', 'int8'),
    OPENVINO: ('fp32', 'bf16', 'fp16', 'int8'),
}
#: Runtimes that take an exported file.
FILE_RUNTIMES = (ONNXRUNTIME, OPENVINO)
_PLAIN = {'torch': EAGER, 'compile': COMPILED}
_FUSED = {'torch': FUSED, 'compile': f'{FUSED} {COMPILED}'}


@dataclass(frozen=True)
class Case:
    """A case in which all models are compared: one table row for each model.

    Args:
        task: ``'inference'`` or ``'training'``.
        runtime: ``'eager'``, ``'compiled'``, ``'fused'`` or
            ``'fused compiled'``, all of PyTorch; ``'onnxruntime'`` or
            ``'openvino'``.
        precision: ``'fp32'``, ``'bf16'``, ``'fp16'`` or ``'int8'``.
        batch_size: Images per call.
    """

    task: str
    runtime: str
    precision: str
    batch_size: int


@dataclass(frozen=True)
class BenchmarkConfig:
    """Settings of a benchmark.

    Args:
        batch_sizes: Images of an inference call; empty times none.
        train_batch_sizes: Images of a training step; empty measures none.
        runtimes: Any of ``torch``, ``compile``, ``onnxruntime``,
            ``openvino``. The last two run a file that is exported for it.
        precisions: Any of ``fp32``, ``bf16``, ``fp16``, ``int8``; each
            runtime takes those that it has. In PyTorch, inference casts
            weights and images; training keeps float32 weights under autocast.
        device: ``'cpu'`` or ``'cuda'``, optionally with a number.
        threads: CPU threads of an operator; None leaves them as they are.
        clock: On a CPU, ``'wall'`` or ``'cpu'``: wall time, or the processor
            time of this process, which other jobs on the machine affect less.
            The latter needs one thread.
        repeats: Timed calls of each model in each case.
        warmup: Calls before them.
        time_limit: Seconds; a case in which a model takes longer for one
            warm-up call is given up (fp16 training on a CPU takes minutes).
            Compilation does not count.
        compile_mode: Mode of ``torch.compile``: ``'default'``,
            ``'reduce-overhead'``, ...
        fuse: Also measure PyTorch after :func:`gtpt_mm.deploy.fuse`.

    Raises:
        ValueError: If a value is out of range or unknown; if the clock does
            not fit the device or the number of threads, or a precision fits
            none of the runtimes.
    """

    batch_sizes: Sequence[int] = (1, 32)
    train_batch_sizes: Sequence[int] = ()
    runtimes: Sequence[str] = ('torch',)
    precisions: Sequence[str] = ('fp32',)
    device: str = 'cpu'
    threads: int | None = None
    clock: str = 'wall'
    repeats: int = 10
    warmup: int = 3
    time_limit: float = 60.0
    compile_mode: str = 'default'
    fuse: bool = False

    def __post_init__(self) -> None:
        sizes = [*self.batch_sizes, *self.train_batch_sizes]
        if min(sizes, default=1) < 1:
            raise ValueError(f'batch sizes must be positive, got {sizes}')
        for name, least in dict(threads=1, repeats=1, warmup=0).items():
            value = getattr(self, name)
            if value is not None and value < least:
                raise ValueError(f'{name} must be at least {least}: {value}')
        if not self.time_limit > 0:
            raise ValueError(f'time_limit must be positive: {self.time_limit}')
        self._check_runtimes()
        self._check_device()

    def _check_runtimes(self) -> None:
        known = dict.fromkeys(p for row in PRECISIONS.values() for p in row)
        for name, values, allowed in (
            ('runtimes', self.runtimes, list(PRECISIONS)),
            ('precisions', self.precisions, list(known)),
        ):
            if set(values) - set(allowed) or not values:
                raise ValueError(
                    f'{name} must be some of {allowed}, got {list(values)}'
                )
        for precision in self.precisions:
            if not any(precision in PRECISIONS[r] for r in self.runtimes):
                having = [
                    r for r, row in PRECISIONS.items() if precision in row
                ]
                raise ValueError(
                    f'{" and ".join(self.runtimes)} cannot run in '
                    f'{precision}; add --runtime {" or ".join(having)}'
                )
        for runtime in self.runtimes:
            if not set(self.precisions) & set(PRECISIONS[runtime]):
                raise ValueError(
                    f'{runtime} has {", ".join(PRECISIONS[runtime])}, none of '
                    f'{", ".join(self.precisions)}'
                )
        if self.train_batch_sizes and not self.torch_runtimes:
            raise ValueError(
                f'{" and ".join(self.runtimes)} cannot train; add --runtime '
                'torch'
            )
        if 'compile' in self.runtimes:
            try:
                torch.compile(
                    torch.nn.Identity(), mode=self.compile_mode, dynamic=False
                )
            except RuntimeError as error:
                raise ValueError(
                    f'compile_mode {self.compile_mode!r}: {error}'
                ) from error

    def _check_device(self) -> None:
        if self.clock not in CLOCKS:
            raise ValueError(
                f'clock must be one of {CLOCKS}, got {self.clock!r}'
            )
        if not re.fullmatch(r'cpu|cuda(:\d+)?', self.device):
            raise ValueError(
                f'device must be cpu, cuda or cuda:N, got {self.device!r}'
            )
        kind, _, number = self.device.partition(':')
        count = torch.cuda.device_count()
        if kind == 'cuda' and int(number or 0) >= count:
            raise ValueError(
                f'device {self.device!r}: PyTorch sees {count} GPUs here; '
                'choose another, or run `gtpt-mm doctor` if there should be '
                'more'
            )
        files = [r for r in self.runtimes if r in FILE_RUNTIMES]
        if kind == 'cuda' and files:
            raise ValueError(
                f'{" and ".join(files)} is measured on a CPU; give --device '
                'cpu, or --runtime torch'
            )
        threads = self.threads or torch.get_num_threads()
        if self.clock == 'cpu' and (kind != 'cpu' or threads > 1):
            raise ValueError(
                "clock 'cpu' adds up the time of all threads and excludes "
                'GPUs: it needs device cpu and one thread, got '
                f'{self.device} and {threads}; give --threads 1'
            )

    @property
    def torch_runtimes(self) -> list[str]:
        """The runtimes that belong to PyTorch."""
        return [r for r in self.runtimes if r not in FILE_RUNTIMES]

    def base_case(self, batch_size: int) -> Case:
        """Return the basic case of inference.

        It is eager if PyTorch was requested, else the first runtime, in fp32
        if requested, else in the first precision.
        """
        cases = list(self.inference_cases(batch_size))
        return min(
            cases, key=lambda c: (c.runtime != EAGER, c.precision != 'fp32')
        )

    def inference_cases(self, batch_size: int) -> Iterator[Case]:
        """Yield the cases of inference at one batch size."""
        plain = [(r, _PLAIN.get(r, r)) for r in self.runtimes]
        fused = [(r, _FUSED[r]) for r in self.torch_runtimes if self.fuse]
        # The stages of PyTorch come before the runtimes with files.
        rows = sorted(plain + fused, key=lambda row: row[0] in FILE_RUNTIMES)
        for (runtime, name), precision in product(rows, self.precisions):
            if precision in PRECISIONS[runtime]:
                yield Case(INFERENCE, name, precision, batch_size)

    def cases(self, batch_size: int) -> Iterator[Case]:
        """Yield the cases that are measured at one batch size."""
        if batch_size in self.batch_sizes:
            yield from self.inference_cases(batch_size)
        if batch_size in self.train_batch_sizes:
            names = [_PLAIN[runtime] for runtime in self.torch_runtimes]
            for name, precision in product(names, self.precisions):
                if precision in DTYPES:
                    yield Case(TRAINING, name, precision, batch_size)
