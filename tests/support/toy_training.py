"""A training of milliseconds in which everything is random."""

import copy
import itertools
import random

import numpy as np
import torch
from mmengine.evaluator import BaseMetric
from mmengine.model import BaseModel
from mmengine.runner import Runner
from torch import nn
from torch.utils.data import Dataset

_numbers = itertools.count()


class RandomData(Dataset):
    """Samples drawn with all three generators; notes what is read."""

    def __init__(self, size: int = 12) -> None:
        self.size = size
        self.read: list[int] = []

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, index: int) -> dict:
        self.read.append(index)
        values = random.random(), np.random.rand(), float(torch.rand(()))
        return dict(inputs=torch.tensor([float(index), *values]))


class ToyModel(BaseModel):
    """Dropout and BatchNorm before a linear layer."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(4)
        self.layer = nn.Linear(4, 1)

    def forward(self, inputs, mode='tensor'):
        x = self.norm(torch.stack(inputs).float())
        x = nn.functional.dropout(x, 0.5, self.training)
        loss = (self.layer(x) - np.random.rand()).square().mean()
        return dict(loss=loss) if mode == 'loss' else [loss]


class ToyMetric(BaseMetric):
    """The mean of what the model returns: depends on its draws."""

    default_prefix = 'toy'

    def process(self, data_batch, data_samples) -> None:
        self.results.append(float(data_samples[0]))

    def compute_metrics(self, results) -> dict:
        return dict(score=float(np.mean(results)))


def loader(**options) -> dict:
    options = dict(num_workers=0, persistent_workers=True) | options
    dataset = options.pop('dataset', None) or RandomData()
    return (
        dict(
            dataset=dataset,
            batch_size=2,
            sampler=dict(type='DefaultSampler', shuffle=True),
        )
        | options
    )


def make_runner(work_dir, hooks=(), **options) -> Runner:
    """Return a runner of 3 epochs of 6 steps, each with a validation."""
    torch.manual_seed(0)
    cfg = dict(
        model=ToyModel(),
        work_dir=str(work_dir),
        train_dataloader=loader(),
        val_dataloader=loader(
            sampler=dict(type='DefaultSampler', shuffle=False)
        ),
        train_cfg=dict(by_epoch=True, max_epochs=3),
        val_cfg=dict(),
        val_evaluator=[ToyMetric()],
        optim_wrapper=dict(optimizer=dict(type='Adam', lr=0.1)),
        param_scheduler=dict(type='CosineAnnealingLR', by_epoch=False),
        default_hooks=dict(
            checkpoint=dict(
                type='CheckpointHook',
                interval=1,
                save_best='toy/score',
                rule='less',
            ),
            logger=dict(type='LoggerHook', interval=1),
        ),
        custom_hooks=[
            dict(type='EMAHook', momentum=0.2, update_buffers=True),
            *hooks,
        ],
        randomness=dict(seed=7),
        log_level='WARNING',
        experiment_name=f'toy_{next(_numbers)}',
        default_scope='mmengine',
    )
    cfg = copy.deepcopy(cfg) | options
    extra = {k: cfg.pop(k) for k in tuple(cfg) if k in ('cfg',)}
    return Runner(**cfg, **extra)
