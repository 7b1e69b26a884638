"""``python tools/release.py [TAG]``: check the version of a release.

``gtpt_mm/version.py``, the first heading of CHANGELOG.md, CITATION.cff and the
tag must have the same version. Writes the section of CHANGELOG.md to
build/release_notes.md.
"""

import re
import sys
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[1]


def read_version(root: Path = ROOT) -> str:
    """Return the version of the package without importing it."""
    text = (root / 'gtpt_mm' / 'version.py').read_text()
    return re.search(r"__version__ = '([^']+)'", text)[1]


def read_changes(root: Path = ROOT) -> tuple[str, str, str]:
    """Return version, day and text of the first section of CHANGELOG.md.

    Raises:
        ValueError: If the heading has another form.
    """
    text = (root / 'CHANGELOG.md').read_text()
    _, _, text = text.partition('\n## ')
    heading, _, text = text.partition('\n')
    found = re.fullmatch(r'(\S+) \((\d{4}-\d\d-\d\d|unreleased)\)', heading)
    if not found:
        raise ValueError(
            f"the first heading of CHANGELOG.md is '## {heading}', not like "
            "'## 0.2.0 (2026-12-01)' or '## 0.2.0 (unreleased)'"
        )
    return found[1], found[2], text.partition('\n## ')[0].strip()


def find_faults(tag: str, root: Path = ROOT) -> list[str]:
    """Return the contradictions, one sentence each.

    Args:
        tag: Tag of the release, ``'v0.2.0'``; '' for none.
        root: Root of the repository.
    """
    version = read_version(root)
    changed, day, notes = read_changes(root)
    citation = yaml.safe_load((root / 'CITATION.cff').read_text())
    faults = []
    if tag and tag != f'v{version}':
        faults.append(f'the tag is {tag}, version.py says {version}')
    if tag and day == 'unreleased':
        faults.append('CHANGELOG.md says unreleased in place of the day')
    if tag and str(citation.get('date-released')) != day:
        faults.append(
            f'date-released of CITATION.cff is '
            f'{citation.get("date-released")}, CHANGELOG.md says {day}'
        )
    others = {'CHANGELOG.md': changed, 'CITATION.cff': citation['version']}
    for name, other in others.items():
        if other != version:
            faults.append(f'{name} says {other}, version.py says {version}')
    if not notes:
        faults.append(f'CHANGELOG.md has nothing under {version}')
    return faults


def main(argv: list[str]) -> int:
    """Return 1 if something does not agree."""
    faults = find_faults(argv[0] if argv else '')
    for fault in faults:
        print(f'release: {fault}', file=sys.stderr)
    if not faults:
        path = ROOT / 'build' / 'release_notes.md'
        path.parent.mkdir(exist_ok=True)
        path.write_text(read_changes()[2] + '\n')
        print(f'release: {read_version()} agrees; {path.relative_to(ROOT)}')
    return int(bool(faults))


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
