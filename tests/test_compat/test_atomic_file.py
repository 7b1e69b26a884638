import os

import pytest

from gtpt_mm.compat.files.atomic_file import atomic_write


def test_new_file_has_the_usual_mode_and_nothing_is_left_beside(tmp_path):
    (tmp_path / 'plain').write_text('')
    with atomic_write(tmp_path / 'new.pth') as temporary:
        assert temporary.suffix == '.pth'
        temporary.write_text('whole')
    assert (tmp_path / 'new.pth').read_text() == 'whole'
    assert sorted(os.listdir(tmp_path)) == ['new.pth', 'plain']
    new, plain = (os.stat(tmp_path / name) for name in ('new.pth', 'plain'))
    assert new.st_mode == plain.st_mode


def test_failure_keeps_the_old_file(tmp_path):
    target = tmp_path / 'a.pth'
    target.write_text('old')
    with pytest.raises(KeyError), atomic_write(target) as temporary:
        temporary.write_text('half')
        raise KeyError
    assert target.read_text() == 'old'
    assert os.listdir(tmp_path) == ['a.pth']


def test_replaces_the_file_behind_a_link(tmp_path):
    target, link = tmp_path / 'a.pth', tmp_path / 'link.pth'
    target.write_text('old')
    link.symlink_to(target)
    with atomic_write(link) as temporary:
        temporary.write_text('new')
    assert link.is_symlink() and target.read_text() == 'new'


def test_refuses_a_folder(tmp_path):
    with pytest.raises(IsADirectoryError, match='is a folder'):  # noqa: SIM117
        with atomic_write(tmp_path):
            raise AssertionError('not reached')
