# ViTPose-S with the classic decoder for the 17 COCO keypoints; input size and
# codec come from the config.
model = dict(
    type='TopdownPoseEstimator',
    backbone=dict(type='ViTPose', arch='small', drop_path_rate=0.1),
    head=dict(
        type='HeatmapHead',
        in_channels=384,
        out_channels=17,
        deconv_out_channels=(256, 256),
        deconv_kernel_sizes=(4, 4),
        loss=dict(type='KeypointMSELoss', use_target_weight=True)),
    test_cfg=dict(flip_test=True, flip_mode='heatmap', shift_heatmap=False))
