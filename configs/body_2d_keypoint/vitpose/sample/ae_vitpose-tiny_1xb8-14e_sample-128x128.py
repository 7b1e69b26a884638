# A small ViTPose from whole images of drawn people.
# gtpt-mm sample-data data/demo --layout coco --num-train 2000 --num-val 200
_base_ = [
    '../../../_base_/schedules/adamw_14e.py',
    '../../../_base_/datasets/sample_ae_128x128.py',
]

model = dict(
    type='BottomupPoseEstimator',
    data_preprocessor=_base_.data_preprocessor,
    backbone=dict(
        type='ViTPose',
        arch=dict(embed_dims=192, depth=6, num_heads=6),
        img_size=_base_.codec.input_size[::-1],
        patch_stride=8,
        attention=dict(window_size=(8, 8), shift=True, pool=True)),
    head=dict(
        type='AssociativeEmbeddingHead',
        in_channels=192,
        num_keypoints=17,
        deconv_out_channels=(64, 64),
        deconv_kernel_sizes=(4, 4),
        keypoint_loss=dict(type='MaskedHeatmapLoss'),
        tag_loss=dict(type='AssociativeEmbeddingLoss', loss_weight=0.001),
        decoder=_base_.decoder),
    test_cfg=dict(
        flip_test=True,
        shift_heatmap=False,
        restore_heatmap_size=True,
        align_corners=True))
