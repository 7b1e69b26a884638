import itertools
import math
import re

import pytest
import torch
from mmengine.evaluator import BaseMetric
from mmengine.model import BaseModel
from mmengine.registry import init_default_scope
from mmengine.runner import Runner
from torch import nn

from gtpt_mm.engine import CosineEMA, CosineEMAHook


def test_momentum_matches_authors(gtpt_goldens):
    arrays = gtpt_goldens.npz('train3_t_human_d32')
    for iters, epoch, step, momentum in arrays['momentum_table']:
        ema = CosineEMA(nn.Linear(1, 1), total_iters=int(300 * iters))
        own = 1 - ema.momentum_at(int(epoch * iters + step))
        assert own == pytest.approx(momentum, abs=1e-12)


def test_averages_from_the_first_step_and_copies_counters():
    model = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
    ema = CosineEMA(model, total_iters=10, momentum=0.5)
    start = model[0].weight.detach().clone()
    model(torch.rand(4, 2))
    with torch.no_grad():
        model[0].weight += 1
    ema.update_parameters(model)
    torch.testing.assert_close(ema.module[0].weight, start + 0.5)
    torch.testing.assert_close(
        ema.module[1].running_mean, 0.5 * model[1].running_mean
    )
    assert ema.module[1].num_batches_tracked == 1
    with torch.no_grad():
        model[0].weight += 1
    ema.update_parameters(model)
    momentum = 0.25 * (1 + math.cos(math.pi / 10))
    expected = (start + 0.5).lerp(start + 2, momentum)
    torch.testing.assert_close(ema.module[0].weight, expected)


def test_stands_still_at_the_end():
    model = nn.Linear(1, 1)
    ema = CosineEMA(model, total_iters=3)
    assert ema.momentum_at(3) == ema.momentum_at(99) == 0


def test_parameters_only_copies_buffers():
    model = nn.BatchNorm1d(2)
    ema = CosineEMA(model, total_iters=10, update_buffers=False)
    model(torch.rand(4, 2))
    ema.update_parameters(model)
    torch.testing.assert_close(ema.module.running_mean, model.running_mean)


def test_length_must_be_positive():
    with pytest.raises(ValueError, match='0'):
        CosineEMA(nn.Linear(1, 1), total_iters=0)


class _Data(torch.utils.data.Dataset):
    METAINFO = {}

    def __len__(self):
        return 8

    def __getitem__(self, index):
        return torch.full((2,), float(index))


class _Mean(BaseMetric):
    """Mean of all predictions."""

    default_prefix = 'toy'

    def process(self, data_batch, data_samples):
        self.results += [float(sample.mean()) for sample in data_samples]

    def compute_metrics(self, results):
        return dict(mean=sum(results) / len(results))


def _make_runner(tmp_path, ema=None, epochs=4, save_best=None, **kwargs):

    class Toy(BaseModel):
        def __init__(self):
            super().__init__()
            self.linear = nn.Linear(2, 1)

        def init_weights(self):
            nn.init.constant_(self.linear.weight, 3.0)

        def forward(self, inputs, mode='tensor'):
            return dict(loss=self.linear(inputs).square().mean())

        def data_preprocessor(self, data, training=False):
            return data

        def val_step(self, data):
            return list(self.linear(torch.stack(list(data))))

        def train_step(self, data, optim_wrapper):
            losses, logs = self.parse_losses(self(torch.stack(list(data))))
            optim_wrapper.update_params(losses)
            return logs

    return Runner(
        model=Toy(),
        work_dir=str(tmp_path),
        train_dataloader=dict(
            dataset=_Data(),
            batch_size=2,
            sampler=dict(type='DefaultSampler', shuffle=False),
        ),
        train_cfg=dict(by_epoch=True, max_epochs=epochs),
        optim_wrapper=dict(optimizer=dict(type='SGD', lr=1e-3)),
        custom_hooks=[dict(type='CosineEMAHook', **(ema or {}))],
        default_hooks=dict(
            checkpoint=dict(
                type='CheckpointHook', interval=1, **(save_best or {})
            )
        ),
        default_scope='mmpose',
        experiment_name=f'ema_{next(_numbers)}',
        **kwargs,
    )


_numbers = itertools.count()


def _average(runner) -> CosineEMA:
    [hook] = [h for h in runner.hooks if isinstance(h, CosineEMAHook)]
    return hook.ema_model


def _read_log(folder) -> str:
    text = max(folder.glob('*/*.log')).read_text()
    return re.sub(r'\s+', ' ', text)


