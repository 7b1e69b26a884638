"""The script that times the inferencer beside mmpose's."""

import subprocess
import sys

import pytest


@pytest.mark.slow
def test_both_sides_are_timed(repo_root, tmp_path, monkeypatch):
    pytest.importorskip('onnxruntime')
    monkeypatch.setenv('GTPT_MM_CACHE', str(tmp_path))
    command = [sys.executable, 'tools/benchmark_inference.py']
    command += ['--frames', '2', '--repeats', '1', '--models', 'GTPT-T']
    command += ['--runtime', 'torch', 'onnxruntime']
    done = subprocess.run(
        command, cwd=repo_root, capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, done.stderr
    rows = [r for r in done.stdout.splitlines() if r.startswith('| GTPT-T')]
    cells = [[cell.strip() for cell in row.split('|')[1:-1]] for row in rows]
    assert [row[1] for row in cells] == ['torch', 'onnxruntime']
    for row in cells:
        numbers = [float(cell) for cell in row[2:]]
        assert len(numbers) == 5 and min(numbers) > 0
    assert '12 people' in done.stdout
