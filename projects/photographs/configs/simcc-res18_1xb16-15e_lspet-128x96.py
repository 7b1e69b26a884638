# Stock SimCC on ResNet-18 from random weights.
_base_ = './_base_/lspet_simcc.py'

model = dict(
    type='TopdownPoseEstimator',
    data_preprocessor=_base_.data_preprocessor,
    backbone=dict(type='ResNet', depth=18),
    head=dict(
        type='SimCCHead',
        in_channels=512,
        out_channels=14,
        input_size=_base_.codec.input_size,
        in_featuremap_size=(3, 4),
        simcc_split_ratio=_base_.codec.simcc_split_ratio,
        loss=dict(type='KLDiscretLoss', use_target_weight=True),
        decoder=_base_.codec),
    test_cfg=dict(flip_test=True))
optim_wrapper = dict(optimizer=dict(type='Adam', lr=1e-3))
