# Group Pose from random weights on small images.
_base_ = './short_run.py'

train_cfg = dict(max_epochs=20)
optim_wrapper = dict(
    optimizer=dict(type='AdamW', lr=5e-4, weight_decay=1e-4),
    clip_grad=dict(max_norm=1.0, norm_type=2))
default_hooks = dict(logger=dict(interval=50))
