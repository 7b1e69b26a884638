"""Tables of names: there and back is the identity for all official keys."""

import json

import pytest

from gtpt_mm.convert import GROUP_POSE_NAMES, NameTable, gtpt_names
from gtpt_mm.convert.group_pose import COPY
from gtpt_mm.convert.gtpt import CONSTANTS
from gtpt_mm.convert.names import count_layers, rename_tensors


def check_inverse(table: NameTable, official: list[str]) -> None:
    native = [table.native(name) for name in official]
    assert None not in native
    assert len(set(native)) == len(official)
    assert [table.foreign(name) for name in native] == official


@pytest.mark.parametrize('size', 'tsb')
@pytest.mark.parametrize('task', ['human', 'wholebody'])
def test_gtpt(size, task, gtpt_goldens):
    rows = gtpt_goldens.json('name_table')[f'{size}_{task}']
    names = [row[0] for row in rows]
    official = [name for name in names if not CONSTANTS.fullmatch(name)]
    depth = 2 * count_layers(official, 'features.transformer.layers.')
    assert depth == 12
    with_skips = any('.down_layer' in name for name in official)
    check_inverse(gtpt_names(depth, with_skips), official)


@pytest.mark.parametrize('backbone', ['resnet50', 'swin_T_224_1k'])
def test_group_pose(backbone, group_pose_goldens):
    path = group_pose_goldens / f'keys_{backbone}.json'
    keys = json.loads(path.read_text())
    official = [key for key in keys if not COPY.fullmatch(key)]
    assert len(official) < len(keys)
    check_inverse(GROUP_POSE_NAMES, official)


def test_the_first_row_that_fits_is_used():
    table = NameTable([('a.#.x.*', 'b.#.y.*'), ('a.**', 'b.**')])
    assert table.native('b.10.y.bias') == 'a.10.x.bias'
    assert table.native('b.10.y.scale') == 'a.10.y.scale'
    assert table.foreign('a.1.x.weight') == 'b.1.y.weight'
    assert table.foreign('c.1.x.weight') is None


def test_all_unknown_names_are_listed():
    table = NameTable([('a.*', 'b.*')])
    tensors = dict.fromkeys(['b.bias', 'c', 'd'])
    with pytest.raises(ValueError, match='2 keys do not belong to Net: c, d'):
        rename_tensors(tensors, table.native, 'Net')
