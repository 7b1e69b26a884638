"""Measure several networks in one run, in turn."""

import contextlib
import gc
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from .accuracy import AccuracyConfig, Tester
from .calls import Call, CallMaker, infer
from .cases import (
    COMPILED,
    FILE_RUNTIMES,
    TRAINING,
    BenchmarkConfig,
)
from .machine import describe_machine
from .macs import count_modules, count_operators
from .memory import peak_memory
from .network import Network
from .onnx_file import OnnxFile
from .published import find_network_published
from .results import Benchmark, ModelCost, Timing


def run_benchmark(
    networks: Sequence[Network],
    config: BenchmarkConfig,
    log: Callable[[str], None] = lambda message: None,
    accuracy: AccuracyConfig | None = None,
) -> Benchmark:
    """Measure networks side by side.

    At each batch size, all models in all cases take turns, one call each,
    until each was timed ``repeats`` times. Other load on the machine then
    affects all of them alike, so ratios within a run are reliable even if
    times are not.

    Args:
        networks: Networks; the others are compared to the first.
        config: Settings.
        log: Receives progress messages, a line at a time.
        accuracy: Also test the networks that have weights, in each case.

    Returns:
        The figures. A model that fails in a case has the reason there.

    Raises:
        ValueError: If there is no network, or one does not run at all, or
            accuracies would be measured under settings that differ.
    """
    if not networks:
        raise ValueError('there is no model to measure')
    _check_files(networks, config)
    tester = Tester(accuracy, networks) if accuracy else None
    costs = [measure_cost(network) for network in networks]
    timings: list[Timing] = []
    compiles = 'compile' in config.runtimes
    with (
        _threads(config.threads),
        _many_compilations(compiles),
        _current(config.device),
        tempfile.TemporaryDirectory() as folder,
    ):
        machine = describe_machine(config.device, config.runtimes)
        maker = CallMaker(
            config, Path(folder), tester.find_crops if tester else None
        )
        sizes = {*config.batch_sizes, *config.train_batch_sizes}
        for batch_size in sorted(sizes):
            timings += _measure_batch_size(networks, maker, batch_size, log)
            if compiles:
                torch.compiler.reset()
        if tester is not None:
            _test(networks, maker, tester, timings, log)
    return Benchmark(machine, config, costs, timings)


def _check_files(networks: Sequence[Network], config: BenchmarkConfig) -> None:
    for network in networks:
        if network.file and not set(config.runtimes) & set(FILE_RUNTIMES):
            raise ValueError(
                f'{network.file} does not run in '
                f'{" and ".join(config.runtimes)}; add --runtime '
                f'{" or ".join(FILE_RUNTIMES)}'
            )


def _test(
    networks: Sequence[Network],
    maker: CallMaker,
    tester: Tester,
    timings: Sequence[Timing],
    log: Callable[[str], None],
) -> None:
    """Add accuracies to the timings of inference, in place."""
    by_label = {network.label: network for network in networks}
    tested: dict[tuple[str, str, str], Timing] = {}
    for timing in timings:
        case = timing.case
        if timing.model not in tester.settings or case.task == TRAINING:
            continue
        key = timing.model, case.runtime, case.precision
        if key in tested:
            timing.accuracy = tested[key].accuracy
            timing.accuracy_error = tested[key].accuracy_error
            continue
        tested[key] = timing
        network = by_label[timing.model]
        log(f'testing {case.runtime}, {case.precision}: {timing.model}')
        try:
            is_file = case.runtime in FILE_RUNTIMES
            model = None if is_file else maker.model(network, case)
            timing.accuracy = tester.test(
                network, maker.forward(network, case), model
            )
        except Exception as error:  # as in a timed call
            timing.accuracy_error = f'not tested: {_first_words(error)}'


