"""Measure several networks in one run, in turn."""

import contextlib
import gc
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial

import torch
from torch import Tensor

from .calls import Call, NetworkCopies, infer, make_call
from .machine import describe_machine
from .macs import count_modules, count_operators
from .memory import peak_memory
from .network import Network
from .results import Benchmark, Row, Size
from .settings import COMPILED, Settings, settings_of


def run_benchmark(
    networks: Sequence[Network],
    settings: Settings,
    log: Callable[[str], None] = lambda message: None,
) -> Benchmark:
    """Measure networks side by side.

    At each batch size, all models in all settings take turns, one call each,
    until every one was timed ``repeats`` times; so what else the machine does
    meets all alike, and ratios within a run hold where times do not.

    Args:
        networks: What to measure; the first is what others are compared to.
        settings: How.
        log: Told what is going on, a line at a time.

    Returns:
        The figures. A model that fails in a setting has the reason there.

    Raises:
        ValueError: If there is no network, or one does not run at all.
    """
    if not networks:
        raise ValueError('there is no model to measure')
    sizes = [measure_size(network) for network in networks]
    rows: list[Row] = []
    compiles = settings.compile_mode is not None
    with (
        _threads(settings.threads),
        _many_compilations(compiles),
        _current(settings.device),
    ):
        machine = describe_machine(settings.device)
        copies = NetworkCopies(settings.device)
        for batch_size in sorted(
            {*settings.batch_sizes, *settings.train_batch_sizes}
        ):
            rows += _measure_batch_size(
                networks, settings, batch_size, copies, log
            )
            if compiles:
                torch.compiler.reset()
    return Benchmark(machine, settings, sizes, rows)


def measure_size(network: Network) -> Size:
    """Count parameters and MACs of one image.

    Raises:
        ValueError: If the network does not run on its own input.
    """
    call = partial(infer, network.model, network.images(1))
    try:
        macs = count_modules(network.model, call), count_operators(call)
    except Exception as error:  # anything that a forward() raises
        raise ValueError(
            f'{network.label} does not run on one image of (w, h) = '
            f'{network.input_size}: {error}'
        ) from error
    parameters = list(network.model.parameters())
    return Size(
        network.label,
        str(network.config),
        network.input_size,
        sum(p.numel() for p in parameters),
        sum(p.numel() for p in parameters if p.requires_grad),
        *macs,
    )


def _measure_batch_size(
    networks: Sequence[Network],
    settings: Settings,
    batch_size: int,
    copies: NetworkCopies,
    log: Callable[[str], None],
) -> list[Row]:
    """Measure every model in every setting of one batch size, in turn."""
    rows: list[Row] = []
    turns: list[tuple[Row, Call]] = []
    for setting in settings_of(settings, batch_size):
        for network in networks:
            row = Row(network.label, setting, settings.clock)
            rows.append(row)
            log(
                f'batch {batch_size}: warming up {setting.task}, '
                f'{setting.mode}, {setting.dtype}: {network.label}'
            )
            with _reason_in(row):
                call = make_call(network, setting, settings, copies)
                _warm_up(call, row, settings)
                turns.append((row, call))
    for repeat in range(settings.repeats):
        log(f'batch {batch_size}: round {repeat + 1} of {settings.repeats}')
        gc.collect()
        for row, call in turns:
            if row.error is None:
                with _reason_in(row):
                    wall, cpu = _time(call, settings.device)
                    row.wall_seconds.append(wall)
                    row.cpu_seconds += cpu
    return rows


def _warm_up(call: Call, row: Row, settings: Settings) -> None:
    """Run the calls that do not count, and the one for the memory."""
    compiles = row.setting.mode.endswith(COMPILED)
    for index in range(settings.warmup):
        start = time.perf_counter()
        call.reset()
        call.run()
        seconds = time.perf_counter() - start
        if seconds > settings.time_limit and not (compiles and index == 0):
            raise TimeoutError(
                f'{seconds:.0f} s for a call, more than the limit of '
                f'{settings.time_limit:.0f} s'
            )
    call.reset()
    row.peak_bytes = peak_memory(call.run, settings.device)
    call.reset()
    if not all(t.isfinite().all() for t in _tensors(call.run())):
        row.note = 'output not finite'


def _tensors(output: object) -> Iterator[Tensor]:
    """Yield the tensors in what a network returns."""
    if isinstance(output, Tensor):
        yield output
    elif isinstance(output, dict):
        yield from _tensors(list(output.values()))
    elif isinstance(output, list | tuple):
        for item in output:
            yield from _tensors(item)


@contextlib.contextmanager
def _reason_in(row: Row) -> Iterator[None]:
    """Write why a model failed into its row, and go on."""
    try:
        yield
    except Exception as error:
        # Compilers, kernels and models raise anything; it is one cell.
        lines = [line.strip() for line in str(error).splitlines()]
        lines = [line for line in lines if line] or [type(error).__name__]
        is_headline = lines[0].endswith(':') and len(lines) > 1
        reason = ' '.join(lines[: 2 if is_headline else 1])
        is_slow = isinstance(error, TimeoutError)
        prefix = 'too slow' if is_slow else 'not supported'
        row.error = f'{prefix}: {reason[:160]}'


def _time(call: Call, device: str) -> tuple[float, list[float]]:
    """Return wall seconds and, on a CPU, processor seconds of one call."""
    call.reset()
    if torch.device(device).type == 'cuda':
        start, end = (torch.cuda.Event(enable_timing=True) for _ in 'se')
        torch.cuda.synchronize(device)
        start.record()
        call.run()
        end.record()
        torch.cuda.synchronize(device)
        return start.elapsed_time(end) / 1000, []
    wall, cpu = time.perf_counter(), time.process_time()
    call.run()
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    return wall, [cpu]


@contextlib.contextmanager
def _threads(count: int | None) -> Iterator[None]:
    """Set the number of threads for a while."""
    before = torch.get_num_threads()
    torch.set_num_threads(count or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _current(device: str) -> contextlib.AbstractContextManager:
    """Make a GPU the one that events and streams belong to."""
    if torch.device(device).type == 'cuda':
        return torch.cuda.device(torch.device(device))
    return contextlib.nullcontext()


@contextlib.contextmanager
def _many_compilations(compiles: bool) -> Iterator[None]:
    """Let more than 8 compiled networks share one forward().

    All of mmpose's estimators run the same code; by default the compiler
    runs the ninth of them eagerly, with no more than a warning.
    """
    if not compiles:
        yield
        return
    config = torch._dynamo.config
    wanted = dict(
        recompile_limit=1000,
        cache_size_limit=1000,  # its name before torch 2.6
        accumulated_recompile_limit=10000,
        accumulated_cache_size_limit=10000,
        fail_on_recompile_limit_hit=True,
    )
    known = {key: v for key, v in wanted.items() if hasattr(config, key)}
    with config.patch(known):
        yield
