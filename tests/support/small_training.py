"""A training of ViTPose on a few drawn pictures, of seconds, as a config."""

from pathlib import Path

from mmengine.config import Config

CONFIG = (
    'configs/body_2d_keypoint/vitpose/sample/td-hm_vitpose-s_1xb16-14e_'
    'sample-96x64.py'
)
#: With batches of 2 in two processes.
EPOCHS, EPOCH_STEPS = 3, 4


def write_config(repo_root: Path, root: Path, **options) -> Path:
    """Write the config of EPOCHS epochs of EPOCH_STEPS steps, and its data.

    It has the recipe of ViTPose: AdamW, layer-wise rates, clipping.
    """
    from pose_samples import generate

    num_train = 4 * EPOCH_STEPS
    generate(
        root, ['coco'], num_train, 4, seed=3, max_people=1, image_size=(96, 96)
    )
    cfg = Config.fromfile(repo_root / CONFIG)
    cfg.model.backbone.arch = dict(embed_dims=32, depth=2, num_heads=2)
    cfg.model.head.update(in_channels=32, deconv_out_channels=(8, 8))
    for loader in (cfg.train_dataloader, cfg.val_dataloader):
        loader.update(num_workers=0, persistent_workers=False, batch_size=2)
        loader.dataset.data_root = f'{root / "coco"}/'
    cfg.val_dataloader.dataset.bbox_file = None
    cfg.test_dataloader = cfg.test_cfg = cfg.test_evaluator = None
    cfg.val_evaluator = dict(type='EPE')
    cfg.optim_wrapper.paramwise_cfg.layer_decay_rate = 0.75
    cfg.auto_scale_lr = dict(base_batch_size=16)
    cfg.train_cfg.update(max_epochs=EPOCHS, val_interval=1)
    cfg.param_scheduler = dict(type='CosineAnnealingLR', by_epoch=False)
    cfg.default_hooks.checkpoint.update(
        interval=1, max_keep_ckpts=-1, save_best='EPE', rule='less'
    )
    cfg.default_hooks.logger.interval = 1
    cfg.randomness = dict(seed=0)
    cfg.merge_from_dict(options)
    cfg.dump(root / 'config.py')
    return root / 'config.py'
