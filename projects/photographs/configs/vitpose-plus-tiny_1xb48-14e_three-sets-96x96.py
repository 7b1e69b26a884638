# One ViTPose++ for people, bees and mice: 336 steps of 48, 16 of a set on
# average.
_base_ = './_base_/three_sets.py'

heads = dict(
    lspet=dict(out_channels=14, decoder=_base_.codec),
    bee=dict(out_channels=32, decoder=_base_.codec),
    mouse=dict(out_channels=17, decoder=_base_.codec))
model = dict(
    type='MultiDatasetPoseEstimator',
    data_preprocessor=_base_.data_preprocessor,
    backbone=dict(
        type='ViTPose',
        arch=dict(embed_dims=192, depth=6, num_heads=6),
        img_size=_base_.codec.input_size[::-1],
        drop_path_rate=0.1,
        experts=dict(num_experts=3)),
    head=dict(
        type='MultiDatasetHead',
        names=_base_.dataset_names,
        shared=dict(
            type='HeatmapHead',
            in_channels=192,
            deconv_out_channels=(128, 128),
            deconv_kernel_sizes=(4, 4),
            loss=dict(type='KeypointMSELoss', use_target_weight=True)),
        heads=heads),
    test_cfg=dict(
        flip_test=True,
        flip_mode='heatmap',
        shift_heatmap=False,
        dataset='lspet'))
optim_wrapper = dict(
    optimizer=dict(type='AdamW', lr=1e-3, weight_decay=0.1),
    clip_grad=dict(max_norm=1.0, norm_type=2))
visualizer = dict(type='MultiDatasetVisualizer')
