"""Splits: seeded, by group or picture, nothing in two of them."""

from collections import Counter

import pytest
from support.exchange_sets import draw_set, save_picture

from gtpt_mm.datasets.exchange import KeypointSet, Picture, split


def make(tmp_path, groups: list[str], splits: list[str] | None = None):
    """Return a set of different pictures of these groups and splits."""
    splits = splits or [''] * len(groups)
    pictures = []
    for k, (group, own) in enumerate(zip(groups, splits, strict=True)):
        path = tmp_path / f'{k:03}.bin'
        path.write_bytes(b'%d' % k)
        pictures.append(
            Picture(path.name, 9, 9, path=path, group=group, split=own)
        )
    return KeypointSet(['a'], pictures)


def by_name(found: KeypointSet) -> dict[str, str]:
    return {p.name: p.split for p in found.pictures}


def test_share_and_seed(tmp_path):
    found = split(make(tmp_path, [''] * 50), val=0.2, seed=3)
    assert Counter(p.split for p in found.pictures) == dict(train=40, val=10)
    assert found.notes == ['val was drawn: 10 of 50 pictures, seed 3']
    again = make(tmp_path, [''] * 50)
    again.pictures.reverse()  # the order of the files does not matter
    assert by_name(split(again, val=0.2, seed=3)) == by_name(found)
    other = split(make(tmp_path, [''] * 50), val=0.2, seed=4)
    assert by_name(other) != by_name(found)


def test_groups_stay_together(tmp_path):
    found = split(make(tmp_path, [f'video{k % 10}' for k in range(60)]))
    splits = {}
    for picture in found.pictures:
        splits.setdefault(picture.group, set()).add(picture.split)
    assert all(len(s) == 1 for s in splits.values())
    assert Counter(p.split for p in found.pictures) == dict(train=48, val=12)
    by_picture = split(
        make(tmp_path, [f'video{k % 10}' for k in range(60)]), by='picture'
    )
    groups = {p.group for p in by_picture.pictures if p.split == 'val'}
    assert len(groups) > 2


def test_uneven_groups(tmp_path):
    groups = ['long'] * 40 + ['short'] * 1
    found = split(make(tmp_path, groups))
    assert Counter(p.split for p in found.pictures)['val'] == 8
    assert any('too uneven' in note for note in found.notes)
    asked = split(make(tmp_path, groups), by='group')
    val = [p for p in asked.pictures if p.split == 'val']
    assert [p.group for p in val] == ['short']


@pytest.mark.parametrize('by', ['picture', 'group'])
def test_equal_contents_stay_together(tmp_path, by):
    for seed in range(5):
        found = make(tmp_path, [f'{k // 3}' for k in range(30)])
        for picture in found.pictures[:12:2]:
            picture.path.write_bytes(b'the same')
        split(found, seed=seed, by=by)
        contents = {
            name: {
                p.path.read_bytes() for p in found.pictures if p.split == name
            }
            for name in ('train', 'val')
        }
        assert not contents['train'] & contents['val']
        assert len(found.pictures) == 30


def test_the_split_of_the_source_stays(tmp_path):
    splits = ['train'] * 4 + ['val'] * 3 + ['test'] * 2 + ['']
    found = split(make(tmp_path, [''] * 10, splits), val=0.5)
    assert [p.split for p in found.pictures] == [*splits[:-1], 'train']
    assert not found.dropped


def test_pictures_of_train_that_are_in_val_leave_train(tmp_path):
    splits = ['train'] * 3 + ['val'] * 2 + ['test']
    found = make(tmp_path, [''] * 6, splits)
    found.pictures[1].path.write_bytes(found.pictures[3].path.read_bytes())
    found.pictures[4].path.write_bytes(found.pictures[5].path.read_bytes())
    split(found)
    assert by_name(found) == {
        '000.bin': 'train',
        '002.bin': 'train',
        '003.bin': 'val',
        '005.bin': 'test',
    }
    assert found.dropped == {
        'pictures of train that are in val as well': 1,
        'pictures of val that are in test as well': 1,
    }


def test_only_train_and_test_in_the_source(tmp_path):
    splits = ['train'] * 10 + ['test'] * 5
    found = split(make(tmp_path, [''] * 15, splits))
    counts = Counter(p.split for p in found.pictures)
    assert counts == dict(train=8, val=2, test=5)


def test_pictures_in_memory(tmp_path):
    found = draw_set(tmp_path, num=6, split=False)
    for picture in found.pictures:
        picture.content, picture.path = picture.path.read_bytes(), None
    found.pictures[0].content = found.pictures[5].content
    for seed in range(4):
        for picture in found.pictures:
            picture.split = ''
        split(found, val=0.4, seed=seed)
        assert found.pictures[0].split == found.pictures[5].split


def test_what_cannot_be_split(tmp_path):
    with pytest.raises(ValueError, match='1 pictures with 1 different'):
        split(make(tmp_path, ['']))
    with pytest.raises(ValueError, match='between 0 and 1, not 1.5'):
        split(make(tmp_path, [''] * 4), val=1.5)
    with pytest.raises(ValueError, match='fewer than two groups'):
        split(make(tmp_path, ['a'] * 4), by='group')
    with pytest.raises(ValueError, match="not 'video'"):
        split(make(tmp_path, ['a'] * 4), by='video')
    same = make(tmp_path, [''] * 3)
    for picture in same.pictures:
        save_picture(tmp_path / 'x.png')
        picture.path = tmp_path / 'x.png'
    with pytest.raises(ValueError, match='3 pictures with 1 different'):
        split(same)


def test_val_drawn_where_the_source_gives_train_twice(tmp_path):
    """Tutorials of Ultralytics name one folder for train and val."""
    found = make(tmp_path, [''] * 10, ['train'] * 10)
    found.pictures += make(tmp_path, [''] * 10, ['val'] * 10).pictures
    split(found, val=0.2)
    assert Counter(p.split for p in found.pictures) == dict(train=8, val=2)
    assert len(by_name(found)) == 10
    assert any('holds all pictures of train' in n for n in found.notes)


def test_splits_that_share_all_pictures_of_train(tmp_path):
    """A folder with several splits of one set, as that of AP-10K."""
    found = make(tmp_path, [''] * 4, ['train', 'train', 'val', 'test'])
    again = make(tmp_path, [''] * 4, ['val', 'test', 'test', 'train'])
    found.pictures += again.pictures
    with pytest.raises(
        ValueError, match='1 pictures of train that are in val'
    ):
        split(found)
