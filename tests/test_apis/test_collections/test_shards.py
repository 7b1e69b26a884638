"""Shards of a collection: each picture once, finished ones left alone."""

import itertools
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from support.collection import assert_same, draw_pictures, make_inferencer

from gtpt_mm.apis import predict_shards, read_predictions
from gtpt_mm.apis.collections import shards
from gtpt_mm.apis.collections.shards import Shard, find_shards
from gtpt_mm.apis.pose_inferencer import PoseInferencer

pq = pytest.importorskip('pyarrow.parquet')

# ------------------------------------------------------- whose shard is whose


@pytest.mark.parametrize(
    'text, variables, expected',
    [
        ('3/8', {}, [3]),
        # Only when asked.
        ('3/8', dict(RANK='1', WORLD_SIZE='2'), [3]),
        ('auto', dict(RANK='1', WORLD_SIZE='8'), [1]),
        ('auto', dict(SLURM_PROCID='5', SLURM_NTASKS='8'), [5]),
        # torchrun in a job of SLURM, one launcher on each node.
        (
            'auto',
            dict(RANK='6', WORLD_SIZE='8', SLURM_PROCID='1', SLURM_NTASKS='2'),
            [6],
        ),
        # srun -n 8 in a job of more.
        (
            'auto',
            dict(
                SLURM_PROCID='5', SLURM_NTASKS='16', SLURM_STEP_NUM_TASKS='8'
            ),
            [5],
        ),
        ('auto/8', dict(RANK='1', WORLD_SIZE='3'), [1, 4, 7]),
        ('auto/8', dict(RANK='9', WORLD_SIZE='10'), []),
        ('auto/8', {}, list(range(8))),
    ],
)
def test_the_shards_of_a_process(text, variables, expected):
    found = find_shards(text, variables)
    assert [shard.index for shard in found] == expected
    assert all(shard.count == 8 for shard in found)


def array(number, **other):
    names = dict(ID=number, **other)
    return {f'SLURM_ARRAY_TASK_{n}': str(v) for n, v in names.items()}


@pytest.mark.parametrize('first', [0, 1])
@pytest.mark.parametrize('step', [1, 3])
def test_slurm_arrays(first, step):
    """Numbers may begin at 1 and be spaced; srun may start several."""
    numbers = list(range(first, first + 4 * step, step))
    ends = dict(MIN=numbers[0], MAX=numbers[-1], COUNT=4, STEP=step)
    found = [find_shards('auto', array(n, **ends)) for n in numbers]
    assert found == [[Shard(i, 4)] for i in range(4)]
    tasks = [dict(SLURM_PROCID=str(i), SLURM_NTASKS='2') for i in range(2)]
    found = [
        find_shards('auto', {**array(number, **ends), **task})
        for number in numbers
        for task in tasks
    ]
    assert found == [[Shard(i, 8)] for i in range(8)]


@pytest.mark.parametrize(
    'text, variables, words',
    [
        ('8/8', {}, '--shard 8/8: a shard is I/N with I from 0'),
        ('1/0', {}, 'a shard is'),
        ('-1/4', {}, 'a shard is'),
        ('3', {}, 'a shard is'),
        ('auto/0', {}, 'a shard is'),
        ('auto', {}, r'neither torchrun \(RANK, WORLD_SIZE\) nor SLURM'),
        ('auto', dict(RANK='x', WORLD_SIZE='2'), "RANK is 'x', not a number"),
        ('auto', dict(RANK='2', WORLD_SIZE='2'), 'RANK=2, WORLD_SIZE=2'),
        ('auto', array(3), "SLURM_ARRAY_TASK_MIN is '', not a number"),
        (
            'auto',
            array(7, MIN=1, MAX=7, COUNT=3),
            r'with gaps; give --shard I/N, .*\$SLURM_ARRAY_TASK_ID/8',
        ),
    ],
)
def test_wrong_shards(text, variables, words):
    with pytest.raises(ValueError, match=words):
        find_shards(text, variables)


@pytest.mark.parametrize('total', [0, 1, 7, 1000])
@pytest.mark.parametrize('count', [1, 3, 8])
def test_ranges_cover_all_once(total, count):
    ranges = [range(*Shard(i, count).cut(total)) for i in range(count)]
    assert [n for one in ranges for n in one] == list(range(total))
    sizes = [len(one) for one in ranges]
    assert max(sizes) - min(sizes) <= 1


