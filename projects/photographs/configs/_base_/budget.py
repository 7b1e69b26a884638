# What all runs share: one warm-up, one cosine, one average, one seed. The
# epochs come from the set's file, the optimizer from that of a family.
_base_ = '../../../../configs/_base_/default_runtime.py'

custom_imports = dict(
    imports=['gtpt_mm', 'projects.photographs.models'],
    allow_failed_imports=False)
train_cfg = dict(by_epoch=True)
val_cfg = dict()
test_cfg = dict()
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, end=180, by_epoch=False),
    dict(
        type='CosineAnnealingLR',
        eta_min_ratio=0.01,
        by_epoch=True,
        convert_to_iter_based=True)
]
custom_hooks = [
    dict(type='CosineEMAHook', momentum=0.02),
    dict(type='ProcessorTimeHook')
]
default_hooks = dict(
    logger=dict(interval=20), checkpoint=dict(interval=1, max_keep_ckpts=1))
randomness = dict(seed=1)
