_base_ = [
    '../../../_base_/schedules/adam_300e.py',
    '../../../_base_/datasets/coco_simcc_256x192.py',
]

model = dict(
    type='TopdownPoseEstimator',
    data_preprocessor=_base_.data_preprocessor,
    backbone=dict(
        type='GTPT',
        arch='tiny',
        img_size=_base_.codec.input_size[::-1],
        keep_rates=(1.0, 0.7, 0.3, 0.1)),
    head=dict(
        type='GTPTHead',
        in_channels=128,
        out_channels=17,
        decoder=_base_.codec,
        loss=dict(type='GlobalPerceivedLoss')),
    test_cfg=dict(flip_test=True, shift_heatmap=True))

default_hooks = dict(checkpoint=dict(save_best='coco/AP', rule='greater'))
