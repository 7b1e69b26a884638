import dataclasses

import pytest
import torch
from torch import nn

from gtpt_mm.benchmark import BenchmarkConfig, run_benchmark

QUICK = dict(batch_sizes=(1,), repeats=2, warmup=1)


class Toy(nn.Module):
    """Writes down each batch that it sees."""

    seen = []

    def __init__(self, name, fails_on=None, depth=1):
        super().__init__()
        self.name, self.fails_on = name, fails_on
        self.fc = nn.Sequential(*(nn.Linear(4, 4) for _ in range(depth)))

    def forward(self, inputs, data_samples, mode='tensor'):
        if not torch.compiler.is_compiling():
            self.seen.append((self.name, len(inputs)))
        if inputs.dtype == self.fails_on:
            raise RuntimeError('no such kernel\nand a trace')
        return self.fc(inputs)


@pytest.fixture(autouse=True)
def _nothing_seen():
    Toy.seen.clear()


def test_models_take_turns(network_of):
    networks = [network_of(Toy(name), name) for name in 'abc']
    run_benchmark(
        networks,
        BenchmarkConfig(batch_sizes=(2,), repeats=3, warmup=1, threads=1),
    )
    timed = Toy.seen[-9:]
    assert timed == [('a', 2), ('b', 2), ('c', 2)] * 3


def test_every_model_in_every_case(tiny_network):
    other = dataclasses.replace(tiny_network, label='other')
    logged = []
    benchmark = run_benchmark(
        [tiny_network, other],
        BenchmarkConfig(
            batch_sizes=(1, 2),
            train_batch_sizes=(2,),
            precisions=('fp32', 'bf16'),
            threads=1,
            repeats=3,
            warmup=1,
            clock='cpu',
        ),
        logged.append,
    )
    cases = [
        (s.batch_size, s.task, s.precision, row.model)
        for row in benchmark.timings
        for s in [row.case]
    ]
    plain = [
        (batch, 'inference', dtype, model)
        for batch in (1, 2)
        for dtype in ('fp32', 'bf16')
        for model in ('tiny', 'other')
    ]
    training = [
        (2, 'training', dtype, model)
        for dtype in ('fp32', 'bf16')
        for model in ('tiny', 'other')
    ]
    assert cases == plain + training
    assert benchmark.complete
    assert len(logged) == 12 + 2 * 3  # a line for each row and round
    for row in benchmark.timings:
        if row.case.task == 'training' and row.case.precision == 'bf16':
            continue  # the accuracy of mmpose's head wants numpy of bf16
        assert row.error is None, row.error
        assert len(row.wall_seconds) == len(row.cpu_seconds) == 3
        assert row.seconds == row.cpu_seconds
        assert row.median > 0
        assert row.quartiles[0] <= row.median <= row.quartiles[1]
        assert row.peak_bytes > 0
        assert row.note is None
        first = benchmark.ratio_to_first(row)
        assert first == 1 if row.model == 'tiny' else first > 0
        assert benchmark.ratio_to_base(row) > 0
    peaks = [row.peak_bytes for row in benchmark.timings]
    assert peaks[8] > peaks[4]  # training keeps activations and gradients
    assert all(p.grad is None for p in tiny_network.model.parameters())


def test_cost(tiny_network):
    [cost] = run_benchmark(
        [tiny_network], BenchmarkConfig(batch_sizes=())
    ).costs
    total = sum(p.numel() for p in tiny_network.model.parameters())
    assert cost.parameters == cost.trained == total
    assert cost.macs_modules > cost.macs_operators > 0  # norms
    assert cost.input_size == (32, 64)


def test_failure_is_a_cell(network_of):
    networks = [
        network_of(Toy('good'), 'good'),
        network_of(Toy('bad', fails_on=torch.bfloat16), 'bad'),
    ]
    benchmark = run_benchmark(
        networks, BenchmarkConfig(**QUICK, precisions=('fp32', 'bf16'))
    )
    assert [row.error for row in benchmark.timings] == [
        None,
        None,
        None,
        'not supported: no such kernel',
    ]
    assert benchmark.complete
    assert benchmark.ratio_to_first(benchmark.timings[3]) is None


def test_benchmark_without_plain_rows_is_not_complete(network_of):
    benchmark = run_benchmark(
        [network_of(Toy('bad', fails_on=torch.bfloat16), 'bad')],
        BenchmarkConfig(**QUICK, precisions=('bf16',)),
    )
    assert benchmark.config.base_case(1).precision == 'bf16'
    assert not benchmark.complete


