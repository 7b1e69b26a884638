# ViTPose++-S with the classic decoder for six datasets; names of the
# datasets, input size and codecs come from the config.
model = dict(
    type='MultiDatasetPoseEstimator',
    backbone=dict(
        type='ViTPose',
        arch='small',
        drop_path_rate=0.1,
        # Each makes a quarter of the channels of its layer.
        experts=dict(num_experts=6)),
    head=dict(
        type='MultiDatasetHead',
        shared=dict(
            type='HeatmapHead',
            in_channels=384,
            deconv_out_channels=(256, 256),
            deconv_kernel_sizes=(4, 4),
            loss=dict(type='KeypointMSELoss', use_target_weight=True)),
        heads=dict(
            coco=dict(out_channels=17),
            aic=dict(out_channels=14),
            mpii=dict(out_channels=16),
            ap10k=dict(out_channels=17),
            apt36k=dict(out_channels=17),
            wholebody=dict(out_channels=133))),
    test_cfg=dict(
        flip_test=True,
        flip_mode='heatmap',
        shift_heatmap=False,
        # Dataset of the maps of mode='tensor'.
        dataset='coco',
        # Without UDP the maps of the flipped image are a pixel off.
        datasets=dict(
            aic=dict(shift_heatmap=True),
            ap10k=dict(shift_heatmap=True),
            apt36k=dict(shift_heatmap=True),
            wholebody=dict(shift_heatmap=True))))
