"""Checkpoints: what mmengine writes is read, nothing else is."""

import os
import pickle
import struct
import subprocess
import sys
import zipfile

import numpy as np
import pytest
import torch
from mmengine.logging import HistoryBuffer
from mmengine.runner import CheckpointLoader, load_checkpoint
from support.line import Line, make_line_runner

from gtpt_mm.compat.stack import restricted_pickle, torch_api
from gtpt_mm.compat.stack.torch_api import UnsafeCheckpointError


@pytest.fixture(params=['torch', 'restricted_pickle'], autouse=True)
def unpickler(request, monkeypatch):
    """Read with torch's unpickler, and with the one for old versions."""
    if request.param == 'restricted_pickle':
        monkeypatch.setattr(torch_api, 'torch_version', lambda: (2, 1))
        monkeypatch.setenv(torch_api.FORCE, '1')
        original = torch.serialization._weights_only_unpickler
        monkeypatch.setattr(
            torch.serialization, '_weights_only_unpickler', original
        )  # to be put back
        restricted_pickle.install(torch_api.harmless_types())


def train(work_dir, max_epochs, resume=False):
    runner = make_line_runner(work_dir, max_epochs, resume=resume)
    runner.train()
    return runner


def test_what_mmengine_writes_is_loaded_and_resumed(tmp_path):
    first = train(tmp_path, 2)
    path = tmp_path / 'epoch_2.pth'
    checkpoint = CheckpointLoader.load_checkpoint(str(path))
    assert checkpoint['meta']['epoch'] == 2
    sigmas = checkpoint['meta']['dataset_meta']['sigmas']
    np.testing.assert_array_equal(sigmas, np.ones(3, np.float32))
    load_checkpoint(Line(), str(tmp_path / 'best_AP_epoch_1.pth'))

    second = train(tmp_path, 3, resume=True)
    assert second.epoch == 3
    key = 'train/loss'
    old = first.message_hub.get_scalar(key).data[0]
    new = second.message_hub.get_scalar(key).data[0]
    np.testing.assert_array_equal(new[: len(old)], old)
    assert second.message_hub.get_scalar(key).mean() == pytest.approx(
        new.mean()
    )
    assert second.message_hub.get_info('best_score') == 0.5


@pytest.mark.parametrize('package', [b'numpy.core', b'numpy._core'])
def test_names_of_both_numpy_versions(tmp_path, package):
    """A file written under numpy 1 loads under numpy 2 and the reverse."""
    values = dict(
        score=np.float64(0.5),
        flag=np.bool_(True),
        ids=np.arange(3),
        colors=np.zeros((2, 3), np.uint8),
        log=HistoryBuffer([1.0, 2.0], [1, 1]),
    )
    path = tmp_path / 'values.pth'
    torch.save(values, path, _use_new_zipfile_serialization=False)
    data = path.read_bytes()
    for known in (b'numpy._core.', b'numpy.core.'):
        data = data.replace(b'c' + known, b'c' + package + b'.')
    path.write_bytes(data)
    loaded = CheckpointLoader.load_checkpoint(str(path))
    assert loaded['score'] == 0.5 and loaded['flag']
    np.testing.assert_array_equal(loaded['ids'], np.arange(3))
    assert loaded['log'].mean() == 1.5
    assert loaded['log'].statistics('max') == 2


def test_empty_arrays_are_loaded(tmp_path):
    """Colors of the links of a skeleton without any."""
    path = tmp_path / 'empty.pth'
    torch.save(dict(colors=np.zeros((0, 3), np.uint8)), path)
    loaded = CheckpointLoader.load_checkpoint(str(path))
    assert loaded['colors'].shape == (0, 3)
    torch.save(dict(size=Command(bytes, 3)), path)
    with pytest.raises(TypeError):  # no way to fill the memory
        torch.load(path, weights_only=True)


class Command:
    """Pickles to a call of a function with arguments."""

    def __init__(self, function, *args):
        self.call = function, args

    def __reduce__(self):
        return self.call


