# Stock MobileNetV2 with heatmaps from random weights.
_base_ = './_base_/lspet_heatmap.py'

model = dict(
    type='TopdownPoseEstimator',
    data_preprocessor=_base_.data_preprocessor,
    backbone=dict(type='MobileNetV2', widen_factor=1.0, out_indices=(7, )),
    head=dict(
        type='HeatmapHead',
        in_channels=1280,
        out_channels=14,
        loss=dict(type='KeypointMSELoss', use_target_weight=True),
        decoder=_base_.codec),
    test_cfg=dict(flip_test=True, flip_mode='heatmap', shift_heatmap=True))
optim_wrapper = dict(optimizer=dict(type='Adam', lr=1e-3))
