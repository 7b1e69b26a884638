"""ZeRO: an optimizer state divided among the processes of a training."""

import json

import pytest
import torch
from mmengine.optim import OptimWrapper, ZeroRedundancyOptimizer
from mmengine.registry import OPTIMIZERS
from support.same_run import compare, read_checkpoint
from support.small_training import write_config
from torch import nn

PAIRS = [('zero', 'plain'), ('stopped', 'zero'), ('to_zero', 'plain'),
         ('to_plain', 'plain')]  # fmt: skip


@pytest.fixture(scope='module')
def folder(repo_root, run_processes, tmp_path_factory):
    """The work folders of all trainings of the script."""
    root = tmp_path_factory.mktemp('zero')
    config = write_config(repo_root, root)
    run_processes('divided_state.py', config, root, timeout=300)
    return root


def same(folder, name, other):
    mine, expected = (
        read_checkpoint(folder / each / 'epoch_3.pth')
        for each in (name, other)
    )
    for checkpoint in (mine, expected):
        del checkpoint['message_hub']  # names of folders
        checkpoint['optimizer'].pop('base_param_settings')
    compare(mine, expected, name)


@pytest.mark.parametrize(('name', 'other'), PAIRS)
def test_trajectory_and_saved_state_are_those_of_adamw(folder, name, other):
    """Bit for bit: weights, moments, rates; stopped, and exchanged."""
    same(folder, name, other)
    saved = read_checkpoint(folder / name / 'epoch_3.pth')['optimizer']
    assert len(saved['param_groups']) > 4  # layer-wise rates
    num = sum(len(group['params']) for group in saved['param_groups'])
    assert len(saved['state']) == num


@pytest.mark.parametrize('dtype', ['float16', 'bfloat16'])
def test_mixed_precision(folder, dtype):
    same(folder, f'{dtype}-zero', f'{dtype}-plain')
    with pytest.raises(AssertionError):
        same(folder, f'{dtype}-zero', 'plain')
    saved = read_checkpoint(folder / f'{dtype}-zero' / 'epoch_3.pth')
    assert saved['optimizer']['loss_scaler']['scale'] == 2.0**9


@pytest.mark.parametrize('name', ['zero', 'stopped', 'to_zero'])
def test_each_process_holds_half(folder, name):
    """Also after a resume."""
    sizes = [json.loads((folder / f'{i}.json').read_text()) for i in (0, 1)]
    whole = sizes[0]['plain']
    assert sizes[1]['plain'] == whole > 0
    assert sizes[0][name] + sizes[1][name] == whole
    assert max(sizes[0][name], sizes[1][name]) < 0.55 * whole


def test_the_signal_saved_the_middle_of_an_epoch(folder):
    saved = read_checkpoint(folder / 'stopped' / 'stopped.pth')
    assert saved['exact_resume']['place']['inner'] in (1, 2)
    assert saved['exact_resume']['optimizer'] == 'AdamW'
    assert saved['optimizer']['state'][0]['exp_avg'].abs().sum() > 0


# ---------------------------------------------------------------- one process


def build(**options):
    cfg = dict(type='ZeroRedundancyOptimizer', optimizer_type='AdamW', lr=0.1)
    model = nn.Linear(2, 2)
    return OPTIMIZERS.build(cfg | dict(params=model.parameters()) | options)


def test_one_process_has_the_plain_optimizer():
    optimizer = build(parameters_as_bucket_view=True, betas=(0.5, 0.9))
    assert type(optimizer) is torch.optim.AdamW
    assert optimizer.defaults['betas'] == (0.5, 0.9)


def test_what_would_train_nothing_is_refused():
    with pytest.raises(ValueError, match='overlap_with_ddp=True.*no weight'):
        build(overlap_with_ddp=True)


@pytest.mark.parametrize('name', ['AdamX', 'Optimizer', 'lr_scheduler'])
def test_an_unknown_optimizer_is_named(name):
    with pytest.raises(ValueError, match=f"optimizer_type='{name}'"):
        build(optimizer_type=name)


@pytest.fixture
def alone():
    """A process group of this process."""
    store = torch.distributed.HashStore()
    torch.distributed.init_process_group(
        'gloo', store=store, rank=0, world_size=1
    )
    yield
    torch.distributed.destroy_process_group()


def test_hooks_see_the_state_of_this_process(alone):
    """CurriculumHook clears it."""
    model = nn.Linear(2, 2)
    wrapper = OptimWrapper(build(params=model.parameters()))
    optimizer = wrapper.optimizer
    assert type(optimizer) is ZeroRedundancyOptimizer
    assert optimizer.defaults['weight_decay'] == 0.01
    wrapper.update_params(model(torch.ones(1, 2)).sum())
    optimizer.consolidate_state_dict()
    saved = wrapper.state_dict()
    wrapper.load_state_dict(saved)
    assert len(optimizer.optim.state) == 2
    optimizer.state.clear()
    assert not optimizer.optim.state