# ------------------------------------------------------------------- one run


@pytest.fixture(scope='module')
def inferencer():
    return make_inferencer()


@pytest.fixture(scope='module')
def pictures(tmp_path_factory):
    folder = tmp_path_factory.mktemp('pictures')
    draw_pictures(folder, 11)
    (folder / '00005.png').write_bytes(b'torn')
    return folder


@pytest.fixture(scope='module')
def expected(inferencer, pictures):
    return list(inferencer(pictures))


def run(inferencer, inputs, out, shard='auto/3', **options):
    return list(predict_shards(inferencer, inputs, out, shard, **options))


@pytest.fixture(scope='module')
def finished(inferencer, pictures, tmp_path_factory):
    out = tmp_path_factory.mktemp('finished')
    run(inferencer, pictures, out)
    return out


@pytest.fixture
def out(finished, tmp_path):
    return shutil.copytree(finished, tmp_path / 'out')


def test_shards_together_are_the_single_process(
    inferencer, pictures, expected, tmp_path
):
    out = tmp_path / 'new' / 'out'
    reports = [
        report
        for index in (2, 0, 1)
        for report in run(inferencer, pictures, out, f'{index}/3')
    ]
    assert sorted(os.listdir(out)) == [
        f'predictions-0000{i}-of-00003.parquet' for i in range(3)
    ]
    assert_same(list(read_predictions(out)), expected, atol=1e-3)
    assert sum(len(r) for r in expected) > 8
    [torn] = [r for r in read_predictions(out) if r.error]
    assert torn.frame.source.endswith('00005.png')
    assert [r.summary.images for r in reports] == [4, 3, 3]
    assert str(reports[2]).startswith('shard 1/3: 3 images, ')
    assert '00005.png: the file cannot be decoded' in str(reports[2])


def test_finished_shards_are_skipped_without_a_model(pictures, out):
    before = {p.name: p.stat().st_mtime_ns for p in out.iterdir()}
    fresh = make_inferencer()
    fresh.predictor.build = lambda: pytest.fail('the model was built')
    reports = run(fresh, pictures, out)
    assert [r.summary for r in reports] == [None] * 3
    assert 'shard 0/3: finished before' in str(reports[0])
    assert before == {p.name: p.stat().st_mtime_ns for p in out.iterdir()}


def flip_a_bit(path: Path) -> None:
    """Change the last byte of the first column's data."""
    column = pq.read_metadata(path).row_group(0).column(0)
    data = bytearray(path.read_bytes())
    data[column.data_page_offset + column.total_compressed_size - 1] ^= 16
    path.write_bytes(data)


@pytest.mark.parametrize(
    'harm',
    [
        lambda path: path.write_bytes(path.read_bytes()[:-9]),
        lambda path: path.write_bytes(b''),
        Path.unlink,
        flip_a_bit,
    ],
    ids=['torn', 'empty', 'gone', 'a bit'],
)
def test_only_torn_shards_are_written_again(
    inferencer, pictures, expected, out, harm
):
    harm(out / Shard(1, 3).file_name)
    reports = run(inferencer, pictures, out)
    assert [r.summary is None for r in reports] == [True, False, True]
    assert_same(list(read_predictions(out)), expected, atol=1e-3)


def test_overwrite_writes_finished_shards_again(inferencer, pictures, out):
    [report] = run(inferencer, pictures, out, '1/3', overwrite=True)
    assert report.summary.images == 3


def test_results_of_other_inputs_or_settings_do_not_mix(
    inferencer, pictures, out, tmp_path
):
    before = {p.name: p.read_bytes() for p in out.iterdir()}
    inputs = [pictures / '00001.png', pictures]
    with pytest.raises(ValueError, match='00000-of.* with other inputs; give'):
        run(inferencer, inputs, out)
    other = make_inferencer(threshold=0.6)
    words = 'other settings: box_threshold 0.3, now 0.6; give another folder'
    with pytest.raises(ValueError, match=words):
        run(other, pictures, out)
    with pytest.raises(ValueError, match='holds shards of 3, not of 4'):
        run(inferencer, pictures, out, '0/4')
    assert before == {p.name: p.read_bytes() for p in out.iterdir()}


