"""The script that times the inferencer beside mmpose's."""

import subprocess
import sys

import pytest


@pytest.mark.slow
def test_both_sides_are_timed(repo_root):
    command = [sys.executable, 'tools/benchmark_inference.py']
    command += ['--frames', '2', '--repeats', '1', '--models', 'GTPT-T']
    done = subprocess.run(
        command, cwd=repo_root, capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, done.stderr
    [row] = [r for r in done.stdout.splitlines() if r.startswith('| GTPT-T')]
    numbers = [float(cell) for cell in row.split('|')[2:-1]]
    assert len(numbers) == 5 and min(numbers) > 0
    assert '12 people' in done.stdout
