"""Copies of the shared cases in a scratch folder."""

import pytest
from faults.scratch import PARTS, REPLACEMENTS, ROOT, Scratch


@pytest.fixture
def scratch(shared_dir, tmp_path):
    folder = Scratch(tmp_path / 'work', shared_dir)
    folder.fill()
    return folder


def test_no_mark_is_left_in_a_copy(scratch):
    copies = [*scratch.path.glob('*.*'), *(scratch.path / 'cfg').iterdir()]
    assert len(copies) > 50
    for copy in copies:
        text = copy.read_text()
        for mark in ('@ROOT@', '@SITE@', '@SHARED@', '@WORK@'):
            assert mark not in text, copy


def test_each_replacement_is_needed(shared_dir):
    texts = [
        path.read_text()
        for folder in ('faults/cases', 'bugs/training', 'bugs/inference')
        for path in (shared_dir / folder).rglob('*.*')
        if path.suffix in ('.py', '.sh')
    ]
    for replacement in REPLACEMENTS:
        assert any(replacement.old in text for text in texts), replacement
        assert replacement.reason


def test_replaced_code_is_code(scratch):
    for copy in scratch.path.rglob('*.py'):
        compile(copy.read_text(), copy, 'exec')


def test_cases_import_the_tree_of_this_test(scratch):
    assert scratch.env['PYTHONPATH'].split(':')[0] == str(ROOT)


def test_a_part_is_made_once(scratch, monkeypatch):
    made = []
    monkeypatch.setitem(PARTS, 'demo', made.append)
    scratch.prepare('demo')
    scratch.prepare('demo')
    assert made == [scratch]


def test_cases_of_each_folder_import_their_own_module(scratch, shared_dir):
    for case, module in (
        ('06_resume_finetune.py', 'common'),
        ('f02_bboxes_ignored.py', 'inference_common'),
    ):
        text = (scratch.path / case).read_text()
        assert f'from {module} import *' in text
    training = (shared_dir / 'bugs/training/common.py').read_text()
    assert (scratch.path / 'common.py').read_text() == scratch.bend(training)
