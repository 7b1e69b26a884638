"""Damaged files are named; to resume, the newest whole one is taken."""

import os
import shutil
import subprocess
import sys

import pytest
import torch
from mmengine.runner import CheckpointLoader, load_checkpoint, save_checkpoint
from mmengine.runner.checkpoint import find_latest_checkpoint
from support.line import Line, make_line_runner

from gtpt_mm.compat.files.atomic_file import TEMPORARY, atomic_write
from gtpt_mm.compat.files.checkpoint_files import BrokenCheckpointError


@pytest.fixture(scope='module')
def trained(tmp_path_factory):
    """Return the work folder of three epochs."""
    folder = tmp_path_factory.mktemp('trained')
    make_line_runner(folder, 3, checkpoint=dict(interval=1)).train()
    return folder


@pytest.fixture
def run(trained, tmp_path):
    """Return a copy that may be damaged; its last_checkpoint is moved."""
    return shutil.copytree(trained, tmp_path / 'run')


def tear(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def flip(path, where):
    """Flip the bytes that a text of the file begins at."""
    data = bytearray(path.read_bytes())
    start = data.find(where)
    assert start > 0
    data[start] ^= 0xFF
    path.write_bytes(data)


def write_weights(path, value):
    state_dict = Line().state_dict()
    for weight in state_dict.values():
        weight.fill_(value)
    torch.save(dict(meta={}, state_dict=state_dict), path)


# ------------------------------------------------------------------- loading


BROKEN = {
    'empty': (b'', 'is empty'),
    'page': (b'\n<!DOCTYPE html><html>' * 9, 'is a web page'),
    'lfs': (b'version https://git-lfs.github.com/spec/v1\n', 'Git LFS'),
    'zeros': (bytes(2000), 'holds zeros'),
    'text': (b'not found', 'does not begin as a checkpoint'),
    'pickle': (b'\x80\x04N.', 'is it complete'),
}


@pytest.mark.parametrize('content, words', BROKEN.values(), ids=BROKEN)
def test_file_that_is_no_checkpoint(tmp_path, content, words):
    path = tmp_path / 'a.pth'
    path.write_bytes(content)
    with pytest.raises(ValueError, match=rf'a\.pth.*{words}') as caught:
        load_checkpoint(Line(), str(path))
    assert 'weights_only' not in str(caught.value)


@pytest.mark.parametrize('value', [[1, 2], torch.zeros(3)], ids=['list', '1'])
def test_file_without_names(tmp_path, value):
    path = tmp_path / 'a.pth'
    torch.save(value, path)
    kind = type(value).__name__
    with pytest.raises(BrokenCheckpointError, match=rf'a\.pth.*a {kind}'):
        CheckpointLoader.load_checkpoint(str(path))


def test_flipped_byte_of_a_weight_is_found(tmp_path):
    path = tmp_path / 'a.pth'
    write_weights(path, 1.25)
    flip(path, torch.tensor([1.25, 1.25]).numpy().tobytes())
    assert torch.load(path)['state_dict']['fc.weight'][0, 0] != 1.25
    with pytest.raises(BrokenCheckpointError, match=r'a\.pth.*checksum'):
        load_checkpoint(Line(), str(path))


@pytest.mark.parametrize('where', [b'PK\x01\x02', b'PK\x05\x06'])
def test_flipped_byte_of_the_directory_is_found(tmp_path, where):
    path = tmp_path / 'a.pth'
    write_weights(path, 1.25)
    flip(path, where)
    with pytest.raises(BrokenCheckpointError, match=r'a\.pth is (dam|torn)'):
        load_checkpoint(Line(), str(path))


def test_file_of_the_old_format(tmp_path):
    path = tmp_path / 'old.pth'
    model = Line()
    torch.save(
        dict(state_dict=model.state_dict()),
        path,
        _use_new_zipfile_serialization=False,
    )
    loaded = Line()
    load_checkpoint(loaded, str(path))
    torch.testing.assert_close(loaded.fc.weight, model.fc.weight)
    tear(path)
    with pytest.raises(ValueError, match=r'old\.pth'):
        load_checkpoint(loaded, str(path))


def test_missing_file_and_folder(tmp_path):
    for name, words in (('no.pth', 'does not exist'), ('.', 'is a folder')):
        with pytest.raises(FileNotFoundError, match=words):
            load_checkpoint(Line(), str(tmp_path / name))


def test_file_of_torch_under_the_name_of_safetensors(tmp_path):
    """``filename_tmpl='{}.safetensors'`` writes such files."""
    path = tmp_path / 'epoch_1.safetensors'
    write_weights(path, 1.25)
    loaded = Line()
    load_checkpoint(loaded, str(path))
    assert loaded.fc.weight[0, 0] == 1.25


def test_lost_name_of_a_run_that_saves_elsewhere(tmp_path):
    options = dict(interval=1, out_dir=str(tmp_path / 'out'), save_best=None)
    work_dir = tmp_path / 'run'
    make_line_runner(work_dir, 2, checkpoint=options).train()
    (work_dir / 'last_checkpoint').unlink()
    runner = make_line_runner(work_dir, 3, checkpoint=options, resume=True)
    runner.call_hook('before_run')
    runner.load_or_resume()
    assert runner.epoch == 2


def test_safetensors_are_loaded(tmp_path):
    safetensors = pytest.importorskip('safetensors.torch')
    path = tmp_path / 'a.safetensors'
    model = Line()
    safetensors.save_file(model.state_dict(), path)
    loaded = Line()
    load_checkpoint(loaded, str(path))
    torch.testing.assert_close(loaded.fc.weight, model.fc.weight)
    runner = make_line_runner(tmp_path / 'run', 1, load_from=str(path))
    runner.call_hook('before_run')
    runner.load_or_resume()
    torch.testing.assert_close(runner.model.fc.weight, model.fc.weight)
    tear(path)
    with pytest.raises(BrokenCheckpointError, match=r'a\.safetensors'):
        load_checkpoint(Line(), str(path))


def test_safetensors_without_the_package(tmp_path, monkeypatch):
    path = tmp_path / 'a.safetensors'
    path.write_bytes(b'12345678')
    monkeypatch.setitem(sys.modules, 'safetensors', None)
    with pytest.raises(BrokenCheckpointError, match='pip install safetensors'):
        load_checkpoint(Line(), str(path))


# ------------------------------------------------------------------- writing


def test_failed_save_keeps_the_file_and_names_it(tmp_path, monkeypatch):
    path = tmp_path / 'a.pth'
    save_checkpoint(dict(a=1), str(path))

    def fail(*_):
        raise OSError(28, 'No space left on device')

    monkeypatch.setattr('gtpt_mm.compat.files.atomic_file._flush', fail)
    with pytest.raises(OSError, match=r'earlier ones are kept.*a\.pth'):
        save_checkpoint(dict(a=2), str(path))
    assert CheckpointLoader.load_checkpoint(str(path)) == dict(a=1)


def test_leftovers_of_a_killed_process_are_removed(tmp_path):
    path = tmp_path / 'epoch_1.pth'
    killed = subprocess.Popen([sys.executable, '-c', ''])
    killed.wait()
    with atomic_write(path) as temporary:
        pid = str(os.getpid())
        left = temporary.name.replace(f'-{pid}@', f'-{killed.pid}@')
        assert left != temporary.name and TEMPORARY.match(left)
        (tmp_path / left).write_text('half')
    (tmp_path / '.mine.pth').write_text('of the user')
    with atomic_write(tmp_path / 'other.pth') as being_written:
        save_checkpoint(dict(a=1), str(path))
        assert being_written.exists()
    found = sorted(os.listdir(tmp_path))
    assert found == ['.mine.pth', 'epoch_1.pth', 'other.pth']


# ------------------------------------------------------------------ resuming


def test_named_checkpoint_is_taken(trained, log):
    """Also if another one is further: of an older, longer training."""
    last = trained / 'last_checkpoint'
    assert find_latest_checkpoint(str(trained)) == last.read_text()
    assert 'last_checkpoint names it' in log.text


def test_named_checkpoint_of_a_copied_or_moved_folder(run, trained):
    last = run / 'last_checkpoint'
    assert last.read_text() == str(trained / 'epoch_3.pth')
    assert find_latest_checkpoint(str(run)) == str(run / 'epoch_3.pth')
    last.write_text('/gone/run/epoch_2.pth')
    assert find_latest_checkpoint(str(run)) == str(run / 'epoch_2.pth')


@pytest.mark.parametrize(
    'named, words',
    [
        (None, 'last_checkpoint is missing'),
        ('', 'last_checkpoint is empty'),
        ('\0' * 30, 'last_checkpoint is empty'),
        ('epoch\0_1.pth', 'last_checkpoint is damaged'),
        ('epoch_' * 1000, 'last_checkpoint is damaged'),
        (
            '/gone/epoch_9.pth',
            r'Passed over: /gone/epoch_9.pth does not exist',
        ),
    ],
)
def test_lost_name_takes_the_most_advanced(run, log, named, words):
    last = run / 'last_checkpoint'
    last.unlink() if named is None else last.write_text(named)
    os.utime(run / 'epoch_1.pth')  # the newest file is not the furthest
    assert find_latest_checkpoint(str(run)) == str(run / 'epoch_3.pth')
    assert words in log.text


def test_torn_and_damaged_files_are_passed_over(run, log):
    """Named torn, next one damaged; a file of other names is as good."""
    (run / 'last_checkpoint').write_text(str(run / 'epoch_3.pth'))
    tear(run / 'epoch_3.pth')
    os.rename(run / 'epoch_1.pth', run / 'stopped.pth')
    flip(run / 'epoch_2.pth', b'PK\x01\x02')
    assert find_latest_checkpoint(str(run)) == str(run / 'stopped.pth')
    assert 'epoch_3.pth is torn' in log.text
    assert 'epoch_2.pth is damaged' in log.text


def test_files_of_another_folder_are_taken_last(run, trained, log):
    """A run with out_dir: its work folder has only last_checkpoint."""
    work_dir = run.parent / 'work_dir'
    work_dir.mkdir()
    (work_dir / 'last_checkpoint').write_text(str(run / 'epoch_9.pth'))
    assert find_latest_checkpoint(str(work_dir)) == str(run / 'epoch_3.pth')
    shutil.copy(run / 'epoch_1.pth', work_dir)
    expected = str(work_dir / 'epoch_1.pth')
    assert find_latest_checkpoint(str(work_dir)) == expected


def test_best_checkpoints_are_never_taken(run, log):
    for name in os.listdir(run):
        if name.startswith('epoch_') or name == 'last_checkpoint':
            os.remove(run / name)
    best = next(run.glob('best_*.pth'))
    shutil.copy(best, run / 'weights.pth')
    assert find_latest_checkpoint(str(run)) is None
    assert 'Nothing to resume' in log.text
    assert 'weights.pth has no optimizer state' in log.text


def test_nothing_whole_is_an_error(run):
    (run / 'last_checkpoint').write_text(str(run / 'epoch_3.pth'))
    for path in run.glob('*.pth'):
        tear(path)
    with pytest.raises(BrokenCheckpointError, match='no checkpoint in .*torn'):
        find_latest_checkpoint(str(run))


def test_resume_without_a_checkpoint_says_so(tmp_path, log):
    runner = make_line_runner(tmp_path, 1, resume=True)
    runner.logger.addHandler(log.handler)
    runner.train()
    assert f'no checkpoint in {tmp_path}' in log.text
    assert 'None' not in log.text


def test_resumed_training_goes_on_from_the_whole_file(run):
    tear(run / 'epoch_3.pth')
    (run / 'last_checkpoint').write_text(str(run / 'epoch_3.pth'))
    runner = make_line_runner(run, 3, resume=True)
    runner.call_hook('before_run')
    runner.load_or_resume()
    assert runner.epoch == 2


def test_named_torn_file_is_an_error(run):
    tear(run / 'epoch_3.pth')
    runner = make_line_runner(
        run, 4, resume=True, load_from=str(run / 'epoch_3.pth')
    )
    with pytest.raises(BrokenCheckpointError, match=r'epoch_3\.pth is torn'):
        runner.train()