def measure_cost(network: Network) -> ModelCost:
    """Count parameters and MACs of one image.

    Raises:
        ValueError: If the network does not run on its own input.
    """
    if isinstance(network.model, OnnxFile):
        return ModelCost(
            network.label,
            str(network.file),
            network.input_size,
            network.model.num_parameters,
            0,
            None,
            None,
        )
    call = partial(infer, network.model, network.images(1))
    try:
        macs = count_modules(network.model, call), count_operators(call)
    except Exception as error:  # anything that a forward() raises
        raise ValueError(
            f'{network.label} does not run on one image of (w, h) = '
            f'{network.input_size}: {error}'
        ) from error
    parameters = list(network.model.parameters())
    return ModelCost(
        network.label,
        str(network.config),
        network.input_size,
        sum(p.numel() for p in parameters),
        sum(p.numel() for p in parameters if p.requires_grad),
        *macs,
        find_network_published(network),
    )


def _measure_batch_size(
    networks: Sequence[Network],
    maker: CallMaker,
    batch_size: int,
    log: Callable[[str], None],
) -> list[Timing]:
    """Measure every model in every case of one batch size, in turn."""
    config = maker.config
    timings: list[Timing] = []
    turns: list[tuple[Timing, Call]] = []
    for case in config.cases(batch_size):
        for network in networks:
            if network.file and case.runtime not in FILE_RUNTIMES:
                continue
            timing = Timing(network.label, case, config.clock)
            timings.append(timing)
            log(
                f'batch {batch_size}: warming up {case.task}, '
                f'{case.runtime}, {case.precision}: {network.label}'
            )
            with _reason_in(timing):
                call = maker.make(network, case)
                timing.deviation = maker.deviation(network, case)
                _warm_up(call, timing, config)
                turns.append((timing, call))
    for repeat in range(config.repeats):
        log(f'batch {batch_size}: round {repeat + 1} of {config.repeats}')
        gc.collect()
        for timing, call in turns:
            if timing.error is None:
                with _reason_in(timing):
                    wall, cpu = _time(call, config.device)
                    timing.wall_seconds.append(wall)
                    timing.cpu_seconds += cpu
    return timings


def _warm_up(call: Call, timing: Timing, config: BenchmarkConfig) -> None:
    """Run the warm-up calls, and the one that measures memory."""
    compiles = timing.case.runtime.endswith(COMPILED)
    for index in range(config.warmup):
        start = time.perf_counter()
        call.reset()
        call.run()
        seconds = time.perf_counter() - start
        if seconds > config.time_limit and not (compiles and index == 0):
            raise TimeoutError(
                f'{seconds:.0f} s for a call, more than the limit of '
                f'{config.time_limit:.0f} s'
            )
    call.reset()
    outputs: list[object] = []

    def run() -> None:
        outputs.append(call.run())

    if timing.case.runtime in FILE_RUNTIMES:
        run()
    else:
        timing.peak_bytes = peak_memory(run, config.device)
    if not all(t.isfinite().all() for t in _tensors(outputs)):
        timing.note = 'output not finite'
    call.reset()


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
def _reason_in(timing: Timing) -> Iterator[None]:
    """Record why a model failed in its timing, and continue."""
    try:
        yield
    except Exception as error:
        # Compilers, kernels and models raise anything; it fails only one cell.
        is_slow = isinstance(error, TimeoutError)
        prefix = 'too slow' if is_slow else 'not supported'
        timing.error = f'{prefix}: {_first_words(error)}'


def _first_words(error: Exception) -> str:
    """Return the first meaningful line of a message."""
    lines = [line.strip() for line in str(error).splitlines()]
    lines = [line for line in lines if line] or [type(error).__name__]
    is_headline = lines[0].endswith(':') and len(lines) > 1
    return ' '.join(lines[: 2 if is_headline else 1])[:160]


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
    """Make a GPU the current device of events and streams."""
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
    # PyTorch documents these limits only under this name.
    config = torch._dynamo.config
    limits = dict(
        recompile_limit=1000,
        cache_size_limit=1000,  # its name before torch 2.6
        accumulated_recompile_limit=10000,
        accumulated_cache_size_limit=10000,
        fail_on_recompile_limit_hit=True,
    )
    known = {key: v for key, v in limits.items() if hasattr(config, key)}
    with config.patch(known):
        yield
