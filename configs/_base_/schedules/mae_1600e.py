# Pretraining by masked autoencoding, as MAE on ImageNet.
_base_ = '../default_runtime.py'

train_cfg = dict(by_epoch=True, max_epochs=1600)

optim_wrapper = dict(
    type='AmpOptimWrapper',
    loss_scale='dynamic',
    # 1.5e-4 for 256 images.
    optimizer=dict(
        type='AdamW', lr=2.4e-3, betas=(0.9, 0.95), weight_decay=0.05),
    paramwise_cfg=dict(
        norm_decay_mult=0.0,
        bias_decay_mult=0.0,
        custom_keys=dict(
            cls_token=dict(decay_mult=0.0),
            mask_token=dict(decay_mult=0.0))))
param_scheduler = [
    dict(
        type='LinearLR',
        start_factor=1e-4,
        begin=0,
        end=40,
        by_epoch=True,
        convert_to_iter_based=True),
    dict(
        type='CosineAnnealingLR',
        begin=40,
        by_epoch=True,
        convert_to_iter_based=True)
]
auto_scale_lr = dict(base_batch_size=4096)
randomness = dict(seed=0, diff_rank_seed=True)
