# Group Pose on COCO: AdamW, a tenth of the rate for the backbone.
_base_ = '../default_runtime.py'

train_cfg = dict(by_epoch=True, max_epochs=60, val_interval=5)
val_cfg = dict()
test_cfg = dict()

# For mixed precision: type='AmpOptimWrapper' (mim train ... --amp). The
# official code trains without.
optim_wrapper = dict(
    optimizer=dict(type='AdamW', lr=1e-4, weight_decay=1e-4),
    paramwise_cfg=dict(custom_keys=dict(backbone=dict(lr_mult=0.1))),
    clip_grad=dict(max_norm=0.1, norm_type=2))
param_scheduler = [
    dict(type='MultiStepLR', milestones=[50], gamma=0.1, by_epoch=True)
]
# The model is sensitive to the batch size: keep 16 in all.
auto_scale_lr = dict(base_batch_size=16)
randomness = dict(seed=42)
default_hooks = dict(checkpoint=dict(interval=1))
custom_hooks = [
    # Offline, say how to give the backbone's weights as a file.
    dict(type='PretrainedFileHook')
]
