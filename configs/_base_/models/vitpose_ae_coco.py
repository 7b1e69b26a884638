# ViTPose from whole images for the 17 COCO keypoints, grouped by associative
# embedding: features of 1/8. Attention, input size and codec come from the
# config.
model = dict(
    type='BottomupPoseEstimator',
    backbone=dict(type='ViTPose', patch_stride=8),
    head=dict(
        type='AssociativeEmbeddingHead',
        num_keypoints=17,
        # HigherHRNet's deconvolution and one more: 1/8 to 1/2.
        deconv_out_channels=(256, 256),
        deconv_kernel_sizes=(4, 4),
        keypoint_loss=dict(type='MaskedHeatmapLoss'),
        tag_loss=dict(type='AssociativeEmbeddingLoss', loss_weight=0.001)),
    # The head of mmpose 1.3.2 resizes heatmaps in the flip test only.
    test_cfg=dict(
        flip_test=True,
        shift_heatmap=False,
        restore_heatmap_size=True,
        align_corners=True))
