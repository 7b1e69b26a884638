"""The cache of exported files, with a network that is quick to export."""

import copy
import json
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from support.small_onnx import SmallModel, write_onnx
from torch import nn

from gtpt_mm.deploy import cache
from gtpt_mm.deploy.cache import (
    Choice,
    ExportError,
    exported_file,
    find_choice_path,
    find_key,
    open_network,
    read_choice,
    read_facts,
    time_calls,
    write_choice,
)

pytest.importorskip('onnxruntime')
RUNTIME = 'onnxruntime'
SIZES = ((6, 4),)


@pytest.fixture
def model():
    return SmallModel().eval()


@pytest.fixture
def exports(monkeypatch):
    """Files that were written in place of exported ones."""
    written = []

    def write(model, runtime, file, factor=2.0):
        write_onnx(file, factor=factor)
        written.append(file)

    monkeypatch.setattr(cache, 'write_file', write)
    return written


def find(model, folder):
    return exported_file(model, RUNTIME, folder / 'exported', SIZES, 1)


def assert_whole(folder) -> None:
    """No other files than those of finished entries and their locks."""
    for entry in (folder / 'exported').iterdir():
        if entry.is_dir():
            names = {file.name for file in entry.iterdir()}
            assert names == {'model.onnx', 'facts.json'}
        else:
            assert entry.suffix == '.lock'


def test_exported_checked_and_found_again(model, exports, tmp_path):
    file = find(model, tmp_path)
    facts = read_facts(file)
    assert facts.structure == ['tuple', None, None]
    assert facts.deviation < 1e-5
    assert facts.batch_size in cache.SIZES
    assert {'torch', 'onnxruntime'} <= set(facts.versions)
    images = torch.randn(11, 3, 4, 6)
    expected = model.head(model.extract_feat(images))
    torch.testing.assert_close(open_network(file, 1)(images), expected)
    assert find(copy.deepcopy(model), tmp_path) == file
    assert len(exports) == 1
    assert_whole(tmp_path)


def test_several_at_once_export_once(model, exports, monkeypatch, tmp_path):
    write = cache.write_file

    def write_slowly(*args):
        time.sleep(0.2)
        write(*args)

    monkeypatch.setattr(cache, 'write_file', write_slowly)
    with ThreadPoolExecutor(4) as pool:
        files = list(pool.map(lambda _: find(model, tmp_path), range(4)))
    assert len(set(files)) == len(exports) == 1
    assert_whole(tmp_path)


def test_processes_at_once_export_once(run_script, tmp_path):
    codes, logs = run_script('export_once.py', tmp_path, variables=({}, {}))
    assert codes == [0, 0], logs
    assert (tmp_path / 'log').read_text().split() == ['written']
    assert_whole(tmp_path)


@pytest.mark.parametrize('moment', ['export', 'check'])
def test_a_failure_leaves_nothing(
    model, exports, monkeypatch, tmp_path, moment
):
    def fail(*args):
        raise ExportError('the disk is full')

    name = 'write_file' if moment == 'export' else '_check'
    with monkeypatch.context() as patch:
        patch.setattr(cache, name, fail)
        with pytest.raises(ExportError, match='the disk is full'):
            find(model, tmp_path)
    assert_whole(tmp_path)
    assert read_facts(find(model, tmp_path)) is not None
    assert_whole(tmp_path)


@pytest.mark.parametrize('torn', ['facts.json', 'model.onnx'])
@pytest.mark.parametrize('num_bytes', [None, 40])
def test_a_torn_entry_is_exported_again(
    model, exports, tmp_path, torn, num_bytes
):
    file = find(model, tmp_path)
    path = file.parent / torn
    content = path.read_bytes()
    path.unlink()
    if num_bytes is not None:
        path.write_bytes(content[:num_bytes])
    with pytest.raises(ValueError, match='not an exported file'):
        open_network(file)
    assert find(model, tmp_path) == file
    assert len(exports) == 2
    assert_whole(tmp_path)


def test_a_damaged_entry_is_exported_again(model, exports, tmp_path):
    """Of the same size, as a disk or a power cut leaves it."""
    file = find(model, tmp_path)
    content = file.read_bytes()
    file.write_bytes(content[:-9] + bytes(9))
    assert find(model, tmp_path) == file
    assert file.read_bytes() == content
    assert len(exports) == 2


