"""GTPT through stock mmpose, from the shell and from Python.

The demo's config, and the six of COCO and COCO-WholeBody with their own
models, pipelines, hooks and schedules on small crops of a few drawn people.
"""

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from support.configs import shrink
from support.runs import (
    ENV,
    logged,
    make_inferencer,
    make_runner,
    mim,
    predict,
    read_metrics,
    read_scalars,
)

DEMO = 'demo'
MATRIX = [f'{task}-{size}' for task in ('body', 'wholebody') for size in 'tsb']


def cases(*quick: str) -> pytest.MarkDecorator:
    """Run the named cases always, the others with ``make test-slow``."""
    slow = [
        pytest.param(name, marks=pytest.mark.slow)
        for name in MATRIX
        if name not in quick
    ]
    return pytest.mark.parametrize('case', [*quick, *slow], indirect=True)


@pytest.fixture(scope='module')
def case(request):
    return request.param


@pytest.fixture(scope='module')
def config(case, small_config, tmp_path_factory):
    """A config on a few images, two epochs; the tiny model a narrow one."""
    cfg = small_config(case)
    if case.endswith('-t'):
        cfg.model = shrink(cfg.model)
    cfg.train_cfg.max_epochs = 2
    cfg.train_cfg.val_interval = 1
    path = tmp_path_factory.mktemp('config') / 'tiny.py'
    cfg.dump(path)
    return path


def prefix(case: str) -> str:
    """Return what the metric puts before AP."""
    return 'coco-wholebody' if 'wholebody' in case else 'coco'


def num_keypoints(case: str) -> int:
    return 133 if 'wholebody' in case else 17


@pytest.fixture(scope='module')
def trained(config, tmp_path_factory):
    work_dir = tmp_path_factory.mktemp('work')
    mim('train', config, work_dir)
    return work_dir


@cases(DEMO)
def test_mim_train(case, trained):
    rows = read_scalars(trained)
    losses = logged(rows, 'loss')
    assert len(losses) == 2 * 24 / 8
    assert all(np.isfinite(losses))
    assert {'loss_pruned', 'loss_unpruned', 'loss_g2l'} <= set(rows[0])
    assert len(logged(rows, f'{prefix(case)}/AP')) == 2
    assert (trained / 'epoch_2.pth').is_file()


@pytest.mark.slow  # test_wheel.py runs mim test, a test below the values
@cases(DEMO)
def test_mim_test_has_the_metric_of_the_training(case, config, trained):
    checkpoint = trained / 'epoch_2.pth'
    mim('test', config, trained / 'test', '--checkpoint', checkpoint)
    ap = f'{prefix(case)}/AP'
    *_, expected = logged(read_scalars(trained), ap)
    metrics = read_metrics(trained / 'test')
    assert metrics[ap] == pytest.approx(expected, abs=1e-6)


@cases(DEMO)
def test_checkpoint_holds_the_average(trained):
    saved = torch.load(trained / 'epoch_2.pth', weights_only=True)
    average, model = saved['state_dict'], saved['ema_state_dict']
    key = 'backbone.layers.0.attn.qkv.weight'
    assert not torch.equal(average[key], model['module.' + key])


@pytest.mark.slow  # test_wheel.py predicts in a process, too
@cases(DEMO)
def test_inferencer(case, config, trained, data_root, tmp_path):
    """As the README writes it, in a process of its own."""
    images = sorted((data_root / 'val2017').glob('*.jpg'))[:2]
    people = predict(config, trained / 'epoch_2.pth', images, tmp_path)
    assert len(people) == 2
    shape = np.array(people[0]['keypoints']).shape
    assert shape == (num_keypoints(case), 2)
    assert 0 < people[0]['keypoint_scores'][0] <= 1
    assert (tmp_path / images[0].name).is_file()


