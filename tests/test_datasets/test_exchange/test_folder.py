"""The folder of a set of one's own: whole or not at all."""

import os
import socket

import pytest
from support.exchange_sets import NAMES, draw_set

from gtpt_mm.datasets.exchange import folder as folder_module
from gtpt_mm.datasets.exchange import read_folder, split, write_folder


def list_all(path) -> dict[str, bytes]:
    return {
        str(p.relative_to(path)): p.read_bytes()
        for p in path.rglob('*')
        if p.is_file()
    }


def test_what_is_written(tmp_path):
    drawn = draw_set(tmp_path / 'pictures')
    own = write_folder(drawn, tmp_path / 'out')
    assert own.folder == tmp_path / 'out'
    assert own.ann_files == {
        'train': tmp_path / 'out' / 'train.json',
        'val': tmp_path / 'out' / 'val.json',
    }
    assert own.image_folder == tmp_path / 'out' / 'images'
    assert read_folder(tmp_path / 'out') == own
    written = list_all(tmp_path / 'out')
    assert set(written) == {
        'train.json',
        'val.json',
        'metainfo.py',
        *(f'images/a/{k}.png' for k in (0, 1, 3, 4, 5)),
        'images/b/0.png',
    }
    assert sorted(os.listdir(tmp_path)) == ['out', 'pictures']


def test_mmpose_reads_it(tmp_path):
    from mmpose.datasets import CocoDataset

    drawn = draw_set(tmp_path / 'pictures')
    own = write_folder(drawn, tmp_path / 'out')
    dataset = CocoDataset(
        ann_file=str(own.ann_files['train']),
        data_prefix=dict(img=f'{own.image_folder}/'),
        metainfo=dict(from_file=str(own.folder / 'metainfo.py')),
        pipeline=[],
    )
    names = dataset.metainfo['keypoint_id2name']
    assert [names[k] for k in range(len(names))] == NAMES
    assert dataset.metainfo['flip_indices'] == [0, 2, 1, 3]
    train = [p for p in drawn.pictures if p.split == 'train']
    assert len(dataset) == sum(len(p.instances) for p in train)
    first = dataset[0]
    assert os.path.isfile(first['img_path'])
    point = train[0].instances[0].keypoints[0]
    assert first['keypoints'][0, 0] == pytest.approx(point, abs=1e-3)


def test_links(tmp_path):
    drawn = draw_set(tmp_path / 'pictures')
    write_folder(drawn, tmp_path / 'out', link=True)
    link = tmp_path / 'out' / 'images' / 'a' / '0.png'
    assert link.is_symlink()
    assert link.resolve() == drawn.pictures[0].path.resolve()


def test_nothing_is_replaced_without_overwrite(tmp_path):
    drawn = draw_set(tmp_path / 'pictures')
    write_folder(drawn, tmp_path / 'out')
    before = list_all(tmp_path / 'out')
    with pytest.raises(ValueError, match='exists and is not empty.*--overw'):
        write_folder(draw_set(tmp_path / 'p2', seed=1), tmp_path / 'out')
    assert list_all(tmp_path / 'out') == before
    other = draw_set(tmp_path / 'p2', num=4, seed=1)
    write_folder(other, tmp_path / 'out', overwrite=True)
    assert 'images/a/5.png' not in list_all(tmp_path / 'out')
    (tmp_path / 'mine').mkdir()
    (tmp_path / 'mine' / 'thesis.txt').write_text('years')
    with pytest.raises(ValueError, match='holds other things'):
        write_folder(other, tmp_path / 'mine', overwrite=True)
    (tmp_path / 'file').write_text('')
    with pytest.raises(ValueError, match='is a file'):
        write_folder(other, tmp_path / 'file', overwrite=True)
    (tmp_path / 'empty').mkdir()
    write_folder(other, tmp_path / 'empty')


def test_an_error_leaves_no_half_folder(tmp_path, monkeypatch):
    drawn = draw_set(tmp_path / 'pictures')
    write_folder(drawn, tmp_path / 'old')
    before = list_all(tmp_path / 'old')

    def interrupt(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr(folder_module, 'write_metainfo', interrupt)
    for name in ('new', 'old'):
        with pytest.raises(KeyboardInterrupt):
            write_folder(drawn, tmp_path / name, overwrite=True)
    assert sorted(os.listdir(tmp_path)) == ['old', 'pictures']
    assert list_all(tmp_path / 'old') == before


def test_leftovers_of_a_killed_process_go(tmp_path):
    host = socket.gethostname()
    dead = tmp_path / f'.gtpt_mm-999999999@{host}~out'
    alive = tmp_path / f'.gtpt_mm-{os.getpid()}@{host}~other'
    for folder in (dead, alive):
        (folder / 'images').mkdir(parents=True)
    write_folder(draw_set(tmp_path / 'pictures'), tmp_path / 'out')
    assert not dead.exists()
    assert alive.exists()


def test_a_folder_that_was_moved_aside_by_a_killed_process_is_back(tmp_path):
    drawn = draw_set(tmp_path / 'pictures')
    write_folder(drawn, tmp_path / 'out')
    host = socket.gethostname()
    old = tmp_path / f'.gtpt_mm-999999999@{host}~out.old'
    (tmp_path / 'out').rename(old)
    with pytest.raises(ValueError, match='exists and is not empty'):
        write_folder(drawn, tmp_path / 'out')
    assert (tmp_path / 'out' / 'train.json').is_file()


def test_links_into_the_folder_that_is_replaced(tmp_path):
    from gtpt_mm.datasets.exchange import read_set

    write_folder(draw_set(tmp_path / 'pictures'), tmp_path / 'out')
    own = read_set(tmp_path / 'out')
    with pytest.raises(ValueError, match='would lead nowhere'):
        write_folder(own, tmp_path / 'out', link=True, overwrite=True)
    write_folder(own, tmp_path / 'out', overwrite=True)
    assert len(list_all(tmp_path / 'out')) == 9


def test_missing_pictures_and_splits(tmp_path):
    drawn = draw_set(tmp_path / 'pictures')
    drawn.pictures[0].path = None
    write_folder(drawn, tmp_path / 'out')
    assert drawn.dropped == {'pictures whose file was not found': 1}
    unsplit = draw_set(tmp_path / 'p2', split=False)
    with pytest.raises(ValueError, match='not split'):
        write_folder(unsplit, tmp_path / 'o2')
    assert not (tmp_path / 'o2').exists()
    write_folder(split(unsplit), tmp_path / 'o2')
    with pytest.raises(ValueError, match='lacks metainfo.py'):
        read_folder(tmp_path / 'pictures')


def test_pictures_in_memory(tmp_path):
    drawn = draw_set(tmp_path / 'pictures')
    contents = [p.path.read_bytes() for p in drawn.pictures]
    for picture, content in zip(drawn.pictures, contents, strict=True):
        picture.content, picture.path = content, None
    write_folder(drawn, tmp_path / 'out', link=True)
    assert (tmp_path / 'out' / 'images' / 'a' / '0.png').read_bytes() == (
        contents[0]
    )
