"""The same people on a Ray cluster as in one process."""

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from support.collection import assert_same, draw_pictures, make_inferencer

from gtpt_mm.apis import predict_dataset, read_predictions
from gtpt_mm.apis.collections import ray_dataset

ROOT = Path(__file__).parents[3]


def test_ray_is_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, 'ray', None)
    monkeypatch.setitem(sys.modules, 'ray.data', None)
    with pytest.raises(ImportError, match=r'pip install "gtpt_mm\[ray\]"'):
        predict_dataset('pictures', 'gtpt-t')


@pytest.mark.parametrize(
    'value, name, needs_boxes, expected',
    [
        (2, 'concurrency', True, dict(detect=2, pose=2)),
        (2, 'concurrency', False, dict(pose=2)),
        (dict(pose=(1, 4)), 'concurrency', True, dict(detect=1, pose=(1, 4))),
        (dict(decode=3), 'concurrency', False, dict(decode=3, pose=1)),
        (dict(pose=1), 'num_gpus', True, dict(detect=0, pose=1)),
    ],
)
def test_workers_by_stage(value, name, needs_boxes, expected):
    assert ray_dataset._by_stage(value, name, needs_boxes) == expected


@pytest.mark.parametrize(
    'value, name, words',
    [
        (0, 'concurrency', 'concurrency of detect must be at least 1, got 0'),
        (dict(pose='2'), 'concurrency', "of pose must be .* got '2'"),
        (dict(pose=(0, 2)), 'concurrency', r'got \(0, 2\)'),
        (-1, 'num_gpus', 'num_gpus of detect must be at least 0, got -1'),
        (dict(poses=2), 'concurrency', "'poses'; the stages are decode, det"),
    ],
)
def test_wrong_numbers_of_workers(value, name, words):
    with pytest.raises(ValueError, match=words):
        ray_dataset._by_stage(value, name, True)


def end_session(leader: int) -> None:
    """Kill what is left of a session: Ray leaves processes if it fails."""
    for folder in Path('/proc').glob('[0-9]*'):
        with contextlib.suppress(OSError):  # it has ended
            fields = (folder / 'stat').read_text().rpartition(')')[2].split()
            if int(fields[3]) == leader:
                os.kill(int(folder.name), signal.SIGKILL)


@pytest.mark.slow
def test_workers_die_and_each_picture_is_there_once(tmp_path):
    """A detector and a pose worker are killed among 500 pictures."""
    pytest.importorskip('ray.data')
    pictures, out = tmp_path / 'pictures', tmp_path / 'out'
    paths = draw_pictures(pictures, 500)
    Path(paths[77]).write_bytes(b'torn')
    script = ROOT / 'tests/processes/predict_on_ray.py'
    with tempfile.TemporaryDirectory(prefix='ray-') as temporary:
        command = [sys.executable, script, pictures, out, temporary]
        process = subprocess.Popen(
            list(map(str, command)),
            env={**os.environ, 'PYTHONPATH': f'{ROOT}:{ROOT / "tests"}'},
            start_new_session=True,
        )
        try:
            assert process.wait(800) == 0
        finally:
            end_session(process.pid)
            process.wait()
    names = sorted(path.name for path in out.iterdir())
    assert len([name for name in names if 'detector-' in name]) == 2
    assert [name.endswith('-of-2') for name in names if 'killed' in name] == [
        True
    ]
    found = list(read_predictions(out / 'results'))
    assert sorted(r.frame.source for r in found) == paths  # each once
    found.sort(key=lambda result: result.frame.source)
    expected = list(make_inferencer()(pictures))
    assert_same(found, expected, atol=1e-3)
    assert [bool(r.error) for r in found].index(True) == 77
