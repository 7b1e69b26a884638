"""ViTPose++ as docs/multi_dataset.md has it: from the shell, on six datasets.

One training, killed and resumed; then the test of all six at once, a plain
model of each, and the inferencer with one of people and one of animals.
"""

import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.runner import Runner
from support.runs import (
    ENV,
    make_inferencer,
    mim,
    read_metrics,
    read_scalars,
)

from gtpt_mm.cli import main

#: test_multi_dataset_runs.py has the same in one process, in seconds.
pytestmark = pytest.mark.slow

KEYPOINTS = dict(coco=17, aic=14, mpii=16, ap10k=17, apt36k=17, wholebody=133)
METRICS = {name: f'{name}/AP' for name in KEYPOINTS} | dict(mpii='mpii/PCK')


@pytest.fixture(scope='module')
def config(six_datasets_cfg, tmp_path_factory):
    cfg = six_datasets_cfg()
    # What is killed after the first epoch is still validating.
    cfg.train_cfg.val_interval = 1
    cfg.default_hooks.checkpoint.interval = 1
    path = tmp_path_factory.mktemp('config') / 'six.py'
    cfg.dump(path)
    return path


@pytest.fixture(scope='module')
def trained(config, tmp_path_factory):
    """The folder of a training that was killed after epoch 1 and resumed."""
    work_dir = tmp_path_factory.mktemp('work')
    command = ['train', 'mmpose', str(config), '--work-dir', str(work_dir)]
    process = subprocess.Popen(
        [sys.executable, '-m', 'mim', *command],
        cwd=work_dir,
        stdout=(work_dir / 'killed.txt').open('w'),
        stderr=subprocess.STDOUT,
        start_new_session=True,
        env=ENV,
    )
    try:
        deadline = time.monotonic() + 600
        while not (work_dir / 'last_checkpoint').exists():
            printed = (work_dir / 'killed.txt').read_text()[-3000:]
            assert process.poll() is None, printed
            assert time.monotonic() < deadline, printed
            time.sleep(0.05)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    assert not (work_dir / 'epoch_2.pth').exists()
    printed = mim('train', config, work_dir, '--resume')
    assert 'resumed epoch: 1' in printed
    return work_dir


def test_resumed_training_goes_on_where_it_stopped(trained):
    first, second = (
        torch.load(trained / f'epoch_{i}.pth', weights_only=True)
        for i in (1, 2)
    )
    assert second['meta']['iter'] == 2 * first['meta']['iter'] > 0
    # Experts and heads of all datasets took as many steps, and only small
    # ones: these are not new weights.
    for state, iters in ((first, 1), (second, 2)):
        steps = {int(s['step']) for s in state['optimizer']['state'].values()}
        assert steps == {iters * first['meta']['iter']}
    for name in KEYPOINTS:
        key = f'head.heads.{name}.deconv_layers.0.weight'
        before, after = first['state_dict'][key], second['state_dict'][key]
        assert 0 < (after - before).norm() < 0.5 * before.norm()


@pytest.fixture(scope='module')
def tested(config, trained):
    """What ``mim test`` printed, and the metrics that it wrote."""
    checkpoint = trained / 'epoch_2.pth'
    folder = trained / 'test'
    printed = mim('test', config, folder, '--checkpoint', checkpoint)
    return printed, read_metrics(folder)


def test_mim_test_has_six_metrics(tested, trained):
    printed, metrics = tested
    lines = [line.split() for line in printed.splitlines()]
    head = next(
        i for i, words in enumerate(lines) if words[:2] == ['dataset', 'AP']
    )
    table = lines[head + 1 : head + 7]
    assert [row[0] for row in table] == list(KEYPOINTS)
    column = lines[head].index('PCK') - 2  # 'AP .5' and 'AP .75' are two words
    for name, *values in table:
        shown = values[column - 1] if name == 'mpii' else values[0]
        assert float(shown) == pytest.approx(metrics[METRICS[name]], abs=5e-3)
    # The same as the training saw at its end.
    *_, last = read_scalars(trained)
    for metric in METRICS.values():
        assert metrics[metric] == pytest.approx(last[metric], abs=1e-6)


@pytest.fixture(scope='module')
def split(config, trained):
    """A folder with a plain model of each dataset."""
    out = trained / 'split'
    # The config as mmengine wrote it, keys in alphabetical order.
    written = trained / config.name
    command = ['split', str(written), str(trained / 'epoch_2.pth'), str(out)]
    assert main(command) == 0
    return out


@pytest.mark.parametrize('name', ['mpii', 'ap10k'])
def test_split_model_has_the_metric_of_its_dataset(name, split, tested):
    cfg = Config.fromfile(split / f'{name}.py')
    cfg.load_from = str(split / f'{name}.pth')
    cfg.work_dir = str(split / name)
    cfg.visualizer.name = f'split-{name}'
    metrics = Runner.from_cfg(cfg).test()
    _, expected = tested
    own = {key for key in expected if key.startswith(f'{name}/')}
    assert METRICS[name] in own
    assert set(metrics) == own
    for key in own:
        assert metrics[key] == pytest.approx(expected[key], abs=1e-4), key


@pytest.mark.parametrize('name', KEYPOINTS)
def test_inferencer_takes_people_and_animals(name, split, six_datasets):
    folder = 'coco' if name == 'wholebody' else name
    image = next((six_datasets / folder).rglob('*.jpg'))
    inferencer = make_inferencer(
        split / f'{name}.py', split / f'{name}.pth', det_model='whole_image'
    )
    [[instance]] = next(inferencer(str(image)))['predictions']
    keypoints = np.array(instance['keypoints'])
    assert keypoints.shape == (KEYPOINTS[name], 2)
    assert np.isfinite(keypoints).all()
    assert 0 < max(instance['keypoint_scores']) < 1.5
