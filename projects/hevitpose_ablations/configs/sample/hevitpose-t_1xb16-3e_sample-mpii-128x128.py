# Half the epochs of the sample config, for comparing choices.
_base_ = [
    '../../../../configs/body_2d_keypoint/hevitpose/sample/td-hm_hevitpose-t_1xb16-6e_sample-mpii-128x128.py'
]
train_cfg = dict(max_epochs=3)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, end=100, by_epoch=False),
    dict(
        type='CosineAnnealingLR',
        T_max=3,
        eta_min=1e-5,
        by_epoch=True,
        convert_to_iter_based=True)
]
