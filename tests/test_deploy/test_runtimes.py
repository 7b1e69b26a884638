"""Exported files in their runtimes, beside what they compute."""

import importlib.util
import pickle
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from support.small_onnx import expect, write_onnx

from gtpt_mm.deploy import runtimes
from gtpt_mm.deploy.runtimes import (
    NETWORKS,
    OpenVinoNetwork,
    describe,
    find_runtime,
    rebuild,
    require_runtime,
)

ALL = list(NETWORKS.values())


@pytest.fixture(params=ALL, ids=list(NETWORKS))
def network_type(request):
    pytest.importorskip(request.param.runtime)
    return request.param


def draw(*shape) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(*shape, generator=generator)


def assert_right(outputs, images) -> None:
    assert isinstance(outputs, tuple)
    torch.testing.assert_close(outputs, expect(images))


@pytest.mark.parametrize('batch_size', [None, 1, 2, 7])
def test_batches_of_any_size(network_type, tmp_path, batch_size):
    network = network_type(
        write_onnx(tmp_path / 'a.onnx'), threads=1, batch_size=batch_size
    )
    for number, size in ((1, (4, 6)), (3, (4, 6)), (5, (7, 3))):
        images = draw(number, 3, *size)
        assert_right(network(images), images)


def test_a_fixed_batch_is_filled_up(network_type, tmp_path):
    network = network_type(write_onnx(tmp_path / 'a.onnx', batch=2), 1)
    images = draw(5, 3, 4, 6)
    assert_right(network(images), images)


def test_mirrored_and_sliced_images(network_type, tmp_path):
    """Views of torch, whose rows do not follow each other in memory."""
    network = network_type(write_onnx(tmp_path / 'a.onnx'), 1)
    images = draw(2, 8, 6, 3).permute(0, 3, 2, 1)[..., ::2].flip(-1)
    assert_right(network(images), images)


def test_files_in_half_precision(network_type, tmp_path):
    path = write_onnx(tmp_path / 'a.onnx', half=True)
    network = network_type(path, 1, precision='fp16')
    images = draw(2, 3, 4, 6)
    outputs = network(images)
    assert [o.dtype for o in outputs] == [torch.float32] * 2
    torch.testing.assert_close(outputs, expect(images), atol=4e-3, rtol=0)


def test_values_that_are_not_finite_are_refused(network_type, tmp_path):
    network = network_type(write_onnx(tmp_path / 'a.onnx', factor=1e30), 1)
    with pytest.raises(ValueError, match=r'a\.onnx.*not finite'):
        network(torch.full((1, 3, 4, 4), 1e30))


def test_threads_and_other_processes(network_type, tmp_path):
    network = network_type(write_onnx(tmp_path / 'a.onnx'), 1, batch_size=1)
    copy = pickle.loads(pickle.dumps(network))
    jobs = [draw(n, 3, 4, 6) for n in range(1, 6)] * 4
    with ThreadPoolExecutor(4) as pool:
        for one in (network, copy):
            for images, outputs in zip(jobs, pool.map(one, jobs), strict=True):
                assert_right(outputs, images)


SIGNAL = """
import gc, os, signal, sys, threading
import torch
from gtpt_mm.deploy.runtimes import OpenVinoNetwork

signal.signal(signal.SIGTERM, lambda *_: print('handled'))
networks = [OpenVinoNetwork(sys.argv[1], 1)]
networks[0](torch.zeros(1, 3, 4, 6))
thread = threading.Thread(target=lambda: (networks.clear(), gc.collect()))
thread.start()
thread.join()
os.kill(os.getpid(), signal.SIGTERM)
"""


def test_signals_arrive_when_a_thread_has_deleted_a_network(tmp_path):
    """A deleted ``openvino.Core`` would leave no stack to handle them."""
    pytest.importorskip('openvino')
    path = write_onnx(tmp_path / 'a.onnx')
    command = [sys.executable, '-X', 'faulthandler', '-c', SIGNAL, str(path)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, 'handled\n'), done.stderr


