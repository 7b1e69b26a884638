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


@dataclass(frozen=True)
class Case:
    """A case in which all models are compared: one line of the table each.

    Args:
        task: ``'inference'`` or ``'training'``.
        mode: ``'eager'``, ``'compiled'``, ``'fused'`` or
            ``'fused compiled'``.
        dtype: ``'fp32'``, ``'bf16'`` or ``'fp16'``.
        batch_size: Images of a call.
    """

    task: str
    mode: str
    dtype: str
    batch_size: int


@dataclass(frozen=True)
class BenchmarkConfig:
    """Settings of a benchmark.

    Args:
        batch_sizes: Images of an inference call; empty times none.
        train_batch_sizes: Images of a training step; empty measures none.
        dtypes: Any of ``fp32``, ``bf16``, ``fp16``. Inference casts weights
            and images; training keeps float32 weights under autocast.
        device: ``'cpu'`` or ``'cuda'``, optionally with a number.
        threads: CPU threads of an operator; None leaves them as they are.
        clock: On a CPU, ``'wall'`` or ``'cpu'``: the time on the wall, or
            the processor time of this process, which other jobs on the
            machine lengthen less. Needs one thread.
        repeats: Timed calls of each model in each case.
        warmup: Calls before them.
        time_limit: Seconds; a case in which a model takes longer for one
            warm-up call is given up (fp16 training on a CPU takes minutes).
            Compilation does not count.
        compile_mode: Also measure with ``torch.compile`` in this mode
            (``'default'``, ``'reduce-overhead'``, ...); None does not.
        fuse: Also measure after :func:`gtpt_mm.deploy.fuse`.

    Raises:
        ValueError: If a value is out of range or unknown; if the clock does
            not fit the device or the number of threads.
    """

    batch_sizes: Sequence[int] = (1, 32)
    train_batch_sizes: Sequence[int] = ()
    dtypes: Sequence[str] = ('fp32',)
    device: str = 'cpu'
    threads: int | None = None
    clock: str = 'wall'
    repeats: int = 10
    warmup: int = 3
    time_limit: float = 60.0
    compile_mode: str | None = None
    fuse: bool = False

    def __post_init__(self) -> None:
        sizes = [*self.batch_sizes, *self.train_batch_sizes]
        if min(sizes, default=1) < 1:
            raise ValueError(f'batch sizes must be positive, got {sizes}')
        if set(self.dtypes) - set(DTYPES) or not self.dtypes:
            raise ValueError(
                f'dtypes must be some of {list(DTYPES)}, got '
                f'{list(self.dtypes)}'
            )
        for name, least in dict(threads=1, repeats=1, warmup=0).items():
            value = getattr(self, name)
            if value is not None and value < least:
                raise ValueError(f'{name} must be at least {least}: {value}')
        if not self.time_limit > 0:
            raise ValueError(f'time_limit must be positive: {self.time_limit}')
        if self.compile_mode is not None:
            try:
                torch.compile(
                    torch.nn.Identity(), mode=self.compile_mode, dynamic=False
                )
            except RuntimeError as error:
                raise ValueError(
                    f'compile_mode {self.compile_mode!r}: {error}'
                ) from error
        self._check_device()

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
        threads = self.threads or torch.get_num_threads()
        if self.clock == 'cpu' and (kind != 'cpu' or threads > 1):
            raise ValueError(
                "clock 'cpu' adds up the time of all threads and excludes "
                'GPUs: it needs device cpu and one thread, got '
                f'{self.device} and {threads}; give --threads 1'
            )

    @property
    def base_dtype(self) -> str:
        """fp32 if it was asked for, else the first dtype."""
        return 'fp32' if 'fp32' in self.dtypes else self.dtypes[0]

    def base_case(self, batch_size: int) -> Case:
        """Return the plainest case: eager inference in the base dtype."""
        return Case(INFERENCE, EAGER, self.base_dtype, batch_size)

    def cases(self, batch_size: int) -> Iterator[Case]:
        """Yield the cases that are measured at one batch size."""
        modes = [(INFERENCE, EAGER), (TRAINING, EAGER)]
        if self.compile_mode is not None:
            modes += [(INFERENCE, COMPILED), (TRAINING, COMPILED)]
        if self.fuse:
            modes.append((INFERENCE, FUSED))
        if self.fuse and self.compile_mode is not None:
            modes.append((INFERENCE, f'{FUSED} {COMPILED}'))
        for task, sizes in (
            (INFERENCE, self.batch_sizes),
            (TRAINING, self.train_batch_sizes),
        ):
            if batch_size in sizes:
                chosen = [mode for where, mode in modes if where == task]
                for mode, dtype in product(chosen, self.dtypes):
                    yield Case(task, mode, dtype, batch_size)
