"""Train one run to its end, and write what it reached."""

import json
import math
import os
import statistics
import subprocess
import time
from pathlib import Path

import torch
from mmengine.config import Config
from mmengine.runner import Runner

from gtpt_mm.compat.files.atomic_file import atomic_write
from projects.photographs.models.processor_time import read_seconds
from projects.photographs.runs import ROOT, Run, trials

RESULT = 'result.json'
WEIGHTS = 'weights.pth'


def read_result(folder: Path) -> dict | None:
    """Return what a finished run wrote, None if it has not finished."""
    path = folder / RESULT
    return json.loads(path.read_text()) if path.exists() else None


def choose_rate(family: str, out: Path) -> float:
    """Return the learning rate of a family: that of the lowest loss.

    The loss is the mean of the last two epochs of a trial. A trial that ended
    with a loss of NaN or infinity has an infinite one.

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
    """Return the config of a run, with its options, seed and rate."""
    config = Config.fromfile(run.path)
    config.work_dir = str(out / run.name)
    config.resume = True
    config.randomness = dict(seed=run.seed)
    folders = {name: str(out / name) for name in run.needs}
    config.merge_from_dict(
        {
            key: value.format(**folders) if isinstance(value, str) else value
            for key, value in run.options.items()
        }
    )
    if run.family:
        config.optim_wrapper.optimizer.lr = choose_rate(run.family, out)
    if run.is_trial:
        config.val_cfg = config.val_dataloader = config.val_evaluator = None
    return config


def train(run: Run, out: Path) -> None:
    """Train a run to its end, or what is left of it; write its result."""
    torch.set_num_threads(1)
    folder = out / run.name
    config = read_config(run, out)
    start = time.process_time()
    runner = Runner.from_cfg(config)
    figures: dict = {}
    try:
        runner.train()
    except FloatingPointError as error:
        if not run.is_trial:
            raise
        print(error)
        figures['loss'] = math.inf
    if not figures:
        figures = _last_scalars(runner, is_trial=run.is_trial)
    seconds = read_seconds(folder)
    result = dict(
        name=run.name,
        config=run.config,
        seed=run.seed,
        lr=config.optim_wrapper.optimizer.lr,
        epochs=runner.max_epochs,
        samples=len(runner.train_dataloader.dataset),
        parameters=sum(p.numel() for p in runner.model.parameters()),
        seconds_per_epoch=statistics.median(seconds) if seconds else None,
        last_call_seconds=time.process_time() - start,
        date=time.strftime('%Y-%m-%d'),
        commit=_find_commit(),
        **figures,
    )
    _keep_weights(runner, folder, drop=run.is_trial)
    with atomic_write(folder / RESULT) as path:
        Path(path).write_text(json.dumps(result, indent=1) + '\n')


def _last_scalars(runner: Runner, is_trial: bool) -> dict:
    """Return the loss of a trial, or the metrics of the last validation."""
    paths = sorted(Path(runner.work_dir).glob('*/vis_data/scalars.json'))
    rows = [json.loads(line) for p in paths for line in p.open()]
    if is_trial:
        return dict(loss=[row for row in rows if 'loss' in row][-1]['loss'])
    row = [row for row in rows if 'loss' not in row][-1]
    if row['step'] != runner.max_epochs:
        raise RuntimeError(f'no validation of the last epoch: {row}')
    return dict(metrics=row)


def _keep_weights(runner: Runner, folder: Path, drop: bool) -> None:
    """Keep the averaged weights alone; checkpoints are ten times as large."""
    last = folder / f'epoch_{runner.max_epochs}.pth'
    if not drop:
        checkpoint = torch.load(last, 'cpu', weights_only=False)
        torch.save(dict(state_dict=checkpoint['state_dict']), folder / WEIGHTS)
    for path in folder.glob('epoch_*.pth'):
        path.unlink()


def _find_commit() -> str:
    done = subprocess.run(
        ['git', 'describe', '--always', '--dirty', '--exclude=*'],
        cwd=ROOT, capture_output=True, text=True,
    )  # fmt: skip
    return done.stdout.strip() or os.environ.get('COMMIT', 'unknown')
