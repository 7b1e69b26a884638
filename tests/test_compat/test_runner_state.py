"""A resume that cannot be exact is refused, with the way out."""

import random

import mmengine.runner.runner as stock
import numpy as np
import pytest
import torch
from support.same_run import assert_same_run
from support.toy_training import RandomData, loader, make_runner

from gtpt_mm.compat.runs.generators import read_states, restore_states


@pytest.fixture(scope='module')
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp('trained')
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stock, 'collect_env', dict)
        make_runner(folder).train()
    return folder


@pytest.fixture(autouse=True)
def _no_report(monkeypatch):
    monkeypatch.setattr(stock, 'collect_env', dict)


def resume(path, tmp_path, **options):
    runner = make_runner(tmp_path, load_from=str(path), resume=True, **options)
    runner.train()
    return runner


def test_generators_go_through_a_checkpoint(tmp_path):
    random.gauss(0, 1)  # leaves its second number for the next call
    np.random.normal()
    torch.save(read_states(), tmp_path / 'states.pt')

    def draw():
        return (
            random.gauss(0, 1),
            random.random(),
            np.random.normal(),
            np.random.rand(),
            torch.rand(3).tolist(),
        )

    expected = draw()
    draw()
    restore_states(torch.load(tmp_path / 'states.pt', weights_only=True))
    assert draw() == expected


def test_checkpoint_is_read_with_weights_only(trained, tmp_path):
    runner = resume(trained / 'epoch_2.pth', tmp_path)
    assert runner.iter == 18
    one, other = (
        torch.load(folder / 'epoch_3.pth', weights_only=False)
        for folder in (trained, tmp_path)
    )
    for name, tensor in one['state_dict'].items():
        assert torch.equal(other['state_dict'][name], tensor), name


@pytest.mark.parametrize('kept', [['state_dict'], ['meta', 'state_dict']])
def test_no_optimizer_state(trained, tmp_path, kept):
    checkpoint = torch.load(trained / 'epoch_2.pth', weights_only=False)
    path = tmp_path / 'weights.pth'
    torch.save({key: checkpoint[key] for key in kept}, path)
    with pytest.raises(ValueError, match='load_from') as error:
        resume(path, tmp_path / 'run')
    assert str(path) in str(error.value)
    # The way out.
    make_runner(tmp_path / 'run', load_from=str(path)).train()


def test_best_checkpoint_is_refused(trained, tmp_path):
    [best] = trained.glob('best_*.pth')
    with pytest.raises(ValueError, match='no optimizer state'):
        resume(best, tmp_path)


def test_checkpoint_of_another_model_is_refused(trained, tmp_path):
    checkpoint = torch.load(trained / 'epoch_2.pth', weights_only=False)
    name = next(iter(checkpoint['state_dict']))
    tensor = checkpoint['state_dict'][name]
    checkpoint['state_dict'][name] = torch.cat([tensor, tensor])
    path = tmp_path / 'other.pth'
    torch.save(checkpoint, path)
    with pytest.raises(ValueError, match='of another model.*load_from') as e:
        resume(path, tmp_path / 'run')
    assert f'{name} (' in str(e.value) and str(path) in str(e.value)


def test_other_optimizer(trained, tmp_path):
    options = dict(optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.1)))
    with pytest.raises(ValueError, match='optimizer is Adam.* has SGD'):
        resume(trained / 'epoch_2.pth', tmp_path, **options)


COSINE = dict(type='CosineAnnealingLR', by_epoch=False)


@pytest.mark.parametrize(
    ('schedules', 'words'),
    [
        (
            dict(type='MultiStepLR', milestones=[2], by_epoch=False),
            'another type than MultiStepLR .*T_max.* not gamma, milestones',
        ),
        (
            dict(COSINE, type='CosineAnnealingMomentum'),
            'another type than CosineAnnealingMomentum .*not use_betas',
        ),
        ([COSINE, COSINE], 'it has 1 schedules, the config has 2'),
        (None, 'it has 1 schedules, the config has 0'),
    ],
)
def test_other_schedules(trained, tmp_path, schedules, words):
    """mmengine would mix the attributes of both, or leave some out."""
    optimizer = dict(type='Adam', lr=0.1)
    with pytest.raises(ValueError, match=f'cannot resume.*{words}') as error:
        resume(
            trained / 'epoch_2.pth',
            tmp_path,
            param_scheduler=schedules,
            optim_wrapper=dict(optimizer=optimizer),
        )
    assert 'load_from' in str(error.value)


