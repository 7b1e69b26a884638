"""``--cfg-options train_cfg.max_epochs=N`` moves every length with it."""

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmengine.runner import Runner
from support.whole_body import Instances, find_hook, make_model, make_runner
from torch import nn

from gtpt_mm.engine import CosineEMAHook

SCHEDULES = 'configs/_base_/schedules'
#: Steps of an epoch.
NUM_STEPS = 50


@pytest.fixture
def build_schedule(repo_root, tmp_path):
    """Return a function that runs a schedule: learning rates of all steps."""

    def build(name: str, max_epochs: int) -> list[float]:
        cfg = Config.fromfile(repo_root / SCHEDULES / f'{name}.py')
        cfg.merge_from_dict({'train_cfg.max_epochs': max_epochs})
        init_default_scope('mmpose')
        model = nn.Linear(1, 1)
        lr = cfg.optim_wrapper.optimizer.lr
        runner = Runner(
            model=model,
            work_dir=str(tmp_path),
            train_dataloader=dict(
                dataset=torch.utils.data.TensorDataset(
                    torch.zeros(NUM_STEPS, 1)
                ),
                sampler=dict(type='DefaultSampler', shuffle=False),
            ),
            train_cfg=dict(by_epoch=True, max_epochs=max_epochs),
            optim_wrapper=dict(optimizer=dict(type='SGD', lr=lr)),
            default_scope='mmpose',
            experiment_name=f'{name}_{max_epochs}_{tmp_path.name}',
        )
        assert runner.train_loop.max_iters == max_epochs * NUM_STEPS
        runner.optim_wrapper = runner.build_optim_wrapper(runner.optim_wrapper)
        schedulers = runner.build_param_scheduler(cfg.param_scheduler)
        rates = []
        for step in range(max_epochs * NUM_STEPS):
            rates.append(runner.optim_wrapper.get_lr()['lr'][0])
            runner.optim_wrapper.optimizer.step()
            for scheduler in schedulers:
                if not scheduler.by_epoch or (step + 1) % NUM_STEPS == 0:
                    scheduler.step()
        return rates

    return build


@pytest.mark.parametrize('max_epochs', [10, 25])
@pytest.mark.parametrize('name', ['adam_14e', 'adamw_14e', 'adamw_20e'])
def test_cosine_ends_with_the_training(build_schedule, name, max_epochs):
    rates = build_schedule(name, max_epochs)
    peak = rates.index(max(rates))
    # The warm-up ends after 100 steps, whatever the length; the cosine falls.
    assert 80 <= peak <= 100
    assert rates[0] < 0.02 * max(rates)
    assert rates[:peak] == sorted(rates[:peak])
    assert rates[peak:] == sorted(rates[peak:], reverse=True)
    # eta_min; one step before, the cosine is almost there.
    assert rates[-1] == pytest.approx(1e-5, rel=0.3)
    assert rates[len(rates) // 2] > 10 * rates[-1]


@pytest.mark.parametrize('max_epochs', [50, 60])
def test_pretraining_anneals_from_the_warm_up_to_the_end(
    build_schedule, max_epochs
):
    rates = build_schedule('mae_1600e', max_epochs)
    peak = rates.index(max(rates))
    assert abs(peak - 40 * NUM_STEPS) <= 1
    middle = rates[(peak + len(rates)) // 2]
    assert middle == pytest.approx(max(rates) / 2, rel=0.02)
    assert rates[-1] < 1e-4 * max(rates)


@pytest.mark.parametrize('max_epochs', [2, 3])
def test_average_lasts_as_long_as_the_training(tmp_path, max_epochs):
    """The hook of the schedules, which names no length."""
    runner = make_runner(
        tmp_path, epochs=max_epochs, model=make_model(), ema={}
    )
    runner.train()
    average = find_hook(runner, CosineEMAHook).ema_model
    num_steps = max_epochs * len(Instances()) // 2
    assert average.total_iters == int(average.steps) == num_steps
    assert average.momentum_at(num_steps) == 0


@pytest.mark.parametrize('folder', ['configs', 'projects'])
def test_no_config_repeats_a_length(repo_root, folder):
    """Neither averages nor annealing schedules name their end."""
    for path in sorted((repo_root / folder).rglob('*.py')):
        if 'configs' in path.relative_to(repo_root).parts:
            text = path.read_text()
            assert 'total_epochs' not in text, path
            assert 'T_max' not in text, path
