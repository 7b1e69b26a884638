# ViTPose from whole images: 300 epochs, otherwise as from crops.
_base_ = './adamw_210e.py'

train_cfg = dict(max_epochs=300)
optim_wrapper = dict(optimizer=dict(lr=1.5e-3))
param_scheduler = [
    _base_.param_scheduler[0],  # warm-up
    dict(type='MultiStepLR', milestones=[200, 260], gamma=0.1, by_epoch=True)
]
auto_scale_lr = dict(base_batch_size=192)
