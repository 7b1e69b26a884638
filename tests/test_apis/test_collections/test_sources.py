"""Pictures of a collection by number."""

import os
from pathlib import Path

import numpy as np
import pytest
from support.collection import draw_pictures

from gtpt_mm.apis import read_inputs
from gtpt_mm.apis.collections.sources import Collection

pa = pytest.importorskip('pyarrow')
pq = pytest.importorskip('pyarrow.parquet')


@pytest.fixture
def paths(tmp_path):
    return draw_pictures(tmp_path / 'pictures', 7)


def write_rows(file, **columns) -> Path:
    pq.write_table(pa.table(columns), file, row_group_size=3)
    return file


def contents(paths) -> list[bytes]:
    return [Path(path).read_bytes() for path in paths]


def assert_pictures(collection, paths, names):
    """Any range has the pictures of these paths."""
    assert len(collection) == len(paths)
    images = [frame.image for frame in read_inputs(paths)]
    for start, stop in ((0, len(paths)), (2, 5), (4, 4), (6, 99)):
        assert list(collection.names(start, stop)) == names[start:stop]
        sources = list(collection.read(start, stop))
        assert [source.name for source in sources] == names[start:stop]
        for source, image in zip(sources, images[start:stop], strict=True):
            [frame] = source.read()
            np.testing.assert_array_equal(frame.image, image)
            assert frame.source == source.name


def test_folder_pattern_and_several_inputs(tmp_path, paths):
    folder = tmp_path / 'pictures'
    (folder / 'notes.md').touch()
    assert_pictures(Collection(folder), paths, paths)
    assert_pictures(Collection(f'{folder}/*.png'), paths, paths)
    parts = [f'{folder}/0000[0-2].png', *paths[3:5], f'{folder}/0000[56].png']
    assert_pictures(Collection(parts), paths, paths)


def test_list(tmp_path, paths):
    """Empty lines do not count; Windows ends lines otherwise."""
    path = tmp_path / 'list.txt'
    path.write_text('\n\n'.join(paths[:4]) + '\r\n' + '\r\n'.join(paths[4:]))
    assert_pictures(Collection(path), paths, paths)


def test_names_that_are_no_utf_8(tmp_path, paths):
    name = os.fsencode(tmp_path) + b'/caf\xe9.png'
    os.rename(paths[0], name)
    path = tmp_path / 'list.txt'
    path.write_bytes(name)
    [source] = Collection(path).read(0, 1)
    assert next(source.read()).image is not None


@pytest.mark.parametrize('form', ['bytes', 'struct', 'paths', 'no names'])
def test_parquet(tmp_path, paths, form):
    path = tmp_path / 'a.parquet'
    names = [f'name {i}' for i in range(7)]
    if form == 'bytes':
        write_rows(path, bytes=contents(paths), path=names, other=names)
    elif form == 'struct':  # as Hugging Face's datasets write it
        rows = [
            dict(bytes=content, path=name)
            for name, content in zip(names, contents(paths), strict=True)
        ]
        write_rows(path, image=rows)
    elif form == 'paths':
        write_rows(path, url=paths)
        names = paths
    else:
        write_rows(path, content=contents(paths))
        names = [f'{path}#{i}' for i in range(7)]
    assert_pictures(Collection(path), paths, names)


def test_folder_of_parquet_files(tmp_path, paths):
    folder = tmp_path / 'tables'
    folder.mkdir()
    write_rows(folder / 'b.parquet', path=paths[4:])
    write_rows(folder / 'a.parquet', path=paths[:4])
    assert_pictures(Collection(folder), paths, paths)


def test_rows_that_hold_no_picture(tmp_path):
    """Each is an error of its own."""
    rows = write_rows(
        tmp_path / 'a.parquet',
        bytes=[b'torn', None],
        path=['a', 'missing.jpg'],
    )
    torn, missing = Collection(rows).read(0, 2)
    assert 'cannot be decoded' in next(torn.read()).error
    assert 'no such file' in next(missing.read()).error


def test_what_is_no_collection(tmp_path):
    (tmp_path / 'more').mkdir()
    with pytest.raises(ValueError, match='folders in it are not searched'):
        Collection(tmp_path)
    with pytest.raises(ValueError, match='no image or video matches'):
        Collection(f'{tmp_path}/*.jpg')
    with pytest.raises(FileNotFoundError):
        Collection(tmp_path / 'list.txt')
    path = write_rows(tmp_path / 'a.parquet', label=[1])
    with pytest.raises(ValueError, match='no pictures: .* it has label'):
        Collection(path)
    write_rows(path, image=[[1, 2]])
    with pytest.raises(ValueError, match='column image of .* is of list'):
        Collection(path)
    path.write_bytes(b'torn')
    with pytest.raises(ValueError, match='a.parquet is torn'):
        Collection(path)
