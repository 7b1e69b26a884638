import math

import pytest
import torch
from mmengine.registry import init_default_scope
from torch import nn

from gtpt_mm.engine import CosineEMA


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


def _make_runner(tmp_path, **kwargs):
    from mmengine.model import BaseModel
    from mmengine.runner import Runner

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
        train_cfg=dict(by_epoch=True, max_epochs=4),
        optim_wrapper=dict(optimizer=dict(type='SGD', lr=1e-3)),
        custom_hooks=[dict(type='CosineEMAHook', total_epochs=300)],
        default_hooks=dict(checkpoint=dict(type='CheckpointHook', interval=1)),
        default_scope='mmpose',
        experiment_name=f'ema_{tmp_path.name}_{len(kwargs)}',
        **kwargs,
    )


def test_hook_starts_from_initialised_weights_and_resumes(tmp_path):
    init_default_scope('mmpose')
    runner = _make_runner(tmp_path)
    torch.manual_seed(1)
    runner.train()
    ema = next(h for h in runner.hooks if type(h).__name__ == 'CosineEMAHook')
    assert ema.ema_model.total_iters == 1200
    assert int(ema.ema_model.steps) == 16
    # Starts at 3.0 and moves by 0.4 % a step: still nearer 3 than the model.
    average = ema.ema_model.module.linear.weight
    trained = runner.model.linear.weight
    assert (average > trained).all()
    assert (average > 2.8).all()

    saved = torch.load(tmp_path / 'epoch_2.pth', weights_only=True)
    resumed = _make_runner(
        tmp_path, load_from=str(tmp_path / 'epoch_2.pth'), resume=True
    )
    resumed.train()
    again = next(
        h for h in resumed.hooks if type(h).__name__ == 'CosineEMAHook'
    )
    assert int(saved['ema_state_dict']['steps']) == 8
    torch.testing.assert_close(again.ema_model.module.linear.weight, average)
    torch.testing.assert_close(resumed.model.linear.weight, trained)


def test_processes_share_averaged_statistics(tmp_path, run_processes):
    run_processes('share_statistics.py', tmp_path)
    first, second = (
        torch.load(tmp_path / f'{rank}.pt', weights_only=True)
        for rank in range(2)
    )
    torch.testing.assert_close(first, second)
    # Batch means 0.25 and 1.25, times 0.1 of BatchNorm, times 0.5 of ours.
    torch.testing.assert_close(first, torch.full((2,), 0.0375))