def test_schedule_of_another_length(trained, tmp_path):
    """The checkpoint's goes on, and the log says so."""
    runner = resume(
        trained / 'epoch_2.pth',
        tmp_path,
        param_scheduler=dict(COSINE, T_max=40, end=40),
    )
    assert runner.param_schedulers[0].T_max == 18
    log = next(tmp_path.glob('*/*.log')).read_text()
    assert 'CosineAnnealingLR continues with T_max=18, end=18' in log
    assert 'T_max=40, end=40 of the config has no effect' in log


def test_same_schedule_is_not_reported(trained, tmp_path):
    resume(trained / 'epoch_2.pth', tmp_path)
    log = next(tmp_path.glob('*/*.log')).read_text()
    assert 'continues with' not in log


def test_averages_that_are_not_finite_are_not_resumed(trained, tmp_path):
    checkpoint = torch.load(trained / 'epoch_2.pth', weights_only=False)
    average = checkpoint['ema_state_dict']
    name = next(k for k, v in average.items() if v.is_floating_point())
    average[name] = torch.full_like(average[name], float('nan'))
    path = tmp_path / 'nan.pth'
    torch.save(checkpoint, path)
    with pytest.raises(ValueError, match='ema_state_dict.*NaN or infinite'):
        resume(path, tmp_path / 'run')


def test_none_leaves_out_any_default_hook(tmp_path):
    runner = make_runner(
        tmp_path, default_hooks=dict(timer=None, finite_loss=None)
    )
    names = {type(hook).__name__ for hook in runner.hooks}
    assert 'IterTimerHook' not in names and 'LoggerHook' in names


def test_other_batch_size(trained, tmp_path, caplog):
    options = dict(train_dataloader=loader(batch_size=3))
    with pytest.raises(ValueError, match='resume_with_other_batch_size') as e:
        resume(trained / 'epoch_2.pth', tmp_path, **options)
    assert '3 samples' in str(e.value) and '2 samples' in str(e.value)
    runner = resume(
        trained / 'epoch_2.pth',
        tmp_path,
        cfg=dict(resume_with_other_batch_size=True),
        **options,
    )
    assert runner.epoch == 3 and runner.iter == 12 + 4


def test_other_data(trained, tmp_path, caplog):
    options = dict(train_dataloader=loader(dataset=RandomData(10)))
    runner = resume(trained / 'epoch_2.pth', tmp_path, **options)
    assert runner.epoch == 3
    log = next(tmp_path.glob('*/*.log')).read_text()
    assert '12 training samples, now there are 10' in log


def test_seed_that_was_drawn(tmp_path):
    """Without a seed in the config, a resume takes that of the checkpoint."""
    options = dict(randomness=dict(seed=None))
    runner = make_runner(tmp_path / 'parts', **options)
    runner.train()
    seed = runner.seed
    make_runner(tmp_path / 'whole', randomness=dict(seed=seed)).train()
    (tmp_path / 'parts' / 'last_checkpoint').write_text(
        str(tmp_path / 'parts' / 'epoch_1.pth')
    )
    runner = make_runner(tmp_path / 'parts', resume=True, **options)
    assert runner.seed != seed
    runner.train()
    assert_same_run(tmp_path / 'parts', tmp_path / 'whole')


def test_checkpoint_of_stock_mmengine(trained, tmp_path):
    checkpoint = torch.load(trained / 'epoch_2.pth', weights_only=False)
    del checkpoint['exact_resume']
    torch.save(checkpoint, tmp_path / 'stock.pth')
    runner = resume(tmp_path / 'stock.pth', tmp_path / 'run')
    assert runner.iter == 18
