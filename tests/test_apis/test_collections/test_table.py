"""Results as Parquet files and back."""

import os
import sys

import numpy as np
import pytest
from support.collection import assert_same

from gtpt_mm.apis import PoseResult, Skeleton, read_predictions
from gtpt_mm.apis.collections import table
from gtpt_mm.apis.results import Frame

pq = pytest.importorskip('pyarrow.parquet')

SKELETON = Skeleton(
    ('nose', 'tail'),
    links=((0, 1),),
    keypoint_colors=((1, 2, 3), (4, 5, 6)),
    sigmas=(0.25, 0.5),
    dataset='fish',
)


def make(source: str, num: int, image=None, **frame) -> PoseResult:
    rng = np.random.default_rng(num)
    return PoseResult(
        keypoints=rng.normal(size=(num, 2, 2)).astype(np.float32),
        scores=rng.normal(size=(num, 2)).astype(np.float32),
        boxes=rng.normal(size=(num, 4)).astype(np.float32),
        box_scores=rng.normal(size=num).astype(np.float32),
        skeleton=SKELETON,
        frame=Frame(image, source, **frame),
    )


RESULTS = [
    make('a.jpg', 2, np.zeros((48, 64, 3), np.uint8)),
    make('b.jpg', 0, error='the file is torn'),
    make('c.jpg', 0, np.zeros((5, 7, 3), np.uint8)),
    make('d.mp4', 3, index=4, time=0.125),
    make('e.jpg', 1),
]


def write(path, results=RESULTS):
    facts = dict(skeleton=table.describe_skeleton(SKELETON), model='m')
    with table.write_table(path, facts) as writer:
        for result in results:
            writer.write(result)
    return path


@pytest.mark.parametrize('group', [2, 4096])
def test_results_return_as_they_were(tmp_path, monkeypatch, group):
    """Bit for bit, over the borders of groups; without their images."""
    monkeypatch.setattr(table, 'ROW_GROUP', group)
    path = write(tmp_path / 'a.parquet')
    found = list(read_predictions(path))
    assert_same(found, RESULTS)
    assert found[0].skeleton == SKELETON
    assert all(result.frame.image is None for result in found)
    assert found[0].keypoints.dtype == np.float32
    assert pq.read_metadata(path).num_row_groups == -(-5 // group)
    assert os.listdir(tmp_path) == ['a.parquet']


def test_the_columns_that_other_programs_read(tmp_path):
    """Names, units and null values are promised by docs/collections.md."""
    path = write(tmp_path / 'a.parquet')
    facts = table.read_facts(path)
    assert facts['skeleton']['names'] == ['nose', 'tail']
    assert facts['model'] == 'm'
    rows = pq.read_table(path).to_pylist()
    assert [r['width'] for r in rows] == [64, None, 7, None, None]
    assert [r['height'] for r in rows] == [48, None, 5, None, None]
    assert [r['index'] for r in rows] == [None, None, None, 4, None]
    assert rows[3]['time'] == 0.125 and rows[0]['time'] is None
    assert rows[1]['error'] == 'the file is torn' and rows[0]['error'] == ''
    assert [len(r['people']) for r in rows] == [2, 0, 0, 3, 1]
    person, wanted = rows[3]['people'][2], RESULTS[3]
    box = [person[name] for name in ('box_x1', 'box_y1', 'box_x2', 'box_y2')]
    np.testing.assert_array_equal(box, wanted.boxes[2])
    assert person['box_score'] == wanted.box_scores[2]
    assert person['keypoints'][1] == dict(
        x=wanted.keypoints[2, 1, 0],
        y=wanted.keypoints[2, 1, 1],
        score=wanted.scores[2, 1],
    )


@pytest.mark.parametrize('results', [[], RESULTS[1:3]])
def test_a_file_without_people(tmp_path, results):
    path = write(tmp_path / 'a.parquet', results)
    assert_same(list(read_predictions(path)), results)
    assert table.find_damage(path) == ''


def test_a_name_that_is_no_utf_8(tmp_path):
    name = os.fsdecode(b'caf\xe9.jpg')
    path = write(tmp_path / 'a.parquet', [make(name, 1)])
    [result] = read_predictions(path)
    assert result.frame.source == r'caf\xe9.jpg'


def test_a_block_that_raises_leaves_the_old_file(tmp_path):
    path = tmp_path / 'a.parquet'
    path.write_bytes(b'old')
    with (
        pytest.raises(KeyboardInterrupt),
        table.write_table(path, {}) as writer,
    ):
        writer.write(RESULTS[0])
        raise KeyboardInterrupt
    assert path.read_bytes() == b'old'
    assert os.listdir(tmp_path) == ['a.parquet']


def test_damage_is_seen(tmp_path):
    """A bit in the data of any column, a cut anywhere."""
    path = write(tmp_path / 'a.parquet')
    whole = path.read_bytes()
    assert table.find_damage(path) == ''
    group = pq.read_metadata(path).row_group(0)
    for number in range(group.num_columns):
        column = group.column(number)
        start = column.dictionary_page_offset or column.data_page_offset
        data = bytearray(whole)
        data[start + column.total_compressed_size - 1] ^= 16
        path.write_bytes(bytes(data))
        assert table.find_damage(path), column.path_in_schema
    for size in (0, 3, 99, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:size])
        assert table.find_damage(path), size


def test_a_file_of_another_program(tmp_path):
    import pyarrow as pa

    path = tmp_path / 'a.parquet'
    pq.write_table(pa.table(dict(a=[1])), path)
    with pytest.raises(ValueError, match='a.parquet holds no results of gtpt'):
        list(read_predictions(path))
    path.write_bytes(b'PAR1')
    with pytest.raises(ValueError, match='a.parquet is torn'):
        list(read_predictions(path))


def test_pyarrow_is_missing(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, 'pyarrow', None)
    monkeypatch.delitem(sys.modules, 'pyarrow.parquet')
    with pytest.raises(ImportError, match=r'pip install "gtpt_mm\[parquet\]"'):
        read_predictions(tmp_path)
