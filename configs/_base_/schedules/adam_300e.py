# GTPT, both stages: Adam without weight decay, warm-up or clipping.
_base_ = '../default_runtime.py'

train_cfg = dict(by_epoch=True, max_epochs=300, val_interval=5)
val_cfg = dict()
test_cfg = dict()

optim_wrapper = dict(optimizer=dict(type='Adam', lr=1e-3))
# The official code steps the schedule before the epoch: the rate falls at the
# start of the 200th and the 260th epoch.
param_scheduler = [
    dict(type='MultiStepLR', milestones=[199, 259], gamma=0.1, by_epoch=True)
]
auto_scale_lr = dict(base_batch_size=256)
randomness = dict(seed=42)

custom_hooks = [
    # Average the BatchNorm statistics of the processes after each epoch.
    dict(type='SyncBuffersHook'),
    # Validation, test and the saved state_dict use the averaged weights.
    dict(type='CosineEMAHook')
]
