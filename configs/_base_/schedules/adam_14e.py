# A short run on small crops: warm-up, then a cosine.
_base_ = '../default_runtime.py'

train_cfg = dict(by_epoch=True, max_epochs=14, val_interval=2)
val_cfg = dict()
test_cfg = dict()
optim_wrapper = dict(optimizer=dict(type='Adam', lr=2e-3))
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, end=100, by_epoch=False),
    dict(
        type='CosineAnnealingLR',
        T_max=14,
        eta_min=1e-5,
        by_epoch=True,
        convert_to_iter_based=True)
]
randomness = dict(seed=42)
default_hooks = dict(
    logger=dict(interval=25), checkpoint=dict(interval=1, max_keep_ckpts=2))
custom_hooks = [
    # A short run: the average must follow faster than over 300 epochs.
    dict(type='CosineEMAHook', total_epochs=14, momentum=0.02)
]
