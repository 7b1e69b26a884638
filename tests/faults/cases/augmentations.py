"""Are the second epoch's augmentations those of the first?"""

from mmengine.config import Config
from mmengine.runner import Runner

import gtpt_mm  # noqa: F401

cfg = Config.fromfile('cfg/tiny.py')
cfg.work_dir = 'wd/augmentations'
cfg.train_dataloader.persistent_workers = False
cfg.train_dataloader.sampler.shuffle = False
cfg.default_hooks.checkpoint = None
cfg.train_cfg.max_epochs = 2
cfg.val_cfg = cfg.val_dataloader = cfg.val_evaluator = None


def record(batch):
    seen.append(
        [
            s.gt_instances.bboxes_scales.tolist()
            if 'bboxes_scales' in s.gt_instances
            else s.metainfo['input_scale'].tolist()
            for s in batch['data_samples']
        ]
    )


seen = []
runner = Runner.from_cfg(cfg)
forward = runner.model.train_step


def train_step(data, optim_wrapper):
    record(data)
    return forward(data, optim_wrapper)


runner.model.train_step = train_step
runner.train()
half = len(seen) // 2
print('batches', len(seen), 'epochs equal', seen[:half] == seen[half:])