def test_openvino_computes_in_the_given_precision(tmp_path):
    """Its default is bfloat16 where the processor has it."""
    openvino = pytest.importorskip('openvino')
    path = write_onnx(tmp_path / 'a.onnx')
    for precision, kind in (
        ('fp32', openvino.Type.f32),
        ('int8', openvino.Type.f32),
    ):
        compiled = OpenVinoNetwork(path, 1, precision)._compiled
        assert compiled.get_property('INFERENCE_PRECISION_HINT') == kind
        assert compiled.get_property('INFERENCE_NUM_THREADS') == 1


def test_bad_arguments(network_type, tmp_path):
    path = write_onnx(tmp_path / 'a.onnx')
    with pytest.raises(ValueError, match="precision.*'fp33'"):
        network_type(path, precision='fp33')
    with pytest.raises(FileNotFoundError, match=r'none\.onnx'):
        network_type(tmp_path / 'none.onnx')


@pytest.mark.parametrize('runtime', NETWORKS)
def test_a_missing_package_names_the_extra(runtime, tmp_path, monkeypatch):
    path = write_onnx(tmp_path / 'a.onnx')
    hide(monkeypatch, runtime)
    words = rf'{runtime}.*pip install "gtpt_mm\[{runtimes.EXTRAS[runtime]}\]"'
    with pytest.raises(ImportError, match=words):
        require_runtime(runtime)
    with pytest.raises(ImportError, match=words):
        NETWORKS[runtime](path)


def hide(monkeypatch, *names) -> None:
    """Let packages look as if they were not installed."""
    find = importlib.util.find_spec
    monkeypatch.setattr(
        runtimes, 'find_spec', lambda n: None if n in names else find(n)
    )


@pytest.mark.parametrize(
    'asked, device, dtype, found',
    [
        ('torch', 'cuda:1', 'float16', 'torch'),
        ('auto', 'cpu', 'float32', 'auto'),
        ('auto', 'cuda', torch.float32, 'torch'),
        ('auto', 'cpu', torch.bfloat16, 'torch'),
        ('onnxruntime', 'cpu', torch.float32, 'onnxruntime'),
        ('openvino', torch.device('cpu'), 'float32', 'openvino'),
    ],
)
def test_the_runtime_of_a_device_and_dtype(asked, device, dtype, found):
    assert find_runtime(asked, device, dtype) == found


def test_auto_without_other_runtimes_is_torch(monkeypatch):
    hide(monkeypatch, 'onnxruntime', 'openvino')
    assert find_runtime('auto', 'cpu', 'float32') == 'torch'


@pytest.mark.parametrize(
    'asked, device, dtype, words',
    [
        ('onnxruntime', 'cuda:0', 'float32', "'cuda:0'.*device='cpu'"),
        ('openvino', 'cpu', 'bfloat16', "bfloat16.*dtype='float32'"),
        ('tensorflow', 'cpu', 'float32', "'auto'.*'tensorflow'"),
    ],
)
def test_refused_runtimes(asked, device, dtype, words):
    with pytest.raises(ValueError, match=words):
        find_runtime(asked, device, dtype)


@pytest.mark.parametrize(
    'outputs, numbers, structure',
    [
        (1, [1], None),
        ((1, 2), [1, 2], ['tuple', None, None]),
        ([1], [1], ['list', None]),
        (
            [[1, 2], (3,)],
            [1, 2, 3],
            ['list', ['list', None, None], ['tuple', None]],
        ),
    ],
)
def test_structures_of_outputs(outputs, numbers, structure):
    assert describe(outputs) == structure
    assert rebuild(numbers, structure) == outputs


def test_outputs_without_a_structure():
    assert rebuild([1]) == 1
    assert rebuild([1, 2]) == (1, 2)