def test_model_that_never_runs_is_an_error(network_of):
    network = network_of(Toy('bad', fails_on=torch.float32), 'bad')
    with pytest.raises(ValueError, match=r'bad .*\(4, 4\): no such kernel'):
        run_benchmark([network], BenchmarkConfig(**QUICK))


def test_slow_case_is_given_up(network_of):
    [row] = run_benchmark(
        [network_of(Toy('slow'), 'slow')],
        BenchmarkConfig(**QUICK, time_limit=1e-9),
    ).timings
    assert row.error.startswith('too slow: ')
    assert not row.seconds


def test_infinite_output_is_noted(network_of):
    class Infinite(Toy):
        def forward(self, inputs, data_samples, mode='tensor'):
            return dict(out=(inputs, inputs / 0))

    [row] = run_benchmark(
        [network_of(Infinite('inf'), 'inf')], BenchmarkConfig(**QUICK)
    ).timings
    assert row.note == 'output not finite'


def test_more_compiled_networks_than_the_compiler_allows(
    network_of, monkeypatch
):
    """The ninth network of one class would run eagerly without a word."""
    graphs = []

    def backend(graph, inputs):
        graphs.append(graph)
        return graph.forward

    compile_ = torch.compile
    monkeypatch.setattr(
        torch,
        'compile',
        lambda model, mode, dynamic: compile_(
            model, backend=backend, dynamic=dynamic
        ),
    )
    networks = [network_of(Toy(str(i), depth=i), str(i)) for i in range(1, 11)]
    benchmark = run_benchmark(
        networks, BenchmarkConfig(**QUICK, runtimes=('torch', 'compile'))
    )
    assert len(graphs) == 10
    modes = [row.case.runtime for row in benchmark.timings]
    assert modes == ['eager'] * 10 + ['compiled'] * 10
    assert not any(row.error for row in benchmark.timings)


def test_fused(tiny_network):
    benchmark = run_benchmark(
        [tiny_network],
        BenchmarkConfig(
            **QUICK, precisions=('fp32', 'bf16'), fuse=True, threads=1
        ),
    )
    assert [
        (row.case.runtime, row.case.precision, row.error)
        for row in benchmark.timings
    ] == [
        ('eager', 'fp32', None),
        ('eager', 'bf16', None),
        ('fused', 'fp32', None),
        ('fused', 'bf16', None),
    ]
    norms = [
        m
        for m in tiny_network.model.modules()
        if isinstance(m, nn.BatchNorm2d)
    ]
    assert norms  # the network itself stays as it was


def test_threads_are_set_and_set_back(network_of):
    before = torch.get_num_threads()
    benchmark = run_benchmark(
        [network_of(Toy('a'), 'a')],
        BenchmarkConfig(**QUICK, threads=before + 1),
    )
    assert benchmark.machine['threads'] == before + 1
    assert torch.get_num_threads() == before


@pytest.mark.parametrize(
    'options, message',
    [
        (dict(batch_sizes=(0,)), r'batch sizes.*\[0\]'),
        (dict(train_batch_sizes=(-1,)), 'batch sizes.*-1'),
        (dict(precisions=('fp8',)), 'precisions.*fp8'),
        (dict(precisions=()), 'precisions'),
        (dict(precisions=('fp32', 'int8')), 'int8; add --runtime onnxrun'),
        (
            dict(runtimes=('torch', 'onnxruntime'), precisions=('bf16',)),
            'onnxruntime has fp32, fp16, int8, none of bf16',
        ),
        (dict(runtimes=('tensorrt',)), 'runtimes.*tensorrt'),
        (
            dict(runtimes=('openvino',), train_batch_sizes=(1,)),
            'openvino cannot train; add --runtime torch',
        ),
        (dict(repeats=0), 'repeats.*0'),
        (dict(warmup=-1), 'warmup.*-1'),
        (dict(threads=0), 'threads.*0'),
        (
            dict(runtimes=('compile',), compile_mode='gtpt-s'),
            "compile_mode.*'gtpt-s'",
        ),
        (dict(device='meta'), 'device.*meta'),
        (dict(device='gpu'), 'device.*gpu'),
        (dict(device='cuda:99'), r'cuda:99.*\d+ GPUs'),
        (dict(clock='moon'), 'clock.*moon'),
        (dict(clock='cpu', threads=2), '--threads 1'),
        (dict(clock='cpu', threads=1, device='cuda'), 'cuda'),
    ],
)
def test_bad_settings(options, message):
    with pytest.raises(ValueError, match=message):
        BenchmarkConfig(**options)


def test_nothing_to_measure():
    with pytest.raises(ValueError, match='no model'):
        run_benchmark([], BenchmarkConfig())
