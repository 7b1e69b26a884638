"""The check of the built site finds what leads nowhere."""

import zlib

import pytest
from support.tools import load_tool

tool = load_tool('check_site')


@pytest.fixture
def site(tmp_path):
    """Two pages that lead to each other, listed in llms.txt."""
    (tmp_path / 'a').mkdir()
    (tmp_path / 'index.html').write_text(
        '<h1 id="top">x</h1><a href="a/b.html#part">b</a>'
        '<a href="https://example.org/none">out</a><a href="#top">up</a>'
    )
    (tmp_path / 'a/b.html').write_text(
        '<h2 id="part">x</h2><a href="..">home</a><img src="c.png">'
    )
    (tmp_path / 'a/c.png').write_bytes(b'')
    (tmp_path / 'llms.txt').write_text('- [x](index.html)\n- [b](a/b.html)\n')
    return tmp_path


def test_a_sound_site(site):
    assert tool.find_broken_links(site) == []
    assert tool.find_unlisted_pages(site) == []


@pytest.mark.parametrize(
    'old, new',
    [('b.html#part', 'b.html#parts'), ('"#top"', '"#bottom"')],
)
def test_an_anchor_that_is_missing(site, old, new):
    path = site / 'index.html'
    path.write_text(path.read_text().replace(old, new))
    [broken] = tool.find_broken_links(site)
    assert broken.startswith('index.html: ') and new.strip('"') in broken


def test_a_picture_and_a_page_that_are_missing(site):
    (site / 'a/c.png').unlink()
    (site / 'index.html').unlink()
    assert tool.find_broken_links(site) == ['a/b.html: ..', 'a/b.html: c.png']


def test_a_page_that_is_not_listed(site):
    (site / 'a/new.html').write_text('')
    assert tool.find_unlisted_pages(site) == ['a/new.html']


def test_the_inventory_is_read(tmp_path):
    head = b'# a\n# b\n# c\n# d\n'
    names = (
        b'gtpt_mm.fuse py:function 1 x.html#$ -\ngtpt_mm.A py:class 1 y -\n'
    )
    (tmp_path / 'objects.inv').write_bytes(head + zlib.compress(names))
    assert tool.read_inventory(tmp_path) == {'gtpt_mm.fuse', 'gtpt_mm.A'}