def test_a_full_disk_is_no_fault_of_the_model(model, monkeypatch, tmp_path):
    def fill(*args):
        raise OSError(28, 'No space left on device', 'model.onnx')

    monkeypatch.setattr(cache, 'export_model', fill)
    with pytest.raises(OSError, match='No space left') as caught:
        find(model, tmp_path)
    assert not isinstance(caught.value, ExportError)
    assert_whole(tmp_path)


def test_a_choice_that_is_no_runtime_is_none(tmp_path):
    path = tmp_path / 'choice.json'
    write_choice(path, Choice('onnxruntime', {}))
    assert read_choice(path) == Choice('onnxruntime', {})
    write_choice(path, Choice('onnxruntimf', {}))
    assert read_choice(path) is None


def test_leftovers_of_a_killed_export(model, exports, tmp_path):
    file = find(model, tmp_path)
    file.parent.rename(file.parent.with_name(f'.{file.parent.name}'))
    assert find(model, tmp_path) == file
    assert len(exports) == 2
    assert_whole(tmp_path)


def test_a_file_that_differs_is_refused(model, monkeypatch, tmp_path):
    def write(model, runtime, file):
        write_onnx(file, factor=2.01)

    monkeypatch.setattr(cache, 'write_file', write)
    with pytest.raises(ExportError, match=r"0\.0\d+ .*runtime='torch'"):
        find(model, tmp_path)
    assert_whole(tmp_path)


def test_a_file_that_does_not_open_is_refused(model, monkeypatch, tmp_path):
    def write(model, runtime, file):
        file.write_bytes(b'no model')

    monkeypatch.setattr(cache, 'write_file', write)
    with pytest.raises(ExportError, match='does not run in onnxruntime'):
        find(model, tmp_path)


def test_a_folder_that_cannot_be_written_to(model, exports, tmp_path):
    (tmp_path / 'exported').write_text('a file')
    with pytest.raises(ValueError, match='exported.*GTPT_MM_CACHE'):
        find(model, tmp_path)


def change_weight(model):
    model.backbone.weight.data[0, 0] += 1e-6


def change_config(model):
    model.cfg.model.backbone.depth = 2


def change_attribute(model):
    model.head.rate = 0.5


def change_kind(model):
    model.head = nn.Identity()


@pytest.mark.parametrize(
    'change', [change_weight, change_config, change_attribute, change_kind]
)
def test_other_models_have_other_keys(model, change):
    other = copy.deepcopy(model)
    assert find_key(model, RUNTIME) == find_key(other, RUNTIME)
    change(other)
    assert find_key(model, RUNTIME) != find_key(other, RUNTIME)


def test_other_runtimes_and_versions_have_other_keys(model, monkeypatch):
    key = find_key(model, RUNTIME)
    assert find_key(model, 'openvino') != key
    monkeypatch.setattr(cache, 'version', lambda name: '0.1')
    assert find_key(model, RUNTIME) != key


def test_the_flip_test_is_not_of_the_file(model):
    key = find_key(model, RUNTIME)
    model.cfg.model.test_cfg.flip = False
    assert find_key(model, RUNTIME) == key


def test_addresses_are_not_of_the_key(model):
    """Objects of a module that print where they lie in memory."""
    key = []
    for _ in range(2):
        model.head.codec = object()
        model.head.names = {'left', 'right', 'nose'}
        key.append(find_key(model, RUNTIME))
    assert key[0] == key[1]


def test_choices_are_remembered(model, tmp_path, monkeypatch):
    path = find_choice_path(model, tmp_path, [RUNTIME])
    assert read_choice(path) is None
    choice = Choice('onnxruntime', dict(torch=2.0, onnxruntime=1.0))
    write_choice(path, choice)
    assert read_choice(path) == choice
    assert json.loads(path.read_text())['runtime'] == 'onnxruntime'
    path.write_text('{"runtime": ')
    assert read_choice(path) is None
    assert find_choice_path(model, tmp_path, ['openvino']) != path
    monkeypatch.setattr(torch, 'get_num_threads', lambda: 77)
    assert find_choice_path(model, tmp_path, [RUNTIME]) != path


def test_the_best_of_several_rounds_counts(monkeypatch):
    """Of two images each; calls that warm up are not timed."""
    now = 0.0
    durations = iter([100, 100, 5, 10, 2, 30])

    def call(images):
        nonlocal now
        now += next(durations)

    monkeypatch.setattr(cache.time, 'perf_counter', lambda: now)
    seconds = time_calls(
        dict(one=call, other=call), torch.zeros(2, 3, 4, 6), rounds=2
    )
    assert seconds == dict(one=1.0, other=5.0)
