"""HEViTPose-T through stock mmpose, in the layouts of MPII and COCO."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest
from mmengine.config import Config

CONFIGS = {
    'mpii': 'td-hm_hevitpose-t_1xb16-6e_sample-mpii-128x128.py',
    'coco': 'td-hm_hevitpose-t_1xb16-6e_sample-coco-128x96.py',
}
METRICS = {'mpii': 'PCK', 'coco': 'coco/AP'}
NUM_KEYPOINTS = {'mpii': 16, 'coco': 17}


@pytest.fixture(scope='module')
def data(tmp_path_factory):
    from gtpt_mm.datasets.synthetic import generate

    root = tmp_path_factory.mktemp('sample')
    generate(
        root,
        layouts=['coco', 'mpii'],
        num_train=16,
        num_val=4,
        seed=3,
        max_people=1,
    )
    return root


@pytest.fixture(scope='module', params=['mpii', 'coco'])
def layout(request):
    return request.param


@pytest.fixture(scope='module')
def config(layout, data, tmp_path_factory, repo_root):
    """The sample config of the layout, on a few images."""
    folder = repo_root / 'configs/body_2d_keypoint/hevitpose/sample'
    text = (folder / CONFIGS[layout]).read_text()
    assert 'HEViTPose' in text
    cfg = Config.fromfile(folder / CONFIGS[layout])
    old, new = cfg.data_root, f'{data / layout}/'
    cfg = Config.fromstring(
        cfg.pretty_text.replace(old, new), file_format='.py'
    )
    assert old not in cfg.pretty_text
    cfg.train_dataloader.batch_size = 4
    for loader in (
        cfg.train_dataloader, cfg.val_dataloader, cfg.test_dataloader,
    ):  # fmt: skip
        loader.num_workers = 0
        loader.persistent_workers = False
    cfg.train_cfg.max_epochs = 1
    cfg.default_hooks.logger.interval = 1
    path = tmp_path_factory.mktemp('config') / 'tiny.py'
    cfg.dump(path)
    return path


def run(*args, cwd):
    """Run Python elsewhere: only custom_imports may lead to gtpt_mm."""
    done = subprocess.run(
        [sys.executable, *map(str, args)],
        capture_output=True,
        text=True,
        env=dict(os.environ, OMP_NUM_THREADS='2'),
        cwd=cwd,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout


@pytest.fixture(scope='module')
def trained(config, tmp_path_factory):
    work_dir = tmp_path_factory.mktemp('work')
    run(
        '-m', 'mim', 'train', 'mmpose', config, '--work-dir', work_dir,
        cwd=work_dir,
    )  # fmt: skip
    return work_dir


def test_mim_train(trained, layout):
    scalars = next(trained.glob('*/vis_data/scalars.json')).read_text()
    rows = [json.loads(line) for line in scalars.splitlines()]
    losses = [row['loss_kpt'] for row in rows if 'loss_kpt' in row]
    assert len(losses) >= 3
    assert all(np.isfinite(losses))
    assert any(METRICS[layout] in row for row in rows)
    assert (trained / 'epoch_1.pth').is_file()


def test_mim_test(config, trained, layout):
    run(
        '-m', 'mim', 'test', 'mmpose', config, '--checkpoint',
        trained / 'epoch_1.pth', '--work-dir', trained / 'test',
        cwd=trained,
    )  # fmt: skip
    result = next((trained / 'test').glob('*/*.json'))
    metrics = json.loads(result.read_text())
    assert np.isfinite(metrics[METRICS[layout]])


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


def test_inferencer(config, trained, data, layout, tmp_path):
    images = sorted((data / layout).rglob('*.jpg'))[:2]
    printed = run(
        '-c', PREDICT, config, trained / 'epoch_1.pth', tmp_path, *images,
        cwd=tmp_path,
    )  # fmt: skip
    people = json.loads(printed.rpartition('RESULT ')[2])
    assert len(people) == 2
    keypoints = np.array(people[0]['keypoints'])
    assert keypoints.shape == (NUM_KEYPOINTS[layout], 2)
    assert np.isfinite(keypoints).all()
    assert (tmp_path / images[0].name).is_file()
