# HEViTPose-B for the 17 COCO keypoints; the codec comes from the config.
model = dict(
    type='TopdownPoseEstimator',
    backbone=dict(type='HEViTPose', arch='base'),
    head=dict(
        type='HeatmapHead',
        in_channels=384,
        out_channels=17,
        deconv_out_channels=(192, 96),
        deconv_kernel_sizes=(4, 4),
        loss=dict(type='KeypointMSELoss', use_target_weight=True)),
    test_cfg=dict(flip_test=True, flip_mode='heatmap', shift_heatmap=True))
