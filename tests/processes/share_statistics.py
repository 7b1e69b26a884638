"""One of two processes: batches differ, so BatchNorm statistics differ."""

import sys

import torch
import torch.distributed as dist
from torch import nn

import gtpt_mm  # noqa: F401  (compat before anything of mmengine)
from gtpt_mm.engine import CosineEMA, CosineEMAHook


def main(folder: str) -> None:
    dist.init_process_group('gloo')
    rank = dist.get_rank()
    model = nn.BatchNorm1d(2)
    hook = CosineEMAHook(total_epochs=1)
    hook.ema_model = CosineEMA(model, total_iters=10, momentum=0.5)
    model(torch.full((4, 2), float(rank)) + torch.eye(4, 2))
    hook.ema_model.update_parameters(model)
    hook.after_train_epoch(runner=None)
    torch.save(hook.ema_model.module.running_mean, f'{folder}/{rank}.pt')
    dist.destroy_process_group()


if __name__ == '__main__':
    main(sys.argv[1])
