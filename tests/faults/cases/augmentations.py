"""Are the second epoch's augmentations those of the first?"""

from mmengine.config import Config
from mmengine.runner import Runner


def main():
    cfg = Config.fromfile('cfg/tiny.py')
    cfg.work_dir = 'wd/augmentations'
    cfg.train_dataloader.persistent_workers = False
    cfg.train_dataloader.sampler.shuffle = False
    cfg.default_hooks.checkpoint = None
    cfg.train_cfg.max_epochs = 2
    cfg.val_cfg = cfg.val_dataloader = cfg.val_evaluator = None
    runner = Runner.from_cfg(cfg)
    seen, train_step = [], runner.model.train_step

    def record(data, optim_wrapper):
        scales = [s.metainfo['input_scale'] for s in data['data_samples']]
        seen.append([scale.tolist() for scale in scales])
        return train_step(data, optim_wrapper)

    runner.model.train_step = record
    runner.train()
    half = len(seen) // 2
    print('batches', len(seen), 'epochs equal', seen[:half] == seen[half:])


if __name__ == '__main__':
    main()
