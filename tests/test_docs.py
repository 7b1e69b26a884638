"""Pages and examples: links lead somewhere, shown code is the code."""

import importlib
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from support.tools import load_tool

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / 'docs'
#: Pages that the navigation adds, see tools/docs_hooks.py.
PAGES = (
    *ROOT.glob('*.md'),
    *ROOT.glob('.github/*.md'),
    *ROOT.glob('configs/**/*.md'),
    *ROOT.glob('projects/**/*.md'),
    *DOCS.rglob('*.md'),
)
LINK = re.compile(r'\[[^\]]*\]\(([^)\s]+)\)')


def slug(heading: str) -> str:
    """Return the anchor of a heading, as GitHub and mkdocs make it."""
    words = re.sub(r'\[([^\]]*)\]\([^)]*\)', r'\1', heading)
    words = re.sub(r'[^\w\s-]', '', words.lower()).strip()
    return re.sub(r'[-\s]+', '-', words)


def find_anchors(path: Path) -> set[str]:
    text = re.sub(r'^```.*?^```', '', path.read_text(), flags=re.M | re.S)
    return {slug(x) for x in re.findall(r'^#+ (.+)$', text, re.MULTILINE)}


@pytest.mark.parametrize(
    'page', PAGES, ids=[str(p.relative_to(ROOT)) for p in PAGES]
)
def test_links_of_a_clone_lead_to_files_and_headings(page):
    text = re.sub(r'^```.*?^```', '', page.read_text(), flags=re.M | re.S)
    text = re.sub(r'`[^`\n]*`', '', text)
    for target in LINK.findall(text):
        if re.match(r'[a-z]+:', target):
            continue
        name, _, anchor = target.partition('#')
        path = (page.parent / name).resolve() if name else page
        assert path.exists(), target
        if anchor and path.suffix == '.md':
            assert anchor in find_anchors(path), target


def read_nav() -> list[str]:
    """Return the pages of mkdocs.yml."""
    text = (ROOT / 'mkdocs.yml').read_text()
    return re.findall(r'[\w/.-]+\.(?:md|ipynb)', text.split('\nnav:')[1])


def test_every_page_is_in_the_navigation():
    nav = {path for path in read_nav() if (DOCS / path).exists()}
    pages = {
        str(path.relative_to(DOCS))
        for kind in ('md', 'ipynb')
        for path in DOCS.rglob(f'*.{kind}')
    }
    assert pages == nav


def test_every_public_name_is_in_the_reference():
    """By its package, or by itself where it is imported at its first use."""
    text = ''.join(x.read_text() for x in (DOCS / 'reference').glob('*.md'))
    shown = set(re.findall(r'^::: (\S+)', text, re.MULTILINE))
    names = load_tool('check_site').find_public_names()
    assert len(names) > 150
    for name, origin in names.items():
        package = name.rpartition('.')[0]
        assert {package, name, origin} & shown or (
            # Of another package that is shown.
            origin.split('.')[1] in {x.split('.')[1] for x in shown}
        ), name


def test_names_of_the_reference_exist():
    for page in (DOCS / 'reference').glob('*.md'):
        for name in re.findall(r'^::: (\S+)', page.read_text(), re.MULTILINE):
            try:
                importlib.import_module(name)
            except ModuleNotFoundError:
                module, _, attribute = name.rpartition('.')
                assert hasattr(importlib.import_module(module), attribute)


def test_yaml_files_parse():
    paths = [
        *(ROOT / '.github').rglob('*.yml'),
        *(ROOT / name for name in ('CITATION.cff', '.pre-commit-config.yaml')),
    ]
    assert len(paths) >= 8
    for path in paths:
        assert yaml.safe_load(path.read_text()), path


# ------------------------------------------------- the example of extend.md


def read_blocks(page: str, kind: str) -> list[tuple[str, str]]:
    """Return title and text of the blocks of a kind of a page."""
    return re.findall(
        rf'^```{kind}(?: title="([^"]+)")?\n(.*?)^```',
        (DOCS / page).read_text(),
        re.MULTILINE | re.DOTALL,
    )


def test_code_that_is_shown_is_that_of_the_example():
    blocks = read_blocks('extend.md', 'python')
    assert len(blocks) >= 7
    for title, text in blocks:
        assert text in (ROOT / title).read_text(), f'{title}:\n{text}'


@pytest.mark.slow
def test_commands_of_the_example_run(tmp_path):
    """As they stand, in a folder with a link to the clone's.

    The example's own tests train it in this process.
    """
    [(_, commands)] = read_blocks('extend.md', 'bash')
    (tmp_path / 'projects').symlink_to(ROOT / 'projects')
    path = os.pathsep.join(
        [str(Path(sys.executable).parent), os.environ['PATH']]
    )
    done = subprocess.run(
        [
            'bash',
            '-euc',
            commands.replace('PYTHONPATH=', f'PYTHONPATH={ROOT}:'),
        ],
        cwd=tmp_path,
        env={
            **os.environ,
            **dict(OMP_NUM_THREADS='1', PATH=path, PYTHONPATH=str(ROOT)),
        },
        capture_output=True,
        text=True,
    )
    printed = done.stdout + done.stderr
    assert done.returncode == 0, printed[-3000:]
    found = re.findall(r'Epoch\((?:val|test)\).*PCK: ([\d.]+)', printed)
    assert len(found) == 2
    # From one chance in a hundred at the start: it learns.
    assert float(found[0]) > 0.2
    assert found[0] == found[1]