def test_hook_starts_from_initialised_weights_and_resumes(tmp_path):
    init_default_scope('mmpose')
    official = dict(total_epochs=300, min_windows=0)
    runner = _make_runner(tmp_path, official)
    torch.manual_seed(1)
    runner.train()
    ema = _average(runner)
    assert ema.total_iters == 1200
    assert int(ema.steps) == 16
    # Starts at 3.0 and moves by 0.4 % a step: still nearer 3 than the model.
    average = ema.module.linear.weight
    trained = runner.model.linear.weight
    assert (average > trained).all()
    assert (average > 2.8).all()

    saved = torch.load(tmp_path / 'epoch_2.pth', weights_only=True)
    resumed = _make_runner(
        tmp_path / 'again',
        official,
        load_from=str(tmp_path / 'epoch_2.pth'),
        resume=True,
    )
    resumed.train()
    assert int(saved['ema_state_dict']['steps']) == 8
    again = _average(resumed).module.linear.weight
    torch.testing.assert_close(again, average)
    torch.testing.assert_close(resumed.model.linear.weight, trained)
    assert 'another schedule' not in _read_log(tmp_path / 'again')


# ------------------------------------------------------------------ short runs


def test_short_run_has_the_average_of_the_closed_form():
    """12 updates of 0.1 are 1.2 windows; 6 windows need a momentum of 0.5."""
    model = nn.Linear(1, 1, bias=False)
    nn.init.constant_(model.weight, 1e6)  # the random start, to be forgotten
    ema = CosineEMA(model, total_iters=12, momentum=0.1, min_windows=6)
    assert ema.num_windows == pytest.approx(1.2)
    assert ema.constant_momentum == 0.5
    weights = [2.0, -1.0, 5.0, 3.0]
    # sum_i 0.5^(n - i) w_i / sum_i 0.5^(n - i)
    expected = [2.0, 0.0, 20 / 7, 44 / 15]
    for weight, average in zip(weights, expected, strict=True):
        nn.init.constant_(model.weight, weight)
        ema.update_parameters(model)
        assert float(ema.module.weight) == pytest.approx(average, abs=1e-6)


def test_interval_counts_updates_not_steps():
    model = nn.Linear(1, 1, bias=False)
    ema = CosineEMA(
        model, total_iters=12, momentum=0.1, interval=3, min_windows=2
    )
    assert ema.num_windows == pytest.approx(0.4)
    assert ema.constant_momentum == 0.5
    momenta = [ema.momentum_at(step) for step in (0, 3, 6)]
    assert momenta == pytest.approx([1, 2 / 3, 4 / 7])


