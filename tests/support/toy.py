"""The smallest training: one weight, batches that are written down."""

import itertools

import torch
from mmengine.model import BaseModel
from mmengine.registry import init_default_scope
from mmengine.runner import Runner
from mmengine.structures import InstanceData
from mmpose.structures import PoseDataSample
from torch import nn

_numbers = itertools.count()


class Line(BaseModel):
    """loss_square = (weight x - 1)^2 and loss_extra = 0 x."""

    def __init__(self, norm: bool = False) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(()))
        self.norm = nn.BatchNorm1d(1) if norm else nn.Identity()

    def forward(self, inputs, data_samples, mode='loss'):
        x = self.norm(torch.stack(inputs))
        return dict(
            loss_square=(self.weight * x - 1).square().mean(),
            loss_extra=0 * x.detach().mean(),
            acc=torch.tensor(float('nan')),  # counts for nothing
        )


def make_sample(number: int, x: float, visible: float = 1.0) -> dict:
    """A sample of one keypoint, with file and annotation id."""
    sample = PoseDataSample(
        metainfo=dict(img_path=f'pictures/{number}.png', id=100 + number)
    )
    sample.gt_instance_labels = InstanceData(
        keypoint_labels=torch.full((1, 1, 2), float(x)),
        keypoint_weights=torch.full((1, 1), visible),
    )
    return dict(inputs=torch.tensor([float(x)]), data_samples=sample)


def make_runner(work_dir, samples, *, epochs=1, model=None, **options):
    """A runner with batches of two in the order of the samples."""
    init_default_scope('mmpose')
    hook = options.pop('hook', {})
    optimizer = options.pop('optim_wrapper', {})
    return Runner(
        model=model or Line(),
        work_dir=str(work_dir),
        train_dataloader=dict(
            dataset=samples,
            batch_size=2,
            sampler=dict(type='DefaultSampler', shuffle=False),
            collate_fn=dict(type='pseudo_collate'),
        ),
        train_cfg=dict(by_epoch=True, max_epochs=epochs),
        optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.1)) | optimizer,
        default_hooks=dict(
            logger=dict(type='LoggerHook', interval=1),
            checkpoint=dict(type='CheckpointHook', interval=1),
            finite_loss=dict(type='FiniteLossHook', **hook),
        ),
        default_scope='mmpose',
        randomness=dict(seed=0),
        experiment_name=f'toy_{next(_numbers)}',
        **options,
    )
