"""Steps of mkdocs besides rendering docs/ (``hooks`` of mkdocs.yml).

- Some files of the repository are pages as well (``PAGES``); links to them
  are the same in a clone and on the site.
- llms.txt lists the pages for language models, llms-full.txt has their text.
"""

import json
import posixpath
import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).resolve().parents[1]
#: File of the repository: its page.
PAGES = {
    'CONTRIBUTING.md': 'contributing.md',
    'CHANGELOG.md': 'changelog.md',
    '.github/SECURITY.md': 'security.md',
    'configs/README.md': 'configs.md',
    **{
        f'projects/{path.parent.name}/README.md': (
            f'projects/{path.parent.name}.md'
        )
        for path in sorted(ROOT.glob('projects/*/README.md'))
    },
}
LINK = re.compile(r'(?<!!)\[([^\]]*)\]\(([^)\s]+)\)')

_texts: dict[str, tuple[str, str]] = {}


def move_links(text: str, source: str) -> str:
    """Return a text with links that work on the site.

    A link to a file that has no page is replaced by its text.

    Args:
        text: Markdown.
        source: Path of its file in the repository.

    Example:
        >>> move_links('[how](../CONTRIBUTING.md#test)', 'docs/style.md')
        '[how](contributing.md#test)'
        >>> move_links('[terms](LICENSE)', 'CONTRIBUTING.md')
        'terms'
    """
    page = find_page(source)

    def move(link: re.Match) -> str:
        words, target = link.groups()
        path, hash_, anchor = target.partition('#')
        if not path or re.match(r'[a-z]+:', path):
            return link[0]
        joined = posixpath.join(posixpath.dirname(source), path)
        found = find_page(posixpath.normpath(joined))
        if found is None:
            return words
        moved = posixpath.relpath(found, posixpath.dirname(page) or '.')
        return f'[{words}]({moved}{hash_}{anchor})'

    return LINK.sub(move, text)


def find_page(path: str) -> str | None:
    """Return the page of a file of the repository, None if it has none."""
    if path.startswith('docs/'):
        return path.removeprefix('docs/')
    return PAGES.get(path)


def on_files(files: Files, config: Any) -> Files:
    """Add the pages that are files of the repository."""
    for source, page in PAGES.items():
        text = (ROOT / source).read_text()
        files.append(File.generated(config, page, content=text))
    return files


def on_page_markdown(
    markdown: str, page: Any, config: Any, files: Files
) -> str:
    """Move links, and keep the text for llms.txt."""
    sources = {page_: source for source, page_ in PAGES.items()}
    path = page.file.src_uri
    if path.endswith('.ipynb'):
        text = read_notebook(ROOT / 'docs' / path)
    else:
        text = move_links(markdown, sources.get(path, f'docs/{path}'))
    if not path.startswith('reference/'):
        _texts[path] = (page.file.url, text)
    return text if path.endswith('.md') else markdown


def on_post_page(output: str, page: Any, config: Any) -> str:
    """Let links of notebooks lead to pages; mkdocs moves those of texts."""
    if not page.file.src_uri.endswith('.ipynb'):
        return output
    pattern = r'href="(?![a-z]+:)([^"]+)\.(?:md|ipynb)(#[^"]*)?"'
    return re.sub(pattern, r'href="\1.html\2"', output)


def read_notebook(path: Path) -> str:
    """Return the cells of a notebook as Markdown, without outputs."""
    cells = json.loads(path.read_text())['cells']
    texts = [(cell['cell_type'], ''.join(cell['source'])) for cell in cells]
    return '\n\n'.join(
        text if kind == 'markdown' else f'```\n{text}\n```'
        for kind, text in texts
    )


def on_post_build(config: Any) -> None:
    """Write llms.txt and llms-full.txt, in the order of the navigation."""
    order = [path for path in list_nav(config.nav) if path in _texts]
    site = Path(config.site_dir)
    lines = [f'# {config.site_name}', '', f'> {config.site_description}', '']
    lines += [describe(path, *_texts[path]) for path in order]
    (site / 'llms.txt').write_text('\n'.join(lines) + '\n')
    full = [f'<!-- {path} -->\n\n{_texts[path][1]}' for path in order]
    (site / 'llms-full.txt').write_text('\n\n'.join(full) + '\n')


def list_nav(nav: Any) -> list[str]:
    """Return the pages of a navigation in their order.

    Example:
        >>> list_nav(['a.md', {'B': ['b.md', {'C': 'c.md'}]}])
        ['a.md', 'b.md', 'c.md']
    """
    if isinstance(nav, str):
        return [nav]
    parts = nav.values() if isinstance(nav, dict) else nav
    return [path for part in parts for path in list_nav(part)]


def describe(path: str, url: str, text: str) -> str:
    """Return the line of a page: title, address, first sentence.

    Example:
        >>> describe('a.md', 'a.html', '# A page\\n\\nIt is short. And so.')
        '- [A page](a.html): It is short.'
    """
    title = re.search(r'^# (.+)$', text, re.MULTILINE)
    body = text[title.end() :] if title else text
    paragraph = next(
        (
            ' '.join(part.split())
            for part in body.split('\n\n')
            if re.match(r'[A-Z"]|`[^`]', part.strip())
        ),
        '',
    )
    first = re.match(r'.+?[.:](?= |$)', paragraph)
    words = LINK.sub(r'\1', first[0] if first else paragraph)
    return f'- [{title[1] if title else path}]({url}): {words}'.rstrip(': ')
