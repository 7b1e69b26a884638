"""One of two processes, each with datasets that the other has not.

BatchNorm uses its running statistics: those of a batch depend on how the
batch is divided, everything else must not.
"""

import os
import sys
from pathlib import Path

os.environ['CUDA_VISIBLE_DEVICES'] = '-1'

import torch
import torch.distributed as dist
from mmengine.registry import init_default_scope
from mmengine.runner import Runner
from torch import nn
from torch.nn.parallel import DistributedDataParallel

import gtpt_mm  # noqa: F401  (compat before anything of mmpose)

from mmpose.registry import MODELS  # isort: skip

sys.path.insert(0, str(Path(__file__).parents[1]))
from support import vitpose_plus as tools

#: Datasets of the samples of both processes, in two steps. Of aic there is
#: nothing anywhere.
BATCHES = (([0, 0, 3], [5, 2, 5]), ([2, 2, 2], [0, 4, 3]))


def train(rank: int | None, own_samples_only: bool) -> dict:
    """Return losses, gradients and weights; rank None has both batches."""
    torch.manual_seed(0)
    cfg = tools.make_model_cfg(
        dim=32, depth=2, num_heads=2, own_samples_only=own_samples_only
    )
    model = network = MODELS.build(cfg).train()
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eval()
    if rank is not None:
        network = DistributedDataParallel(model)  # no find_unused_parameters
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    record = dict(losses=[], gradients=[])
    for step, batches in enumerate(BATCHES):
        torch.manual_seed(step)
        dataset_idx = [k for batch in batches for k in batch]
        img = torch.randn(len(dataset_idx), 3, 64, 48)
        samples = tools.make_samples(dataset_idx)
        if rank is not None:
            own = slice(3 * rank, 3 * rank + 3)
            img, samples = img[own], samples[own]
        loss, _ = model.parse_losses(network(img, samples, mode='loss'))
        optimizer.zero_grad()
        loss.backward()
        grads = {n: p.grad.clone() for n, p in model.named_parameters()}
        record['gradients'].append(grads)
        record['losses'].append(loss.item())
        optimizer.step()
    return record


def train_frozen(rank: int | None, work_dir: Path) -> dict:
    """Return weights before and after a training with FreezeHook."""
    torch.manual_seed(0)
    cfg = tools.make_model_cfg(dim=32, depth=2, num_heads=2)
    cfg['data_preprocessor'] = dict(type='PoseDataPreprocessor')
    # mmpose's heads start so small that experts would hardly move.
    cfg['head']['shared']['init_cfg'] = dict(
        type='Normal', layer=['Conv2d', 'ConvTranspose2d'], std=0.1
    )
    runner = Runner(
        cfg,
        str(work_dir),
        train_dataloader=dict(
            dataset=tools.Mpii(8),
            batch_size=4 if rank is None else 2,
            sampler=dict(type='DefaultSampler', shuffle=False),
            collate_fn=dict(type='pseudo_collate'),
        ),
        train_cfg=dict(by_epoch=True, max_epochs=2),
        optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.1)),
        custom_hooks=[
            dict(
                type='FreezeHook',
                trainable=['backbone.experts.2', 'head.mpii.final_layer'],
            )
        ],
        default_scope='mmpose',
        launcher='none' if rank is None else 'pytorch',
        env_cfg=dict(dist_cfg=dict(backend='gloo')),
        randomness=dict(seed=0),
        experiment_name=f'frozen-{rank}',
        cfg=dict(
            # As mmengine wraps by default, but on CPU.
            model_wrapper_cfg=dict(
                type='MMDistributedDataParallel',
                device_ids=None,
                broadcast_buffers=False,
                find_unused_parameters=False,
            )
        ),
    )
    start = tools.StartHook()
    runner.register_hook(start)
    model = runner.train()
    model = getattr(model, 'module', model)
    return dict(before=start.weights, after=model.state_dict())


def main(folder: str) -> None:
    init_default_scope('mmpose')
    dist.init_process_group('gloo')
    rank = dist.get_rank()
    for own_only in (False, True):
        record = train(rank, own_only)
        torch.save(record, Path(folder) / f'{own_only}-{rank}.pt')
        if rank == 0:
            alone = train(None, own_only)
            torch.save(alone, Path(folder) / f'{own_only}-alone.pt')
    frozen = train_frozen(rank, Path(folder) / 'frozen')
    torch.save(frozen, Path(folder) / f'frozen-{rank}.pt')
    dist.destroy_process_group()
    if rank == 0:
        frozen = train_frozen(None, Path(folder) / 'frozen-alone')
        torch.save(frozen, Path(folder) / 'frozen-alone.pt')


if __name__ == '__main__':
    main(*sys.argv[1:])
