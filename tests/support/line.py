"""A training of two weights that leaves a trace in all parts of a file."""

import itertools

import numpy as np
import torch
from mmengine.evaluator import BaseMetric
from mmengine.model import BaseModel
from mmengine.runner import Runner
from torch.utils.data import Dataset

_numbers = itertools.count()


class Line(BaseModel):
    def __init__(self):
        super().__init__()
        self.fc = torch.nn.Linear(2, 1)

    def forward(self, *points, mode='tensor'):
        loss = (self.fc(torch.stack(points)).sum() - 1) ** 2
        return dict(loss=loss) if mode == 'loss' else [loss]


class Points(Dataset):
    metainfo = dict(
        dataset_name='coco',
        sigmas=np.ones(3, np.float32),
        link_colors=np.zeros((3, 3), np.uint8),
        flip_indices=[0, 2, 1],
    )

    def __len__(self):
        return 4

    def __getitem__(self, index):
        return torch.rand(2)


class Scores(BaseMetric):
    """Give one AP after another."""

    def __init__(self, values=(0.5,)):
        super().__init__()
        self.values = itertools.cycle(values)

    def process(self, data_batch, data_samples):
        self.results.append(1)

    def compute_metrics(self, results):
        score = np.float64(next(self.values))
        return dict(AP=score, AR=np.float32(0.25), num=np.int64(3))


def make_line_runner(
    work_dir, max_epochs, scores=(0.5,), checkpoint=None, **options
):
    """Return a Runner with an average, schedules and a best score.

    ``checkpoint`` are arguments of the CheckpointHook.
    """
    loader = dict(
        batch_size=2,
        dataset=Points(),
        sampler=dict(type='DefaultSampler', shuffle=True),
    )
    checkpoint = dict(save_best='AP', rule='greater') | (checkpoint or {})
    train_cfg = dict(by_epoch=True, max_epochs=max_epochs)
    defaults = dict(
        train_cfg=train_cfg,
        optim_wrapper=dict(optimizer=dict(type='AdamW', lr=0.1)),
        param_scheduler=[
            dict(type='LinearLR', start_factor=0.1, end=2, by_epoch=False),
            dict(type='MultiStepLR', milestones=[1]),
        ],
        val_evaluator=[Scores(scores)],
        custom_hooks=[dict(type='EMAHook')],
        randomness=dict(seed=0),
    )
    return Runner(
        model=Line(),
        work_dir=str(work_dir),
        train_dataloader=loader,
        val_dataloader=loader,
        val_cfg=dict(),
        default_hooks=dict(
            checkpoint=dict(type='CheckpointHook', **checkpoint)
        ),
        experiment_name=f'line_{next(_numbers)}',
        **(defaults | options),
    )
