"""Several processes on CPUs, as mmengine's launchers start them."""

import os
import signal
import socket
import subprocess
import sys
import time

import pytest
import torch
from mmengine.config import Config
from mmengine.dist import utils as dist_utils
from mmpose.registry import MODELS
from support.runs import ENV, logged, make_runner, read_scalars

from gtpt_mm.compat.runs import cpu_launcher

CONFIG = (
    'configs/body_2d_keypoint/vitpose/sample/td-hm_vitpose-s_1xb16-14e_'
    'sample-96x64.py'
)


@pytest.fixture(scope='module')
def config(repo_root, tmp_path_factory):
    """The sample config with a narrow model and a few pictures.

    Its backend is nccl, as that of all configs. EPE tells more than the AP of
    an untrained model.
    """
    from pose_samples import generate

    root = tmp_path_factory.mktemp('launcher')
    generate(root, ['coco'], 16, 5, seed=3, max_people=1, image_size=(96, 96))
    cfg = Config.fromfile(repo_root / CONFIG)
    cfg.model.backbone.arch = dict(embed_dims=32, depth=2, num_heads=2)
    cfg.model.head.update(in_channels=32, deconv_out_channels=(8, 8))
    for loader in (cfg.train_dataloader, cfg.val_dataloader):
        loader.update(num_workers=0, persistent_workers=False, batch_size=2)
        loader.dataset.data_root = f'{root / "coco"}/'
    cfg.val_dataloader.dataset.bbox_file = None
    cfg.test_dataloader = cfg.val_dataloader
    cfg.val_evaluator = cfg.test_evaluator = dict(type='EPE')
    cfg.train_cfg.update(max_epochs=2, val_interval=1)
    cfg.default_hooks.checkpoint.update(interval=1, save_best=None)
    cfg.default_hooks.logger.interval = 1
    cfg.randomness = dict(seed=0, deterministic=True)
    assert cfg.env_cfg.dist_cfg.backend == 'nccl'
    cfg.dump(root / 'config.py')
    return root / 'config.py'


def find_port() -> str:
    with socket.socket() as probe:
        probe.bind(('127.0.0.1', 0))
        return str(probe.getsockname()[1])


@pytest.fixture(scope='module')
def folders(config, run_processes):
    """Work folders of the same training by two launchers."""
    run_processes('launch_twice.py', config, find_port(), timeout=120)
    return [config.parent / name for name in ('pytorch', 'slurm')]


def test_two_runs_are_equal(folders):
    """Bit for bit: weights, optimizer and what is logged."""
    first, second = (
        torch.load(folder / 'epoch_2.pth', weights_only=True)
        for folder in folders
    )
    for name, value in first['state_dict'].items():
        assert torch.equal(value, second['state_dict'][name]), name
    for name, state in first['optimizer']['state'].items():
        other = second['optimizer']['state'][name]
        assert torch.equal(state['exp_avg_sq'], other['exp_avg_sq']), name
    losses, others = (logged(read_scalars(f), 'loss') for f in folders)
    assert len(losses) == 8  # 16 pictures, 2 processes of batch 2, 2 epochs
    assert losses == others


def test_results_of_both_are_evaluated(folders, config, tmp_path):
    """5 pictures: each process has 3, one of them is there twice."""
    values = logged(read_scalars(folders[0]), 'EPE')
    runner = make_runner(
        config, tmp_path, load_from=str(folders[0] / 'epoch_2.pth')
    )
    alone = runner.test()['EPE']
    assert len(values) == 2
    assert values[-1] == pytest.approx(alone, rel=1e-5)


def test_log_says_so_once(folders):
    [path] = folders[0].glob('*/*.log')
    text = path.read_text()
    assert text.count('2 processes train on CPUs, by gloo') == 1
    assert text.count('Saving checkpoint at 2 epochs') == 1


def test_sync_batch_norm_is_refused():
    model = MODELS.build(
        dict(type='ResNet', depth=18, norm_cfg=dict(type='SyncBN'))
    )
    wrapper = cpu_launcher.MMDistributedDataParallel
    with pytest.raises(ValueError, match=r"20 layers.*'bn1'.*GPUs only"):
        wrapper(module=model, device_ids=[0])


def test_nothing_changes_with_a_gpu(monkeypatch):
    seen = []

    def launch(backend, **options):
        torch.cuda.set_device(0)
        seen.append((backend, options))

    devices = []
    monkeypatch.setattr(torch.cuda, 'set_device', devices.append)
    start = cpu_launcher._without_gpu(launch)
    for available in (True, False):
        monkeypatch.setattr(torch.cuda, 'is_available', lambda a=available: a)
        start('nccl', timeout=3)
        start('mpi')
    assert seen == [
        ('nccl', dict(timeout=3)),
        ('mpi', {}),
        ('gloo', dict(timeout=3)),
        ('mpi', {}),
    ]
    assert devices == [0, 0]


def test_an_unknown_launcher_is_still_refused():
    with pytest.raises(ValueError, match='Invalid launcher'):
        dist_utils.init_dist('torch')


@pytest.mark.slow
def test_mim_starts_processes(config, tmp_path):
    command = [sys.executable, '-m', 'mim', 'train', 'mmpose', str(config)]
    options = ['--work-dir', str(tmp_path / 'w'), '--launcher', 'pytorch']
    done = subprocess.run(
        [*command, *options, '--gpus', '2', '--port', find_port()],
        env=ENV,
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert (tmp_path / 'w' / 'epoch_2.pth').is_file()


@pytest.mark.slow
def test_a_killed_process_ends_the_other(config, tmp_path):
    """Within seconds, whatever started them."""
    import mmpose

    script = f'{mmpose.__path__[0]}/.mim/tools/train.py'
    options = ['--cfg-options', 'train_cfg.max_epochs=500']
    meeting = dict(MASTER_ADDR='127.0.0.1', MASTER_PORT=find_port())
    log = (tmp_path / 'log').open('w+')
    workers = [
        subprocess.Popen(
            [sys.executable, script, str(config), '--launcher', 'pytorch']
            + ['--work-dir', str(tmp_path / 'w'), *options],
            env=ENV
            | meeting
            | dict(WORLD_SIZE='2', RANK=str(rank), LOCAL_RANK=str(rank)),
            stdout=log,
            stderr=subprocess.STDOUT,
        )
        for rank in range(2)
    ]
    try:
        end = time.monotonic() + 120
        while not (tmp_path / 'w' / 'epoch_2.pth').exists():
            assert time.monotonic() < end
            time.sleep(0.1)
        os.kill(workers[1].pid, signal.SIGKILL)
        assert workers[0].wait(20) != 0
    finally:
        for worker in workers:
            worker.kill()
            worker.wait()
        log.close()