@pytest.mark.parametrize(
    ('iters', 'momentum', 'constant'),
    [
        (1750, 0.02, None),  # the demo
        (175_800, 0.004, None),  # COCO
        (6000, 0.004, None),  # 24 windows
        (5999, 0.004, 24 / 5999),
        (280, 0.02, 24 / 280),  # the demo's recipe with 320 images
        (1500, 0.004, 24 / 1500),  # COCO's recipe with 320 images
        (20, 0.004, 1.0),
    ],
)
def test_rule_of_the_hook(tmp_path, iters, momentum, constant):
    init_default_scope('mmpose')
    runner = _make_runner(tmp_path, dict(momentum=momentum))
    hook = next(h for h in runner.hooks if isinstance(h, CosineEMAHook))
    hook.before_run(runner)
    hook.ema_model.set_length(iters)
    assert hook.ema_model.constant_momentum == constant
    official = CosineEMA(nn.Linear(1, 1), iters, momentum)
    assert official.constant_momentum is None
    if constant is None:
        for step in (0, iters // 3, iters):
            expected = official.momentum_at(step)
            assert hook.ema_model.momentum_at(step) == expected


def test_short_run_saves_what_it_learned_and_resumes(tmp_path):
    init_default_scope('mmpose')
    options = dict(momentum=0.02, min_windows=4)
    runner = _make_runner(tmp_path, options)
    torch.manual_seed(1)
    runner.train()
    log = _read_log(tmp_path)
    assert 'a run of 0.32 windows' in log
    assert '(constant momentum 0.25)' in log
    ema = _average(runner)
    average, trained = ema.module.linear.weight, runner.model.linear.weight
    assert (trained < 1.5).all()
    # A window of 4 steps, no start at 3.0.
    assert (average < 1.9).all()
    saved = torch.load(tmp_path / 'epoch_4.pth', weights_only=True)
    torch.testing.assert_close(saved['state_dict']['linear.weight'], average)
    assert saved['cosine_ema'] == dict(
        run_iters=16,
        total_epochs=None,
        momentum=0.02,
        interval=1,
        min_windows=4,
    )
    resumed = _make_runner(
        tmp_path / 'again',
        options,
        load_from=str(tmp_path / 'epoch_1.pth'),
        resume=True,
    )
    resumed.train()
    again = torch.load(tmp_path / 'again/epoch_4.pth', weights_only=True)
    for key, value in saved['ema_state_dict'].items():
        assert torch.equal(again['ema_state_dict'][key], value), key
    for key, value in saved['state_dict'].items():
        assert torch.equal(again['state_dict'][key], value), key
    assert 'another schedule' not in _read_log(tmp_path / 'again')


def test_resuming_with_another_schedule_warns(tmp_path):
    init_default_scope('mmpose')
    _make_runner(tmp_path, epochs=1).train()
    path = tmp_path / 'epoch_1.pth'
    resume = dict(resume=True, load_from=str(path))
    options = dict(momentum=0.5, min_windows=0)
    _make_runner(tmp_path / 'a', options, epochs=2, **resume).train()
    log = _read_log(tmp_path / 'a')
    for words in (
        'run_iters was 4, is 8',
        'momentum was 0.004, is 0.5',
        'min_windows was 24, is 0',
    ):
        assert words in log
    assert 'interval was' not in log

    # As written before short runs had a window of their own.
    saved = torch.load(path, weights_only=True)
    del saved['cosine_ema']
    torch.save(saved, path)
    _make_runner(tmp_path / 'b', epochs=2, **resume).train()
    assert 'schedule: min_windows was 0, is 24.' in _read_log(tmp_path / 'b')
    _make_runner(
        tmp_path / 'c', dict(min_windows=0), epochs=2, **resume
    ).train()
    assert 'another schedule' not in _read_log(tmp_path / 'c')


@pytest.mark.parametrize(
    ('options', 'words'),
    [
        (
            dict(total_epochs=1, min_windows=0),
            'total_epochs=1 ends before the training (8 steps): from epoch 2 '
            'on (step 4) the average stands still',
        ),
        (
            dict(total_epochs=4, min_windows=0, momentum=0.5),
            'total_epochs=4 exceeds the training (8 steps): the momentum ends '
            'at 0.25 instead of 0',
        ),
        (dict(total_epochs=3), 'total_epochs=3 has no effect in a run this'),
    ],
)
def test_another_length_than_the_training_warns(tmp_path, options, words):
    init_default_scope('mmpose')
    _make_runner(tmp_path, options, epochs=2).train()
    assert f'CosineEMAHook: {words}' in _read_log(tmp_path)


@pytest.mark.parametrize('total_epochs', [None, 2])
def test_length_of_the_training_does_not_warn(tmp_path, total_epochs):
    init_default_scope('mmpose')
    _make_runner(tmp_path, dict(total_epochs=total_epochs), epochs=2).train()
    assert 'total_epochs=' not in _read_log(tmp_path)


@pytest.mark.parametrize('validate_trained', [False, True])
def test_validation_logs_both_sets_of_weights(tmp_path, validate_trained):
    init_default_scope('mmpose')
    options = dict(min_windows=0, validate_trained=validate_trained)
    runner = _make_runner(
        tmp_path,
        options,
        epochs=1,
        val_dataloader=dict(
            dataset=_Data(),
            batch_size=4,
            sampler=dict(type='DefaultSampler', shuffle=False),
        ),
        val_cfg=dict(),
        val_evaluator=[_Mean()],
        save_best=dict(save_best='toy/mean', rule='less'),
    )
    runner.train()
    mean = torch.full((1, 2), 3.5)
    expected = {
        name: float(model.linear(mean))
        for name, model in dict(
            average=_average(runner).module, trained=runner.model
        ).items()
    }
    assert expected['average'] > expected['trained'] + 1
    logged = {
        key: buffer.current()
        for key, buffer in runner.message_hub.log_scalars.items()
        if key.startswith('val/') and 'mean' in key
    }
    assert logged.pop('val/toy/mean') == pytest.approx(expected['average'])
    if validate_trained:
        trained = logged.pop('val/trained/toy/mean')
        assert trained == pytest.approx(expected['trained'])
        assert 'trained/toy/mean' in _read_log(tmp_path)
    assert not logged
    best = runner.message_hub.get_info('best_score')
    assert best == pytest.approx(expected['average'])


def test_processes_share_averaged_statistics(tmp_path, run_processes):
    run_processes('share_statistics.py', tmp_path)
    first, second = (
        torch.load(tmp_path / f'{rank}.pt', weights_only=True)
        for rank in range(2)
    )
    torch.testing.assert_close(first, second)
    # Batch means 0.25 and 1.25, times 0.1 of BatchNorm, times 0.5 of ours.
    torch.testing.assert_close(first, torch.full((2,), 0.0375))