def refused(tmp_path, value) -> str:
    path = tmp_path / 'refused.pth'
    torch.save(dict(state_dict=Line().state_dict(), extra=value), path)
    with pytest.raises(UnsafeCheckpointError) as error:
        load_checkpoint(Line(), str(path))
    assert str(path) in str(error.value)
    assert isinstance(error.value, pickle.UnpicklingError)
    return str(error.value)


def test_planted_commands_do_not_run(tmp_path):
    mark = tmp_path / 'ran'
    message = refused(tmp_path, Command(os.system, f'touch {mark}'))
    assert 'posix.system' in message or 'nt.system' in message
    code = f'open({str(mark)!r}, "w")'
    assert 'eval' in refused(tmp_path, Command(eval, code))
    # Pickles call it by the name of Python 2, ``commands.call``.
    message = refused(tmp_path, Command(subprocess.call, ['touch', str(mark)]))
    assert '.call' in message and 'add_safe_globals' not in message
    assert not mark.exists()


@pytest.mark.parametrize(
    ('owner', 'name'),
    [
        (HistoryBuffer, '__init__'),
        (HistoryBuffer, '__globals__'),
        (torch.Tensor, 'numpy'),
        (np.ndarray, 'tofile'),
    ],
)
def test_getattr_reaches_only_the_statistics(tmp_path, owner, name):
    """What HistoryBuffer needs of ``getattr`` opens no other door."""
    message = refused(tmp_path, Command(getattr, owner, name))
    assert 'getattr' in message


# ---------------------------------- pickles that no Python program writes

HISTORY = b'cmmengine.logging.history_buffer\nHistoryBuffer\n'
ENCODE = b'c_codecs\nencode\n'


def word(text: str) -> bytes:
    return b'X' + struct.pack('<I', len(text)) + text.encode()


def items(*parts: bytes) -> bytes:
    return b'(' + b''.join(parts) + b't'


def call(function: bytes, *args: bytes) -> bytes:
    return function + items(*args) + b'R'


def mapping(**values: bytes) -> bytes:
    pairs = (word(key) + value for key, value in values.items())
    return b'}(' + b''.join(pairs) + b'u'


def with_state(owner: bytes, state: bytes) -> bytes:
    return owner + state + b'b'


def history(**state: bytes) -> bytes:
    return with_state(HISTORY + b')\x81', mapping(**state))


def numbers(dtype: bytes, data: str) -> bytes:
    """An array of one number of 8 bytes."""
    make = call(
        b'cnumpy.core.multiarray\n_reconstruct\n',
        b'cnumpy\nndarray\n',
        items(b'K\x00'),
        call(ENCODE, word('b'), word('latin1')),
    )
    raw = call(ENCODE, word(data), word('latin1'))
    state = items(b'K\x01', items(b'K\x01'), dtype, b'\x89', raw)
    return with_state(make, state)


def dtype(names: bytes = b'N', fields: bytes = b'N') -> bytes:
    make = call(b'cnumpy\ndtype\n', word('f8'), b'\x89', b'\x88')
    sizes = [b'K\x08', b'K\x08', b'K\x00']
    if names == b'N':
        sizes[:2] = 2 * [b'J\xff\xff\xff\xff']
    return with_state(
        make, items(b'K\x03', word('<'), b'N', names, fields, *sizes)
    )


CURRENT = call(b'cbuiltins\ngetattr\n', HISTORY, word('current'))
OBJECT = call(b'cnumpy\ndtype\n', word('O8'))
#: Would each, if it were read, change the process or its memory.
CRAFTED = {
    'a function in a history': history(
        max_length=b'K\x09', _log_history=b']' + ENCODE + b'a'
    ),
    'a statistic called': call(CURRENT, history()),
    'a statistic replaced': history(statistics_methods=mapping(mean=ENCODE)),
    'an attribute of a class': with_state(
        HISTORY, items(b'N', mapping(mean=b'N'))
    ),
    'an attribute of a function': with_state(
        ENCODE.replace(b'c_codecs\nencode', b'cnumpy\ndtype'),
        items(b'N', mapping(a=b'N')),
    ),
    'objects': OBJECT,
    'any object as a number': call(
        b'cnumpy.core.multiarray\nscalar\n', OBJECT, HISTORY
    ),
    'objects over bytes': call(
        b'cnumpy\nndarray\n', items(b'K\x01'), OBJECT, word('A' * 8)
    ),
}


