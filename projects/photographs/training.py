"""Train one run to its end, and write its result."""

import json
import math
import statistics
import subprocess
import sys
import time
from pathlib import Path

import torch
from mmengine.config import Config
from mmengine.runner import Runner, find_latest_checkpoint

from gtpt_mm.compat.files.atomic_file import atomic_write
from projects.photographs.models.processor_time import read_seconds
from projects.photographs.results import RESULT, WEIGHTS, read_result
from projects.photographs.runs import ROOT, Run, fill_in, trials


def choose_rate(family: str, out: Path) -> float:
    """Return the learning rate of a family: the one with the lowest loss.

    The loss is the mean of the last two epochs of a trial. If a trial ended
    with a NaN or infinite loss, its loss counts as infinite.

    Raises:
        FileNotFoundError: If a trial has not been made.
    """
    losses: dict[float, float] = {}
    for trial in trials(family):
        result = read_result(out / trial.name)
        if result is None:
            raise FileNotFoundError(f'{trial.name} has not been trained')
        rate = trial.options['optim_wrapper.optimizer.lr']
        losses[rate] = result['loss']
    return min(losses, key=losses.__getitem__)


def read_config(run: Run, out: Path) -> Config:
    """Return the config of a run, with its options, seed and rate.

    It resumes if the folder of the run has a checkpoint.
    """
    config = Config.fromfile(run.path)
    config.merge_from_dict(
        {key: fill_in(value, run, out) for key, value in run.options.items()}
    )
    config.work_dir = str(out / run.name)
    config.randomness = dict(seed=run.seed)
    # mmengine keeps one visualizer, and its files, for a name in a process.
    config.visualizer.name = run.name
    config.resume = find_latest_checkpoint(config.work_dir) is not None
    if config.resume:
        config.load_from = None
    if run.family:
        config.optim_wrapper.optimizer.lr = choose_rate(run.family, out)
    if run.is_trial or 'val_dataloader' not in config:
        config.val_cfg = config.val_dataloader = config.val_evaluator = None
        config.test_cfg = config.test_dataloader = config.test_evaluator = None
    return config


def train(run: Run, out: Path) -> None:
    """Train a run, or the rest of it, to its end; write its result.

    Raises:
        FloatingPointError: If the loss is not finite and the run is not a
            trial.
    """
    torch.set_num_threads(1)
    folder = out / run.name
    config = read_config(run, out)
    if run.prepare and not config.resume:
        words = [fill_in(word, run, out) for word in run.prepare]
        subprocess.run([sys.executable, '-m', 'gtpt_mm', *words], check=True)
    runner = Runner.from_cfg(config)
    try:
        runner.train()
        figures = read_figures(runner, run)
    except FloatingPointError as error:
        if not run.is_trial:
            raise
        print(error)
        figures = dict(loss=math.inf)
    seconds = read_seconds(folder)
    result = dict(
        name=run.name,
        config=run.config,
        seed=run.seed,
        lr=config.optim_wrapper.optimizer.lr,
        epochs=runner.max_epochs,
        batch=config.train_dataloader.batch_size,
        samples=len(runner.train_dataloader.dataset),
        parameters=sum(p.numel() for p in runner.model.parameters()),
        seconds_per_epoch=statistics.median(seconds) if seconds else None,
        date=time.strftime('%Y-%m-%d'),
        commit=_find_commit(),
        **figures,
    )
    _keep_weights(runner, folder, drop=run.is_trial)
    with atomic_write(folder / RESULT) as path:
        path.write_text(json.dumps(result, indent=1) + '\n')
    for path in (*folder.glob('epoch_*.pth'), *folder.glob('stopped.pth')):
        path.unlink()


def read_figures(runner: Runner, run: Run) -> dict:
    """Return the loss of a run without validation, or its last metrics.

    Raises:
        RuntimeError: If the last epoch was not validated.
    """
    paths = sorted(Path(runner.work_dir).glob('*/vis_data/scalars.json'))
    rows = [json.loads(line) for path in paths for line in path.open()]
    if runner.val_loop is None:
        return dict(loss=[row for row in rows if 'loss' in row][-1]['loss'])
    metrics = [
        {key: value for key, value in row.items() if 'time' not in key}
        for row in rows
        if 'loss' not in row
    ]
    if not metrics or metrics[-1]['step'] != runner.max_epochs:
        raise RuntimeError(
            f'{run.name}: no metrics of epoch {runner.max_epochs} in '
            f'{runner.work_dir}; remove its last checkpoint and start again'
        )
    return dict(metrics=metrics[-1], curve=metrics)


def _keep_weights(runner: Runner, folder: Path, drop: bool) -> None:
    """Keep only the averaged weights; a checkpoint is four times as large."""
    last = folder / f'epoch_{runner.max_epochs}.pth'
    if not drop:
        checkpoint = torch.load(last, 'cpu', weights_only=True)
        with atomic_write(folder / WEIGHTS) as path:
            torch.save(dict(state_dict=checkpoint['state_dict']), path)


def _find_commit() -> str:
    """Return the commit that trains, '-dirty' if code was changed."""
    done = subprocess.run(
        ['git', 'describe', '--always', '--dirty', '--exclude=*'],
        cwd=ROOT, capture_output=True, text=True,
    )  # fmt: skip
    return done.stdout.strip() or 'unknown'