@pytest.mark.parametrize('case', [DEMO], indirect=True)
def test_smoke_pictures_of_a_training(config, trained, data_root):
    import cv2
    from mmpose.apis import inference_topdown, init_model

    from gtpt_mm.visualization import (
        crop_instances,
        draw_tokens,
        plot_training,
    )

    model = init_model(str(config), str(trained / 'epoch_2.pth'), device='cpu')
    path = next((data_root / 'val2017').glob('*.jpg'))
    img = cv2.imread(str(path))
    [sample] = inference_topdown(model, img)
    assert sample.pred_instances.keypoints.shape == (1, 17, 2)
    picture = draw_tokens(model, crop_instances(model, img))
    # The input, one coarse step, three groups at two later steps.
    assert picture.shape == (2 * 96 + 24, 8 * (2 * 64 + 4), 3)
    plot_training(trained, trained / 'curve.png')
    assert cv2.imread(str(trained / 'curve.png')) is not None


def _kill_after_first_checkpoint(command, work_dir: Path) -> None:
    process = subprocess.Popen(
        command,
        cwd=work_dir,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        env=ENV,
    )
    try:
        deadline = time.time() + 600
        while not (work_dir / 'last_checkpoint').exists():
            assert process.poll() is None, 'training ended before the kill'
            assert time.time() < deadline, 'no checkpoint after 600 s'
            time.sleep(0.05)
    finally:
        with contextlib.suppress(ProcessLookupError):  # it ended by itself
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@pytest.mark.slow  # the next test resumes in one process
@cases(DEMO)
def test_resume_after_kill_goes_on_where_it_stopped(config, trained, tmp_path):
    """Epoch 1, kill -9, resume: counters, rates and averages go on.

    That weights are equal as well is tested in ``test_exact_resume.py``.
    """
    command = [sys.executable, '-m', 'mim', 'train', 'mmpose', str(config)]
    command += ['--work-dir', str(tmp_path)]
    _kill_after_first_checkpoint(command, tmp_path)
    assert not (tmp_path / 'epoch_2.pth').exists()
    assert 'resumed epoch: 1' in mim('train', config, tmp_path, '--resume')
    ours = torch.load(tmp_path / 'epoch_2.pth', weights_only=True)
    theirs = torch.load(trained / 'epoch_2.pth', weights_only=True)
    steps = [int(c['ema_state_dict']['steps']) for c in (ours, theirs)]
    assert steps[0] == steps[1]
    step = [c['optimizer']['state'][0]['step'] for c in (ours, theirs)]
    assert step[0] == step[1]
    assert ours['param_schedulers'] == theirs['param_schedulers']
    assert ours['meta']['iter'] == theirs['meta']['iter']
    # The average of epoch 2 moved from that of epoch 1, not from new weights.
    key = 'backbone.layers.0.attn.qkv.weight'
    first = torch.load(tmp_path / 'epoch_1.pth', weights_only=True)
    before, after = first['state_dict'][key], ours['state_dict'][key]
    assert 0 < (after - before).norm() < 0.2 * before.norm()


@cases('wholebody-t')  # the demo above is a body-t
def test_runner_trains_resumes_tests_and_predicts(
    case, config, data_root, tmp_path
):
    """The whole way of a config in one process."""
    options = dict(train_cfg=dict(max_epochs=1, val_interval=1, by_epoch=True))
    make_runner(config, tmp_path, **options).train()
    runner = make_runner(config, tmp_path, resume=True)
    runner.train()
    states = [
        torch.load(tmp_path / f'epoch_{i}.pth', weights_only=True)
        for i in (1, 2)
    ]
    iters = [state['meta']['iter'] for state in states]
    assert iters[1] == 2 * iters[0] > 0
    steps = [int(state['ema_state_dict']['steps']) for state in states]
    assert steps == iters

    # The checkpoint holds the average that was validated.
    ap = f'{prefix(case)}/AP'
    trained = runner.message_hub.log_scalars[f'val/{ap}'].current()
    checkpoint = tmp_path / 'epoch_2.pth'
    options = dict(load_from=str(checkpoint), custom_hooks=[])
    metrics = make_runner(config, tmp_path / 'test', **options).test()
    assert metrics[ap] == pytest.approx(trained, abs=1e-6)
    inferencer = make_inferencer(config, checkpoint, det_model='whole_image')
    image = next((data_root / 'val2017').glob('*.jpg'))
    [[person]] = next(inferencer(str(image)))['predictions']
    assert np.shape(person['keypoints']) == (num_keypoints(case), 2)
    assert 0 < min(person['keypoint_scores']) < 1