def write(path, content: bytes) -> str:
    torch.save({}, path)
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, 'w') as archive:
        for name, part in parts.items():
            is_pickle = name.endswith('data.pkl')
            part = b'\x80\x02' + content + b'.' if is_pickle else part
            archive.writestr(name, part)
    return str(path)


def test_crafted_parts_are_well_formed(tmp_path):
    """The same parts make an array that is read."""
    data = np.float64(2.5).tobytes().decode('latin1')
    content = mapping(a=numbers(dtype(), data))
    path = write(tmp_path / 'a.pth', content)
    assert CheckpointLoader.load_checkpoint(path)['a'] == [2.5]


@pytest.mark.parametrize('content', CRAFTED.values(), ids=CRAFTED)
def test_crafted_files_are_refused(tmp_path, content):
    path = write(tmp_path / 'a.pth', mapping(a=content))
    statistic = HistoryBuffer._statistics_methods['mean']
    with pytest.raises(UnsafeCheckpointError):
        CheckpointLoader.load_checkpoint(path)
    assert HistoryBuffer._statistics_methods['mean'] is statistic
    assert HistoryBuffer([1.0], [1]).mean() == 1


def test_fields_laid_over_numbers_are_not_taken(tmp_path):
    """As pointers would be; they are ignored or refused."""
    whole = call(b'cnumpy\ndtype\n', word('i8'))
    fields = mapping(a=items(whole, b'K\x00'))
    data = np.float64(2.5).tobytes().decode('latin1')
    content = mapping(a=numbers(dtype(items(word('a')), fields), data))
    path = write(tmp_path / 'a.pth', content)
    try:
        array = CheckpointLoader.load_checkpoint(path)['a']
    except UnsafeCheckpointError:
        return
    assert array == [2.5] and array.dtype.names is None


class Own:
    """A user's type."""


def test_refused_type_is_named_with_a_remedy(tmp_path):
    message = refused(tmp_path, Own())
    assert f'{__name__}.Own' in message
    can_declare = hasattr(torch.serialization, 'add_safe_globals')
    assert ('add_safe_globals' in message) == can_declare
    with torch_api.allow_types([Own]):
        load_checkpoint(Line(), str(tmp_path / 'refused.pth'))


def test_a_file_that_is_no_checkpoint(tmp_path):
    path = tmp_path / 'page.pth'
    path.write_text('<html>404</html>')
    with pytest.raises(ValueError, match=r'page\.pth is a web page'):
        load_checkpoint(Line(), str(path))
    with pytest.raises(FileNotFoundError):
        load_checkpoint(Line(), str(tmp_path / 'missing.pth'))


def test_older_torch_is_told_to_restrict(monkeypatch):
    monkeypatch.delenv(torch_api.FORCE, raising=False)
    monkeypatch.setattr(torch_api, 'torch_version', lambda: (2, 5))
    with torch_api._weights_only():
        assert os.environ[torch_api.FORCE] == '1'
    assert torch_api.FORCE not in os.environ


def test_pure_file_is_read_without_the_shim_too(tmp_path):
    """The shim widens what is read; it does not change plain files."""
    path = tmp_path / 'plain.pth'
    torch.save(Line().state_dict(), path)
    code = f'import torch; print(len(torch.load({str(path)!r})))'
    done = subprocess.run(
        [sys.executable, '-c', code], capture_output=True, text=True
    )
    assert done.stdout.strip() == '2'
    assert len(CheckpointLoader.load_checkpoint(str(path))) == 2
