# GTPT from random weights on small crops.
_base_ = './short_run.py'

train_cfg = dict(max_epochs=14)
optim_wrapper = dict(optimizer=dict(type='Adam', lr=2e-3))
custom_hooks = [
    # A short run: the average must follow faster than over 300 epochs.
    dict(type='CosineEMAHook', momentum=0.02)
]
