"""A release names one version in all places."""

import pytest
from support.tools import load_tool

tool = load_tool('release')
CHANGES = """# Changes

## 0.2.0 (2026-12-01)

- New.

## 0.1.0 (2026-11-01)

- Old.
"""
VERSION, CITED = 'gtpt_mm/version.py', 'CITATION.cff'


@pytest.fixture
def clone(tmp_path):
    (tmp_path / 'gtpt_mm').mkdir()
    (tmp_path / 'gtpt_mm/version.py').write_text("__version__ = '0.2.0'\n")
    (tmp_path / 'CHANGELOG.md').write_text(CHANGES)
    (tmp_path / 'CITATION.cff').write_text(
        "version: 0.2.0\ndate-released: '2026-12-01'\n"
    )
    return tmp_path


def test_this_repository_agrees():
    assert tool.find_faults('') == []


def test_a_release_that_agrees(clone):
    assert tool.find_faults('v0.2.0', clone) == []
    assert tool.read_changes(clone) == ('0.2.0', '2026-12-01', '- New.')


@pytest.mark.parametrize(
    'name, old, new, fault',
    [
        (VERSION, '0.2.0', '0.3.0', 'the tag is v0.2.0, version.py says 0.3'),
        ('CHANGELOG.md', '2026-12-01', 'unreleased', 'says unreleased'),
        ('CHANGELOG.md', '- New.', '', 'has nothing under 0.2.0'),
        (CITED, '0.2.0', '0.1.9', 'CITATION.cff says 0.1.9'),
        (CITED, '12-01', '12-02', 'is 2026-12-02, CHANGELOG.md says 2026'),
    ],
)
def test_what_does_not_agree(clone, name, old, new, fault):
    path = clone / name
    path.write_text(path.read_text().replace(old, new, 1))
    assert fault in '\n'.join(tool.find_faults('v0.2.0', clone))


def test_another_heading(clone):
    (clone / 'CHANGELOG.md').write_text('# Changes\n\n## Next\n')
    with pytest.raises(ValueError, match="'## Next', not like"):
        tool.read_changes(clone)
