"""Checkpoints of a training: the new one is whole before the old one goes."""

import os

import mmengine.hooks
import pytest
from mmengine.fileio import LocalBackend
from mmengine.hooks import CheckpointHook
from mmengine.runner import CheckpointLoader
from support.line import make_line_runner


def checkpoints(folder):
    return sorted(p.name for p in folder.glob('*.pth'))


def test_stock_name_is_ours():
    hook = make_hook()
    assert type(hook).__module__ == 'gtpt_mm.compat.files.checkpoint_hook'
    assert mmengine.hooks.checkpoint_hook.CheckpointHook is CheckpointHook


def make_hook(**options):
    from mmpose.registry import HOOKS

    return HOOKS.build(dict(type='CheckpointHook', **options))


class FullDisk:
    """Write half of the files from the given one on, then fail."""

    def __init__(self, monkeypatch, first):
        self.first = first
        self.stock = LocalBackend.put
        disk = self
        monkeypatch.setattr(
            LocalBackend,
            'put',
            lambda backend, obj, path: disk.put(backend, obj, path),
        )

    def put(self, backend, obj, path):
        self.first -= 1
        if self.first > 0:
            self.stock(backend, obj, path)
            return
        self.stock(backend, obj[: len(obj) // 2], path)
        raise OSError(28, os.strerror(28))


def test_full_disk_keeps_the_only_checkpoint(tmp_path, monkeypatch):
    """max_keep_ckpts=1: stock removes epoch_2 before it writes epoch_3."""
    FullDisk(monkeypatch, first=3)
    runner = make_line_runner(
        tmp_path,
        4,
        checkpoint=dict(interval=1, max_keep_ckpts=1, save_best=None),
    )
    with pytest.raises(OSError, match=r'No space left.*epoch_3\.pth'):
        runner.train()
    assert checkpoints(tmp_path) == ['epoch_2.pth']
    assert not [n for n in os.listdir(tmp_path) if n.startswith('.')]
    last = (tmp_path / 'last_checkpoint').read_text()
    assert last == str(tmp_path / 'epoch_2.pth')
    assert CheckpointLoader.load_checkpoint(last)['meta']['epoch'] == 2


def test_full_disk_keeps_the_best_checkpoint(tmp_path, monkeypatch):
    """Writes: epoch 1, its best, again; epoch 2 and a new best."""
    FullDisk(monkeypatch, first=5)
    options = dict(interval=1, max_keep_ckpts=1)
    runner = make_line_runner(tmp_path, 4, (0.1, 0.2), options)
    with pytest.raises(OSError, match=r'best_AP_epoch_2\.pth'):
        runner.train()
    assert checkpoints(tmp_path) == ['best_AP_epoch_1.pth', 'epoch_2.pth']


def test_kill_in_a_save_keeps_the_only_checkpoint(tmp_path, run_script):
    [code], [printed] = run_script('killed_save.py', tmp_path)
    assert code == 9, printed
    last = (tmp_path / 'last_checkpoint').read_text()
    assert last == str(tmp_path / 'epoch_2.pth')
    assert CheckpointLoader.load_checkpoint(last)['meta']['epoch'] == 2
    options = dict(interval=1, max_keep_ckpts=1, save_best=None)
    runner = make_line_runner(tmp_path, 4, checkpoint=options, resume=True)
    runner.train()
    assert runner.epoch == 4
    # Half a file is not left, nor is the lock of the dead process.
    assert checkpoints(tmp_path) == ['epoch_4.pth']
    assert not list(tmp_path.glob('*.lock'))


def test_outdated_files_go_in_the_end(tmp_path):
    options = dict(interval=1, max_keep_ckpts=2)
    runner = make_line_runner(tmp_path, 4, (0.1, 0.4, 0.3), options)
    runner.train()
    found = checkpoints(tmp_path)
    assert found == ['best_AP_epoch_2.pth', 'epoch_3.pth', 'epoch_4.pth']


def test_kill_before_the_removal_is_made_up_for(tmp_path, monkeypatch):
    """Both an outdated epoch and the former best are left by the kill."""
    options = dict(interval=1, max_keep_ckpts=1)
    runner = make_line_runner(tmp_path, 2, (0.1, 0.2), options)
    monkeypatch.setattr(CheckpointHook, '_remove_outdated', lambda self: None)
    runner.train()
    assert len(checkpoints(tmp_path)) == 4
    monkeypatch.undo()
    options |= dict(interval=5, save_last=False)
    make_line_runner(tmp_path, 3, (0.1,), options, resume=True).train()
    assert checkpoints(tmp_path) == ['best_AP_epoch_2.pth', 'epoch_2.pth']


def test_best_of_a_repeated_epoch_is_not_removed(tmp_path):
    """A resumed epoch gives the best checkpoint the name of the old one."""
    options = dict(interval=1)
    make_line_runner(tmp_path, 2, (0.1, 0.2), options).train()
    os.remove(tmp_path / 'last_checkpoint')
    os.remove(tmp_path / 'epoch_2.pth')
    make_line_runner(tmp_path, 2, (0.2,), options, resume=True).train()
    assert 'best_AP_epoch_2.pth' in checkpoints(tmp_path)


def test_iterations_folder_and_published_file(tmp_path):
    options = dict(
        by_epoch=False,
        interval=2,
        max_keep_ckpts=2,
        out_dir=str(tmp_path / 'out'),
        published_keys=['meta', 'state_dict'],
        save_best=None,
    )
    make_line_runner(
        tmp_path / 'run',
        0,
        checkpoint=options,
        train_cfg=dict(by_epoch=False, max_iters=6, val_interval=6),
    ).train()
    folder = tmp_path / 'out' / 'run'
    published = [n for n in checkpoints(folder) if n.startswith('iter_6-')]
    assert checkpoints(folder) == ['iter_4.pth', *published, 'iter_6.pth']
    content = CheckpointLoader.load_checkpoint(str(folder / published[0]))
    assert sorted(content) == ['meta', 'state_dict']
    last = (tmp_path / 'run' / 'last_checkpoint').read_text()
    assert last == str(folder / 'iter_6.pth')


@pytest.mark.parametrize(
    'key, rule',
    [
        ('AP', 'greater'),
        ('PCK', 'greater'),
        ('coco/AP', 'greater'),
        ('coco/AP .5', 'greater'),
        ('PCKh@0.1', 'greater'),
        ('Head tPCK', 'greater'),
        ('coco-wholebody/AR (M)', 'greater'),
        ('AUC', 'greater'),
        ('EPE', 'less'),
        ('NME', 'less'),
        ('PA-MPJPE', 'less'),
        ('loss', 'less'),
    ],
)
def test_rule_of_a_metric(key, rule):
    assert make_hook(save_best=key).rules == [rule]


def test_rules_that_are_given_or_unknown():
    assert make_hook(save_best='AP', rule='less').rules == ['less']
    assert make_hook(save_best='AP', less_keys=['AP']).rules == ['less']
    for key in ('gap', 'shape'):  # not an AP
        with pytest.raises(ValueError, match=f'rule for key {key}'):
            make_hook(save_best=key)


def test_auto_takes_the_first_metric(tmp_path):
    options = dict(save_best='auto', rule=None, interval=1)
    make_line_runner(tmp_path, 2, (0.3, 0.2), options).train()
    assert 'best_AP_epoch_1.pth' in checkpoints(tmp_path)


def test_unknown_metric_is_named(tmp_path):
    runner = make_line_runner(tmp_path, 1, checkpoint=dict(save_best='mAP'))
    with pytest.raises(ValueError, match=r"\['mAP'\].*AP, AR, num"):
        runner.train()
