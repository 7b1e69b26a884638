"""Train, test and report: from a set to a model."""

import itertools
import json
import os
import runpy
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mmengine.config import Config, ConfigDict
from mmengine.runner import Runner

from gtpt_mm.compat.files.atomic_file import atomic_write
from gtpt_mm.config_folder import find_configs

from .project import Project
from .report import write_report

#: Files of the test, below ``Project.work_dir``.
RESULTS, METRICS = 'test/results', 'test/metrics.json'
_numbers = itertools.count()


def finetune(project: Project) -> dict[str, float]:
    """Finish the training, test the best weights, write the page.

    When called again after an interruption, it continues from the last
    checkpoint.

    Args:
        project: From ``new_project`` or ``open_project``.

    Returns:
        AP and PCK@0.1 of the validation split, as on the page.
    """
    cfg = Config.fromfile(project.config)
    if not is_trained(project, cfg):
        train(project)
    checkpoint = find_best(project)
    results = test(project, checkpoint)
    return write_report(project, checkpoint, results)


def train(project: Project) -> None:
    """Train with the script of ``mim train``.

    It runs in this process, so that signals reach it and nothing is left
    behind.
    """
    arguments = [str(project.config), '--work-dir', str(project.work_dir)]
    if has_checkpoint(project):
        arguments.append('--resume')
    script = str(find_configs().parent / 'tools' / 'train.py')
    with _argv(script, arguments):
        runpy.run_path(script, run_name='__main__')


@contextmanager
def _argv(script: str, arguments: list[str]) -> Iterator[None]:
    before = sys.argv
    sys.argv = [script, *arguments]
    try:
        yield
    finally:
        sys.argv = before


def has_checkpoint(project: Project) -> bool:
    """Return whether there is a checkpoint to continue from."""
    files = project.work_dir.glob('*.pth')  # of epochs, or stopped.pth
    return any(not file.name.startswith('best_') for file in files)


def is_trained(project: Project, cfg: Config) -> bool:
    """Return whether the last epoch is finished."""
    last = f'epoch_{cfg.train_cfg.max_epochs}.pth'
    return (project.work_dir / last).is_file()


def find_best(project: Project) -> Path:
    """Return the best checkpoint, or the last one if none was evaluated.

    Raises:
        ValueError: If there is none.
    """
    for pattern in ('best_*.pth', 'epoch_*.pth'):
        files = sorted(project.work_dir.glob(pattern), key=os.path.getmtime)
        if files:
            return files[-1]
    raise ValueError(f'{project.work_dir} has no checkpoint; train first')


def test(project: Project, checkpoint: Path) -> Path:
    """Test a checkpoint on the validation split.

    Returns:
        COCO's file of results. A file that is newer than the checkpoint is
        kept.
    """
    prefix = project.work_dir / RESULTS
    file = Path(f'{prefix}.keypoints.json')
    if file.is_file() and file.stat().st_mtime >= checkpoint.stat().st_mtime:
        return file
    file.parent.mkdir(parents=True, exist_ok=True)
    cfg = Config.fromfile(project.config)
    cfg.update(
        load_from=str(checkpoint), resume=False, work_dir=str(file.parent)
    )
    cfg.experiment_name = cfg.visualizer.name = (
        f'test_{os.getpid()}_{next(_numbers)}'
    )
    cfg.visualizer.vis_backends = [dict(type='LocalVisBackend')]
    cfg.default_hooks.visualization.enable = False
    for metric in _metrics(cfg.test_evaluator):
        if metric.type == 'CocoMetric':
            metric.outfile_prefix = str(prefix)
    metrics = Runner.from_cfg(cfg).test()
    with atomic_write(project.work_dir / METRICS) as temporary:
        Path(temporary).write_text(json.dumps(metrics, indent=1))
    return file


def _metrics(evaluator: ConfigDict | list) -> list[ConfigDict]:
    """Return the metrics of an evaluator, also of several datasets."""
    if isinstance(evaluator, list):
        return evaluator
    return list(evaluator.get('metrics', {}).values()) or [evaluator]
