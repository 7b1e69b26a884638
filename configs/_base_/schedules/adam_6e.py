# HEViTPose from random weights on small crops.
_base_ = './short_run.py'

train_cfg = dict(max_epochs=6, val_interval=1)
optim_wrapper = dict(optimizer=dict(type='Adam', lr=2e-3))
default_hooks = dict(logger=dict(interval=20))