def test_other_weights_under_the_same_name(tmp_path):
    file = tmp_path / 'weights.pth'
    found = []
    for content in (b'first', b'second'):
        file.write_bytes(content)
        settings = PoseInferencer('gtpt-t', weights=file).settings
        found.append(shards._identify(settings))
    assert found[0]['weights'] == found[1]['weights'] == str(file)
    assert found[0]['weights_sha256'] != found[1]['weights_sha256']


def test_a_shard_without_pictures(inferencer, pictures, tmp_path):
    """More processes than pictures."""
    inputs = [pictures / '00001.png']
    run(inferencer, inputs, tmp_path, 'auto/3')
    [result] = read_predictions(tmp_path)
    assert result.frame.source == str(inputs[0])


def test_a_disk_that_is_gone_finishes_no_shard(inferencer, tmp_path):
    """Not one picture can be read: nothing is written that would be kept."""
    path = tmp_path / 'list.txt'
    path.write_text('gone/a.jpg\ngone/b.jpg')
    out = tmp_path / 'out'
    words = 'shard 0/1: none of its 2 pictures .* gone/a.jpg: there is no such'
    with pytest.raises(ValueError, match=words):
        run(inferencer, path, out, '0/1')
    assert os.listdir(out) == []


def test_frames_of_a_video_are_rows(inferencer, tmp_path):
    from gtpt_mm.apis import VideoWriter

    clip = tmp_path / 'clip.mp4'
    with VideoWriter(clip, 10, (64, 80)) as video:
        for value in (0, 90, 180):
            video.write(np.full((80, 64, 3), value, np.uint8))
    cv2.imwrite(str(tmp_path / 'd.png'), np.zeros((80, 64, 3), np.uint8))
    run(inferencer, [clip, tmp_path / 'd.png'], tmp_path / 'out', '0/1')
    frames = [r.frame for r in read_predictions(tmp_path / 'out')]
    assert [f.index for f in frames] == [0, 1, 2, None]
    assert [f.time for f in frames[:3]] == pytest.approx([0, 0.1, 0.2])
    assert frames[3].time is None


def test_missing_shards_are_named(out):
    (out / Shard(1, 3).file_name).unlink()
    with pytest.raises(ValueError, match='lacks 1 of 3 shards: 1; run them'):
        read_predictions(out)
    assert len(list(read_predictions(out, partial=True))) == 7
    (out / Shard(0, 2).file_name).touch()
    with pytest.raises(ValueError, match=r'holds shards of \[2, 3\] parts'):
        read_predictions(out)
    (out / 'sub').mkdir()
    with pytest.raises(ValueError, match='sub holds no Parquet files'):
        read_predictions(out / 'sub')


KILLED = """
import sys, time
from support.collection import make_inferencer, two_halves
from gtpt_mm.apis import predict_shards
def slow(image):
    if image.shape[:2] == tuple(map(int, sys.argv[3].split('x'))):
        print('now', flush=True)
        time.sleep(100)
    return two_halves(image)
slow.__name__ = 'two_halves'
for report in predict_shards(make_inferencer(slow), *sys.argv[1:3], 'auto/3'):
    print(report, flush=True)
"""


def test_killed_in_the_middle_and_run_again(
    inferencer, pictures, expected, tmp_path
):
    """By SIGKILL in the second of three shards: the first is not redone."""
    size = 'x'.join(
        map(str, cv2.imread(str(pictures / '00006.png')).shape[:2])
    )
    out = tmp_path / 'out'
    root = Path(__file__).parents[3]
    process = subprocess.Popen(
        [sys.executable, '-c', KILLED, str(pictures), str(out), size],
        env={**os.environ, 'PYTHONPATH': f'{root}:{root / "tests"}'},
        stdout=subprocess.PIPE,
        text=True,
    )
    lines = list(itertools.takewhile('now\n'.__ne__, process.stdout))
    assert any(line.startswith('shard 0/3: 3 images') for line in lines)
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    first = out / Shard(0, 3).file_name
    assert len(os.listdir(out)) == 2 and first.exists()  # and a leftover
    reports = run(inferencer, pictures, out)
    assert [r.summary is None for r in reports] == [True, False, False]
    assert_same(list(read_predictions(out)), expected, atol=1e-3)
    assert len(os.listdir(out)) == 3
