"""A warning says what happens to the learning rate after its schedule."""

import re

import pytest
import torch
from mmengine.model import BaseModel
from mmengine.runner import Runner
from torch import nn


class Toy(BaseModel):
    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(1, 1)

    def forward(self, *inputs, mode='tensor'):
        return dict(loss=self.linear(inputs[0]).square().mean())


@pytest.fixture
def read_warnings(tmp_path):
    """Return a function that trains 100 epochs of 3 steps: its warnings."""

    def train(*schedules) -> str:
        Runner(
            model=Toy(),
            work_dir=str(tmp_path),
            train_dataloader=dict(
                dataset=[torch.zeros(1)] * 3,
                batch_size=1,
                sampler=dict(type='DefaultSampler', shuffle=False),
            ),
            train_cfg=dict(by_epoch=True, max_epochs=100),
            optim_wrapper=dict(optimizer=dict(type='SGD', lr=1e-3)),
            param_scheduler=list(schedules),
            default_hooks=dict(
                logger=None,
                checkpoint=None,
                length=dict(type='ScheduleLengthHook'),
            ),
            default_scope='mmpose',
            experiment_name=tmp_path.name,
        ).train()
        [path] = tmp_path.glob('*/*.log')
        text = re.sub(r'\s+', ' ', path.read_text())
        return ' '.join(re.findall(r'\w+ lasts until.*?training\.', text))

    return train


def cosine(**options) -> dict:
    return dict(type='CosineAnnealingLR', **options)


STEPS = dict(convert_to_iter_based=True)
WARM_UP = dict(type='LinearLR', start_factor=0.1, end=10, by_epoch=False)


@pytest.mark.parametrize(
    ('schedules', 'words'),
    [
        (
            [WARM_UP, cosine(T_max=40, **STEPS)],
            'until step 120 (epoch 40), the training until 300: lr climbs '
            'back from there on.',
        ),
        (
            [cosine(T_max=40)],
            'until epoch 40, the training until 100: lr climbs back',
        ),
        (
            [cosine(begin=10, T_max=30, end=40)],
            'until epoch 40, the training until 100: lr stands still',
        ),
        (
            [cosine(end=50)],
            'until epoch 50, the training until 100: lr stands',
        ),
        (
            [cosine(T_max=210)],
            'until epoch 210, the training until 100: the training ends '
            'before lr is at its minimum.',
        ),
        (
            [dict(type='PolyLR', end=70)],
            'PolyLR lasts until epoch 70, the training until 100: '
            'lr stands still',
        ),
    ],
    ids=['steps', 'epochs', 'end', 'end alone', 'longer', 'polynomial'],
)
def test_other_lengths_than_the_training_warn(read_warnings, schedules, words):
    found = read_warnings(*schedules)
    assert words in found
    assert found.count('lasts until') == 1


@pytest.mark.parametrize(
    'schedules',
    [
        [WARM_UP, cosine(**STEPS)],
        [cosine(T_max=100)],
        [cosine(begin=49, T_max=50, end=100)],  # mmpose halves odd lengths
        [cosine(T_max=30, end=30), cosine(begin=30)],
        [dict(type='PolyLR')],
        [WARM_UP, dict(type='MultiStepLR', milestones=[50])],
        [WARM_UP],
    ],
)
def test_lengths_that_agree_do_not(read_warnings, schedules):
    assert read_warnings(*schedules) == ''
