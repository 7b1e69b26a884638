"""Train, test and predict: in this process, or as a user does by the shell.

A process costs ten seconds of imports: use one only where the process is what
is tested.
"""

import itertools
import json
import os
import subprocess
import sys
from pathlib import Path

from mmengine.config import Config
from mmengine.runner import Runner
from mmpose.apis import MMPoseInferencer

#: One thread: several processes on few cores slow each other down.
ENV = dict(os.environ, OMP_NUM_THREADS='1', CUDA_VISIBLE_DEVICES='-1')

_numbers = itertools.count()


# ------------------------------------------------------------ in this process


def make_runner(config: Path, work_dir: Path, **options) -> Runner:
    """Return a runner of a file's config with options of the top level.

    Runs in one process must share neither name nor visualizer: mmengine would
    mix their histories.
    """
    cfg = Config.fromfile(config)
    cfg.work_dir = str(work_dir)
    cfg.experiment_name = cfg.visualizer.name = f'run_{next(_numbers)}'
    cfg.update(options)
    return Runner.from_cfg(cfg)


def make_inferencer(config: Path, checkpoint: Path, **options):
    """Return mmpose's inferencer for a config and its weights, on CPU."""
    return MMPoseInferencer(
        pose2d=str(config),
        pose2d_weights=str(checkpoint),
        device='cpu',
        **options,
    )


# -------------------------------------------------------------- in a process


def run_python(*args, cwd: Path) -> str:
    """Run Python in a folder; return what it printed, fail if it failed.

    The folder is not the repository: only custom_imports and what is
    installed lead to gtpt_mm.
    """
    done = subprocess.run(
        [sys.executable, *map(str, args)],
        capture_output=True,
        text=True,
        env=ENV,
        cwd=cwd,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout + done.stderr


def mim(command: str, config: Path, work_dir: Path, *args) -> str:
    """Run ``mim train`` or ``mim test`` in its work folder."""
    work_dir.mkdir(exist_ok=True)
    command = ['-m', 'mim', command, 'mmpose', config, '--work-dir', work_dir]
    return run_python(*command, *args, cwd=work_dir)


PREDICT = """
import json, sys
import gtpt_mm  # first: it repairs what mmpose needs
from mmpose.apis import MMPoseInferencer

config, weights, out_dir, *images = sys.argv[1:]
inferencer = MMPoseInferencer(
    pose2d=config, pose2d_weights=weights, det_model='whole_image',
    device='cpu')
results = list(inferencer(images, vis_out_dir=out_dir))
people = [r['predictions'][0][0] for r in results]
print('RESULT', json.dumps(people, default=float), 'END')
"""


def predict(config, checkpoint, images, out_dir: Path) -> list[dict]:
    """Run the README's lines on images; return the person of each."""
    printed = run_python(
        '-c', PREDICT, config, checkpoint, out_dir, *images, cwd=out_dir
    )
    return json.loads(printed.rpartition('RESULT ')[2].partition(' END')[0])


# ------------------------------------------------------------- what they wrote


def read_scalars(work_dir: Path) -> list[dict]:
    """Return the losses and metrics that a run logged, one dict a line."""
    path = max(work_dir.glob('*/vis_data/scalars.json'))
    return [json.loads(line) for line in path.read_text().splitlines()]


def read_metrics(work_dir: Path) -> dict:
    """Return the metrics that ``mim test`` wrote."""
    [path] = work_dir.glob('*/*.json')
    return json.loads(path.read_text())


def logged(rows: list[dict], key: str) -> list[float]:
    """Return all values of a loss or metric, in order."""
    return [row[key] for row in rows if key in row]
