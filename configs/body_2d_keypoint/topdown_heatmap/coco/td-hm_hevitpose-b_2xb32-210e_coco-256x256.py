_base_ = [
    '../../../_base_/schedules/adam_210e.py',
    '../../../_base_/datasets/coco_heatmap_256x256.py',
]

model = dict(
    type='TopdownPoseEstimator',
    data_preprocessor=_base_.data_preprocessor,
    backbone=dict(type='HEViTPose', arch='base'),
    head=dict(
        type='HeatmapHead',
        in_channels=384,
        out_channels=17,
        deconv_out_channels=(192, 96),
        deconv_kernel_sizes=(4, 4),
        loss=dict(type='KeypointMSELoss', use_target_weight=True),
        decoder=_base_.codec),
    test_cfg=dict(flip_test=True, flip_mode='heatmap', shift_heatmap=True))

default_hooks = dict(checkpoint=dict(save_best='coco/AP', rule='greater'))
auto_scale_lr = dict(base_batch_size=64)
