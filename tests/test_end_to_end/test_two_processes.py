"""Two processes train as one with the batch of both."""

from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from support.configs import shrink

#: Config, and the steps that it is trained; of narrow models.
STEPS = {'body-t': 3, 'wholebody-t-curriculum': 6}
#: Likewise, of models as they are, with ``make test-slow``.
SLOW_STEPS = {f'{task}-{s}': 3 for task in ('body', 'wholebody') for s in 'sb'}
RANDOM = (
    'RandomHalfBody',
    'RandomHalfBodyByIds',
    'ClippedRandomBBoxTransform',
    'RandomFlip',
)


@pytest.fixture(scope='module')
def train_both_ways(small_config, run_processes, tmp_path_factory):
    """Train 12 people in steps of 4, with and without a second process."""

    @cache
    def train(*names: str) -> Path:
        folder = tmp_path_factory.mktemp('two')
        for name in names:
            write_config(name, small_config, folder)
        run_processes('train_config.py', folder, *names)
        return folder

    return train


def write_config(name: str, small_config, folder: Path) -> None:
    num_steps = (STEPS | SLOW_STEPS)[name]
    cfg = small_config(name.removesuffix('-curriculum'))
    if name in STEPS:
        cfg.model = shrink(cfg.model)
    # Frozen statistics of a new model: let activations keep their size.
    cfg.model.backbone.update(
        qk_init_gain=3.0, init_cfg=dict(type='Kaiming', layer='Conv2d')
    )
    loader = cfg.train_dataloader
    loader.sampler.shuffle = False
    loader.dataset.indices = 12
    loader.dataset.pipeline = [
        step for step in loader.dataset.pipeline if step.type not in RANDOM
    ]
    # Adam would blow rounding up where a gradient is almost zero.
    cfg.optim_wrapper = dict(optimizer=dict(type='SGD', lr=1.0))
    cfg.train_cfg.max_epochs = num_steps // 3
    if name.endswith('curriculum'):
        # The body alone in the first epoch; the average starts anew.
        cfg.custom_hooks = [
            dict(type='CurriculumHook', switch_epoch=1),
            dict(type='CosineEMAHook', min_windows=0),
        ]
    for key in ('cfg', 'dataloader', 'evaluator'):
        cfg[f'val_{key}'] = cfg[f'test_{key}'] = None
    cfg.default_hooks.checkpoint.pop('save_best')
    cfg.dump(folder / f'{name}.py')


@pytest.fixture(
    params=[
        *STEPS,
        *(pytest.param(name, marks=pytest.mark.slow) for name in SLOW_STEPS),
    ]
)
def records(request, train_both_ways):
    """What each process recorded, and what the one alone did."""
    num_steps = (STEPS | SLOW_STEPS)[request.param]
    quick = request.param in STEPS
    folder = train_both_ways(*(STEPS if quick else [request.param]))
    records = [
        torch.load(folder / f'{request.param}-{who}.pt', weights_only=True)
        for who in (0, 1, 'alone')
    ]
    for record in records:
        assert len(record['losses']) == num_steps
        assert len(record['gradients']) == num_steps
    return records


def test_losses_are_those_of_one_process(records):
    first, second, alone = (np.array(r['losses']) for r in records)
    assert (first != second).all()  # each had people of its own
    np.testing.assert_allclose((first + second) / 2, alone, 1e-5)
    assert len(set(alone)) == len(alone)


def test_gradients_are_those_of_one_process(records):
    first, second, alone = (record['gradients'] for record in records)
    for one, other, expected in zip(first, second, alone, strict=True):
        assert set(one) == set(expected)
        largest = max(grad.norm() for grad in expected.values())
        for name, grad in expected.items():
            assert torch.equal(one[name], other[name]), name
            error = (one[name] - grad).norm()
            assert error < 1e-4 * grad.norm() + 1e-6 * largest, name


def test_average_is_that_of_one_process(records):
    first, second, alone = (record['weights'] for record in records)
    assert set(first) == set(alone)
    for name, expected in alone.items():
        assert torch.equal(first[name], second[name]), name
        torch.testing.assert_close(
            first[name], expected, rtol=1e-5, atol=1e-6, msg=name
        )
