"""Networks in onnxruntime and OpenVINO, and ONNX files of anybody."""

import pytest
from support.fill import fill_by_name

from gtpt_mm.benchmark import (
    BenchmarkConfig,
    ModelChoice,
    files,
    format_report,
    load_network,
    parse_models,
    run_benchmark,
)

BOTH = ('onnxruntime', 'openvino')
QUICK = dict(threads=1, repeats=2, warmup=1, batch_sizes=(1, 3))


@pytest.fixture
def onnx_file(tiny_network, tmp_path):
    path = tmp_path / 'tiny.onnx'
    files.write_plain(tiny_network, path)
    return path


def load(path, *words):
    [choice] = parse_models([str(path), *words])
    return load_network(choice)


def test_exported_beside_torch(tiny_network):
    benchmark = run_benchmark(
        [tiny_network],
        BenchmarkConfig(
            runtimes=('torch', *BOTH), fuse=True, clock='cpu', **QUICK
        ),
    )
    rows = [(r.case.runtime, r.case.batch_size) for r in benchmark.timings]
    names = ('eager', 'fused', *BOTH)
    assert rows == [(name, batch) for batch in (1, 3) for name in names]
    for row in benchmark.timings:
        assert row.error is None, row.error
        assert row.median > 0
        is_file = row.case.runtime in BOTH
        assert (row.peak_bytes == 0) == is_file
        assert (row.deviation is not None) == is_file
        assert not is_file or row.deviation < 1e-4
    assert set(BOTH) <= set(benchmark.machine)
    assert '| deviation |' in format_report(benchmark)


def test_int8_is_quantized_and_its_deviation_stated(tiny_network):
    fill_by_name(tiny_network.model)  # else most of it is hardly seen
    rows = run_benchmark(
        [tiny_network],
        BenchmarkConfig(
            runtimes=('onnxruntime',),
            precisions=('fp32', 'int8'),
            **QUICK | dict(batch_sizes=(1,)),
        ),
    ).timings
    assert [r.error for r in rows] == [None, None]
    exact, rounded = (r.deviation for r in rows)
    assert exact < 1e-4 < rounded < 0.3


def test_file_that_differs_is_refused(tiny_network, monkeypatch):
    monkeypatch.setattr(files, 'find_deviation', lambda *args: 0.25)
    [row] = run_benchmark(
        [tiny_network],
        BenchmarkConfig(
            runtimes=('onnxruntime',), **QUICK | dict(batch_sizes=(1,))
        ),
    ).timings
    assert 'differs from PyTorch by 0.25 of the range' in row.error
    assert not row.seconds


def test_deviation_is_of_the_outputs_range(tiny_network):
    def other(images):
        outputs = tiny_network.model(images, None, mode='tensor')
        outputs[-1, -1, -1, -1] += 0.5 * (outputs.max() - outputs.min())
        return outputs

    assert files.find_deviation(tiny_network, other) == pytest.approx(0.5)


def test_an_onnx_file_is_a_peer(tiny_network, onnx_file):
    given = load(onnx_file, 'label=file')
    assert given.input_size == tiny_network.input_size
    benchmark = run_benchmark(
        [tiny_network, given],
        BenchmarkConfig(runtimes=('torch', *BOTH), **QUICK),
    )
    assert benchmark.complete
    ran = [r.case.runtime for r in benchmark.timings if r.model == 'file']
    assert ran == [*BOTH, *BOTH]
    model, file = benchmark.costs
    # BatchNorms may be folded, or their moments count as weights.
    assert file.parameters == pytest.approx(model.parameters, rel=0.1)
    assert file.macs_operators is None
    assert '| file ' in format_report(benchmark)


def test_an_onnx_file_has_one_precision(onnx_file):
    rows = run_benchmark(
        [load(onnx_file)],
        BenchmarkConfig(
            runtimes=BOTH,
            precisions=('fp32', 'int8'),
            **QUICK | dict(batch_sizes=(1,)),
        ),
    ).timings
    assert [r.error for r in rows] == [
        None,
        'not supported: the file computes in fp32 only',
    ] * 2


def test_an_onnx_file_does_not_run_in_torch(onnx_file):
    with pytest.raises(ValueError, match='does not run in torch; add --runt'):
        run_benchmark([load(onnx_file)], BenchmarkConfig(**QUICK))


@pytest.mark.parametrize(
    'words, message',
    [
        (['no.onnx'], 'no file no.onnx'),
        (['{}', 'model.x=1'], "'model.x' behind .* changes nothing"),
        (['{}', 'weights=x.pth'], 'has its weights'),
        (['gtpt-t', 'config=gtpt-s'], 'config=gtpt-s is for an ONNX file'),
    ],
)
def test_bad_words(words, message, tmp_path):
    file = tmp_path / 'x.onnx'
    file.write_bytes(b'no protobuf')
    with pytest.raises(ValueError, match=message):
        parse_models([word.format(file) for word in words])


def test_no_onnx_file(tmp_path):
    file = tmp_path / 'x.onnx'
    file.write_bytes(b'no protobuf')
    with pytest.raises(ValueError, match='x.onnx is not an ONNX file'):
        load_network(ModelChoice(None, 'x', source=str(file)))
