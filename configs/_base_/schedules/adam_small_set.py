# GTPT from random weights on a few hundred or thousand pictures.
_base_ = './short_run.py'

train_cfg = dict(max_epochs=20)
# The first gradients are many times those that follow; with betas[1] of 0.999
# they would hold the steps down for as long as a short run lasts.
optim_wrapper = dict(optimizer=dict(type='Adam', lr=2e-3, betas=(0.9, 0.95)))
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, end=30, by_epoch=False),
    dict(
        type='CosineAnnealingLR',
        eta_min=1e-5,
        by_epoch=True,
        convert_to_iter_based=True)
]
custom_hooks = [dict(type='CosineEMAHook', momentum=0.02)]
