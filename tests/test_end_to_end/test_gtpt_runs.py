"""GTPT-T through stock mmpose, from the shell and from Python."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config

CONFIG = (
    'configs/body_2d_keypoint/gtpt/sample/gtpt-t_1xb16-14e_sample-96x64.py'
)


@pytest.fixture(scope='module')
def data_root(tmp_path_factory):
    from gtpt_mm.datasets.synthetic import generate

    root = tmp_path_factory.mktemp('sample')
    generate(root, layouts=['coco'], num_train=24, num_val=6, seed=3)
    return root / 'coco'


@pytest.fixture(scope='module')
def config(data_root, tmp_path_factory, repo_root):
    """The demo's config on a few images."""
    cfg = Config.fromfile(repo_root / CONFIG)
    cfg.train_dataloader.batch_size = 8
    for loader in (cfg.train_dataloader, cfg.val_dataloader):
        loader.num_workers = 0
        loader.persistent_workers = False
        loader.dataset.data_root = str(data_root) + '/'
    cfg.val_dataloader.dataset.bbox_file = str(
        data_root / 'person_detection_results'
        '/COCO_val2017_detections_AP_H_56_person.json'
    )
    cfg.test_dataloader = cfg.val_dataloader
    ann = str(data_root / 'annotations/person_keypoints_val2017.json')
    cfg.val_evaluator.ann_file = cfg.test_evaluator.ann_file = ann
    cfg.train_cfg.max_epochs = 2
    cfg.train_cfg.val_interval = 1
    cfg.default_hooks.logger.interval = 1
    path = tmp_path_factory.mktemp('config') / 'tiny.py'
    cfg.dump(path)
    return path


def run(*args, **kwargs):
    # Any folder but ours: only custom_imports may lead to gtpt_mm.
    return subprocess.run(
        [sys.executable, '-m', *args],
        capture_output=True,
        text=True,
        env=dict(os.environ, OMP_NUM_THREADS='2'),
        **kwargs,
    )


@pytest.fixture(scope='module')
def trained(config, tmp_path_factory):
    work_dir = tmp_path_factory.mktemp('work')
    done = run(
        'mim', 'train', 'mmpose', str(config), '--work-dir', str(work_dir),
        cwd=work_dir,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return work_dir


def test_mim_train(trained):
    scalars = next(trained.glob('*/vis_data/scalars.json')).read_text()
    rows = [json.loads(line) for line in scalars.splitlines()]
    losses = [row['loss'] for row in rows if 'loss' in row]
    assert len(losses) >= 6
    assert all(np.isfinite(losses))
    assert {'loss_pruned', 'loss_unpruned', 'loss_g2l'} <= set(rows[0])
    assert any('coco/AP' in row for row in rows)
    assert (trained / 'epoch_2.pth').is_file()


def test_mim_test_from_the_shell(config, trained):
    done = run(
        'mim', 'test', 'mmpose', str(config), '--checkpoint',
        str(trained / 'epoch_2.pth'), '--work-dir', str(trained / 'test'),
        cwd=trained,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    result = next((trained / 'test').glob('*/*.json'))
    metrics = json.loads(result.read_text())
    assert 0 <= metrics['coco/AP'] <= 1


def test_checkpoint_holds_the_average(trained):
    saved = torch.load(trained / 'epoch_2.pth', weights_only=True)
    average, model = saved['state_dict'], saved['ema_state_dict']
    key = 'backbone.layers.0.attn.qkv.weight'
    assert not torch.equal(average[key], model['module.' + key])


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
print('RESULT', json.dumps(people, default=float))
"""


def test_inferencer(config, trained, data_root, tmp_path):
    """As the README writes it, in a process of its own."""
    images = sorted((data_root / 'val2017').glob('*.jpg'))[:2]
    checkpoint = trained / 'epoch_2.pth'
    done = subprocess.run(
        [sys.executable, '-c', PREDICT, config, checkpoint, tmp_path, *images],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    people = json.loads(done.stdout.rpartition('RESULT ')[2])
    assert len(people) == 2
    assert np.array(people[0]['keypoints']).shape == (17, 2)
    assert 0 < people[0]['keypoint_scores'][0] <= 1
    assert (tmp_path / images[0].name).is_file()


def test_python_runner_and_pruning_picture(config, trained, data_root):
    import cv2
    from mmpose.apis import inference_topdown, init_model

    from gtpt_mm.visualization import draw_pruning, plot_training

    model = init_model(str(config), str(trained / 'epoch_2.pth'), device='cpu')
    path = next((data_root / 'val2017').glob('*.jpg'))
    img = cv2.imread(str(path))
    [sample] = inference_topdown(model, img)
    assert sample.pred_instances.keypoints.shape == (1, 17, 2)
    picture = draw_pruning(model, img)
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
    )
    deadline = time.time() + 120
    while not (work_dir / 'last_checkpoint').exists():
        assert process.poll() is None, 'training ended before the kill'
        assert time.time() < deadline, 'no checkpoint after 120 s'
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def test_resume_after_kill_goes_on_where_it_stopped(config, trained, tmp_path):
    """Epoch 1, kill -9, resume: counters, rates and averages go on.

    Weights cannot be equal to an uninterrupted run: mmengine does not save
    the random state that draws augmentations.
    """
    command = [
        sys.executable, '-m', 'mim', 'train', 'mmpose', str(config),
        '--work-dir', str(tmp_path),
    ]  # fmt: skip
    _kill_after_first_checkpoint(command, tmp_path)
    assert not (tmp_path / 'epoch_2.pth').exists()
    done = subprocess.run(
        [*command, '--resume'], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert 'resumed epoch: 1' in done.stdout + done.stderr
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
