# A short run on small images: a warm-up, then a cosine to the end of the
# training. Optimizer and epochs come from the file of an optimizer.
_base_ = '../default_runtime.py'

train_cfg = dict(by_epoch=True, val_interval=2)
val_cfg = dict()
test_cfg = dict()
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, end=100, by_epoch=False),
    dict(
        type='CosineAnnealingLR',
        eta_min=1e-5,
        by_epoch=True,
        convert_to_iter_based=True)
]
randomness = dict(seed=42)
default_hooks = dict(
    logger=dict(interval=25), checkpoint=dict(interval=1, max_keep_ckpts=2))
