"""``python tools/check_site.py SITE``: checks that mkdocs does not make.

Every public name is in the reference, every link and picture of every page
leads to a file, every ``#`` to an element, and llms.txt lists all pages.
"""

import importlib
import sys
import types
import urllib.parse
import zlib
from html.parser import HTMLParser
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
#: Packages whose ``__all__`` lists the public names.
PACKAGES = (
    'gtpt_mm', 'gtpt_mm.apis', 'gtpt_mm.benchmark', 'gtpt_mm.codecs',
    'gtpt_mm.convert', 'gtpt_mm.datasets', 'gtpt_mm.deploy', 'gtpt_mm.engine',
    'gtpt_mm.evaluation', 'gtpt_mm.models', 'gtpt_mm.ops',
    'gtpt_mm.visualization',
)  # fmt: skip
#: Values without a docstring of their own.
VALUES = {'__version__', 'import_error'}


class Page(HTMLParser):
    """The links and the anchors of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.anchors: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list) -> None:
        """Collect the links and the anchors of an element."""
        values = dict(attrs)
        self.anchors |= {values[k] for k in ('id', 'name') if values.get(k)}
        link = values.get('href') if tag == 'a' else values.get('src')
        if link and tag in ('a', 'img'):
            self.links.append(link)


def find_broken_links(site: Path) -> list[str]:
    """Return the links within the site that lead nowhere."""
    pages = {path: Page(path.read_text()) for path in site.rglob('*.html')}
    broken = []
    for path, page in pages.items():
        if path.name == '404.html':  # its links begin at the server's root
            continue
        for link in page.links:
            parts = urllib.parse.urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            target = path
            if parts.path:
                name = urllib.parse.unquote(parts.path)
                target = (path.parent / name).resolve()
            if target.is_dir():
                target = target / 'index.html'
            anchor = urllib.parse.unquote(parts.fragment)
            known = pages[target].anchors if target in pages else {anchor}
            if not target.is_file() or (anchor and anchor not in known):
                broken.append(f'{path.relative_to(site)}: {link}')
    return sorted(set(broken))


def read_inventory(site: Path) -> set[str]:
    """Return the names in objects.inv, which mkdocstrings writes."""
    data = (site / 'objects.inv').read_bytes()
    text = zlib.decompress(data.split(b'\n', 4)[4]).decode()
    return {line.split(' ')[0] for line in text.splitlines()}


def find_public_names() -> dict[str, str]:
    """Return each public name with the place of its definition."""
    found = {}
    for package in PACKAGES:
        module = importlib.import_module(package)
        for name in set(module.__all__) - VALUES:
            value = getattr(module, name)
            if isinstance(value, types.ModuleType):
                continue
            place = getattr(value, '__module__', package)
            origin = getattr(value, '__qualname__', name)
            found[f'{package}.{name}'] = f'{place}.{origin}'
    return found


def find_missing_names(known: set[str]) -> list[str]:
    """Return the public names that the reference lacks."""
    return sorted(
        name
        for name, origin in find_public_names().items()
        if name not in known and origin not in known
    )


def find_unlisted_pages(site: Path) -> list[str]:
    """Return the pages of the navigation that llms.txt lacks."""
    text = (site / 'llms.txt').read_text()
    return sorted(
        str(path.relative_to(site))
        for path in site.rglob('*.html')
        if path.name != '404.html'
        and path.parent.name != 'reference'
        and f'({path.relative_to(site)})' not in text
    )


def main(argv: list[str]) -> int:
    """Return 1 if something is missing."""
    site = Path(argv[0]).resolve()
    names = read_inventory(site)
    faults = [f'broken link: {x}' for x in find_broken_links(site)]
    faults += [f'not in the reference: {x}' for x in find_missing_names(names)]
    faults += [f'not in llms.txt: {x}' for x in find_unlisted_pages(site)]
    print('\n'.join(faults) or f'{len(names)} names, all links lead somewhere')
    return int(bool(faults))


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
